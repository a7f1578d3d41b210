"""How kube-apiserver says who is trusted: the ConfigMap `kube-system/extension-apiserver-authentication`.

Contract: read at the start and then every minute. What was understood last stays while it cannot be read. An authority
that was trusted once stays trusted.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from spillway.kube import paths
from spillway.kube.errors import RequestError
from spillway.kube.protocols import Reader

log: Final = structlog.get_logger(__name__)

PATH: Final = paths.CONFIG_MAPS.named("extension-apiserver-authentication", namespace="kube-system")
AGAIN_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 2.0


class AuthenticationFollower(ABC):
    """A watch of the ConfigMap; `trust` accepts client certificates of an authority."""

    def __init__(self, reader: Reader, trust: Callable[[str], None]) -> None:
        self._reader = reader
        self._trust = trust
        self._trusted: set[str] = set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            pause = AGAIN_SECONDS if await self.turn() else RETRY_SECONDS
            await asyncio.sleep(pause)

    async def turn(self) -> bool:
        """Read it once; False if it cannot be read, or has no such authority."""
        try:
            found = await self._reader.get_json(PATH)
            known = self.use(found.get("data") or {})
        except (RequestError, ValueError, OSError) as error:
            log.warning("the authority of callers is not known yet", key=PATH, error=str(error))
            return False
        if not known:
            log.warning("the API server names no authority for such callers", key=PATH)
        return known

    @abstractmethod
    def use(self, data: Mapping[str, str]) -> bool:
        """Use the ConfigMap's data; False where it has no such authority.

        Raises:
            ValueError: the data cannot be understood.
            OSError: an authority in it is no certificate.
        """

    def trust_once(self, authorities: str) -> None:
        """Trust an authority that is not trusted yet."""
        if authorities not in self._trusted:
            self._trust(authorities)
            self._trusted.add(authorities)
