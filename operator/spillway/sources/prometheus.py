"""A client of the Prometheus HTTP API: queries return series of numbers, and errors say what to do.

Contract: a request is bounded in time and size, and retried once if that may help. A range that would exceed
Prometheus' limit of 11,000 points per series is requested in pieces and joined. A query without an answer raises a
`PrometheusError` whose `reason` is a word for a condition. Samples are decoded directly into arrays of floats: a month
of one workload is 8,640 pairs, and no JSON is kept. Any server with the HTTP API of Prometheus will do.
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import ClassVar, Final, Generic, Self, TypeVar

import aiohttp
import msgspec
import numpy as np
from numpy.typing import NDArray

from spillway.sources.connection import Connection, prometheus_url
from spillway.sources.credentials import SourceCredentials, SourceCredentialsError

MOST_POINTS: Final = 11_000
"""Maximum points per series in one answer: Prometheus' own limit (`exceeded maximum resolution`)."""
MOST_BYTES: Final = 256 * 1024 * 1024
"""Maximum size of one answer, far above that of one batch."""
TIMEOUT_SECONDS: Final = 60.0
CHECK_SECONDS: Final = 10.0
PAUSE_SECONDS: Final = 1.0
_MESSAGE_CHARACTERS: Final = 300

Floats = NDArray[np.float64]
_Point = TypeVar("_Point")


class PrometheusError(Exception):
    """A query without an answer."""

    reason: ClassVar[str] = "PrometheusFailed"
    """The reason for a condition, one CamelCase word."""
    query_reason: ClassVar[str] = ""
    """The reason if this one query is the cause, while Prometheus answers others; empty if it cannot be."""
    passing: ClassVar[bool] = False
    """Whether a retry of the same request may succeed."""


class NoPrometheusError(PrometheusError):
    """The operator has no Prometheus."""

    reason = "NoPrometheus"


class PrometheusUnreachableError(PrometheusError):
    """The server does not answer."""

    reason = "PrometheusUnreachable"
    passing = True


class TimedOutError(PrometheusUnreachableError):
    """The answer takes too long. It is not asked again, because that would take as long."""

    query_reason = "QueryTimedOut"
    passing = False


class BusyError(PrometheusError):
    """The server cannot answer at the moment (5xx)."""

    reason = "PrometheusUnreachable"
    query_reason = "QueryFailed"
    passing = True


class TooManyRequestsError(BusyError):
    """The server limits the rate of requests (429)."""

    query_reason = ""


class DeniedError(PrometheusError):
    """The server refuses the credentials, or they cannot be read."""

    reason = "PrometheusDenied"


class RefusedError(PrometheusError):
    """The server refuses the query: it is not PromQL, or exceeds a limit of the server."""

    reason = "QueryRefused"
    query_reason = "QueryRefused"


class NotPrometheusError(PrometheusError):
    """The answer is not from the Prometheus API."""

    reason = "NotPrometheus"


class AnswerTooLargeError(PrometheusError):
    """The answer is too large."""

    reason = "AnswerTooLarge"
    query_reason = "AnswerTooLarge"


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series: its labels, and samples in order of time (Unix seconds)."""

    labels: Mapping[str, str]
    times: Floats
    values: Floats


class _Result(msgspec.Struct, Generic[_Point], gc=False):
    metric: dict[str, str]
    values: list[_Point] = []
    value: _Point | None = None


class _Data(msgspec.Struct, Generic[_Point], rename={"kind": "resultType"}):
    kind: str
    result: list[_Result[_Point]]


class _Answer(msgspec.Struct, Generic[_Point]):
    data: _Data[_Point]


class _Failure(msgspec.Struct, rename={"kind": "errorType", "message": "error"}):
    kind: str
    message: str


_QUICK: Final = msgspec.json.Decoder(_Answer[tuple[float, float]], strict=False)
_ANYTHING: Final = msgspec.json.Decoder(_Answer[tuple[float, str]])
"""The decoder for answers with NaN or Inf, which the fast one does not accept as numbers."""
_SCALAR: Final = frozenset({"scalar", "string"})
_REFUSED: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        # A proxy takes no query that is so long.
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    }
)
_TIMED_OUT: Final = frozenset({"timeout", "canceled"})
"""Prometheus' words for a query that took longer than its own limit, or the one that it was sent."""


class _Kind(msgspec.Struct, rename={"kind": "resultType"}):
    kind: str


class _KindOnly(msgspec.Struct):
    data: _Kind


class Prometheus:
    """One Prometheus."""

    def __init__(self, connection: Connection, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.connection: Final = connection
        self._url = prometheus_url(connection.url)
        self._credentials = SourceCredentials(connection)
        self._timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def address(self) -> str:
        """The address without a password, for messages."""
        return str(self._url.with_user(None))

    async def instant(
        self, query: str, at: float, *, seconds: float = TIMEOUT_SECONDS, lookback_seconds: float | None = None
    ) -> list[Series]:
        """The value of each series at one time, if it is known within `seconds`.

        With `lookback_seconds`, a sample that is older is none; without, the server's own limit holds (5 minutes).

        Raises:
            PrometheusError: there is no answer.
        """
        return await self._ask("query", {"query": query, "time": f"{at:.3f}", **lookback(lookback_seconds)}, seconds)

    async def check(self) -> None:
        """Ask something that any server answers at once.

        Raises:
            PrometheusError: there is no answer.
        """
        await self._ask("query", {"query": "vector(1)"}, CHECK_SECONDS)

    async def range(
        self, query: str, start: float, end: float, step_seconds: float, *, seconds: float = TIMEOUT_SECONDS
    ) -> list[Series]:
        """The values of each series at `start`, `start + step_seconds` and so on, up to `end`, where it has any.

        Raises:
            PrometheusError: there is no answer within `seconds`.
        """
        pieces: dict[tuple[tuple[str, str], ...], list[Series]] = {}
        span = (MOST_POINTS - 1) * step_seconds
        for piece in range(max(1, math.ceil((end - start + step_seconds / 2) / (span + step_seconds)))):
            begin = start + piece * (span + step_seconds)
            parameters = {"query": query, "start": f"{begin:.3f}", "end": f"{min(begin + span, end):.3f}"}
            for series in await self._ask("query_range", {**parameters, "step": f"{step_seconds:g}"}, seconds):
                pieces.setdefault(tuple(sorted(series.labels.items())), []).append(series)
        return [
            parts[0]
            if len(parts) == 1
            else Series(
                parts[0].labels,
                np.concatenate([part.times for part in parts]),
                np.concatenate([part.values for part in parts]),
            )
            for parts in pieces.values()
        ]

    async def _ask(self, path: str, parameters: Mapping[str, str], seconds: float) -> list[Series]:
        limit = min(seconds, self._timeout_seconds)
        try:
            return decode(await self._post(path, parameters, limit))
        except PrometheusError as error:
            if not error.passing:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
        return decode(await self._post(path, parameters, limit))

    async def _post(self, path: str, parameters: Mapping[str, str], seconds: float) -> bytes:
        if self._session is None:
            raise RuntimeError("use `async with`")
        try:
            headers, certificates = self._credentials.headers(), self._credentials.tls()
        except SourceCredentialsError as error:
            raise DeniedError(str(error)) from error
        try:
            async with self._session.post(
                self._url / "api/v1" / path,
                # A server behind a proxy does not notice that the client has gone.
                data={**parameters, "timeout": f"{math.ceil(seconds * 1000)}ms"},
                headers=headers,
                ssl=certificates,
                server_hostname=self.connection.server_name or None,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                body = await _bounded(response)
                status = response.status
        except TimeoutError as error:
            raise TimedOutError(f"{self.address} did not answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise PrometheusUnreachableError(f"{self.address} cannot be reached: {error}") from error
        if status != HTTPStatus.OK:
            raise failure(self.address, status, body)
        return body


def lookback(seconds: float | None) -> Mapping[str, str]:
    """The parameter by which Prometheus ignores samples of an instant query that are older; none for None."""
    return {} if seconds is None else {"lookback_delta": f"{round(seconds * 1000)}ms"}


def failure(address: str, status: int, body: bytes) -> PrometheusError:
    """The error that an answer with another status than 200 stands for."""
    try:
        told = msgspec.json.decode(body, type=_Failure)
        kind, said = told.kind, f"{told.kind}: {told.message}"[:_MESSAGE_CHARACTERS]
    except msgspec.DecodeError:
        kind, said = "", body[:_MESSAGE_CHARACTERS].decode(errors="replace").strip()
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return DeniedError(f"{address} refuses the credentials ({status}): {said}")
    if status in _REFUSED:
        return RefusedError(f"{address} refuses the query: {said}")
    if kind in _TIMED_OUT or status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT}:
        return TimedOutError(f"{address} answers {status}: {said}")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TooManyRequestsError(f"{address} answers {status}: {said}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return BusyError(f"{address} answers {status}: {said}")
    return NotPrometheusError(f"{address} answers {status}, is it Prometheus? {said}")


def decode(body: bytes) -> list[Series]:
    """The series in an answer's body.

    Raises:
        PrometheusError: it holds a scalar or text instead of series, or is not an answer of Prometheus.
    """
    try:
        return _series(_QUICK.decode(body))
    except msgspec.DecodeError:
        pass
    try:
        return _series(_ANYTHING.decode(body))
    except msgspec.DecodeError as error:
        try:
            kind = msgspec.json.decode(body, type=_KindOnly).data.kind
        except msgspec.DecodeError:
            kind = ""
        if kind in _SCALAR:
            raise RefusedError(f"the query gives a {kind}, not series: wrap it, for example vector(…)") from error
        raise NotPrometheusError(f"this is not an answer of Prometheus: {error}") from error


def _series(answer: _Answer[tuple[float, float]] | _Answer[tuple[float, str]]) -> list[Series]:
    found = []
    for one in answer.data.result:
        points = one.values if one.value is None else [one.value]
        pairs = np.array(points, dtype=np.float64).reshape(-1, 2)
        found.append(Series(one.metric, pairs[:, 0].copy(), pairs[:, 1].copy()))
    return found


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > MOST_BYTES:
            raise AnswerTooLargeError(f"the answer is larger than {MOST_BYTES // 2**20} MiB")
        pieces.append(piece)
    return b"".join(pieces)
