"""The placer: it places a new pod from the present counts, by the pure plan, and reserves its place.

Contract: one per process, used by the leader alone. `place` has no await: between its counting and its reservation no
other pod is placed, so thresholds and limits hold exactly in a burst of any size. With `act` False (a dry run, a policy
in Recommend) the result is the same, without a reservation.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from spillway.api.podoverlay import PodOverlay
from spillway.domain.fit.container_defaults import NO_DEFAULTS, Defaults
from spillway.domain.fit.node_fit import constraints
from spillway.domain.fit.requests import extended_requests
from spillway.domain.fit.taint_toleration import Toleration
from spillway.domain.fit.volume_reach import VolumeReach
from spillway.domain.model import names
from spillway.domain.model.documents import Json
from spillway.domain.model.records import NodeRecord
from spillway.domain.model.remember import FairMemory
from spillway.domain.model.usage import NOTHING, Usage
from spillway.domain.placement.plan import Facts, NewPod, PodPlacement, decided, measured, plan
from spillway.domain.placement.pools import Pool, mismatch, pool_fit
from spillway.domain.policies.governance import Governance
from spillway.state.board import Board, Redirect
from spillway.state.open_pools import OpenPools, PodToFit
from spillway.state.usage import LiveUsage

NOT_APPEARED: Final = (
    "takes no more pods of this namespace for now, because earlier ones, for which it has reserved room, were not "
    "created"
)
"""Why a pool takes no further pod of a namespace for a moment."""
_REMEMBERED: Final = 4096
_NO_REDIRECT: Final = Redirect(0.0)


class _PoolFit(NamedTuple):
    """Where pods with the same constraints may run on a pool."""

    pool: Pool
    """Kept with the answer, so that no other object can have its identity."""
    mismatch: str
    nodes: tuple[NodeRecord, ...]


_Fitting = dict[str, tuple[NodeRecord, ...]]
"""By pool: its nodes that may take a pod, as far as it and they alone decide."""


class Placer:
    """The placer of pods, by the board, the policies and the live counts."""

    def __init__(self, usage: LiveUsage, board: Board, governance: Callable[[], Governance]) -> None:
        self.usage = usage
        self._board = board
        self._governance = governance
        self._open_pools = OpenPools(usage, board, governance)
        self._landing: tuple[Governance | None, dict[str, Sequence[tuple[str, PodOverlay]]]] = (None, {})
        """The overlays of each policy's pools, for the present policies."""
        self._mismatches: FairMemory[tuple[int, bool, bytes], _PoolFit] = FairMemory(_REMEMBERED)

    def may_be_virtual(self, new: NewPod) -> bool:
        """Whether the pod would be decided virtual now; only then are facts that need a look-up read."""
        if new.workload_class.effective_placement.virtual == "Never":
            return False
        return self._board.redirected(new.owner) or decided(new, self._facts(new)).virtual

    def adds_containers(self, policy: str) -> bool:
        """Whether some pool of the policy adds containers to its pods; only then are default requests needed."""
        return any(overlay.sidecars or overlay.logs is not None for _, overlay in self._overlays(policy))

    def place(
        self,
        new: NewPod,
        volumes: Sequence[VolumeReach] = (),
        *,
        defaults: Defaults = NO_DEFAULTS,
        act: bool = True,
        counts_on_pools: bool = True,
        followed: bool = True,
    ) -> PodPlacement:
        """Decide, and reserve the place; with `counts_on_pools` False, for the owner alone.

        `followed` says whether it is known how many pods the owner wants.
        """
        redirect = self._board.take_redirect(new.owner) if act else None
        facts = self._facts(new, redirect or _NO_REDIRECT, volumes, defaults)
        if not act:
            return plan(new, facts)
        membership = self.usage.membership
        placed = plan(
            new,
            facts,
            token_for=partial(membership.token, new.namespace, new.owner),
            size_mark=partial(membership.size_mark, new.namespace, new.owner),
        )
        self.usage.reservations.reserve(
            new.owner,
            token=placed.token,
            pools=placed.pools,
            used=placed.used,
            billed=placed.billed,
            measured=placed.used - facts.growth if placed.pools else self._measured(new),
            changes=placed.changes,
            extended=extended_requests(new.pod.get("spec") or {}) if placed.pools else {},
            counts_on_pools=counts_on_pools,
            namespace=new.namespace,
            followed=followed,
            existing=None if self.usage.reservations.trusts(new.owner, new.namespace) else self._existing(new),
        )
        return placed

    def _existing(self, new: NewPod) -> Usage:
        """What the owner's pods that exist request; it looks at each of them."""
        pods = self.usage.state.pods_of(new.owner)
        return sum((pod.requests for pod in pods if pod.active and pod.namespace == new.namespace), NOTHING)

    def reinvoked(self, new: NewPod) -> bool:
        """Whether this pod has been placed before and the webhook is called again because another one changed it.

        Its present requests then replace the reserved ones.
        """
        held = self.usage.reservations.get(new.reservation) if new.reservation else None
        if held is None or held.owner != new.owner:
            return False
        if held.measured is not None:
            mark = str((new.present_annotations or {}).get(names.SIZE, ""))
            size = self.usage.membership.size_in(mark, new.namespace, new.owner)
            used, billed = measured(new.pod, size, self._governance().ladder(*held.pools))
            self.usage.reservations.remeasure(new.reservation, used=used, billed=billed)
        return True

    def _measured(self, new: NewPod) -> Usage | None:
        """What a physical pod requests: by what it grows, the owner's virtual pods are expected to grow as well."""
        governance = self._governance()
        pools = governance.pools_of(new.claim.policy)
        limited = any(governance.budgets[name].spec.limits is not None for name in pools)
        return measured(new.pod, "", ())[0] if limited else None

    def _facts(
        self,
        new: NewPod,
        redirect: Redirect = _NO_REDIRECT,
        volumes: Sequence[VolumeReach] = (),
        defaults: Defaults = NO_DEFAULTS,
    ) -> Facts:
        policy = new.claim.policy
        fitting: _Fitting = {}

        def refusal_by_nodes(pod: Json, pool: Pool, used: Usage) -> str:
            candidate = PodToFit(pod, new.namespace, new.owner, used, volumes, nodes=fitting.get(pool.name))
            return self._open_pools.refusal_by_nodes(candidate, pool)

        def refusal_by_limits(pool: Pool, used: Usage, billed: Usage) -> str:
            reservations = self.usage.reservations
            if reservations.is_trying(new.namespace) and not reservations.may_hold(
                new.owner, new.namespace, used, self._existing(new)
            ):
                return NOT_APPEARED
            return self._open_pools.refusal_by_limits(pool, used, billed)

        return Facts(
            physical=self.usage.physical(new.owner) if new.position is None else new.position,
            threshold=new.threshold(self._board.thresholds.get(new.workload)),
            landing=self._overlays(policy),
            pools=partial(self._open_pools.pools, policy, new.namespace),
            mismatch=partial(self._mismatch, new.namespace, fitting),
            refusal_by_limits=refusal_by_limits,
            refusal_by_nodes=refusal_by_nodes,
            redirect="physical" if redirect.physical else "virtual" if redirect.virtual else "",
            avoid=redirect.avoid | self._board.avoided(new.owner),
            left_out=self.usage.refusals.pools(new.owner),
            defaults=defaults,
            growth=self.usage.growth(new.namespace, new.owner),
            local_claims=frozenset(one.claim for one in volumes if one.local),
        )

    def _overlays(self, policy: str) -> Sequence[tuple[str, PodOverlay]]:
        governance = self._governance()
        known, overlays = self._landing
        if known is not governance:
            overlays = {}
            self._landing = (governance, overlays)
        if policy not in overlays:
            listed = ((name, governance.budgets[name].spec.pod_overlay) for name in governance.pools_of(policy))
            overlays[policy] = [(name, overlay) for name, overlay in listed if overlay is not None]
        return overlays[policy]

    def _mismatch(
        self, namespace: str, fitting: _Fitting, pod: Json, pool: Pool, tolerations: Sequence[Toleration]
    ) -> str:
        """`mismatch` with the pool's tolerations or none, remembered: pods of one workload ask the same of nodes.

        The nodes that may take the pod are left in `fitting`.
        """
        key = (id(pool), bool(tolerations), constraints(pod.get("spec") or {}))
        known = self._mismatches.get(key)
        if known is None:
            fit = pool_fit(pod.get("spec") or {}, tolerations)
            known = _PoolFit(pool, mismatch(fit, pool), fit.admitted(pool.open_nodes))
            self._mismatches.put(key, known, share=namespace)
        fitting[pool.name] = known.nodes
        return known.mismatch
