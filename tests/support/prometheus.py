"""What tests of a Prometheus need besides the server: one behind TLS, and series as the operator exports them."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.certificates import CertificateFiles

PASSWORD = "test"
_HASHED = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"
"""The bcrypt hash of PASSWORD, from Prometheus' own documentation."""


@dataclass(frozen=True)
class WebConfig:
    """A server behind TLS, which asks for a client certificate, and for a user with PASSWORD."""

    file: Path
    certificates: CertificateFiles

    def write(self, user: str) -> None:
        """Accept this user alone; Prometheus reads the file for each request."""
        tls = {
            "cert_file": str(self.certificates.certificate),
            "key_file": str(self.certificates.key),
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": str(self.certificates.ca),
        }
        self.file.write_text(yaml.safe_dump({"tls_server_config": tls, "basic_auth_users": {user: _HASHED}}))

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.certificates.ca))
        context.load_cert_chain(self.certificates.certificate, self.certificates.key)
        context.check_hostname = False
        return context


def replicas_series(workload: str) -> dict[str, str]:
    """The labels of our own gauge for Kind/namespace/name."""
    kind, namespace, name = workload.split("/")
    return {"__name__": "spillway_workload_replicas", "kind": kind, "namespace": namespace, "workload": name}
