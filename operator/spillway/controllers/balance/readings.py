"""The readings of real load that the controllers of balance share, and when each of them is due.

Contract: what metrics.k8s.io reports of the nodes, or of the pods of a namespace, is read once for all that ask within
`SHARED_SECONDS`. Whoever creates the pods of a namespace can make its answer too large or too slow: as long as
metrics.k8s.io answers for the nodes, the pods of such a namespace count as not measured, and it holds up no other.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, TypeVar

import structlog

from spillway.api.zonalbalance import Load
from spillway.controllers.base import World
from spillway.domain.balance.load import LoadProblem
from spillway.domain.model.names import NodeName
from spillway.kube.client import Transport
from spillway.kube.errors import ApiError, RequestError, TooLargeError
from spillway.kube.resource_metrics import NodeMetrics, PodMetrics, measured_since, node_usage, pod_usage
from spillway.sources.api_client import ApiClient
from spillway.sources.connection import Connection
from spillway.sources.prometheus import NoPrometheusError, PrometheusError

SHARED_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 180.0
"""For so long the last reading of a namespace says what a pod has used that is gone."""
UNREAD_SECONDS: Final = 60.0
"""A namespace whose pods could not be read is tried again after so long."""

log = structlog.get_logger("spillway.controllers.readings")

V = TypeVar("V")


class MetricsError(RequestError):
    """metrics.k8s.io has no answer; `refused` if it answers that it will give none."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


def problem_of(error: MetricsError | PrometheusError) -> LoadProblem:
    """Why a reading does not count that was not answered."""
    if isinstance(error, PrometheusError):
        return LoadProblem(error.query_reason or error.reason, str(error))
    return LoadProblem("MetricsUnreachable", f"metrics.k8s.io: {error}")


class Readings:
    """The readings; one object for all controllers of balance."""

    def __init__(self, world: World, client: Transport, prometheus: Connection | None) -> None:
        self._world = world
        self._client = client
        self._prometheus = prometheus
        self._nodes: OrderedDict[str, tuple[float, dict[NodeName, NodeMetrics]]] = OrderedDict()
        self._pods: OrderedDict[str, tuple[float, dict[str, PodMetrics]]] = OrderedDict()
        self._unread: dict[str, float] = {}
        """The namespaces whose pods could not be read, though the nodes were, and until when none is tried again."""
        self._failing: dict[str, float] = {}
        """The namespaces whose last reading failed, though the nodes could be read afterwards, and since when."""

    async def nodes(self) -> Mapping[NodeName, NodeMetrics]:
        """What each node uses.

        Raises:
            MetricsError: there is no answer.
        """
        return await self._once(self._nodes, "", lambda: node_usage(self._client))

    async def pods(self, namespace: str, load: Load) -> Mapping[str, PodMetrics]:
        """What each pod of a namespace uses, by its name; a value that is older than `load.staleAfter` is left out.

        Nothing if the answer for this namespace alone is too large, or fails twice in a row: a single failure may be
        one of metrics.k8s.io, and must not end the readings that still count. A failure within `SHARED_SECONDS` of
        the first one counts as the same.

        Raises:
            MetricsError: metrics.k8s.io has no answer for the nodes either, refuses, or fails for the first time.
        """
        if self.unread(namespace):
            return {}
        asked = self._world.now()
        try:
            used = await self._once(self._pods, namespace, lambda: pod_usage(self._client, namespace))
            self._failing.pop(namespace, None)
        except MetricsError as error:
            if error.refused or not await self._answers():
                raise
            again = self._failing.setdefault(namespace, self._world.now()) + SHARED_SECONDS <= asked
            if not again and not isinstance(error.__cause__, TooLargeError):
                raise
            log.warning("what the pods of a namespace use is not known", key=namespace, error=str(error))
            self._unread = {name: until for name, until in self._unread.items() if self.unread(name)}
            self._unread[namespace] = self._world.now() + UNREAD_SECONDS
            return {}
        return measured_since(used, self._world.now() - load.stale_after.seconds)

    def last_use(self, namespace: str, pod: str) -> PodMetrics | None:
        """What a pod used in the last reading of its namespace; None if it is not in it, or that was too long ago."""
        now = self._world.now()
        at, used = self._pods.get(namespace, (now, {}))
        return used.get(pod) if at <= now < at + KEPT_SECONDS else None

    def unread(self, namespace: str) -> bool:
        """Whether a namespace counts as not measured, because it alone has no answer."""
        now = self._world.now()
        return now < self._unread.get(namespace, now) <= now + UNREAD_SECONDS

    def check(self, namespaces: Collection[str]) -> None:
        """Make sure that not all of these namespaces count as not measured.

        Raises:
            MetricsError: all of them do.
        """
        if namespaces and all(self.unread(one) for one in namespaces):
            raise MetricsError("the pods of no namespace could be read")

    async def _answers(self) -> bool:
        """Whether metrics.k8s.io answers for the nodes now."""
        self._nodes.clear()
        try:
            await self.nodes()
        except MetricsError:
            return False
        return True

    def prometheus(self) -> ApiClient:
        """The client of the operator's Prometheus, to be closed by the caller.

        Raises:
            NoPrometheusError: the operator has none.
        """
        if self._prometheus is None:
            raise NoPrometheusError("the operator has no Prometheus (--prometheus-url)")
        return ApiClient(self._prometheus)

    async def _once(self, kept: OrderedDict[str, tuple[float, V]], key: str, read: Callable[[], Awaitable[V]]) -> V:
        now = self._world.now()
        while kept and not (at := next(iter(kept.values()))[0]) <= now < at + KEPT_SECONDS:
            kept.popitem(last=False)
        if (last := kept.get(key)) is not None and last[0] <= now < last[0] + SHARED_SECONDS:
            return last[1]
        try:
            kept[key] = now, await read()
        except RequestError as error:
            raise MetricsError(str(error), refused=isinstance(error, ApiError) and not error.retryable) from error
        kept.move_to_end(key)
        return kept[key][1]


class Refreshes:
    """When each ZonalBalance was last read, and by which section of its spec."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[float, object]] = {}

    @property
    def keys(self) -> Collection[str]:
        """The ZonalBalances that have been read."""
        return self._read.keys()

    def seconds_left(self, key: str, section: object, load: Load, now: float) -> float:
        """The seconds until the next reading; 0.0 if it is due, as it is at once where the section has changed."""
        last, by = self._read.get(key, (0.0, None))
        due = last + load.refresh_seconds
        return due - now if by == section and last <= now < due else 0.0

    def begin(self, key: str, section: object, now: float) -> bool:
        """Note a reading; whether the one before was by the same section."""
        same = self._read.get(key, (0.0, None))[1] == section
        self._read[key] = now, section
        return same

    def forget(self, key: str) -> None:
        """Forget a ZonalBalance that is not read any more."""
        self._read.pop(key, None)
