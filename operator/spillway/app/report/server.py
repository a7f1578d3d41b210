"""The read-only page of the report, for browsers and for curl.

Contract: a page is rendered when it is asked for, and kept for `KEPT_SECONDS`. One render is under way at a time: all
requests that come meanwhile wait for it. After a render without a page none begins for `RETRY_SECONDS`. Authorization
is the server's, before this.
"""

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web

from spillway.app.report.process import RenderFailedError
from spillway.telemetry.report import RENDER_SECONDS, RENDERS

log: Final = structlog.get_logger(__name__)

KEPT_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 10.0
HEADERS: Final = {
    "Cache-Control": "no-store",
    # Which scripts may run is in the page itself; a policy there cannot say who may frame it.
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class ReportPage:
    """The page; `render` makes it, gzipped."""

    def __init__(
        self,
        render: Callable[[], Awaitable[bytes]],
        *,
        kept_seconds: float = KEPT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._render = render
        self._kept_seconds = kept_seconds
        self._retry_seconds = retry_seconds
        self._made: asyncio.Task[bytes] | None = None
        """The render under way, or the last one while its result is kept."""

    async def answer(self, request: web.Request) -> web.Response:
        """The page, or 503 with the reason why there is none."""
        try:
            packed = await asyncio.shield(self._task())
        except RenderFailedError as error:
            return web.Response(
                status=HTTPStatus.SERVICE_UNAVAILABLE,
                text=f"there is no report: {error}\n",
                headers={**HEADERS, "Retry-After": f"{self._retry_seconds:.0f}"},
            )
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body, headers = packed, {**HEADERS, "Content-Encoding": "gzip"}
        else:
            # In a thread, because zlib releases the interpreter's lock.
            body, headers = await asyncio.to_thread(gzip.decompress, packed), HEADERS
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)

    async def close(self) -> None:
        """End the render under way."""
        if self._made is not None:
            self._made.cancel()
            await asyncio.wait({self._made})

    def _task(self) -> asyncio.Task[bytes]:
        if self._made is None:
            self._made = asyncio.create_task(self._measured(), name="report")
            self._made.add_done_callback(self._keep)
        return self._made

    def _keep(self, made: asyncio.Task[bytes]) -> None:
        """Forget a result in time."""
        if not made.cancelled():
            seconds = self._kept_seconds if made.exception() is None else self._retry_seconds
            asyncio.get_running_loop().call_later(seconds, self._forget)

    def _forget(self) -> None:
        self._made = None

    async def _measured(self) -> bytes:
        began, result = time.perf_counter(), "failed"
        try:
            packed = await self._render()
            result = "made"
        except RenderFailedError as error:
            result = error.reason
            log.warning("the report cannot be rendered", key="/report", reason=error.reason, error=str(error))
            raise
        finally:
            RENDERS.labels(result).inc()
            RENDER_SECONDS.observe(time.perf_counter() - began)
        log.info("the report is rendered", key="/report", bytes=len(packed))
        return packed
