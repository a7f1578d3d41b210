"""`spillway simulate`: what resources that are not applied yet would change in a cluster."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.prometheus_flags import HistoryFile, PrometheusFlags, with_prometheus


@with_prometheus
def simulate(
    *,
    file: Annotated[
        Path,
        typer.Option(
            "--filename",
            "-f",
            help="YAML file with ElasticPolicies, VirtualNodeBudgets and ZonalBalances; - reads from stdin.",
        ),
    ],
    csv: HistoryFile = None,
    prometheus: PrometheusFlags,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    operator_namespace: live.OperatorNamespace = "spillway-system",
    output: live.FormatFlag = live.Format.TABLE,
) -> None:
    """Show what resources that are not applied yet would change: what they select, what would move, costs and risks.

    Nothing is written: the API server checks the resources in a dry run, and the planners of the operator compute the
    answer from the current state of the cluster. Thresholds of mode Auto are planned only with a history, from
    --prometheus-url or --csv. Needs the permissions of `explain`, and the permission to patch Spillway's kinds, which
    is used for dry runs; without it only the schema is checked. Exit codes: 0 there is an answer, 1 a resource was
    refused, 2 wrong usage, 3 the cluster or Prometheus could not be read.
    """
    from spillway.cli.planning import Source  # noqa: PLC0415  # `--help` need not wait for it
    from spillway.cli.simulate_view import proposal_view  # noqa: PLC0415
    from spillway.cli.simulating import documents_in, simulated  # noqa: PLC0415

    try:
        proposed = documents_in(file)
    except ValueError as error:
        raise SettingsError(f"--filename: {error}") from error
    if csv is not None:
        # --csv wins over an environment variable that is set for the operator.
        prometheus = replace(prometheus, prometheus_url=None)
    source = Source(prometheus.connection if prometheus.given else None, csv) if csv or prometheus.given else None
    found = live.read(
        kubeconfig, context, lambda client: simulated(client, proposed, source, own_namespace=operator_namespace)
    )
    live.show(found, output, proposal_view)
