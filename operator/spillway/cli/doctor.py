"""`spillway doctor`: what is wrong with an installation or its surroundings, each finding with its remedy."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from spillway.cli import live
from spillway.cli.prometheus_flags import PrometheusFlags, with_prometheus

if TYPE_CHECKING:
    from spillway.domain.doctor.findings import Report
    from spillway.kube.client import KubeClient


@with_prometheus
def doctor(
    *,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    operator_namespace: live.OperatorNamespace = "spillway-system",
    lease_name: live.LeaseName = "spillway",
    service_account: Annotated[str, typer.Option(help="ServiceAccount of the operator.")] = "spillway",
    webhook_secret: Annotated[
        str, typer.Option(help="Secret with the certificate of the webhooks.")
    ] = "spillway-webhook-tls",  # noqa: S107 - the name of a Secret
    prometheus: PrometheusFlags,
    output: live.FormatFlag = live.Format.TABLE,
) -> None:
    """Check the installation: leader, clocks, webhooks, rights, selectors, other writers, autoscaler, taints and more.

    Writes nothing; pods are created in a dry run, to see whether the webhook answers. Needs the permission to list
    pods, nodes, namespaces, replicasets, replicationcontrollers, statefulsets and Spillway's kinds; checks that need
    another permission you lack are listed as not checked. With --prometheus-url it also checks whether Prometheus has
    the series that policies and reports need. Exit codes: 0 no error was found (there may be warnings), 1
    at least one error, 2 wrong usage, 3 the cluster could not be read.
    """
    from spillway.cli.doctor_view import report_view  # noqa: PLC0415  # `--help` need not wait for it

    async def work(client: "KubeClient") -> "Report":
        from datetime import UTC, datetime  # noqa: PLC0415

        from spillway.cli.reading import read_world  # noqa: PLC0415

        now = datetime.now(UTC)
        world = await read_world(client, own_namespace=operator_namespace, modules=("spillway.app.doctor.examine",))
        from spillway.app.doctor.examine import examine  # noqa: PLC0415
        from spillway.app.installed import read_operator  # noqa: PLC0415

        operator = await read_operator(client, namespace=operator_namespace, lease=lease_name, now=now)
        return await examine(
            client,
            world,
            operator,
            namespace=operator_namespace,
            lease=lease_name,
            account=service_account,
            secret=webhook_secret,
            prometheus=prometheus.connection if prometheus.given else None,
        )

    found = live.read(kubeconfig, context, work, modules=(live.READING,))
    live.show(found, output, report_view)
    sys.exit(live.NEGATIVE if found.errors else 0)
