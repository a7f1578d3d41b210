"""The comparison of present and proposed resources on a world of records."""

from collections.abc import Sequence
from typing import Any

import pytest

from spillway.app.explain.snapshot import Snapshot
from spillway.app.explain.workloads import NextTemplate
from spillway.app.proposal.compare import Comparison, Proposed, auto_classes
from spillway.domain.model.names import NodeName
from spillway.domain.overview.attention import Severity
from spillway.domain.proposal.answers import Proposal
from spillway.state.catalog import Kind
from spillway.state.cluster import Record
from tests.builders import VAST, make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import ELASTIC, make_world, resource

Raw = dict[str, Any]
PRICE = {"currency": "CNY", "cpuHour": "0.5", "memoryGiBHour": "0"}
NAMES = Proposed(frozenset({"online"}), frozenset(), frozenset(), frozenset())
WEB = "Deployment/shop/web"


def policy(replicas: int, *, mode: str = "Enforce", name: str = "online", version: int = 1, **tiers: Any) -> Raw:
    return resource(
        Kind.ELASTIC_POLICY,
        name,
        version=version,
        mode=mode,
        tiers={"elastic": ELASTIC, "virtual": {"budgets": ["eci-a"]}, **tiers},
        workloads=[{"name": "default", "threshold": {"mode": "Manual", "replicas": replicas}}],
    )


def budget(**spec: Any) -> Raw:
    return resource(
        Kind.VIRTUAL_NODE_BUDGET, "eci-a", nodeSelector={"matchLabels": {"pool": "eci-a"}}, price=PRICE, **spec
    )


def records(**pods: int) -> list[Record]:
    """Nodes of each tier, and a workload with so many pods on each."""
    found: list[Record] = [
        make_node("fixed", labels={"pool": "fixed"}),
        make_node("elastic", labels={"pool": "elastic"}),
        make_node("eci-a", labels={"pool": "eci-a"}, **VAST),
        make_replicaset(replicas=sum(pods.values())),
    ]
    for node, count in pods.items():
        name = node.replace("_", "-")
        found += [
            make_pod(f"web-{name}-{number}", node=NodeName(name), created=100.0 + number) for number in range(count)
        ]
    return found


def compared(
    now: Sequence[Raw],
    after: Sequence[Raw],
    *,
    proposed: Proposed = NAMES,
    templates: dict[str, NextTemplate] | None = None,
    **pods: int,
) -> Proposal:
    made = records(**pods)
    one, two = (Snapshot.of(make_world(made, resources, FakeClock(5_000.0))) for resources in (now, after))
    return Comparison(one, two, proposed).proposal("https://here", templates or {}, None)


def test_a_first_policy() -> None:
    found = compared([budget()], [budget(), policy(3)], fixed=5, elastic=2)

    assert found.resources == ("ElasticPolicy/online (new)",)
    assert (found.enforced, found.governed, found.costs_written) == (True, 1, 7)
    assert (found.to_virtual, found.to_physical) == (4, 0)
    [web] = found.workloads
    assert (web.workload, web.governed_now, web.governed) == (WEB, None, "online/default (Enforce)")
    assert (web.threshold_now, web.threshold_reason_now) == (None, None)
    assert (web.threshold, web.threshold_reason) == (3, "Manual")
    assert (web.virtual_now, web.virtual) == (0, 4)
    # Kubernetes takes the newest of equal pods; Spillway empties the elastic node.
    assert web.first_victim == "shop/web-elastic-1"
    tiers = {one.tier: (one.nodes_now, one.nodes, one.taint) for one in found.tiers}
    assert tiers == {
        "fixed": (None, 1, None),
        "elastic": (None, 1, "spillway.dev/elastic=online:PreferNoSchedule"),
        "virtual": (None, 1, None),
    }
    # Four replicas of half a core at 0.5 an hour.
    [cost] = found.costs
    assert (cost.currency, cost.virtual_per_hour_now, cost.virtual_per_hour) == ("CNY", "0", "1")


def test_recommend_writes_nothing() -> None:
    found = compared([budget()], [budget(), policy(3, mode="Recommend")], fixed=5)
    assert (found.enforced, found.costs_written, found.to_virtual) == (False, 0, 2)
    assert all(one.taint is None for one in found.tiers)


def test_a_higher_threshold_brings_replicas_back() -> None:
    present = Proposed(NAMES.policies, frozenset(), frozenset(), frozenset({"ElasticPolicy/online"}))
    found = compared([budget(), policy(2)], [budget(), policy(5)], proposed=present, fixed=2, eci_a=4)

    assert found.resources == ("ElasticPolicy/online (changed)",)
    assert (found.to_virtual, found.to_physical, found.costs_written) == (0, 3, 0)
    [web] = found.workloads
    assert (web.threshold_now, web.threshold, web.virtual_now, web.virtual) == (2, 5, 4, 1)
    assert web.threshold_reason_now == "Manual"
    [cost] = found.costs
    assert (cost.virtual_per_hour_now, cost.virtual_per_hour) == ("1", "0.25")


def test_nothing_changes() -> None:
    found = compared([budget(), policy(2)], [budget(), policy(2)], fixed=2, eci_a=4)
    assert (found.workloads, found.to_virtual, found.to_physical, found.costs_written) == ((), 0, 0, 0)
    assert not [one for one in found.risks if one.severity is not Severity.INFO]


def test_a_pool_that_is_held_takes_nothing() -> None:
    pool = Proposed(frozenset(), frozenset({"eci-a"}), frozenset(), frozenset({"VirtualNodeBudget/eci-a"}))
    held = budget(cordon="Hold")
    found = compared([budget(), policy(2)], [held, policy(2)], proposed=pool, fixed=5)

    assert found.to_virtual == 0
    [one] = found.pools
    assert (one.pool, one.closed_because) == ("eci-a", "is held")
    assert "VirtualNodeBudget/eci-a" in {risk.object for risk in found.risks}


def test_limits_that_leave_too_little_room() -> None:
    found = compared([budget()], [budget(limits={"pods": 2}), policy(1)], fixed=6)
    assert found.to_virtual == 5
    [risk] = [one for one in found.risks if "limits.pods" in one.message]
    assert "5 more replicas are for virtual nodes" in risk.message
    assert "room for 2" in risk.message


def test_an_older_policy_keeps_its_workloads() -> None:
    old = policy(2, name="old")
    found = compared([budget(), old], [budget(), old, policy(1, version=9)], fixed=5)

    assert (found.governed, found.to_virtual) == (0, 0)
    assert any("governs no workload" in one.message and "older policy old" in one.message for one in found.risks)


def test_a_workload_that_virtual_nodes_cannot_run() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"hostNetwork": True, "containers": [{"name": "main"}]}}
    found = compared([budget()], [budget(), policy(2)], templates={WEB: NextTemplate(template)}, fixed=5)
    [web] = found.workloads
    assert web.next_pod is not None
    assert web.next_pod.startswith("physical")
    assert found.to_virtual == 0


@pytest.mark.parametrize(("mode", "expected"), [({"mode": "Auto"}, True), ({"mode": "Manual", "replicas": 1}, False)])
def test_whether_a_history_is_needed(mode: Raw, expected: bool) -> None:  # noqa: FBT001
    raw = policy(1)
    raw["spec"]["workloads"][0]["threshold"] = mode
    world = make_world(records(fixed=1), [budget(), raw], FakeClock(5_000.0))
    assert auto_classes(Snapshot.of(world), {"online"}) is expected
