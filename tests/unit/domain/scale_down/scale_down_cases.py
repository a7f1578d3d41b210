"""ReplicaSets made up by hypothesis, and what Kubernetes would do with them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from hypothesis import strategies as st

from spillway.domain.model.names import NodeName, PodUid, Tier, Zone
from spillway.domain.model.records import Phase
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.kubernetes_order import READY_CLASS, kubernetes_class, kubernetes_victims

NOW = 1_000_000.0
INT32 = 2**31


def pod(uid: str, **fields: object) -> Candidate:
    """A ready pod with some defaults of its own."""
    return msgspec.convert({"name": uid, "node": f"node-of-{uid}", "zone": "a", **fields, "uid": uid}, Candidate)


@st.composite
def replicasets(
    draw: st.DrawFn,
    *,
    max_size: int = 12,
    all_ready: bool = False,
    costs: st.SearchStrategy[int] | None = None,
) -> list[Candidate]:
    """Pods of one ReplicaSet on a few nodes of every tier, in three zones and without one."""
    size = draw(st.integers(0, max_size))
    weights = {zone: draw(st.sampled_from([0, 0, 40, 100])) for zone in ("a", "b", "c")}
    nodes = [
        {
            "node": f"n{index}",
            "zone": draw(st.sampled_from(["a", "b", "c", ""])),
            "tier": draw(st.sampled_from(list(Tier))),
            "price_rank": draw(st.integers(0, 2)),
            "node_order": index,
            "node_hot": draw(st.booleans()),
        }
        for index in range(draw(st.integers(1, 5)))
    ]
    cost = costs if costs is not None else st.sampled_from([0, -1, -5, -1_001_000, -2_000_000, INT32 - 1, -INT32])
    for node in nodes:
        node["zone_weight"] = weights.get(str(node["zone"]), 0)
    pods = []
    for index in range(size):
        where = dict(draw(st.sampled_from(nodes)))
        phase = (
            Phase.RUNNING if all_ready else draw(st.sampled_from([Phase.RUNNING] * 4 + [Phase.PENDING, Phase.UNKNOWN]))
        )
        ready = phase is Phase.RUNNING and (all_ready or draw(st.sampled_from([True, True, True, False])))
        if phase is Phase.PENDING and draw(st.booleans()):
            where = {"node": "", "zone": ""}
        age = draw(st.sampled_from([1.0, 1.5, 60.0, 61.0, 5000.0]))
        pods.append(
            pod(
                f"u{index:02}",
                **where,
                phase=phase,
                ready=ready,
                created=NOW - age,
                ready_since=NOW - age / 2 if ready else 0.0,
                restarts=draw(st.integers(0, 1)),
                deletion_cost=draw(cost),
            )
        )
    doubled = Counter(p.node for p in pods)
    return [msgspec.structs.replace(p, same_node_owner_pods=doubled[p.node] if p.node else 0) for p in pods]


def is_ready(candidate: Candidate) -> bool:
    return kubernetes_class(candidate) == READY_CLASS


def by_uid(candidates: Iterable[Candidate]) -> dict[PodUid, Candidate]:
    return {c.uid: c for c in candidates}


def written(candidates: Iterable[Candidate], writes: Mapping[PodUid, int]) -> list[Candidate]:
    """The candidates after these costs were written."""
    return [
        msgspec.structs.replace(c, deletion_cost=writes[c.uid], stamped=True) if c.uid in writes else c
        for c in candidates
    ]


def deleted(candidates: Sequence[Candidate], count: int) -> set[PodUid]:
    """What Kubernetes itself deletes."""
    return {c.uid for c in kubernetes_victims(candidates, count, now=NOW)}


def skew(candidates: Iterable[Candidate], zones: Iterable[Zone]) -> int:
    """The difference between the fullest and the emptiest of these zones."""
    counts = Counter(c.zone for c in candidates)
    totals = [counts[zone] for zone in zones]
    return max(totals, default=0) - min(totals, default=0)


def zones_of(candidates: Iterable[Candidate]) -> set[Zone]:
    return {c.zone for c in candidates if c.zone}


def on(node: str) -> NodeName:
    return NodeName(node)
