"""`spillway report`: one HTML page about a cluster, from its current state and the history in Prometheus."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.flags import parsed
from spillway.cli.prometheus_flags import PrometheusFlags, with_prometheus

if TYPE_CHECKING:
    from spillway.app.report.reading import ClusterReport

_SHORTEST_SECONDS: Final = 3600
_LONGEST_SECONDS: Final = 90 * 86_400


@with_prometheus
def report(
    *,
    file: Annotated[Path, typer.Option("--file", "-f", help="HTML file to write.", dir_okay=False)] = Path(
        "spillway.html"
    ),
    history: Annotated[str, typer.Option(help="How much history to show, from 1h to 90d.")] = "14d",
    prometheus: PrometheusFlags,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    operator_namespace: live.OperatorNamespace = "spillway-system",
    lease_name: live.LeaseName = "spillway",
) -> None:
    """Write one HTML page: demand and capacity, costs, thresholds, victims, imbalance, moves and limits of pools.

    The page needs no network to be shown. The current state comes from the statuses of Spillway's resources, and the
    history from --prometheus-url, whose server must scrape the operator; without it the page has the current state
    only. Exit codes: 0 the page is written, 1 it cannot be written, 2 wrong usage, 3 the cluster or Prometheus could
    not be read.
    """
    from spillway.api.quantity import duration_seconds  # noqa: PLC0415  # `--help` need not wait for it

    page = _page()
    from spillway.app.report.reading import read_report  # noqa: PLC0415

    seconds = float(parsed("--history", duration_seconds, history))
    if not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
        raise SettingsError(f'--history: must be from 1h to 90d, for example 14d, not "{history}"')
    connection = prometheus.connection if prometheus.given else None
    found = live.read(
        kubeconfig,
        context,
        lambda client: read_report(
            client, namespace=operator_namespace, lease=lease_name, prometheus=connection, seconds=seconds
        ),
    )
    text = page(found)
    with live.written(file):
        file.write_text(text, encoding="utf-8")
    typer.echo(f"{file} written")


def _page() -> "Callable[[ClusterReport], str]":
    try:
        from spillway.app.report.page import page  # noqa: PLC0415  # plotly is optional
    except ModuleNotFoundError as error:
        raise SettingsError(f"report needs {error.name}; install it with: pip install plotly") from error
    return page
