"""The lookup of the default requests that a namespace's LimitRanges give to containers.

Contract: at most one request for a namespace at a time, and none within `KEPT_SECONDS` after an answer. An answer that
does not come in time does not hold a pod up: the last known defaults count, or none.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from spillway.admission.deadline import Clock, Deadline
from spillway.domain.fit.container_defaults import NO_DEFAULTS, Defaults, defaults_of
from spillway.domain.model.remember import remember
from spillway.kube import paths
from spillway.kube.paths import CollectionKey
from spillway.webhooks.lookup import Lookup

KEPT_SECONDS: Final = 5.0
"""How long an answer counts: LimitRanges change rarely, and what they then do to a pod is seen when it appears."""
_REMEMBERED: Final = 4096


class _Known(NamedTuple):
    defaults: Defaults
    until: float


class _Page(msgspec.Struct):
    items: list[dict[str, Any]] | None = None


_page: Final = msgspec.json.Decoder(_Page)


class LimitRanges:
    """The defaults of each namespace. `clock` gives monotonic seconds."""

    def __init__(self, lookup: Lookup, clock: Clock) -> None:
        self._lookup = lookup
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def defaults(self, namespace: str, deadline: Deadline) -> Defaults:
        """The default requests of a container in this namespace."""
        known = self._known.get(namespace)
        if known is None or known.until <= self._clock():
            asking = self._asking.get(namespace)
            if asking is None:
                asking = asyncio.create_task(self._ask(namespace, deadline), name=f"LimitRanges of {namespace}")
                self._asking[namespace] = asking
                asking.add_done_callback(self._done(namespace))
            await asyncio.wait({asking}, timeout=deadline.remaining)
            known = self._known.get(namespace)
        return NO_DEFAULTS if known is None else known.defaults

    async def _ask(self, namespace: str, deadline: Deadline) -> None:
        found = await self._lookup.get(CollectionKey(paths.LIMIT_RANGES, namespace), _page.decode, deadline)
        before = self._known.get(namespace)
        if found is not None:
            defaults = defaults_of(found.items or ())
        else:
            defaults = NO_DEFAULTS if before is None else before.defaults
        remember(self._known, namespace, _Known(defaults, self._clock() + KEPT_SECONDS), most=_REMEMBERED)

    def _done(self, namespace: str) -> Callable[[asyncio.Task[None]], None]:
        def forget(task: asyncio.Task[None]) -> None:
            self._asking.pop(namespace, None)
            if not task.cancelled():
                task.exception()

        return forget
