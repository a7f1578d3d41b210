"""Who calls the aggregated API: the user that kube-apiserver names in headers, vouched for by its client certificate.

Contract: the authority of that certificate, its allowed names and the names of the headers are those of
`AuthenticationFollower`. Headers of a caller without such a certificate mean nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from spillway.admission.server import is_known_client
from spillway.admission.tls import ServingTls
from spillway.aggregated.authentication import AuthenticationFollower
from spillway.kube.access import User
from spillway.kube.protocols import Reader


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """How kube-apiserver says who calls."""

    authorities: str
    """PEM certificates of the authority of its client certificate."""
    names: tuple[str, ...] = ()
    """Common names, one of which the certificate has; none allows all."""
    user_headers: tuple[str, ...] = ("X-Remote-User",)
    group_headers: tuple[str, ...] = ("X-Remote-Group",)
    extra_prefixes: tuple[str, ...] = ("X-Remote-Extra-",)
    uid_headers: tuple[str, ...] = ()
    """None unless the API server names one: before Kubernetes 1.32 it passed on what a client sent there."""

    @classmethod
    def of(cls, data: Mapping[str, str]) -> "FrontProxy | None":
        """As the ConfigMap's data says it; None where the cluster has no such authority.

        Raises:
            ValueError: a list in it is not JSON.

        """
        authorities = data.get("requestheader-client-ca-file", "").strip()
        if not authorities:
            return None

        def listed(key: str) -> tuple[str, ...]:
            return msgspec.json.decode(data.get(f"requestheader-{key}") or "[]", type=tuple[str, ...])

        return cls(
            authorities,
            listed("allowed-names"),
            listed("username-headers"),
            listed("group-headers"),
            listed("extra-headers-prefix"),
            listed("uid-headers"),
        )

    def user(self, headers: Mapping[str, str], certificate: Mapping[str, Any] | None) -> User | None:
        """The user that a request names; None without such a certificate, or if it names none.

        `headers` are case-insensitive and may have several values of a name (`getall`).
        """
        if not certificate or not is_known_client(self.names, certificate):
            return None
        name = _first(headers, self.user_headers)
        if not name:
            return None
        groups = tuple(value for header in self.group_headers for value in _all(headers, header))
        return User(name, _first(headers, self.uid_headers), groups, tuple(sorted(self._extra(headers).items())))

    def _extra(self, headers: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for header in {str(key).lower() for key in headers}:
            for prefix in self.extra_prefixes:
                if header.startswith(prefix.lower()):
                    found[unquote(header[len(prefix) :])] = _all(headers, header)
        return found


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The first value of these headers that is not empty."""
    return next((value for name in names for value in _all(headers, name) if value), "")


def _all(headers: Mapping[str, str], name: str) -> tuple[str, ...]:
    getall = getattr(headers, "getall", None)
    if getall is not None:
        return tuple(getall(name, ()))
    return tuple(value for key, value in headers.items() if key.lower() == name.lower())


class FrontProxyFollower(AuthenticationFollower):
    """A watch of the front proxy, which lets `tls` ask callers for a certificate of its authority."""

    def __init__(self, reader: Reader, tls: ServingTls) -> None:
        super().__init__(reader, tls.trust_front_proxy)
        self.present: FrontProxy | None = None
        """None while it is not known."""

    def use(self, data: Mapping[str, str]) -> bool:
        """Trust the authority, and name callers by these headers from now on."""
        proxy = FrontProxy.of(data)
        if proxy is not None:
            self.trust_once(proxy.authorities)
        self.present = proxy
        return proxy is not None
