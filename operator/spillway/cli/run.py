"""`spillway run`: one replica of the operator."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from spillway.app.settings import Settings

OPERATOR = "Operator"
WEBHOOKS = "Webhooks"
LIMITS = "Limits"
PROMETHEUS = "Prometheus"


def run(
    *,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(help="Default: $KUBECONFIG, else the pod's service account, else ~/.kube/config."),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Our own namespace: Lease and certificates.", envvar="POD_NAMESPACE")
    ] = None,
    lease_name: Annotated[str | None, typer.Option(help="The Lease that makes one replica the leader.")] = None,
    lease_seconds: Annotated[
        int | None, typer.Option(help="How long a leader that is not heard of stays leader.")
    ] = None,
    identity: Annotated[
        str | None, typer.Option(help="Who we are in the Lease. Default: pod or host name, and a suffix.")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="json or console.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    metrics_host: Annotated[str | None, typer.Option(help="Address of /metrics, /healthz and /readyz.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Port of the same; 0 picks a free one.")] = None,
    webhooks: Annotated[bool, typer.Option(help="Serve admission requests.", rich_help_panel=WEBHOOKS)] = True,
    webhook_host: Annotated[
        str | None, typer.Option(help="Address of the admission server.", rich_help_panel=WEBHOOKS)
    ] = None,
    webhook_port: Annotated[
        int | None, typer.Option(help="Port of the same; 0 picks a free one.", rich_help_panel=WEBHOOKS)
    ] = None,
    webhook_cert_dir: Annotated[
        Path | None,
        typer.Option(
            help="Folder with tls.crt and tls.key that somebody else renews (cert-manager). Default: our own.",
            rich_help_panel=WEBHOOKS,
        ),
    ] = None,
    webhook_service: Annotated[
        str | None, typer.Option(help="The Service by which the API server calls us.", rich_help_panel=WEBHOOKS)
    ] = None,
    prometheus_url: Annotated[
        str | None,
        typer.Option(
            help="Where demand is read, for example http://prometheus.monitoring:9090. Without it thresholds of mode "
            "Auto keep everything physical.",
            envvar="SPILLWAY_PROMETHEUS_URL",
            rich_help_panel=PROMETHEUS,
        ),
    ] = None,
    prometheus_token_file: Annotated[
        Path | None, typer.Option(help="A bearer token for it, read anew each time.", rich_help_panel=PROMETHEUS)
    ] = None,
    threshold_seconds: Annotated[
        float | None, typer.Option(help="Between two plans of the thresholds.", rich_help_panel=PROMETHEUS)
    ] = None,
    peer_port: Annotated[
        int | None,
        typer.Option(
            help="A port of its own for what replicas ask each other; 0 picks a free one. Default: the webhook's.",
            rich_help_panel=WEBHOOKS,
        ),
    ] = None,
    advertise_host: Annotated[
        str | None,
        typer.Option(
            help="Where other replicas reach this one. Default: $POD_IP, else 127.0.0.1.", rich_help_panel=WEBHOOKS
        ),
    ] = None,
    node_writes_per_second: Annotated[
        float | None, typer.Option(help="Taints and cordons, each.", rich_help_panel=LIMITS)
    ] = None,
    pod_writes_per_second: Annotated[
        float | None, typer.Option(help="Upkeep of deletion costs.", rich_help_panel=LIMITS)
    ] = None,
    evictions_per_second: Annotated[
        float | None, typer.Option(help="While a pool drains.", rich_help_panel=LIMITS)
    ] = None,
    failover_pods_per_second: Annotated[
        float | None,
        typer.Option(help="Pods made anew: lost with their node, or never started, each.", rich_help_panel=LIMITS),
    ] = None,
    spills_per_second: Annotated[
        float | None,
        typer.Option(help="Waiting pods that change sides: spilled, or sent back.", rich_help_panel=LIMITS),
    ] = None,
    bring_back_seconds: Annotated[
        float | None,
        typer.Option(
            help="How long room has been back, and a workload still, before replicas leave virtual nodes.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    bring_backs_at_once: Annotated[
        int | None,
        typer.Option(help="Workloads that run one replica more to bring one back.", rich_help_panel=LIMITS),
    ] = None,
    surge_ready_seconds: Annotated[
        float | None,
        typer.Option(help="How long such a replica may take until it is ready.", rich_help_panel=LIMITS),
    ] = None,
    upkeep_seconds: Annotated[
        float | None,
        typer.Option(help="How long a workload is still before its order is kept.", rich_help_panel=LIMITS),
    ] = None,
    status_seconds: Annotated[
        float | None, typer.Option(help="Between two writes of one status.", rich_help_panel=LIMITS)
    ] = None,
    stop_seconds: Annotated[
        float | None, typer.Option(help="For requests and writes in flight at the end.", rich_help_panel=LIMITS)
    ] = None,
) -> None:
    """Run one replica of the operator."""
    settings = Settings.of(**locals())
    from spillway.app import serve  # noqa: PLC0415  # kopf and aiohttp take a second: `--help` need not wait

    sys.exit(serve(settings))
