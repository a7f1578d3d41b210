"""The credentials that a kubeconfig holds itself: a client certificate, a token, or a user's name and password.

Contract: what is read is what the official client's loader reads, which a test compares. For everything else (a plugin,
an auth provider, a token file, several files, a file that is malformed or lacks something) there is no result, and
`kube.auth` loads the credentials with that client or says what is wrong. To import it takes longer than to answer most
commands.
"""

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

_RENEWED: Final = ("exec", "auth-provider", "tokenFile")
"""Keys of a user whose token changes."""
IMPERSONATION: Final = ("as", "as-uid", "as-groups", "as-user-extra")
"""Keys of a user who acts as another one."""
_DEFAULT: Final = "~/.kube/config"
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNUSABLE: Final = (OSError, yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError)


def kubeconfig_path(kubeconfig: str | None, context: str | None) -> str | None:
    """The kubeconfig that is used, or several with the path separator between; None for the pod's service account.

    It is `kubeconfig`, else `$KUBECONFIG`, else that of the pod if no context is named, else `~/.kube/config`.
    """
    path = kubeconfig or os.environ.get("KUBECONFIG")
    if path is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        return None
    return path or str(Path(_DEFAULT).expanduser())


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """Credentials that do not change while a command runs; the attributes and methods are those of `Credentials`."""

    server: str
    context: str
    namespace: str = "default"
    authorization: str = ""
    authority: bytes | None = None
    """The certificates that the server's is checked against, in PEM; None for the system's."""
    certificate: tuple[bytes, bytes] | None = None
    """The client's certificate and its key, in PEM."""
    verified: bool = True
    """Whether the server's certificate is checked."""
    server_name: str | None = None
    proxy: str | None = None

    @classmethod
    def read(cls, path: str, context: str | None = None) -> Self | None:
        """The credentials of a context, by default the current one, of the kubeconfig at `path`."""
        file = Path(path).expanduser()
        try:
            return cls._of(yaml.load(file.read_bytes(), _Loader), context, file.parent)  # noqa: S506 - a safe loader
        except _UNUSABLE:
            return None

    @classmethod
    def _of(cls, config: Mapping[str, Any], name: str | None, folder: Path) -> Self | None:
        name = name or config["current-context"]
        context = _named(config["contexts"], name)["context"]
        cluster: Mapping[str, Any] = _named(config["clusters"], context["cluster"])["cluster"]
        user: Mapping[str, Any] = _named(config["users"], context["user"])["user"] or {}
        if any(key in user for key in (*_RENEWED, *IMPERSONATION)) or None in (
            user.get("username", ""),
            user.get("password", ""),
        ):
            return None
        server = str(cluster["server"]).rstrip("/")
        authority = certificate = None
        if server.startswith("https"):
            authority = _content(cluster, "certificate-authority", folder)
            if authority is not None and b"-----BEGIN" not in authority:
                # Without a certificate, the system's would count.
                return None
            own = _content(user, "client-certificate", folder), _content(user, "client-key", folder)
            if own[0] is not None:
                certificate = own[0], own[1] or b""
        return cls(
            server=server,
            context=name,
            namespace=str(context.get("namespace") or "default"),
            authorization=_authorization(user),
            authority=authority,
            certificate=certificate,
            verified=not cluster.get("insecure-skip-tls-verify"),
            server_name=cluster.get("tls-server-name") or None,
            proxy=cluster.get("proxy-url") or None,
        )

    @property
    def target(self) -> str:
        """The cluster in words, for a question to the user: the context and the server's address."""
        return f"{self.server} (context {self.context})"

    def tls(self) -> ssl.SSLContext | bool:
        """The context for the connection; True (the defaults) where the server is spoken to without TLS."""
        if not self.server.startswith("https"):
            return True
        # Comments around the certificates may have other characters.
        authority = None if self.authority is None else self.authority.decode("ascii", "ignore")
        context = ssl.create_default_context(cadata=authority)
        if self.certificate is not None:
            _load(context, *self.certificate)
        if not self.verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    async def headers(self) -> dict[str, str]:
        """What to add to each request."""
        return {"Authorization": self.authorization} if self.authorization else {}

    async def refused(self) -> bool:
        """Whether other credentials can be had after a 401: never."""
        return False

    async def close(self) -> None:
        """Nothing is open."""


def _named(entries: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """The only entry of this name.

    Raises:
        ValueError: there is none, or there are several.
    """
    [found] = [one for one in entries if one["name"] == name]
    return found


def _content(section: Mapping[str, Any], key: str, folder: Path) -> bytes | None:
    """What a key names, which is the data itself or the path of a file relative to the kubeconfig."""
    data = section.get(f"{key}-data")
    if data:
        return base64.b64decode(data, validate=True)
    return (folder / section[key]).read_bytes() if section.get(key) else None


def _authorization(user: Mapping[str, Any]) -> str:
    if user.get("token"):
        return f"Bearer {user['token']}"
    if "username" in user and "password" in user:
        return "Basic " + base64.b64encode(f"{user['username']}:{user['password']}".encode()).decode()
    return ""


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a client's certificate, for which OpenSSL needs a file; only the user can read it, and it is removed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "client.pem")
        file.write_bytes(certificate + b"\n" + key)
        context.load_cert_chain(file)
