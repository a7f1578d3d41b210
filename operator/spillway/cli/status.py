"""`spillway status`: the policies, pools and zones on one screen, the savings, and what needs attention."""

from functools import partial

from spillway.cli import live
from spillway.cli.prometheus_flags import PrometheusFlags, with_prometheus


@with_prometheus
def status(
    *,
    kubeconfig: live.Kubeconfig = None,
    context: live.Context = None,
    operator_namespace: live.OperatorNamespace = "spillway-system",
    lease_name: live.LeaseName = "spillway",
    prometheus: PrometheusFlags,
    output: live.FormatFlag = live.Format.TABLE,
    watch: live.Watch = False,
) -> None:
    """Show policies, pools, zones, savings and what needs attention, from the statuses of Spillway's resources.

    Needs the permission to list elasticpolicies, virtualnodebudgets and zonalbalances; with the permission to get the
    operator's Lease it also shows whether a replica leads. With --prometheus-url it shows what was saved today and this
    month. Exit codes: 0 the cluster was read, 1 Spillway is not installed in it, 2 wrong usage, 3 the cluster or
    Prometheus could not be read.
    """
    from spillway.app.installed import read_overview  # noqa: PLC0415  # `--help` need not wait for it
    from spillway.cli.status_view import overview_view  # noqa: PLC0415
    from spillway.domain.overview.status import Overview  # noqa: PLC0415

    connection = prometheus.connection if prometheus.given else None

    def look() -> Overview:
        return live.read(
            kubeconfig,
            context,
            lambda client: read_overview(client, namespace=operator_namespace, lease=lease_name, prometheus=connection),
        )

    view = partial(overview_view, history=connection is not None)
    if watch:
        live.show_watched(look, output, view)
    live.show(look(), output, view)
