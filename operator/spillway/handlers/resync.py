"""The lists of Spillway's kinds, at the start and at an interval, that keep the catalog complete.

Contract: after `load` the catalog is complete: an object that is not in it does not exist. The periodic list finds what
a watch cannot report: an object that was deleted while the watch was interrupted, for which no event comes.
"""

import asyncio
from typing import Any, Final

import structlog

from spillway.api.group import GROUP, VERSION
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import RequestError
from spillway.state.catalog import Catalog, Kind

log: Final = structlog.get_logger(__name__)

INTERVAL_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 1.0


class Resync:
    """The lists that keep the catalog complete."""

    def __init__(self, client: KubeClient, catalog: Catalog, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._client = client
        self._catalog = catalog
        self._interval_seconds = interval_seconds

    async def load(self) -> None:
        """List every kind once, and retry until it succeeds, which includes waiting for the CRDs."""
        said = ""
        while True:
            try:
                await self._list_all()
            except RequestError as error:
                if (trouble := _why(error)) != said:
                    log.warning("resources are not listed yet, retrying", error=trouble)
                    said = trouble
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def run(self) -> None:
        """List again at the interval, until cancelled."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                await self._list_all()
            except RequestError as error:
                log.warning("resources are not listed, retrying at the next interval", error=_why(error))

    async def _list_all(self) -> None:
        for kind in Kind:
            # Without paging: there are few objects, and one version must hold for all of them.
            page: dict[str, Any] = await self._client.get_json(paths.of_spillway(kind.plural).everywhere)
            self._catalog.replace(kind, page.get("items") or (), page["metadata"]["resourceVersion"])


def _why(error: RequestError) -> str:
    if error.not_found:
        return f"the kinds of {GROUP}/{VERSION} are not installed (apply crds/ or install the chart)"
    return str(error)
