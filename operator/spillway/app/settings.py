"""The settings of an operator process.

Contract: every setting has a default. Without `kubeconfig` the operator uses `$KUBECONFIG`, then the service account of
its pod, then `~/.kube/config`. A wrong value is refused before anything starts, with the flag and its allowed values.
"""

import os
import socket
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spillway.admission.deadline import LONGEST_TIMEOUT_SECONDS, USUAL_TIMEOUT_SECONDS
from spillway.app.errors import SettingsError
from spillway.domain.headroom.hold import HOLD_SECONDS

if TYPE_CHECKING:
    from spillway.sources.connection import Connection

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

DEFAULT_HEADROOM_IMAGE = "registry.k8s.io/pause:3.10.1"
"""An image of less than a megabyte that does nothing."""

HeadroomBy = Literal["auto", "capacity-buffer", "balloons"]
LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


def default_identity() -> str:
    """The identity of this process in the Lease: the name of its pod or host, and a unique suffix."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}"


def default_host() -> str:
    """The address at which other replicas reach this one: that of the pod; without a pod, that of the local host."""
    return os.environ.get("POD_IP") or "127.0.0.1"


class Settings(BaseModel):
    """The configuration of the operator; each field is the flag of the same name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: Path | None = None
    namespace: str = Field(default="spillway-system", pattern=DNS_LABEL, max_length=63)
    lease_name: str = Field(default="spillway", pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)
    lease_seconds: int = Field(default=15, ge=6, le=300)
    identity: str = Field(default_factory=default_identity, min_length=1)
    webhooks: bool = True
    webhook_host: str = "0.0.0.0"  # noqa: S104  # the API server comes from outside the pod
    webhook_port: int = Field(default=9443, ge=0, le=65535)
    webhook_cert_dir: Path | None = None
    webhook_client_ca_file: Path | None = None
    webhook_client_names: tuple[str, ...] = ()
    webhook_service: str = Field(default="spillway-webhook", pattern=DNS_LABEL)
    webhook_timeout_seconds: float = Field(default=USUAL_TIMEOUT_SECONDS, ge=1, le=LONGEST_TIMEOUT_SECONDS)
    peer_port: int = Field(default=9444, ge=0, le=65535)
    external_metrics: bool = False
    external_metrics_port: int = Field(default=9445, ge=0, le=65535)
    keda_scaler: bool = False
    keda_scaler_port: int = Field(default=9446, ge=0, le=65535)
    scheduler_extender: bool = False
    scheduler_extender_port: int = Field(default=9447, ge=0, le=65535)
    explain_api: bool = False
    explain_api_port: int = Field(default=9448, ge=0, le=65535)
    advertise_host: str = Field(default_factory=default_host, min_length=1)
    metrics_host: str = "0.0.0.0"  # noqa: S104  # Prometheus and the kubelet come from outside the pod
    metrics_port: int = Field(default=8080, ge=0, le=65535)
    authorize_debug: bool = True
    authorize_metrics: bool = False
    report_page: bool = False
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"
    node_writes_per_second: float = Field(default=200.0, gt=0)
    pod_writes_per_second: float = Field(default=20.0, gt=0)
    evictions_per_second: float = Field(default=10.0, gt=0)
    failover_pods_per_second: float = Field(default=50.0, gt=0)
    spills_per_second: float = Field(default=20.0, gt=0)
    bring_back_seconds: float = Field(default=600.0, gt=0)
    bring_backs_at_once: int = Field(default=5, ge=1, le=1000)
    surge_ready_seconds: float = Field(default=300.0, gt=0)
    upkeep_seconds: float = Field(default=20.0, gt=0)
    status_seconds: float = Field(default=10.0, gt=0)
    workload_series: int = Field(default=1000, ge=0)
    prometheus_url: str | None = None
    prometheus_matchers: tuple[str, ...] = ()
    prometheus_headers: tuple[str, ...] = ()
    prometheus_token_file: Path | None = None
    prometheus_username_file: Path | None = None
    prometheus_password_file: Path | None = None
    prometheus_ca_file: Path | None = None
    prometheus_cert_file: Path | None = None
    prometheus_key_file: Path | None = None
    prometheus_server_name: str | None = None
    headroom_by: HeadroomBy = "auto"
    headroom_image: str = Field(default=DEFAULT_HEADROOM_IMAGE, min_length=1)
    headroom_pull_secrets: tuple[str, ...] = ()
    headroom_priority_class: str = Field(default="spillway-headroom", pattern=DNS_LABEL, max_length=63)
    headroom_hold_seconds: float = Field(default=HOLD_SECONDS, ge=0)
    threshold_seconds: float = Field(default=3600.0, gt=0)
    demand_speed: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    demand_meets: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    stop_seconds: float = Field(default=15.0, gt=0, le=600)
    drain_seconds: float = Field(default=8.0, ge=0, le=600)

    @property
    def margin_seconds(self) -> float:
        """How many seconds before the Lease could pass to another replica the last write is sent."""
        return self.lease_seconds / 3

    @property
    def prometheus(self) -> "Connection | None":
        """The Prometheus with the history of demand; None without a URL."""
        from spillway.app.prometheus import connection_in  # noqa: PLC0415  # `--help` need not wait for it

        return connection_in(dict(self))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kubeconfig is not None and not self.kubeconfig.is_file():
            raise ValueError(f"kubeconfig: file not found: {self.kubeconfig}")
        if self.webhook_cert_dir is not None and not self.webhook_cert_dir.is_dir():
            raise ValueError(f"webhook_cert_dir: folder not found: {self.webhook_cert_dir}")
        if self.webhook_client_ca_file is not None and not self.webhook_client_ca_file.is_file():
            raise ValueError(f"webhook_client_ca_file: file not found: {self.webhook_client_ca_file}")
        if self.webhook_client_names and self.webhook_client_ca_file is None:
            raise ValueError("webhook_client_names: needs webhook_client_ca_file, the authority that vouches for them")
        if self.demand_speed != 1.0 and not self.demand_meets:
            raise ValueError("demand_speed: needs demand_meets, the time at which demand meets the clock")
        for name in ("external_metrics", "keda_scaler", "scheduler_extender", "explain_api"):
            if getattr(self, name) and not self.webhooks:
                raise ValueError(f"{name}: needs webhooks, whose certificate and Service it shares")
        if same := self._ports_used_twice():
            raise ValueError(f"{' and '.join(same)}: need different ports")
        if self.report_page and find_spec("plotly") is None:
            raise ValueError("report_page: needs plotly; install it with: pip install plotly")
        _ = self.prometheus
        return self

    def _ports_used_twice(self) -> list[str]:
        """The settings of ports that name one that another setting names too; 0 picks a free one."""
        served = {"metrics_port": True, "webhook_port": self.webhooks, "peer_port": self.webhooks}
        served |= {"external_metrics_port": self.external_metrics, "keda_scaler_port": self.keda_scaler}
        served |= {"scheduler_extender_port": self.scheduler_extender, "explain_api_port": self.explain_api}
        ports = {name: port for name, used in served.items() if used and (port := getattr(self, name))}
        return [name for name, port in ports.items() if list(ports.values()).count(port) > 1]

    @classmethod
    def of(cls, **values: object) -> Self:
        """The settings from the values of flags, checked; None means that a flag is not given.

        Raises:
            SettingsError: with one line for each wrong value.

        """
        try:
            return cls.model_validate({name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            raise SettingsError("\n".join(_line(item) for item in error.errors(include_url=False))) from error


def _line(item: object) -> str:
    details = dict(item)  # type: ignore[call-overload]
    location = "--" + "-".join(str(part) for part in details["loc"]).replace("_", "-") if details["loc"] else ""
    message = str(details["msg"]).removeprefix("Value error, ")
    return f"{location}: {message} (given: {details['input']!r})" if location else message
