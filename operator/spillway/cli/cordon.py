"""`spillway cordon` and `spillway uncordon`: close a pool of virtual nodes, and open it again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from spillway.app.errors import SettingsError, no_such
from spillway.cli import live
from spillway.cli.flags import parsed

if TYPE_CHECKING:
    from spillway.kube.client import KubeClient

Pool = Annotated[str, typer.Argument(metavar="POOL", help="Name of the VirtualNodeBudget.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Let the API server check the change and make none.")]

Wanted = dict[str, str | None]
"""The fields of the spec to set."""
FIELD_MANAGER: Final = "kubectl-spillway"


def cordon(
    pool: Pool,
    *,
    drain: Annotated[
        bool,
        typer.Option("--drain", help="Also evict the pods there, as their PodDisruptionBudgets allow (HoldAndDrain)."),
    ] = False,
    for_: Annotated[
        str | None, typer.Option("--for", help="Open the pool again after this time, for example 2h or 1d12h.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="Open the pool again at this time (RFC 3339), for example 2026-11-11T06:00:00+08:00."),
    ] = None,
    dry_run: DryRun = False,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
) -> None:
    """Close a pool: no new pod goes there, and its nodes are made unschedulable. Its pods stay unless you add --drain.

    Sets spec.cordon and spec.cordonUntil of the VirtualNodeBudget, and needs the permission to get and patch it.
    Exit codes: 0 done, 1 there is no such pool, 2 wrong usage, 3 the cluster could not be read or refused the change.
    """
    end = _end(for_, until, datetime.now(UTC))
    wanted = {"cordon": "HoldAndDrain" if drain else "Hold", "cordonUntil": end}
    _set(pool, wanted, dry_run=dry_run, kubeconfig=kubeconfig, context=context)


def uncordon(
    pool: Pool, *, dry_run: DryRun = False, kubeconfig: live.Kubeconfig = None, context: live.Context = None
) -> None:
    """Open a pool again. Only nodes that its cordon closed are opened.

    Sets spec.cordon and spec.cordonUntil of the VirtualNodeBudget, and needs the permission to get and patch it.
    Exit codes: 0 done, 1 there is no such pool, 2 wrong usage, 3 the cluster could not be read or refused the change.
    """
    wanted = {"cordon": "None", "cordonUntil": None}
    _set(pool, wanted, dry_run=dry_run, kubeconfig=kubeconfig, context=context)


def _end(for_: str | None, until: str | None, now: datetime) -> str | None:
    """When the pool opens again, RFC 3339; None for no end."""
    from spillway.api.quantity import duration_seconds  # noqa: PLC0415  # `--help` need not wait for it
    from spillway.api.scalars import moment_of, rfc3339  # noqa: PLC0415

    if for_ is not None and until is not None:
        raise SettingsError("give --for or --until, not both")
    if for_ is not None:
        return rfc3339(now + timedelta(seconds=parsed("--for", duration_seconds, for_)))
    if until is None:
        return None
    moment = parsed("--until", moment_of, until)
    if moment <= now:
        raise SettingsError(f"--until: {until} is in the past, so the pool would stay open")
    return rfc3339(moment)


def _set(pool: str, wanted: Wanted, *, dry_run: bool, kubeconfig: Path | None, context: str | None) -> None:
    async def work(client: "KubeClient") -> str:
        return await _patch(client, pool, wanted, dry_run=dry_run)

    typer.echo(live.change(kubeconfig, context, work))


async def _patch(client: "KubeClient", pool: str, wanted: Wanted, *, dry_run: bool) -> str:
    from spillway.kube import paths  # noqa: PLC0415
    from spillway.kube.client import MERGE_PATCH  # noqa: PLC0415
    from spillway.kube.errors import RequestError  # noqa: PLC0415

    budgets = paths.of_spillway("virtualnodebudgets")
    try:
        path = budgets.named(pool, field="POOL")
        before = (await client.get_json(path)).get("spec") or {}
    except RequestError as error:
        if not error.not_found:
            raise
        page = await client.get_json(budgets.everywhere)
        names = (one["metadata"]["name"] for one in page.get("items") or ())
        raise no_such(f"pool {pool}", names) from None
    said = change(pool, before, wanted)
    if all(before.get(key, "None" if key == "cordon" else None) == value for key, value in wanted.items()):
        return said
    params = {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else None}
    await client.request("PATCH", path, params=params, body={"spec": wanted}, content_type=MERGE_PATCH)
    return f"{said} (dry run)" if dry_run else said


def change(pool: str, before: dict[str, Any], wanted: Wanted) -> str:
    """What the command says that it did."""
    cordon, until = wanted["cordon"], wanted["cordonUntil"]
    was = before.get("cordon", "None")
    state = "open" if cordon == "None" else f"closed ({cordon})"
    end = f" until {until}" if until is not None else ""
    if was == cordon and before.get("cordonUntil") == until:
        return f"pool {pool} was {state}{end} already"
    return f"pool {pool} is {'opened' if cordon == 'None' else f'closed ({cordon})'}{end}; cordon was {was}"
