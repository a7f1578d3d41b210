"""The operator's own record of what it planned (`/debug/plans` of every replica), matched with what was deleted.

Contract: a finished scale-down belongs to the plans that were made for its ReplicaSet while it lasted; if there is one,
the operator's plan counts, and the plan that the observer computes is only a second opinion.
"""

import urllib.request
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from demo.scaledowns import ScaleDown, Victim
from spillway.domain.model.names import PodUid
from spillway.webhooks.plan_log import PlanEntry, PlannedVictim

BEFORE_SECONDS: Final = 5.0
"""A plan is made before the ReplicaSet's change is seen: by the webhook's hold and the watch's lag."""
AFTER_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A scale-down beside the operator's plans for it; `planned` of its victims says what the operator had planned."""

    down: ScaleDown
    plans: tuple[PlanEntry, ...]

    def explain(self, victim: Victim) -> str:
        """Say why a ready pod went that was not in the plan."""
        if not self.plans:
            return "no plan was recorded: the webhook was not called or did not answer in time"
        let_go = sorted({plan.let_go for plan in self.plans if plan.let_go})
        if let_go:
            return f"the webhook answered before all costs were written: {', '.join(let_go)}"
        if any(plan.outcome == "foreign-cost" for plan in self.plans):
            return "another client writes deletion costs on this workload"
        if self.down.missed_unready:
            return "a planned pod was kept and an unready one went: readiness changed between plan and deletion"
        settled = max(plan.settle_seconds for plan in self.plans)
        wrote = sum(plan.writes for plan in self.plans)
        return (
            f"the controller chose by older costs: {wrote} were written and {settled:.2f} s were left for its cache"
            if wrote
            else f"the stored costs were assumed to be correct, but the pod's cost was {victim.cost}"
        )


class Plans:
    """Plans of all replicas, each once."""

    def __init__(self) -> None:
        self._by_set: dict[str, dict[tuple[float, int], PlanEntry]] = defaultdict(dict)
        self._reasons: dict[PodUid, PlannedVictim] = {}
        self._decoder = msgspec.json.Decoder(list[PlanEntry])

    def fetch(self, url: str, token: str = "") -> None:
        """Read the plans of a replica. A replica that does not answer is not an error: it is asked again later."""
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
                self.take(answer.read())
        except OSError:
            return

    def take(self, content: bytes) -> None:
        for plan in self._decoder.decode(content):
            known = self._by_set[plan.replicaset_uid]
            if (plan.at, plan.new_replicas) not in known:
                known[plan.at, plan.new_replicas] = plan
                self._reasons.update((victim.uid, victim) for victim in plan.victims)

    def why(self, uid: PodUid) -> str:
        """The operator's sentence on a pod; empty where it planned nothing for it."""
        victim = self._reasons.get(uid)
        return "" if victim is None else victim.why

    def verdict(self, down: ScaleDown, epoch: float) -> Verdict:
        """Compare a scale-down with the operator's plans; `epoch` is the Unix time of the observer's second 0."""
        began, ended = epoch + down.began - BEFORE_SECONDS, epoch + down.ended + AFTER_SECONDS
        plans = tuple(plan for plan in self._by_set[down.uid].values() if began <= plan.at <= ended)
        if not plans:
            return Verdict(down, ())
        promised = {victim.uid: victim.reason.value for plan in plans for victim in plan.victims}
        victims = tuple(
            replace(victim, planned=victim.uid in promised, reason=promised.get(victim.uid, ""))
            for victim in down.victims
        )
        return Verdict(replace(down, victims=victims), plans)
