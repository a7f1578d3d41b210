"""`spillway run`: one replica of the operator."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from spillway.cli import live
from spillway.cli.prometheus_flags import PANEL, PrometheusFlags, with_prometheus

OPERATOR = "Operator"
WEBHOOKS = "Webhooks"
SCALING = "Scaling"
SCHEDULING = "Scheduling"
LIMITS = "Limits"
HEADROOM = "Headroom"


@with_prometheus
def run(
    *,
    kubeconfig: live.Kubeconfig = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            help="Namespace of the operator, with its Lease and its certificates. Default: spillway-system.",
            envvar="POD_NAMESPACE",
        ),
    ] = None,
    lease_name: Annotated[
        str | None, typer.Option(help="Name of the Lease by which the replicas elect a leader. Default: spillway.")
    ] = None,
    lease_seconds: Annotated[
        int | None,
        typer.Option(
            help="Seconds without a renewal after which another replica may take the Lease, 6 to 300. Default: 15."
        ),
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option(help="Identity of this replica in the Lease. Default: the pod or host name, and a suffix."),
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="Log format: json or console. Default: json.")] = None,
    log_level: Annotated[
        str | None, typer.Option(help="Log level: debug, info, warning or error. Default: info.")
    ] = None,
    metrics_host: Annotated[
        str | None, typer.Option(help="Listen address of /metrics, /healthz and /readyz. Default: 0.0.0.0.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of /metrics, /healthz and /readyz; 0 picks a free one. Default: 8080.")
    ] = None,
    authorize_debug: Annotated[
        bool,
        typer.Option(
            help="Serve /debug/plans only to callers with a bearer token whose user may get that path (TokenReview and "
            "SubjectAccessReview)."
        ),
    ] = True,
    authorize_metrics: Annotated[
        bool, typer.Option(help="Serve /metrics only to callers with a bearer token whose user may get that path.")
    ] = False,
    report_page: Annotated[
        bool,
        typer.Option(
            help="Serve the page of `spillway report` for the last 14 days at /report on the metrics port, only to "
            "callers with a token whose user may get that path. Its history comes from --prometheus-url. Needs plotly."
        ),
    ] = False,
    webhooks: Annotated[bool, typer.Option(help="Serve admission requests.", rich_help_panel=WEBHOOKS)] = True,
    webhook_host: Annotated[
        str | None,
        typer.Option(help="Listen address of the admission server. Default: 0.0.0.0.", rich_help_panel=WEBHOOKS),
    ] = None,
    webhook_port: Annotated[
        int | None,
        typer.Option(help="Port of the admission server; 0 picks a free one. Default: 9443.", rich_help_panel=WEBHOOKS),
    ] = None,
    webhook_timeout_seconds: Annotated[
        float | None,
        typer.Option(
            help="The `timeoutSeconds` of the webhooks, 1 to 10. Above 2, requests may be held longer by the "
            "difference. Default: 2.",
            rich_help_panel=WEBHOOKS,
        ),
    ] = None,
    webhook_cert_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder with tls.crt, tls.key and optionally ca.crt, which another component such as cert-manager "
            "renews. The certificate is used as server and as client. Default: Spillway creates a certificate itself.",
            rich_help_panel=WEBHOOKS,
        ),
    ] = None,
    webhook_service: Annotated[
        str | None,
        typer.Option(
            help="Service through which the API server calls the webhooks. Default: spillway-webhook.",
            rich_help_panel=WEBHOOKS,
        ),
    ] = None,
    webhook_client_ca_file: Annotated[
        Path | None,
        typer.Option(
            help="File with PEM certificates of the CA that signed the client certificate of the API server. "
            "The admission server then answers no other caller. Read at start. Default: callers are not authenticated.",
            rich_help_panel=WEBHOOKS,
        ),
    ] = None,
    webhook_client_name: Annotated[
        list[str] | None,
        typer.Option(
            help="Common name or DNS name that this client certificate must have; may be repeated. Default: any name.",
            rich_help_panel=WEBHOOKS,
        ),
    ] = None,
    prometheus: PrometheusFlags,
    threshold_seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds between two plans of the thresholds; none without --prometheus-url. Default: 3600.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    demand_speed: Annotated[
        float | None,
        typer.Option(
            help="Seconds of demand in a second of the clock, for demos that play a day within minutes; anything but 1 "
            "is wrong for a real cluster. Default: 1.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    demand_meets: Annotated[
        float | None,
        typer.Option(
            help="With --demand-speed: when the time of demand meets the clock, in Unix seconds. Default: 0.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    headroom_by: Annotated[
        str | None,
        typer.Option(
            help="What holds headroom: capacity-buffer (CapacityBuffers), balloons (placeholder pods), or auto "
            "(CapacityBuffers if the API server has them and a node autoscaler acts on them, else placeholder pods). "
            "Default: auto.",
            rich_help_panel=HEADROOM,
        ),
    ] = None,
    headroom_image: Annotated[
        str | None,
        typer.Option(
            help="Image of placeholder pods, which runs and does nothing. Default: registry.k8s.io/pause:3.10.1.",
            rich_help_panel=HEADROOM,
        ),
    ] = None,
    headroom_pull_secret: Annotated[
        list[str] | None,
        typer.Option(
            help="Secret in the operator's namespace with which the image of placeholder pods is pulled; may be "
            "repeated.",
            rich_help_panel=HEADROOM,
        ),
    ] = None,
    headroom_priority_class: Annotated[
        str | None,
        typer.Option(
            help="PriorityClass of placeholder pods; its value has to be -10. Default: spillway-headroom.",
            rich_help_panel=HEADROOM,
        ),
    ] = None,
    headroom_hold_seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds for which less headroom must be needed before the headroom is reduced; it is increased at "
            "once. Default: 600.",
            rich_help_panel=HEADROOM,
        ),
    ] = None,
    peer_port: Annotated[
        int | None,
        typer.Option(
            help="Port for requests between replicas, with mutual TLS; 0 picks a free one. Default: 9444.",
            rich_help_panel=WEBHOOKS,
        ),
    ] = None,
    advertise_host: Annotated[
        str | None,
        typer.Option(
            help="Address at which other replicas reach this one. Default: $POD_IP, else 127.0.0.1.",
            rich_help_panel=WEBHOOKS,
        ),
    ] = None,
    external_metrics: Annotated[
        bool,
        typer.Option(
            help="Serve the recommended replicas at the aggregated API external.metrics.k8s.io. Do not use it if "
            "another component, such as KEDA, serves that API.",
            rich_help_panel=SCALING,
        ),
    ] = False,
    external_metrics_port: Annotated[
        int | None,
        typer.Option(
            help="Port of the API external.metrics.k8s.io, with the certificate of the webhooks; 0 picks a free one. "
            "Default: 9445.",
            rich_help_panel=SCALING,
        ),
    ] = None,
    keda_scaler: Annotated[
        bool,
        typer.Option(
            help="Serve the recommended replicas to KEDA, as an external push scaler over gRPC with TLS.",
            rich_help_panel=SCALING,
        ),
    ] = False,
    keda_scaler_port: Annotated[
        int | None,
        typer.Option(
            help="Port of the scaler for KEDA, with the certificate of the webhooks; 0 picks a free one. Default: "
            "9446.",
            rich_help_panel=SCALING,
        ),
    ] = None,
    scheduler_extender: Annotated[
        bool,
        typer.Option(
            help="Serve scores of nodes by their real load to kube-scheduler, as a scheduler extender over HTTPS.",
            rich_help_panel=SCHEDULING,
        ),
    ] = False,
    scheduler_extender_port: Annotated[
        int | None,
        typer.Option(
            help="Port of that extender, with the webhooks' certificate; 0 picks a free one. Default: 9447.",
            rich_help_panel=SCHEDULING,
        ),
    ] = None,
    explain_api: Annotated[
        bool,
        typer.Option(
            help="Answer `kubectl spillway explain` at the aggregated API explain.spillway.dev.",
            rich_help_panel=OPERATOR,
        ),
    ] = False,
    explain_api_port: Annotated[
        int | None,
        typer.Option(
            help="Port of the API explain.spillway.dev, with the certificate of the webhooks; 0 picks a free one. "
            "Default: 9448.",
            rich_help_panel=OPERATOR,
        ),
    ] = None,
    node_writes_per_second: Annotated[
        float | None,
        typer.Option(
            help="Maximum writes on nodes per second, separately for taints and for cordons. Default: 200.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    pod_writes_per_second: Annotated[
        float | None,
        typer.Option(help="Maximum writes of deletion costs per second. Default: 20.", rich_help_panel=LIMITS),
    ] = None,
    evictions_per_second: Annotated[
        float | None,
        typer.Option(help="Maximum evictions per second while a pool drains. Default: 10.", rich_help_panel=LIMITS),
    ] = None,
    failover_pods_per_second: Annotated[
        float | None,
        typer.Option(
            help="Maximum replaced pods per second, separately for pods that were lost with their node and pods that "
            "never started. Default: 50.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    spills_per_second: Annotated[
        float | None,
        typer.Option(
            help="Maximum number of waiting pods per second that are sent to virtual nodes or back to physical ones. "
            "Default: 20.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    bring_back_seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds for which physical nodes must have had room, and a workload must not have changed, before "
            "its replicas are brought back from virtual nodes. Default: 600.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    bring_backs_at_once: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of workloads that run an additional replica at the same time, to bring another one "
            "back. Default: 5.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    surge_ready_seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds that an additional replica may take to become ready. `progressDeadlineSeconds` of its "
            "Deployment (Kubernetes' default is 600) counts instead if it is longer, up to 1800. Default: 300.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    upkeep_seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds for which a workload must not have changed before the deletion costs of its next victims are "
            "written. Default: 20.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    status_seconds: Annotated[
        float | None,
        typer.Option(help="Minimum seconds between two writes of one status. Default: 10.", rich_help_panel=LIMITS),
    ] = None,
    workload_series: Annotated[
        int | None,
        typer.Option(
            help="Number of the largest workloads that have series of their own in the metrics of thresholds, "
            "forecasts and recommended replicas. spillway_workload_replicas, the history for thresholds, has every "
            "workload of mode Auto as well. Default: 1000.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    drain_seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds for which a replica that is stopping still answers admission requests, until endpoints have "
            "changed. Default: 8.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    stop_seconds: Annotated[
        float | None,
        typer.Option(
            help="Maximum seconds to finish current requests and writes when the process stops. Default: 15.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
) -> None:
    """Run one replica of the operator."""
    given = dict(locals())
    given |= given.pop("prometheus").values
    for name in ("webhook_client_name", "headroom_pull_secret"):
        given[f"{name}s"] = given.pop(name)
    from spillway.app.serve import serve  # noqa: PLC0415  # kopf and aiohttp take a second: `--help` need not wait
    from spillway.app.settings import Settings  # noqa: PLC0415

    sys.exit(serve(Settings.of(**given)))
