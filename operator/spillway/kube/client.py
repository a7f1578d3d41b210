"""The client of the API server: bytes in, bytes out, one family of errors.

Contract: every answer of 400 and above raises `ApiError`; a broken connection, a slow answer and an answer that is none
raise `UnreachableError`. Both are `RequestError`s. Nothing is retried here except one 401 after the credentials were
loaded again and, by a patient client, what the API server refuses for now: 429 and 5xx with Retry-After. Large answers
arrive gzipped and are unpacked in a thread, because zlib releases the interpreter's lock.
"""

import asyncio
import socket
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import aiohttp
import msgspec

from spillway import __version__
from spillway.kube.beginning import GZIP, Beginning
from spillway.kube.errors import ApiError, TooLargeError
from spillway.kube.pages import PAGE_BYTES, items_of
from spillway.kube.ratelimit import Sleep
from spillway.kube.static_credentials import StaticCredentials, kubeconfig_path
from spillway.kube.transport import transport_errors
from spillway.kube.wire import PageMeta

if TYPE_CHECKING:
    from spillway.kube.auth import Credentials

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

DEFAULT_TIMEOUT_SECONDS = 30.0
_SHORTEST_PAUSE_SECONDS: Final = 0.25
"""Also where the server says that the request may be sent again at once."""
_UNPACK_IN_THREAD = 64 * 1024
# One thread: each has a heap of its own in which such buffers stay.
_UNPACKER = ThreadPoolExecutor(1, "unpack")
_LARGEST_BUFFER = 256 * 1024 * 1024
_USER_AGENT = f"spillway/{__version__}"

Body = bytes | Mapping[str, Any] | list[Any] | None
Param = str | int | float | bool | None
"""A query parameter; None leaves it out."""


class _Objects(msgspec.Struct):
    """A page of whole JSON objects."""

    metadata: PageMeta
    items: list[dict[str, Any]] | None = None


_objects: Final = msgspec.json.Decoder(_Objects)


class _Status(msgspec.Struct):
    """The Status with which the API server refuses a request."""

    reason: str = ""
    message: str = ""
    code: int = 0
    details: dict[str, Any] | None = None


class Transport(Protocol):
    """What sends requests to an API server, such as a `KubeClient`."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Param] | None = None,
        body: Body = None,
        content_type: str = JSON,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,  # noqa: ASYNC109 - it bounds this one request
        most_bytes: int = 0,
        once: bool = False,
    ) -> bytes:
        """The body of the answer; `most_bytes` bounds its size, 0 does not.

        With `once` it is not sent again if the API server may have carried it out.
        """


class JsonTransport(Transport, Protocol):
    """The same, with answers as plain Python values."""

    async def get_json(self, path: str) -> Any:  # noqa: ANN401 - JSON is anything
        """The answer to a GET."""


class KubeClient:
    """One pool of connections to one API server, `connections` of them at most; 0 sets no bound.

    A `patient` client sends a request again when the API server asks for that, as other Kubernetes clients do; it gives
    up once the pause would last longer than the request's timeout.
    """

    def __init__(
        self,
        credentials: "Credentials | StaticCredentials",
        *,
        connections: int = 0,
        patient: bool = False,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.credentials = credentials
        self._patient = patient
        self._sleep = sleep
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=credentials.tls(), socket_factory=_keepalive_socket),
            headers={"User-Agent": _USER_AGENT, "Accept": JSON},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        connections: int = 0,
        patient: bool = False,
    ) -> Self:
        """A client with the credentials of `Credentials.load`. It sends no request yet.

        Raises:
            CredentialsError: there are none, or they cannot be used.
        """
        path = kubeconfig_path(kubeconfig, context)
        static = None if path is None else StaticCredentials.read(path, context)
        if static is not None:
            return cls(static, connections=connections, patient=patient)
        from spillway.kube.auth import Credentials  # noqa: PLC0415  # its client takes long to import

        return cls(await Credentials.load(kubeconfig, context), connections=connections, patient=patient)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()
        await self.credentials.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Param] | None = None,
        body: Body = None,
        content_type: str = JSON,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,  # noqa: ASYNC109 - it bounds this one request
        most_bytes: int = 0,
        once: bool = False,
        beginning: Callable[[bytes], None] | None = None,
    ) -> bytes:
        """The body of the answer, unpacked; `most_bytes` bounds its size, 0 does not.

        With `once` it is not sent again if the API server may have carried it out (`RequestError.uncertain`). Of a
        bounded body, `beginning` gets the first `BEGINNING_BYTES` before the rest has arrived.

        Raises:
            ApiError: the server answered 400 or above.
            TooLargeError: the answer is larger than `most_bytes`.
            UnreachableError: the connection failed, or there was no whole answer within `timeout` seconds.

        """
        end = time.monotonic() + timeout
        while True:
            try:
                with transport_errors():
                    response = await self._open(
                        method,
                        path,
                        params=params,
                        body=body,
                        content_type=content_type,
                        timeout=aiohttp.ClientTimeout(total=end - time.monotonic()),
                    )
                    async with response:
                        return await _unpacked(response, most_bytes, beginning)
            except ApiError as error:
                if not self._patient or not error.retryable or error.retry_after is None or (once and error.uncertain):
                    raise
                pause = max(error.retry_after, _SHORTEST_PAUSE_SECONDS)
                if time.monotonic() + pause >= end:
                    raise
                refusal = error
            await self._sleep(pause)
            # A sleep may take longer than asked for, and for aiohttp no time left means no limit.
            if time.monotonic() >= end:
                raise refusal

    async def get_json(self, path: str, **params: Param) -> Any:  # noqa: ANN401 - JSON is anything
        """The answer to a GET as plain Python values: an object, or a short list."""
        raw = await self.request("GET", path, params=params, most_bytes=PAGE_BYTES)
        with transport_errors():
            return msgspec.json.decode(raw)

    async def server_time(self) -> datetime | None:
        """The time of the API server in whole seconds; None where it does not say it."""
        with transport_errors():
            timeout = aiohttp.ClientTimeout(total=DEFAULT_TIMEOUT_SECONDS)
            response = await self._open("GET", "/version", params=None, timeout=timeout)
            async with response:
                await _unpacked(response)
        try:
            return parsedate_to_datetime(response.headers.get("Date", ""))
        except ValueError:
            return None

    async def list_all(self, path: str, *, limit: int = 500, **params: Param) -> AsyncGenerator[dict[str, Any], None]:
        """Every item of a list, page by page. For kinds of low volume: items are whole JSON objects."""
        async with aclosing(items_of(self, path, _objects.decode, limit=limit, params=params)) as found:
            async for item in found:
                yield item

    async def stream(
        self, path: str, params: Mapping[str, Param], *, silence_seconds: float | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Chunks of a long answer as they arrive (a watch). Yields `b""` once it is open, before any data.

        Raises:
            ApiError: the server answered 400 or above.
            UnreachableError: the connection failed; `timed_out` where nothing came for `silence_seconds`.

        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=silence_seconds)
        with transport_errors():
            response = await self._open("GET", path, params=params, timeout=timeout, encoding="identity")
        async with response:
            yield b""
            chunks = response.content.iter_any()
            while True:
                # Only around the reading, because errors of the consumer are not errors of the transport.
                with transport_errors():
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                yield chunk

    async def _open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Param] | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own
        body: Body = None,
        content_type: str = JSON,
        encoding: str = "gzip",
    ) -> aiohttp.ClientResponse:
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        query = {k: _param(v) for k, v in params.items() if v is not None} if params else None
        for last in (False, True):
            headers = await self.credentials.headers()
            headers["Accept-Encoding"] = encoding
            if data is not None:
                headers["Content-Type"] = content_type
            response = await self._session.request(
                method,
                self.credentials.server + path,
                params=query,
                data=data,
                headers=headers,
                timeout=timeout,
                proxy=self.credentials.proxy,
                server_hostname=self.credentials.server_name,
                allow_redirects=False,
            )
            if response.status < HTTPStatus.BAD_REQUEST:
                return response
            async with response:
                if response.status == HTTPStatus.UNAUTHORIZED and not last and await self.credentials.refused():
                    continue
                raise _refusal(response, await _unpacked(response))
        raise AssertionError("unreachable")


def _param(value: Param) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _unpacked(
    response: aiohttp.ClientResponse, most_bytes: int = 0, beginning: Callable[[bytes], None] | None = None
) -> bytes:
    gzipped = response.headers.get("Content-Encoding") == "gzip"
    told = None if beginning is None else Beginning(beginning, gzipped=gzipped)
    raw = await read_bounded(response, most_bytes, told) if most_bytes else await response.read()
    if not gzipped:
        return raw
    # Gzip ends with the size of what it holds: one buffer of that size instead of pieces that are joined.
    unpacked = int.from_bytes(raw[-4:], "little")
    if most_bytes and unpacked > most_bytes:
        raise TooLargeError(most_bytes)
    size = min(max(unpacked, 1), _LARGEST_BUFFER)
    if len(raw) < _UNPACK_IN_THREAD:
        return zlib.decompress(raw, GZIP, size)
    return await asyncio.get_running_loop().run_in_executor(_UNPACKER, zlib.decompress, raw, GZIP, size)


async def read_bounded(response: aiohttp.ClientResponse, most_bytes: int, beginning: Beginning | None = None) -> bytes:
    """The whole body; what is over the bound is left in the connection, which is closed.

    Raises:
        TooLargeError: the body is larger than `most_bytes`.

    """
    chunks: list[bytes] = []
    left = most_bytes
    while chunk := await response.content.readany():
        left -= len(chunk)
        if left < 0:
            raise TooLargeError(most_bytes)
        chunks.append(chunk)
        if beginning is not None:
            beginning.arrived(chunk)
    return b"".join(chunks)


def _refusal(response: aiohttp.ClientResponse, body: bytes) -> ApiError:
    """The error of a refusal; a load balancer or a terminating server may answer with anything but a Status."""
    try:
        status = msgspec.json.decode(body, type=_Status)
    except msgspec.DecodeError:
        status = _Status(message=body[:300].decode(errors="replace").strip())
    after = response.headers.get("Retry-After", "")
    return ApiError(
        response.status,
        status.reason or response.reason or "",
        status.message,
        retry_after=float(after) if after.isdigit() else None,
        details=status.details,
    )


def _keepalive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket with keepalive: TCP notices a dead peer within about 25 s, long before the silence of a watch would."""
    family, kind, protocol, *_ = address
    sock = socket.socket(family=family, type=kind, proto=protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return sock
