"""`spillway restore`: removes every taint, cordon, annotation, HPA and placeholder pod of Spillway from the cluster."""

import sys
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from spillway.app.errors import SettingsError
from spillway.cli import live

if TYPE_CHECKING:
    from spillway.app.restore import Restored
    from spillway.kube.client import KubeClient


NAMED: Final = 5
"""The most namespaces that a warning names."""


def restore(
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    stop_deployment: Annotated[
        str | None,
        typer.Option(
            metavar="NAMESPACE/NAME",
            help="Scale this Deployment to zero first, because a running operator would write everything back.",
        ),
    ] = None,
    forget: Annotated[
        str | None,
        typer.Option(
            metavar="NAMESPACE/NAME",
            help="At the end, delete this Lease, the last plan of the thresholds and the measurements of load classes. "
            "Stop the operator first.",
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            help="Namespace of the operator, in which objects hold headroom. Default: that of --stop-deployment or "
            "--forget, else spillway-system."
        ),
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether this is the right cluster.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the summary.")] = False,
    keep_deletion_costs: Annotated[
        bool,
        typer.Option(
            "--keep-deletion-costs",
            help="Leave the deletion costs and Spillway's annotations on running pods. The command then takes seconds.",
        ),
    ] = False,
    rate: Annotated[float, typer.Option(help="Maximum writes per second.", min=0.1)] = 500.0,
) -> None:
    """Remove every taint, cordon, annotation, HPA and placeholder pod of Spillway from the cluster, once.

    The command shows the cluster and asks first. Pods that wait for virtual nodes and never started are deleted, so
    that their owners replace them by pods without Spillway's affinity. What other clients wrote stays. The command is
    safe to run again. A running operator writes everything back as long as policies exist. Exit codes: 0 nothing of
    Spillway is left, 1 something is left or comes back, or you did not confirm, 2 wrong usage, 3 the cluster could not
    be read or refused a change.
    """
    target, lease = _target("--stop-deployment", stop_deployment), _target("--forget", forget)
    own = namespace or next((one[0] for one in (target, lease) if one is not None), "spillway-system")
    options = _Options(namespace=own, yes=yes, dry_run=dry_run, quiet=quiet, keep_costs=keep_deletion_costs, rate=rate)
    sys.exit(live.change(kubeconfig, context, lambda client: _restore(client, target, lease, options)))


class _Options(NamedTuple):
    namespace: str
    yes: bool
    dry_run: bool
    quiet: bool
    keep_costs: bool
    rate: float


def _target(option: str, text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name):
        raise SettingsError(f"{option}: write NAMESPACE/NAME, for example spillway-system/spillway ({text!r})")
    return namespace, name


def _is_wanted(cluster: str, *, stops: bool) -> bool:
    """Whether the user confirms that this is the cluster. Without a terminal the answer is no."""
    what = "taint, cordon, annotation, HPA and placeholder pod"
    typer.echo(f"This removes every {what} of Spillway from {cluster}.", err=True)
    if stops:
        typer.echo("It stops the operator first.", err=True)
    if not sys.stdin.isatty():
        typer.echo("error: nothing was changed: confirm with --yes, or try --dry-run first", err=True)
        return False
    if typer.confirm("Go on?", err=True):
        return True
    typer.echo("Nothing was changed.", err=True)
    return False


async def _restore(
    client: "KubeClient", target: tuple[str, str] | None, lease: tuple[str, str] | None, options: _Options
) -> int:
    from spillway.app.restore import Restore, forget, stop_deployment  # noqa: PLC0415  # `--help` need not wait for it

    def say(line: str) -> None:
        if not options.quiet:
            typer.echo(f"{line} (dry run)" if options.dry_run else line)

    if not (options.dry_run or options.yes or _is_wanted(client.credentials.target, stops=target is not None)):
        return live.NEGATIVE
    if target is not None and not options.dry_run:
        await stop_deployment(client, *target, say=say)
    run = Restore(
        client,
        say=say,
        namespace=options.namespace,
        dry_run=options.dry_run,
        rate=options.rate,
        keep_costs=options.keep_costs,
    )
    result = await run.run()
    if lease is not None and _is_done(result, stopped=target is not None):
        await forget(client, *lease, say=say)
    _summarise(result, dry_run=options.dry_run)
    return 0 if options.dry_run else _exit_code(result, stopped=target is not None)


def _is_done(result: "Restored", *, stopped: bool) -> bool:
    """Whether nothing of Spillway's is left: once it is stopped, only users write its marks in their namespaces."""
    return result.clean or (stopped and result.only_returns)


def _exit_code(result: "Restored", *, stopped: bool) -> int:
    if result.clean:
        return 0
    if _is_done(result, stopped=stopped):
        names = sorted(result.returning)
        more = f" and {len(names) - NAMED} others" if len(names) > NAMED else ""
        typer.echo(
            f"warning: another client writes annotations with Spillway's prefix again and again, in the namespaces "
            f"{', '.join(names[:NAMED])}{more}. Without Spillway they have no effect.",
            err=True,
        )
        return 0
    typer.echo("error: some of Spillway's objects and annotations could not be changed, or come back:", err=True)
    typer.echo("\n".join([*result.failed, *result.changed]) or "Is an operator still running?", err=True)
    return live.NEGATIVE


def _summarise(result: "Restored", *, dry_run: bool) -> None:
    verb = "would be restored" if dry_run else "restored"
    typer.echo(
        f"{result.nodes} nodes ({result.taints} taints, {result.cordons} cordons) and {result.pods} pods "
        f"({result.costs} deletion costs) {verb}"
    )
    if result.replaced:
        done = "would be replaced" if dry_run else "replaced"
        typer.echo(f"{result.replaced} pods that waited for virtual nodes and never started {done}")
    if result.headroom:
        typer.echo(f"{result.headroom} objects that held headroom {'would be ' if dry_run else ''}deleted")
    if result.surges:
        typer.echo(f"{result.surges} workloads that ran one additional replica {verb}")
    if result.autoscalers:
        done = "would be deleted" if dry_run else "deleted"
        typer.echo(f"{result.autoscalers} HorizontalPodAutoscalers that Spillway created {done}")
