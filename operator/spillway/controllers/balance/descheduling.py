"""Another descheduler that runs in the cluster, and the condition that names it.

Contract: while one runs, nothing is moved, so that the two do not move the same pods back and forth. Anybody who may
create a pod can give it the labels of one, so it counts only if its ServiceAccount may evict pods in every namespace.
While the API server does not say whether it may, it counts. A descheduler that runs as a CronJob counts between its
runs as well: a finished pod counts for `FINISHED_SECONDS` after it ended, unless it is deleted before. At most
`PER_NAMESPACE` objects of a namespace are looked at, so that one namespace cannot make the search long.
"""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Final, Protocol

from spillway.controllers.base import World
from spillway.controllers.status.part import ObservedCondition
from spillway.domain.balance.descheduler import is_descheduler
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.model.remember import FairMemory
from spillway.kube import paths
from spillway.kube.access import Access, User, Verdict
from spillway.kube.errors import ApiError
from spillway.kube.followed import FOLLOWED_OWNERS
from spillway.kube.protocols import Reader
from spillway.kube.slices import in_slices

FOREIGN_DESCHEDULER: Final = "ForeignDescheduler"
PER_NAMESPACE: Final = 4
FINISHED_SECONDS: Final = 3600.0
EVICT_EVERYWHERE: Final = Access("create", version="v1", resource="pods", subresource="eviction")
_REMEMBERED: Final = 1024


class Rights(Protocol):
    """What says who may do what."""

    async def authorize(self, user: User, access: Access) -> Verdict:
        """Whether the user may do so."""


class Deschedulers:
    """The search for another descheduler, one for all that move pods."""

    def __init__(self, world: World, reader: Reader, rights: Rights) -> None:
        self._state = world.state
        self._now = world.now
        self._reader = reader
        self._rights = rights
        self._accounts: FairMemory[str, str] = FairMemory(_REMEMBERED)
        """The ServiceAccounts of objects by uid, which do not change."""

    async def find(self) -> str:
        """The key of another descheduler that runs or ran recently, of a ReplicaSet or a pod; empty if there is none.

        Raises:
            RequestError: the API server has no answer.
        """
        looked_at: Counter[str] = Counter()
        async for one in self._candidates():
            looked_at[one.namespace] += 1
            if looked_at[one.namespace] <= PER_NAMESPACE and await self._may_evict(one):
                return one.key
        return ""

    async def _candidates(self) -> AsyncIterator[ReplicaSetRecord | PodRecord]:
        async for owner in in_slices(list(self._state.replicasets.values())):
            if owner.replicas and is_descheduler(owner.labels):
                yield owner
        async for pod in in_slices(list(self._state.pods.values())):
            # A ReplicaSet stands for its pods.
            alone = pod.owner_uid not in self._state.replicasets
            if pod.labels and alone and self._recent(pod) and is_descheduler(pod.labels):
                yield pod

    def _recent(self, pod: PodRecord) -> bool:
        """Whether a pod runs, or ended less than `FINISHED_SECONDS` ago."""
        if pod.terminating or not pod.finished:
            return pod.active
        return (pod.ended or pod.created) > self._now() - FINISHED_SECONDS

    async def _may_evict(self, one: ReplicaSetRecord | PodRecord) -> bool:
        account = self._accounts.get(one.uid) or await self._account(one)
        if not account:
            return False
        verdict = await self._rights.authorize(User.of_service_account(one.namespace, account), EVICT_EVERYWHERE)
        return verdict in {Verdict.ALLOWED, Verdict.UNKNOWN}

    async def _account(self, one: ReplicaSetRecord | PodRecord) -> str:
        resource = paths.PODS if isinstance(one, PodRecord) else FOLLOWED_OWNERS[one.kind].resource
        try:
            found = await self._reader.get_json(resource.named(one.name, namespace=one.namespace))
        except ApiError as error:
            if error.not_found:
                return ""
            raise
        spec = found["spec"] if isinstance(one, PodRecord) else found["spec"]["template"].get("spec") or {}
        account: str = spec.get("serviceAccountName") or "default"
        self._accounts.put(one.uid, account, share=one.namespace)
        return account


def descheduling(other: str) -> ObservedCondition:
    """The condition of a resource that moves pods; `other` is the key of another descheduler, or empty."""
    if other:
        message = f"Another descheduler runs, or ran within the last hour: {other}. No pod is moved meanwhile."
        return ObservedCondition(FOREIGN_DESCHEDULER, holds=True, reason="DeschedulerRuns", message=message)
    message = "No other descheduler runs."
    return ObservedCondition(FOREIGN_DESCHEDULER, holds=False, reason="NoDescheduler", message=message)
