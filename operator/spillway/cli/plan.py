"""`spillway plan`: shows what the operator would plan, without writing anything."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.flags import parsed
from spillway.cli.live import CONTEXT_HELP, KUBECONFIG_HELP, OPERATOR_NAMESPACE_HELP
from spillway.cli.prometheus_flags import HistoryFile, PrometheusFlags, with_prometheus
from spillway.domain.model.units import GIB

plan = typer.Typer(help="Show what would be planned, and why. Writes nothing.", no_args_is_help=True)

CLUSTER = "A policy of a cluster"
ALONE = "Without a cluster"


_ALONE = frozenset(
    {
        "nodes",
        "node_cores",
        "node_memory",
        "target_utilization",
        "cpu",
        "memory",
        "utilization",
        "node_hour",
        "virtual_cpu_hour",
        "virtual_memory_gib_hour",
        "currency",
        "history",
    }
)
"""Parameters that replace what the command would read from a cluster."""


@plan.callback()
def _plan() -> None:
    """Show what would be planned, and why. Writes nothing."""


@plan.command()
@with_prometheus
def thresholds(
    invocation: typer.Context,
    *,
    policy: Annotated[
        str | None,
        typer.Option(
            help="The ElasticPolicy to show. All policies of the cluster are planned together.", rich_help_panel=CLUSTER
        ),
    ] = None,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(help=KUBECONFIG_HELP, rich_help_panel=CLUSTER),
    ] = None,
    context: Annotated[str | None, typer.Option(help=CONTEXT_HELP, rich_help_panel=CLUSTER)] = None,
    operator_namespace: Annotated[
        str, typer.Option(help=OPERATOR_NAMESPACE_HELP, rich_help_panel=CLUSTER)
    ] = "spillway-system",
    prometheus: PrometheusFlags,
    csv: HistoryFile = None,
    nodes: Annotated[int, typer.Option(help="Owned nodes.", min=0, rich_help_panel=ALONE)] = 0,
    node_cores: Annotated[
        float | None, typer.Option(help="Allocatable cores of one node.", min=0.001, rich_help_panel=ALONE)
    ] = None,
    node_memory: Annotated[
        str,
        typer.Option(
            help="Allocatable memory of one node, for example 60Gi. With 0 memory is ignored.", rich_help_panel=ALONE
        ),
    ] = "0",
    target_utilization: Annotated[
        int,
        typer.Option(help="Percent of the owned nodes' CPU that may be in use.", min=1, max=100, rich_help_panel=ALONE),
    ] = 65,
    cpu: Annotated[
        str | None, typer.Option(help="CPU request of a replica, for example 500m.", rich_help_panel=ALONE)
    ] = None,
    memory: Annotated[
        str, typer.Option(help="Memory request of a replica, for example 2Gi.", rich_help_panel=ALONE)
    ] = "0",
    utilization: Annotated[
        int | None,
        typer.Option(
            help="Percent of its CPU request that a replica uses. Default: the target.",
            min=1,
            max=1000,
            rich_help_panel=ALONE,
        ),
    ] = None,
    node_hour: Annotated[
        float | None, typer.Option(help="Price of one owned node per hour.", min=0, rich_help_panel=ALONE)
    ] = None,
    virtual_cpu_hour: Annotated[
        float | None, typer.Option(help="Price of one core on virtual nodes per hour.", min=0, rich_help_panel=ALONE)
    ] = None,
    virtual_memory_gib_hour: Annotated[
        float, typer.Option(help="Price of one GiB of memory on virtual nodes per hour.", min=0, rich_help_panel=ALONE)
    ] = 0.0,
    currency: Annotated[
        str, typer.Option(help="Currency of these prices, for example CNY.", rich_help_panel=ALONE)
    ] = "",
    history: Annotated[
        str, typer.Option(help="How much history to read from Prometheus; at least 2d.", rich_help_panel=ALONE)
    ] = "14d",
    output: live.FormatFlag = live.Format.TABLE,
) -> None:
    """Plan the thresholds: how many replicas of each workload to keep on owned nodes, and how many nodes to own.

    With --policy, nodes and workloads are read from the cluster, and the history of demand from --prometheus-url or
    --csv. Without it, the plan uses --csv or --prometheus-url alone, with --nodes, --node-cores and --cpu. Exit codes:
    0 there is a plan, 1 there is no such policy, or no workload to plan, 2 wrong usage, 3 the cluster or the history
    could not be read.
    """
    from spillway.api.quantity import cpu_millis, duration_seconds, memory_bytes  # noqa: PLC0415  # not for `--help`
    from spillway.cli.planning import Alone, Source, plan_alone, plan_of_cluster  # noqa: PLC0415
    from spillway.cli.thresholds_view import thresholds_view  # noqa: PLC0415
    from spillway.domain.threshold.request import PAST_ENOUGH_SECONDS  # noqa: PLC0415

    given = _given(invocation)
    if csv is not None and "prometheus_url" not in given:
        # --csv wins over an environment variable that is set for the operator.
        prometheus = replace(prometheus, prometheus_url=None)
    if policy is not None and (unused := given & _ALONE):
        flags = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in unused))
        raise SettingsError(f"{flags}: only without --policy, which takes these values from the cluster")
    if (csv is None) is not prometheus.given:
        raise SettingsError("give either --csv or --prometheus-url, the source of the history of demand")
    connection = prometheus.connection if prometheus.given else None
    seconds = float(parsed("--history", duration_seconds, history))
    if seconds < PAST_ENOUGH_SECONDS:
        raise SettingsError(f'--history: must be at least two days, for example 2d, 72h or 14d, not "{history}"')
    source = Source(connection, csv)
    if policy is not None:
        found = live.read(
            kubeconfig, context, lambda client: plan_of_cluster(client, operator_namespace, policy, source)
        )
    else:
        if node_cores is None or cpu is None:
            raise SettingsError("without --policy, give --node-cores and --cpu (and --nodes): they size the plan")
        alone = Alone(
            nodes=nodes,
            node_cores=node_cores,
            node_gib=parsed("--node-memory", memory_bytes, node_memory) / GIB,
            target=target_utilization / 100,
            request_cores=parsed("--cpu", cpu_millis, cpu) / 1000,
            request_gib=parsed("--memory", memory_bytes, memory) / GIB,
            load=(utilization or target_utilization) / 100,
            node_hour=node_hour,
            virtual_core_hour=virtual_cpu_hour,
            virtual_gib_hour=virtual_memory_gib_hour if virtual_cpu_hour is not None else None,
            currency=currency,
            history_seconds=seconds,
        )
        import asyncio  # noqa: PLC0415  # `--help` need not wait for it

        with live.reported():
            found = asyncio.run(plan_alone(alone, source))
    live.show(found, output, thresholds_view)


@plan.command()
def scaling(
    *,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    output: live.FormatFlag = live.Format.TABLE,
    watch: live.Watch = False,
) -> None:
    """Show the recommended replicas of workloads and where each number comes from.

    Read from the statuses of the ElasticPolicies, which have the 64 workloads with the most replicas. Exit codes: 0 the
    cluster was read, 1 Spillway is not installed in it, 2 wrong usage, 3 the cluster could not be read.
    """
    _show("scaling", kubeconfig, context, output, watch=watch)


@plan.command()
def headroom(
    *,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    output: live.FormatFlag = live.Format.TABLE,
    watch: live.Watch = False,
) -> None:
    """Show the capacity that is kept free on elastic nodes, and why it is that much.

    Read from the statuses of the ElasticPolicies. Exit codes: 0 the cluster was read, 1 Spillway is not installed in
    it, 2 wrong usage, 3 the cluster could not be read.
    """
    _show("headroom", kubeconfig, context, output, watch=watch)


@plan.command()
def moves(
    *,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    output: live.FormatFlag = live.Format.TABLE,
    watch: live.Watch = False,
) -> None:
    """Show which pods would move next, to even out load and to empty elastic nodes, and which stay, and why.

    Read from the statuses of the ZonalBalances and ElasticPolicies, which have the next 10 moves of each. Exit codes: 0
    the cluster was read, 1 Spillway is not installed in it, 2 wrong usage, 3 the cluster could not be read.
    """
    _show("moves", kubeconfig, context, output, watch=watch)


def _show(what: str, kubeconfig: Path | None, context: str | None, output: live.Format, *, watch: bool) -> None:
    from spillway.app.installed import read_plan  # noqa: PLC0415
    from spillway.cli.plan_views import plan_view  # noqa: PLC0415  # `--help` need not wait for it

    def look() -> object:
        return live.read(kubeconfig, context, lambda client: read_plan(client, what))

    if watch:
        live.show_watched(look, output, plan_view)
    live.show(look(), output, plan_view)


def _given(invocation: typer.Context) -> frozenset[str]:
    """The parameters that are given on the command line."""
    sources = {name: invocation.get_parameter_source(name) for name in invocation.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")
