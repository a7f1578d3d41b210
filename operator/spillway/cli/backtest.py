"""`spillway backtest`: what Spillway would have saved on a history of demand, beside plain Kubernetes."""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.flags import above_zero, parsed
from spillway.cli.prometheus_flags import PrometheusFlags, with_prometheus
from spillway.domain.model.units import GIB

if TYPE_CHECKING:
    from spillway.simulate.backtest.run import Result

_NODES = "Nodes and prices"
_PODS = "Pods"


class Example(StrEnum):
    """The built-in examples."""

    EVENING_PEAK = "evening-peak"
    TWO_PEAKS = "two-peaks"


@with_prometheus
def backtest(  # each branch is a flag that is missing
    *,
    example: Annotated[
        Example | None, typer.Option(help="Replay a built-in example, which includes nodes and prices.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the demand in CSV (plain or gzipped) or Parquet files, with the columns "
            "workload,time,replicas for many workloads, or ts,value for the workload with the file's name. The file "
            "requests.csv in it has the columns workload,cpu,memory."
        ),
    ] = None,
    prometheus: PrometheusFlags,
    history: Annotated[str, typer.Option(help="How much history to read from Prometheus; more than 2d.")] = "14d",
    nodes: Annotated[int, typer.Option(help="Owned nodes.", min=0, rich_help_panel=_NODES)] = 0,
    node_cores: Annotated[
        float | None,
        typer.Option(help="Allocatable cores of an owned or elastic node.", min=0.001, rich_help_panel=_NODES),
    ] = None,
    node_memory: Annotated[
        str,
        typer.Option(
            help="Allocatable memory of such a node, for example 60Gi. With 0 memory is ignored.",
            rich_help_panel=_NODES,
        ),
    ] = "0",
    elastic_nodes: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of elastic nodes. Default: enough for the peak if --elastic-node-hour is given, else "
            "none.",
            min=0,
            rich_help_panel=_NODES,
        ),
    ] = None,
    node_hour: Annotated[
        float | None, typer.Option(help="Price of one owned node per hour.", min=0, rich_help_panel=_NODES)
    ] = None,
    elastic_node_hour: Annotated[
        float | None, typer.Option(help="Price of one elastic node per hour.", min=0, rich_help_panel=_NODES)
    ] = None,
    virtual_cpu_hour: Annotated[
        float | None, typer.Option(help="Price of one core on virtual nodes per hour.", min=0, rich_help_panel=_NODES)
    ] = None,
    virtual_memory_gib_hour: Annotated[
        float, typer.Option(help="Price of one GiB of memory on virtual nodes per hour.", min=0, rich_help_panel=_NODES)
    ] = 0.0,
    currency: Annotated[
        str, typer.Option(help="Currency of the prices, for example CNY.", rich_help_panel=_NODES)
    ] = "",
    node_startup: Annotated[
        str, typer.Option(help="The time from the order of an elastic node until it is ready.", rich_help_panel=_NODES)
    ] = "3m",
    cpu: Annotated[
        str | None,
        typer.Option(help="CPU request of a replica that is not in the file of requests.", rich_help_panel=_PODS),
    ] = None,
    memory: Annotated[str, typer.Option(help="Memory request of such a replica.", rich_help_panel=_PODS)] = "0",
    requests: Annotated[
        Path | None,
        typer.Option(help="CSV file with workload,cpu,memory: the requests of replicas.", rich_help_panel=_PODS),
    ] = None,
    per_replica: Annotated[
        float,
        typer.Option(
            help="The demand that one replica serves, in the unit of the values of ts,value.",
            min=1e-9,
            rich_help_panel=_PODS,
        ),
    ] = 1.0,
    target_utilization: Annotated[
        int,
        typer.Option(
            help="Percent of its CPU request that a replica should use; also the target of the owned nodes.",
            min=1,
            max=100,
            rich_help_panel=_PODS,
        ),
    ] = 65,
    pod_startup: Annotated[
        str, typer.Option(help="The time from the start of a pod on a node until it is ready.", rich_help_panel=_PODS)
    ] = "1m",
    window: Annotated[str, typer.Option(help="How far a forecast looks ahead.", rich_help_panel=_PODS)] = "30m",
    price: Annotated[
        float,
        typer.Option(
            help="What a missing replica costs you, in units of the cost of an idle one; above 0. The higher it is, "
            "the more replicas a forecast keeps in reserve.",
            rich_help_panel=_PODS,
        ),
    ] = 10.0,
    report: Annotated[
        Path | None, typer.Option(help="HTML file to write: the table with charts; needs no network to be shown.")
    ] = None,
    output: live.FormatFlag = live.Format.TABLE,
) -> None:
    """Replay a history of demand with Spillway and with plain Kubernetes, and show what would have been saved.

    The source of the history is --example, --folder or --prometheus-url. The planners learn from the first two days,
    which do not count for the result. Exit codes: 0 there is a result, 1 the demand is too short or a request is
    missing, or the report cannot be written, 2 wrong usage, 3 the demand could not be read.
    """
    from spillway.api.quantity import cpu_millis, duration_seconds, memory_bytes  # noqa: PLC0415  # not for `--help`
    from spillway.app.history import read_from_history  # noqa: PLC0415
    from spillway.cli.backtest_output import backtest_view, described  # noqa: PLC0415
    from spillway.cli.backtest_progress import run_with_progress  # noqa: PLC0415
    from spillway.cli.backtesting import Sizes, case_of_folder, case_of_prometheus, requests_from  # noqa: PLC0415
    from spillway.simulate.backtest.case import CaseError, HourlyPrices, Setup  # noqa: PLC0415
    from spillway.simulate.backtest.examples import EXAMPLES  # noqa: PLC0415

    if example is not None or folder is not None:
        # They win over an environment variable that is set for the operator.
        prometheus = replace(prometheus, prometheus_url=None)
    if sum((example is not None, folder is not None, prometheus.given)) != 1:
        raise SettingsError("give one of --example, --folder and --prometheus-url, the source of the demand")
    writer = None if report is None else _writer(report)
    if example is not None:
        case = EXAMPLES[example.value]()
    else:
        if node_cores is None or node_hour is None or virtual_cpu_hour is None:
            raise SettingsError("give --node-cores, --node-hour and --virtual-cpu-hour (and --nodes)")
        if elastic_nodes and elastic_node_hour is None:
            raise SettingsError("--elastic-nodes: give --elastic-node-hour, their price, as well")
        try:
            setup = Setup(
                nodes=nodes,
                node_cores=node_cores,
                node_gib=parsed("--node-memory", memory_bytes, node_memory) / GIB,
                elastic_nodes=elastic_nodes or 0,
                prices=HourlyPrices(
                    node_hour, elastic_node_hour or 0.0, virtual_cpu_hour, virtual_memory_gib_hour, currency
                ),
                target=target_utilization / 100,
                node_startup_seconds=float(parsed("--node-startup", duration_seconds, node_startup)),
                pod_startup_seconds=float(parsed("--pod-startup", duration_seconds, pod_startup)),
                window_seconds=float(parsed("--window", duration_seconds, window)),
                forecast_price=above_zero("--price", price),
            )
        except CaseError as error:
            raise SettingsError(f"--window: {error}") from error
        cores = None if cpu is None else parsed("--cpu", cpu_millis, cpu) / 1000
        gib = parsed("--memory", memory_bytes, memory) / GIB
        seconds = float(parsed("--history", duration_seconds, history))
        unlimited = elastic_nodes is None and elastic_node_hour is not None
        try:
            with live.reported(), read_from_history():
                sizes = Sizes(requests_from(requests), cores, gib)
                if folder is not None:
                    case = case_of_folder(folder, setup, sizes, per_replica=per_replica, unlimited=unlimited)
                else:
                    import asyncio  # noqa: PLC0415

                    case = asyncio.run(
                        case_of_prometheus(prometheus.connection, setup, sizes, seconds=seconds, unlimited=unlimited)
                    )
        except CaseError as error:
            live.fail(str(error), live.NEGATIVE)
    result = run_with_progress(case)
    if writer is not None:
        writer(result)
    live.show(described(result), output, lambda _, *, wide: backtest_view(result))  # noqa: ARG005 - one width


def _writer(path: Path) -> "Callable[[Result], None]":
    """What writes the report; that it can be made is known before the long work begins."""
    try:
        from spillway.cli.backtest_report import page  # noqa: PLC0415  # plotly is optional
    except ModuleNotFoundError as error:
        raise SettingsError(f"--report: needs {error.name}; install it with: pip install plotly") from error

    def write(result: "Result") -> None:
        text = page(result)
        with live.written(path):
            path.write_text(text, encoding="utf-8")

    return write
