"""Which workloads are read first: those that were never read, and some of every namespace."""

from typing import Any

import msgspec

from spillway.controllers.balance.look_turns import LOOKS, NAMESPACE_LOOKS, LookTurns
from spillway.controllers.balance.workload_looks import LOOK_SECONDS, WorkloadLooks
from spillway.domain.balance.bounds import PERIOD_SECONDS
from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.surge.hindrance import Left
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.rebalancing import Scene

Planned = list[tuple[ReplicaSetRecord, PodRecord]]
NODES = 4
PAUSED = 250
"""More workloads than are read in the time for which a reason counts at first."""


class Reads:
    """The turns of passes over workloads, all of which are paused, unless a test says otherwise."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.scene.spec = {"paused": True}
        self.looks = WorkloadLooks(self.scene.surges, self.scene.clock.now)

    def workloads(self, namespace: str, count: int) -> Planned:
        found: Planned = []
        for index in range(count):
            owner = make_replicaset(f"{namespace}-{index:02}", namespace=namespace, replicas=2)
            pod = make_pod(f"{owner.name}-0", namespace=namespace, owner_uid=owner.uid)
            self.scene.world.state.apply(owner)
            found.append((owner, pod))
        return found

    async def passes(self, workloads: Planned) -> list[str]:
        """Let one pass plan moves of all workloads that count as movable, and return those that it read, in order."""
        before, turns = len(self.scene.workloads.read), LookTurns(self.looks)
        while await turns.read([one for one in workloads if turns.is_known(one[0]) and turns.reason(*one) is None]):
            pass
        names = (path.partition("/deployments/")[2] for path in self.scene.workloads.read[before:])
        return [name for name in names if name]


def _count(names: list[str]) -> dict[str, int]:
    namespaces = [name.rpartition("-")[0] for name in names]
    return {namespace: namespaces.count(namespace) for namespace in sorted(set(namespaces))}


async def test_workloads_that_were_never_read_come_before_those_that_are_read_again() -> None:
    reads = Reads()
    before = reads.workloads("shop", LOOKS)
    assert len(await reads.passes(before)) == LOOKS
    reads.scene.clock.forward(LOOK_SECONDS + 1.0)
    new = reads.workloads("shop", LOOKS + 3)[LOOKS:]
    found = await reads.passes([*before, *new])
    assert len(found) == LOOKS
    assert found[:3] == [owner.name for owner, _ in new]


async def test_a_reason_counts_until_its_workload_is_read_again_though_no_plan_has_it() -> None:
    reads = Reads()
    [one] = reads.workloads("shop", 1)
    await reads.passes([one])
    reads.scene.clock.forward(LOOK_SECONDS + 1.0)
    turns = LookTurns(reads.looks)
    assert turns.reason(*one) is Left.PAUSED
    reads.scene.spec = {}
    assert await turns.read([])
    assert turns.reason(*one) is None
    assert not await turns.read([one])


async def test_the_workloads_of_every_namespace_are_read_again_those_first_that_wait_longest() -> None:
    reads = Reads()
    many, few = reads.workloads("many", 5 * LOOKS), reads.workloads("few", 2)
    for workloads in (*(many[at : at + LOOKS] for at in range(0, len(many), LOOKS)), few):
        await reads.passes(workloads)
        reads.scene.clock.forward(1.0)
    reads.scene.clock.forward(LOOK_SECONDS)
    found = [await reads.passes([*many, *few]) for _ in range(6)]
    assert _count(found[0]) == {"few": 2, "many": LOOKS - 2}
    names = [name for one in found for name in one]
    assert [name for name in names if name.startswith("many")] == [owner.name for owner, _ in many]


async def test_a_namespace_leaves_turns_to_the_others() -> None:
    reads = Reads()
    many, few = reads.workloads("many", 3 * LOOKS), reads.workloads("few", NAMESPACE_LOOKS)
    counts = {"few": NAMESPACE_LOOKS, "many": LOOKS - NAMESPACE_LOOKS}
    assert _count(await reads.passes([*many, *few])) == counts


async def test_one_namespace_alone_has_all_turns_and_a_pass_without_reads_plans_once() -> None:
    reads = Reads()
    workloads = reads.workloads("shop", LOOKS + 1)
    assert len(await reads.passes(workloads)) == LOOKS
    assert len(await reads.passes(workloads)) == 1
    turns = LookTurns(reads.looks)
    assert {turns.reason(*one) for one in workloads} == {Left.PAUSED}
    assert not await turns.read([])


async def test_paused_workloads_do_not_keep_the_rebalancer_from_looking_at_another_one() -> None:
    scene = Scene(mode="Active", by="Surge", maxMovesPerMinute=5)
    state = scene.world.state
    for records in (state.pods, state.replicasets, state.nodes):
        for record in [*records.values()]:
            state.remove(record)
    nodes = [make_node(f"{zone}{index}", labels={ZONE_LABEL: zone}) for zone in "abc" for index in range(NODES)]
    apps = [*(f"app{index:03}" for index in range(PAUSED)), "other"]
    for node in nodes:
        state.apply(msgspec.structs.replace(node, cpu_millis=64_000, pods_allocatable=500))
    names = []
    for place, app in enumerate(apps):
        owner = make_replicaset(app, replicas=2)
        state.apply(owner)
        for index in range(2):
            name = NodeName(f"a{(place + index) % NODES}")
            pod = make_pod(f"{app}-{index}", node=name, owner_uid=owner.uid, cpu_millis=1, memory_bytes=1)
            state.apply(msgspec.structs.replace(pod, ready_since=0.0))
            names.append(pod.name)
    scene.metrics.names, scene.metrics.cpu = names, dict.fromkeys(names, "1m")
    answer = scene.workloads.respond

    def paused(path: str) -> Any:
        found = answer(path)
        if path.rpartition("/")[2].startswith("app"):
            found["spec"]["paused"] = True
        return found

    scene.workloads.respond = paused
    for _ in range(2 * (PAUSED // LOOKS)):
        await scene.clock.advance(PERIOD_SECONDS)
        scene.load_of({node.name: 30.0 for node in nodes})
        await scene.controller.reconcile("even")
    assert {state.pods[one.pod].owner_uid for one in scene.surges._asked.values()} == {make_replicaset("other").uid}
