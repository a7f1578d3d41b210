"""The embedded kopf operator, in a thread with an event loop of its own.

Contract: `run` keeps kopf running until it is cancelled, starting it again after a pause when it fails (kopf gives up
when the API server does not answer for a minute). Objects are handed over to the event loop in which `run` was called.

Why a thread: kopf takes over the signal handlers of the process, and when it ends it cancels every task of its event
loop that started after it. Neither may affect the admission server and writes in flight.
"""

import asyncio
import datetime as dt
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import kopf
import structlog

from spillway.handlers.events import make_registry, make_settings
from spillway.kube.auth import Credentials
from spillway.state.catalog import Catalog, Kind

log: Final = structlog.get_logger(__name__)

RESTART_SECONDS: Final = 2.0
STOP_SECONDS: Final = 5.0
TOKEN_SECONDS: Final = 300
"""kopf asks for credentials again after this: a service account's token is renewed long before it expires."""


class PolicyWatcher:
    """The kopf operator that feeds the catalog with the events of Spillway's kinds."""

    def __init__(self, catalog: Catalog, credentials: Credentials) -> None:
        self._catalog = catalog
        self._credentials = credentials

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            error = await self._run_once()
            log.warning("kopf ended, starting it again", error=repr(error))
            await asyncio.sleep(RESTART_SECONDS)

    async def _run_once(self) -> BaseException | None:
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def report(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_result(error)

        def work() -> None:
            error: BaseException | None = None
            try:
                asyncio.run(self._operate(loop, stop))
            except BaseException as caught:  # noqa: BLE001  # whatever it is, the other loop has to know
                error = caught
            with suppress(RuntimeError):  # the other event loop is closed, so nothing waits for the result
                loop.call_soon_threadsafe(report, error)

        threading.Thread(target=work, name="kopf", daemon=True).start()
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            stop.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await ended
            raise

    async def _operate(self, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        def deliver(kind: Kind, event: str, raw: dict[str, Any]) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._take, kind, event, raw)

        async def login() -> kopf.ConnectionInfo:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(connection(self._credentials), loop))

        await kopf.operator(
            registry=make_registry(deliver, login),
            settings=make_settings(),
            standalone=True,
            clusterwide=True,
            stop_flag=stop,
        )

    def _take(self, kind: Kind, event: str, raw: dict[str, Any]) -> None:
        if event == "DELETED":
            metadata = raw["metadata"]
            self._catalog.delete(kind, metadata["name"], metadata.get("resourceVersion", 0))
        else:
            self._catalog.upsert(kind, raw)


async def connection(
    credentials: Credentials, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
) -> kopf.ConnectionInfo:
    """The connection of kopf: the same server, CA and identity as the operator's own client."""
    header = (await credentials.headers()).get("Authorization", "")
    scheme, _, token = header.partition(" ")
    configuration = credentials.configuration
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=configuration.ssl_ca_cert or None,
        ca_data=configuration.ca_cert_data or None,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file or None,
        private_key_path=configuration.key_file or None,
        scheme=scheme or None,
        token=token or None,
        proxy_url=credentials.proxy,
        expiration=now() + dt.timedelta(seconds=TOKEN_SECONDS),
    )
