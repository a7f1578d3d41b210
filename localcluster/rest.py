"""A small synchronous client for the API server, for tests and the demo.

The operator has its own; this one shares nothing with it.
"""

import base64
import http.client
import json
import ssl
import tempfile
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from localcluster.errors import ClusterError

Object = dict[str, Any]
_TIMEOUT_SECONDS = 30.0
_OK_BELOW = 300
_PARALLEL = 8


class RestError(ClusterError):
    """The API server refused; ``status`` is the HTTP code, ``reason`` Kubernetes' word for it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class Rest:
    """JSON requests as the user of a kubeconfig's current context. Keeps idle connections; safe for several threads."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        address = urlsplit(cluster["server"])
        self._host = address.hostname or "localhost"
        self._port = address.port or 443
        self._prefix = address.path.rstrip("/")
        self._token = user.get("token")
        self._tls = _tls_context(cluster, user, kubeconfig.parent)
        # Appending to and popping from a deque is atomic: any thread may take an idle connection.
        self._idle: deque[http.client.HTTPSConnection] = deque()

    def _connection(self) -> http.client.HTTPSConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return http.client.HTTPSConnection(self._host, self._port, context=self._tls, timeout=_TIMEOUT_SECONDS)

    def close(self) -> None:
        """Close the idle connections; the next request opens a new one."""
        while self._idle:
            self._idle.pop().close()

    def answers(self, path: str) -> bool:
        """Whether the server answers a GET of this path, and does not refuse it."""
        try:
            self.raw("GET", path)
        except (RestError, OSError):
            return False
        return True

    def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> bytes:
        """The answer's body; raises ``RestError``, or ``OSError`` if the server is not reachable."""
        headers = {"Accept": "application/json", "User-Agent": "localcluster"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        target = self._prefix + path + (f"?{urlencode(params)}" if params else "")
        for last_try in (False, True):
            connection = self._connection()
            try:
                connection.request(method, target, body=data, headers=headers)
                response = connection.getresponse()
                content = response.read()
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.close()
                # A kept connection may have been closed by a restart; a new one says whether the server is there.
                if last_try or isinstance(error, TimeoutError | ConnectionRefusedError):
                    raise error if isinstance(error, OSError) else ConnectionError(str(error)) from error
        self._idle.append(connection)
        if response.status >= _OK_BELOW:
            raise _error(response.status, content)
        return content

    def request(self, method: str, path: str, **arguments: Any) -> Any:  # noqa: ANN401  JSON is any
        """As ``raw``, parsed."""
        return json.loads(self.raw(method, path, **arguments))

    def get(self, path: str, **params: object) -> Any:  # noqa: ANN401  JSON is any
        return self.request("GET", path, params=params)

    def items(self, path: str, **params: object) -> list[Object]:
        """All items of a collection."""
        items: list[Object] = self.get(path, **params)["items"]
        return items

    def create(self, path: str, body: Object) -> Object:
        created: Object = self.request("POST", path, body=body)
        return created

    def create_all(self, path: str, bodies: Iterable[Object]) -> None:
        """Create many objects in parallel; the first refusal is raised."""
        self._each([("POST", path, body) for body in bodies])

    def merge(self, path: str, patch: Object) -> Object:
        """JSON merge patch."""
        patched: Object = self.request("PATCH", path, body=patch, content_type="application/merge-patch+json")
        return patched

    def delete(self, path: str, *, missing_ok: bool = True) -> None:
        try:
            self.raw("DELETE", path)
        except RestError as error:
            if error.status != http.HTTPStatus.NOT_FOUND or not missing_ok:
                raise

    def delete_all(self, paths: Iterable[str]) -> None:
        """Delete many objects in parallel."""
        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(self.delete, paths))

    def _each(self, requests: list[tuple[str, str, Object]]) -> None:
        def one(request: tuple[str, str, Object]) -> None:
            method, path, body = request
            self.raw(method, path, body=body)

        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(one, requests))


def _named(entries: list[Object], name: str) -> Object:
    return next(entry for entry in entries if entry["name"] == name)


def _error(status: int, content: bytes) -> RestError:
    try:
        answer = json.loads(content)
        return RestError(status, answer.get("reason", ""), answer.get("message", ""))
    except (ValueError, AttributeError):
        return RestError(status, http.client.responses.get(status, ""), content[:500].decode(errors="replace"))


def _tls_context(cluster: Object, user: Object, folder: Path) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _content(user, "client-certificate", folder), _content(user, "client-key", folder)
    if certificate and key:
        # ssl loads client certificates from files only.
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _content(entry: Object, name: str, folder: Path) -> bytes | None:
    if inline := entry.get(f"{name}-data"):
        return base64.b64decode(inline)
    path = entry.get(name)
    return (folder / str(path)).read_bytes() if path else None
