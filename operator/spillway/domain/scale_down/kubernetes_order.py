"""The order in which the ReplicaSet controller itself deletes pods: a model of `ActivePodsWithRanks.Less`.

Source: kubernetes/kubernetes `pkg/controller/controller_utils.go`, as of 1.37 with its default feature gates
(PodDeletionCost and LogarithmicScaleDown on). The first rule that distinguishes two pods decides:

1 unassigned before assigned · 2 Pending < Unknown < Running · 3 not ready before ready · 4 lower deletion cost ·
5 more active pods of the same owner on its node (none are counted where the ReplicaSet has no owner) · 6 ready for less
time (powers of two, then UID) · 7 more restarts of containers, then of native sidecars (not in 1.30) · 8 newer (powers
of two, then UID). A component test compares this model with that code on random pods.

Contract: production plans so that rules 1 to 4 alone separate victims from survivors wherever a ready pod is concerned;
the other rules are needed for pods without a cost, and for plain Kubernetes in the simulator.
"""

from collections.abc import Iterable, Sequence
from functools import cmp_to_key
from math import log2
from typing import Final

from spillway.domain.model.records import Phase
from spillway.domain.scale_down.candidates import Candidate

READY_CLASS: Final = (True, 2, True)
"""The `kubernetes_class` of ready pods: only among these do deletion costs matter."""

_PHASE_ORDINAL: Final = {Phase.PENDING: 0, Phase.UNKNOWN: 1, Phase.RUNNING: 2}
_NANOSECONDS: Final = 1_000_000_000


def kubernetes_class(candidate: Candidate) -> tuple[bool, int, bool]:
    """What rules 1 to 3 compare: a lower class dies before a higher one, whatever its cost."""
    return (bool(candidate.node), _PHASE_ORDINAL.get(candidate.phase, 0), candidate.ready)


def kubernetes_order(candidates: Iterable[Candidate], *, now: float = 0.0) -> list[Candidate]:
    """Sort candidates as Kubernetes deletes them, first victim first.

    `now` (Unix seconds) is the moment of deletion. Rules 6 and 8 compare ages by powers of two of nanoseconds and so
    depend on it; 0.0 compares the times themselves, as Kubernetes does where its clock is not set.
    """

    def compare(a: Candidate, b: Candidate) -> int:
        return _by_ready_time(a, b, now) or _by_restarts(a, b) or _newer_first(a.created, b.created, a, b, now)

    # Sorting is stable: what rules 1 to 5 tell apart needs no call of the slow comparison.
    by_rules = _grouped(sorted(candidates, key=_first_five_rules))
    ordered: list[Candidate] = []
    for group in by_rules:
        ordered += group if len(group) == 1 else sorted(sorted(group, key=_uid), key=cmp_to_key(compare))
    return ordered


def kubernetes_victims(candidates: Sequence[Candidate], count: int, *, now: float = 0.0) -> list[Candidate]:
    """The `count` pods that Kubernetes deletes from these."""
    return kubernetes_order(candidates, now=now)[: max(count, 0)]


def _first_five_rules(candidate: Candidate) -> tuple[tuple[bool, int, bool], int, int]:
    return (kubernetes_class(candidate), candidate.deletion_cost, -candidate.same_node_owner_pods)


def _uid(candidate: Candidate) -> str:
    return candidate.uid


def _grouped(candidates: Sequence[Candidate]) -> Iterable[list[Candidate]]:
    group: list[Candidate] = []
    last: object = None
    for candidate in candidates:
        rules = _first_five_rules(candidate)
        if group and rules != last:
            yield group
            group = []
        group.append(candidate)
        last = rules
    if group:
        yield group


def _by_ready_time(a: Candidate, b: Candidate, now: float) -> int:
    if not (a.ready and b.ready):
        return 0
    return _newer_first(a.ready_since, b.ready_since, a, b, now)


def _by_restarts(a: Candidate, b: Candidate) -> int:
    return b.restarts - a.restarts or b.sidecar_restarts - a.sidecar_restarts


def _newer_first(time_a: float, time_b: float, a: Candidate, b: Candidate, now: float) -> int:
    if time_a == time_b:
        return 0
    if not (now and time_a and time_b):
        newer = not time_a or (bool(time_b) and time_a > time_b)
        return -1 if newer else 1
    difference = _age_rank(time_a, now) - _age_rank(time_b, now)
    if difference:
        return difference
    return -1 if a.uid < b.uid else 1


def _age_rank(time: float, now: float) -> int:
    age = (now - time) * _NANOSECONDS
    return int(log2(age)) if age > 0 else -1
