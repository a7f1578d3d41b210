"""The client of what is asked rarely: prometheus-api-client, in a thread.

Contract: for a few values at a time: the load of nodes, what the command line asks, the newest values of a user's
query. It keeps each answer as Python objects and sends the query in the URL, so long histories are read by
`Prometheus`, which has the same interface, credentials and errors. One request at a time, bounded in time and size.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from spillway.sources.connection import Connection, prometheus_url
from spillway.sources.credentials import SourceCredentials, SourceCredentialsError
from spillway.sources.prometheus import (
    CHECK_SECONDS,
    PAUSE_SECONDS,
    TIMEOUT_SECONDS,
    AnswerTooLargeError,
    DeniedError,
    NotPrometheusError,
    PrometheusError,
    PrometheusUnreachableError,
    RefusedError,
    Series,
    TimedOutError,
    failure,
    lookback,
)

MOST_BYTES: Final = 16 * 1024 * 1024
_PIECE_BYTES: Final = 65_536
_MESSAGE_CHARACTERS: Final = 300
_NO_RETRY: Final = Retry(0)
"""A passing error is tried again here, and a total time holds for both."""


class _Adapter(HTTPAdapter):
    """The certificates of the connection, and nothing but them."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._context = context
        self._server_name = server_name
        super().__init__(max_retries=_NO_RETRY)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:  # noqa: FBT001, FBT002, ANN401
        more["ssl_context"] = self._context
        if self._server_name:
            more |= {"server_hostname": self._server_name, "assert_hostname": self._server_name}
        super().init_poolmanager(connections, maxsize, block, **more)

    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: object) -> None:  # noqa: ANN401, ARG002, FBT001
        # requests would trust the authorities that it brings as well.
        conn.cert_reqs = "CERT_REQUIRED"


class ApiClient:
    """One Prometheus."""

    def __init__(self, connection: Connection, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.connection: Final = connection
        self._url = prometheus_url(connection.url)
        self._credentials = SourceCredentials(connection)
        self._timeout_seconds = timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.hooks["response"].append(self._bounded)
        self._client = PrometheusConnect(str(self._url), session=self._session, retry=_NO_RETRY, method="POST")
        self._context: ssl.SSLContext | None = None
        self._one = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    @property
    def address(self) -> str:
        """The address without a password, for messages."""
        return str(self._url.with_user(None))

    async def check(self) -> None:
        """Ask something that any server answers at once.

        Raises:
            PrometheusError: there is no answer.
        """
        await self._ask(lambda limit: self._client.custom_query("vector(1)", timeout=limit), CHECK_SECONDS)

    async def instant(
        self, query: str, at: float, *, seconds: float = TIMEOUT_SECONDS, lookback_seconds: float | None = None
    ) -> list[Series]:
        """The value of each series at one time, if it is known within `seconds`.

        With `lookback_seconds`, a sample that is older is none; without, the server's own limit holds (5 minutes).

        Raises:
            PrometheusError: there is no answer.
        """
        parameters = {"time": f"{at:.3f}", **lookback(lookback_seconds), **_own_limit(seconds)}
        return await self._ask(lambda limit: self._client.custom_query(query, parameters, timeout=limit), seconds)

    async def range(
        self, query: str, start: float, end: float, step_seconds: float, *, seconds: float = TIMEOUT_SECONDS
    ) -> list[Series]:
        """The values of each series at `start`, `start + step_seconds` and so on, up to `end`; whole seconds.

        Raises:
            PrometheusError: there is no answer within `seconds`.
        """
        begin, last = (datetime.fromtimestamp(at, UTC) for at in (start, end))
        step, parameters = f"{step_seconds:g}", _own_limit(seconds)
        return await self._ask(
            lambda limit: self._client.custom_query_range(query, begin, last, step, parameters, timeout=limit), seconds
        )

    async def _ask(self, request: Callable[[float], Any], seconds: float) -> list[Series]:
        limit = min(seconds, self._timeout_seconds)
        async with self._one:
            try:
                return await self._once(request, limit)
            except PrometheusError as error:
                if not error.passing:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)
            return await self._once(request, limit)

    async def _once(self, request: Callable[[float], Any], limit: float) -> list[Series]:
        try:
            self._renew()
        except SourceCredentialsError as error:
            raise DeniedError(str(error)) from error
        try:
            # The thread itself ends when the server is silent for as long.
            async with asyncio.timeout(limit):
                return _series(await asyncio.to_thread(request, limit))
        except (TimeoutError, requests.Timeout) as error:
            raise TimedOutError(f"{self.address} did not answer within {limit:g} s") from error
        except (KeyError, TypeError, ValueError, PrometheusApiClientException) as error:
            raise NotPrometheusError(f"this is not an answer of Prometheus: {error}") from error
        except (requests.RequestException, OSError) as error:
            raise PrometheusUnreachableError(
                f"{self.address} cannot be reached: {str(error)[:_MESSAGE_CHARACTERS]}"
            ) from error

    def _renew(self) -> None:
        """Take over credentials that were renewed."""
        self._client.headers = self._credentials.headers()
        if self._url.scheme != "https":
            return
        given = self._credentials.tls()
        context = given if isinstance(given, ssl.SSLContext) else self._context or ssl.create_default_context()
        if context is not self._context:
            self._context = context
            self._session.mount(str(self._url), _Adapter(context, self.connection.server_name))

    def _bounded(self, response: requests.Response, *_: object, **__: object) -> None:
        """Read the body while it is not too large, and turn a refusal into its error."""
        pieces, size = [], 0
        for piece in response.iter_content(_PIECE_BYTES):
            size += len(piece)
            if size > MOST_BYTES:
                raise AnswerTooLargeError(f"the answer is larger than {MOST_BYTES // 2**20} MiB")
            pieces.append(piece)
        body = b"".join(pieces)
        if response.status_code != HTTPStatus.OK:
            raise failure(self.address, response.status_code, body)
        # What `response.content` would have kept.
        response._content = body  # noqa: SLF001


def _own_limit(seconds: float) -> Mapping[str, str]:
    return {"timeout": f"{round(seconds * 1000)}ms"}


def _series(result: list[Any]) -> list[Series]:
    """The series of an answer.

    Raises:
        RefusedError: it is a scalar or a text.
    """
    if result and not isinstance(result[0], dict):
        raise RefusedError("the query gives a scalar, not series: wrap it, for example vector(…)")
    found = []
    for one in result:
        points = one["values"] if "values" in one else [one["value"]]
        pairs = np.array([(float(at), float(value)) for at, value in points], dtype=np.float64).reshape(-1, 2)
        found.append(Series(one["metric"], pairs[:, 0].copy(), pairs[:, 1].copy()))
    return found
