"""The load driver: it tells kwok how much CPU every ready replica uses, which metrics-server and the HPA then read.

Contract: a workload's load is shared evenly by its ready replicas; one that is overloaded uses at most `CEILING` of its
request. Only the usage annotation is written, and only when the value moved by more than `TOLERANCE` since it was
written last: a write to a pod wakes everything that watches pods, and the driver should not add to that.
"""

import asyncio
from collections.abc import Sequence

from demo.contenders import Contender
from demo.observe import Observer
from demo.scenario import REQUEST_MILLIS, Day
from localcluster.nodes import USAGE_CPU
from spillway.domain.model.names import PodUid
from spillway.domain.model.records import PodRecord
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError

CEILING = 1.6
"""Of the request: what a replica uses at most, as a CPU limit would have it."""
TOLERANCE = 0.04
_PARALLEL = 8


class LoadDriver:
    """Writes the usage of every contender's pods."""

    def __init__(self, client: KubeClient, observer: Observer, contenders: Sequence[Contender], day: Day) -> None:
        self._client = client
        self._observer = observer
        self._contenders = tuple(contenders)
        self._day = day
        self._written: dict[PodUid, int] = {}
        self._slots = asyncio.Semaphore(_PARALLEL)
        self.writes = 0

    async def play(self, hour: float) -> None:
        """Write the usage of that hour where it differs from the present one."""
        wanted: list[tuple[PodRecord, int]] = []
        for contender in self._contenders:
            replicas = self._observer.ready_replicas(contender)
            for workload in self._day.workloads:
                pods = replicas.get(workload.name, [])
                share = usage_millis(workload.load(hour), len(pods))
                wanted += [(pod, share) for pod in pods if _moved(self._written.get(pod.uid), share)]
        async with asyncio.TaskGroup() as group:
            for pod, millis in wanted:
                group.create_task(self._write(pod, millis))

    async def _write(self, pod: PodRecord, millis: int) -> None:
        async with self._slots:
            try:
                await self._client.request(
                    "PATCH",
                    f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}",
                    body={"metadata": {"annotations": {USAGE_CPU: f"{millis}m"}}},
                    content_type="application/merge-patch+json",
                )
            except ApiError as error:
                if not error.not_found:
                    raise
                return
        self._written[pod.uid] = millis
        self.writes += 1


def usage_millis(cores: float, replicas: int) -> int:
    """What each of `replicas` uses of a load of `cores`, in thousandths of a core."""
    if replicas == 0:
        return 0
    return round(min(cores * 1000 / replicas, CEILING * REQUEST_MILLIS))


def _moved(written: int | None, wanted: int) -> bool:
    return written is None or abs(wanted - written) > TOLERANCE * max(written, 1)
