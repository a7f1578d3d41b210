"""Files, certificates and ports of one cluster: all that its components' command lines refer to."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from localcluster.certificates import Authority, KeyPair, signing_key
from localcluster.ports import free_ports

LOOPBACK = "127.0.0.1"
ADMINS = "system:masters"
SCHEDULER = "system:kube-scheduler"
_SERVER_NAMES = ("localhost", LOOPBACK, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.96.0.1")

# The API server expects the Service's name, whatever address it is reached at.
_METRICS_SERVER_NAMES = ("localhost", LOOPBACK, "metrics-server.kube-system.svc")

KEDA_CERTIFICATES = "keda"
"""A folder beside the certificates, with the file names of a Secret, as KEDA reads them."""
_KEDA_NAMES = ("localhost", LOOPBACK, "keda-metrics-apiserver.keda.svc")


@dataclass(frozen=True)
class Ports:
    """One port for each listener; every component gets its own, so that clusters can stand side by side."""

    etcd: int
    etcd_peer: int
    api_server: int
    controller_manager: int
    scheduler: int
    kwok: int
    metrics_server: int
    karpenter_metrics: int
    karpenter_health: int
    cluster_autoscaler: int
    argo_rollouts_metrics: int
    argo_rollouts_health: int
    keda_operator_metrics: int
    keda_operator_health: int
    keda_metrics_service: int
    keda_adapter: int
    keda_adapter_metrics: int
    prometheus: int

    @classmethod
    def pick(cls) -> "Ports":
        return cls(*free_ports(len(cls.__dataclass_fields__)))


class Layout:
    """The folder of one cluster. Creating it writes certificates and kubeconfigs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ports = Ports.pick()
        self.logs = root / "logs"
        self.certificates = root / "certificates"
        self.config = root / "config"
        self.data = root / "data"
        for folder in (self.logs, self.certificates, self.config, self.data):
            folder.mkdir(parents=True, exist_ok=True)
        self.audit_log = self.logs / "audit.log"
        self._authority = Authority("localcluster")
        self._front_proxy_authority = Authority("localcluster-front-proxy")
        self._write_certificates()
        self.kubeconfig = self.write_kubeconfig("admin", "localcluster:admin", (ADMINS,))

    @property
    def server(self) -> str:
        return f"https://{LOOPBACK}:{self.ports.api_server}"

    @property
    def certificate_authority(self) -> bytes:
        """PEM of the CA that signs the API server's certificate."""
        return self._authority.pair.certificate

    def path(self, name: str) -> str:
        """A file in the certificates' folder."""
        return str(self.certificates / name)

    def _write_certificates(self) -> None:
        private, public = signing_key()
        (self.certificates / "service-account.key").write_bytes(private)
        (self.certificates / "service-account.pub").write_bytes(public)
        pairs: dict[str, KeyPair] = {
            "ca": self._authority.pair,
            "front-proxy-ca": self._front_proxy_authority.pair,
            "front-proxy-client": self._front_proxy_authority.client("front-proxy-client"),
            "api-server": self._authority.server("kube-apiserver", _SERVER_NAMES),
            "scheduler-client": self._authority.client(SCHEDULER),
            "kwok": self._authority.server("kwok", ("localhost", LOOPBACK)),
            "metrics-server": self._authority.server("metrics-server", _METRICS_SERVER_NAMES),
        }
        for name, pair in pairs.items():
            pair.write(self.certificates, name)
        keda = self.certificates / KEDA_CERTIFICATES
        keda.mkdir(exist_ok=True)
        self._authority.peer("keda", _KEDA_NAMES).write(keda, "tls")
        (keda / "ca.crt").write_bytes(self._authority.pair.certificate)

    def write_kubeconfig(self, name: str, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig with a client certificate for ``user`` in ``groups``."""
        pair = self._authority.client(user, groups)
        return self._write_kubeconfig(
            name,
            {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)},
        )

    def write_token_kubeconfig(self, name: str, token: str) -> Path:
        """A kubeconfig with a bearer token, such as a ServiceAccount's."""
        return self._write_kubeconfig(name, {"token": token})

    def _write_kubeconfig(self, name: str, user: dict[str, Any]) -> Path:
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "localcluster",
            "clusters": [
                {
                    "name": "localcluster",
                    "cluster": {
                        "server": self.server,
                        "certificate-authority-data": _base64(self.certificate_authority),
                    },
                }
            ],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "localcluster", "context": {"cluster": "localcluster", "user": name}}],
        }
        path = self.root / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    def write_config(self, name: str, content: object) -> Path:
        """A component's configuration file (YAML)."""
        path = self.config / name
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
