"""``python -m localcluster``: build, up, down, status, kubeconfig."""

import signal
import sys
from typing import Annotated

import typer

from localcluster import binaries, build, detached
from localcluster.api import ClusterApi
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError
from localcluster.options import Options

app = typer.Typer(
    help="A real Kubernetes control plane on this machine, without containers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Option("--name", help="Name of the cluster; several may run side by side.")]


@app.command("build")
def build_command(
    components: Annotated[
        list[str] | None,
        typer.Argument(
            help="Components to build. Default: all but argo-rollouts, noop-webhook, KEDA, descheduler, "
            "cluster-autoscaler and Kubernetes 1.30."
        ),
    ] = None,
) -> None:
    """Build the components that are not built yet, or whose pinned versions changed."""
    wanted = components or list(binaries.USUAL)
    build.ensure_built(wanted)
    for name in wanted:
        typer.echo(f"{name}: {binaries.find(name)}")


@app.command()
def up(
    name: Name = "default",
    *,
    kubernetes: Annotated[
        str,
        typer.Option(
            envvar=binaries.RELEASE_CHOICE,
            help=f"Version of the control plane: {' or '.join(binaries.RELEASES)}.",
        ),
    ] = binaries.NEWEST,
    metrics_server: Annotated[
        bool, typer.Option("--metrics-server", help="With metrics-server, which an HPA on CPU reads.")
    ] = False,
    karpenter: Annotated[
        bool, typer.Option("--karpenter", help="With Karpenter, a node autoscaler with simulated machines.")
    ] = False,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="With Prometheus.")] = False,
    hpa_sync_seconds: Annotated[
        float, typer.Option(help="Seconds between two checks of an HPA.")
    ] = Options.hpa_sync_seconds,
    hpa_downscale_stabilization_seconds: Annotated[
        float, typer.Option(help="Seconds after which an HPA may scale down.")
    ] = Options.hpa_downscale_stabilization_seconds,
    nodes: Annotated[int, typer.Option(help="Machines of the pool `fixed`, over three zones.")] = 3,
    virtual_nodes: Annotated[int, typer.Option(help="Virtual nodes of the pool `virtual`.")] = 0,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay in the foreground, and stop the cluster on Ctrl-C.")
    ] = False,
) -> None:
    """Start a cluster and leave it running until ``down``."""
    options = Options(
        kubernetes=kubernetes,
        metrics_server=metrics_server,
        karpenter=karpenter,
        prometheus=prometheus,
        hpa_sync_seconds=hpa_sync_seconds,
        hpa_downscale_stabilization_seconds=hpa_downscale_stabilization_seconds,
    )
    build.ensure_built(options.programs)
    if foreground:
        with Cluster(options) as cluster:
            _lay_nodes(cluster, nodes, virtual_nodes)
            typer.echo(f"export KUBECONFIG={cluster.kubeconfig}")
            _wait_for_interrupt()
        return
    held = detached.up(name, options)
    _lay_nodes(detached.attach(held, options), nodes, virtual_nodes)
    typer.echo(f"export KUBECONFIG={held.kubeconfig}")


@app.command()
def down(name: Name = "default") -> None:
    """Stop a cluster and remove everything of it."""
    if not detached.down(name):
        raise ClusterError(f"cluster {name} not found")


@app.command()
def status() -> None:
    """List the clusters and the running components of each."""
    for name in detached.names():
        held = detached.read(name)
        if held is None:
            continue
        sizes = sorted(held.processes().items())
        state = f"{sum(size for _, size in sizes):.0f} MiB" if sizes else "gone; `down` removes it"
        typer.echo(f"{name}  {held.server}  {state}")
        for component, size in sizes:
            typer.echo(f"  {component:<24}{size:>6.0f} MiB")


@app.command()
def kubeconfig(name: Name = "default") -> None:
    """Print the path of a cluster's kubeconfig."""
    held = detached.read(name)
    if held is None:
        raise ClusterError(f"cluster {name} not found")
    typer.echo(held.kubeconfig)


@app.command(hidden=True)
def hold(name: str, arguments: str) -> None:
    """Own a cluster until a TERM (what ``up`` starts)."""
    detached.hold(name, arguments)


def _lay_nodes(cluster: ClusterApi, nodes: int, virtual_nodes: int) -> None:
    if nodes:
        cluster.add_nodes("fixed", nodes)
    if virtual_nodes:
        cluster.add_virtual_nodes("virtual", virtual_nodes)
    cluster.rest.close()


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        typer.echo("stopping it")


def main() -> None:
    try:
        app()
    except ClusterError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
