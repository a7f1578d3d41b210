"""The pods of a pool are taken up in slices, and change meanwhile: each counts once, as if it had been done at once."""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from spillway.controllers.budget.controller import BudgetController
from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import Phase, PodRecord
from spillway.kube.slices import TimeSlice
from spillway.state.catalog import Kind
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import ELASTIC, make_world, policy_resource, resource

GIB = 1 << 30
MONTH_END = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
PRICE = {"currency": "CNY", "cpuHour": "3.6", "memoryGiBHour": "0", "minimumSeconds": 60}
"""A thousandth for a second of a core."""
LADDER = {"detect": [{"reason": "NoStock"}], "ladder": [{"cpu": cpu, "memory": "1Gi"} for cpu in ("2", "4")]}
NODES = {"v1": "eci", "v2": "eci", "v3": "tke", "n1": ""}
"""The nodes at the beginning, and the pool of each."""

SCENES = 200

Step = tuple[int, str, int]
"""Seconds that pass, then a change, and the number of the pod or node that changes."""


def budget(name: str, pools: Sequence[str], start: int, ago: int, version: int = 1) -> dict[str, Any]:
    at = datetime.fromtimestamp(start - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    used = {"pods": 0, "costThisMonth": "7.5", "costPerHour": "0", "currency": "CNY", "at": at}
    return resource(
        Kind.VIRTUAL_NODE_BUDGET,
        name,
        version=version,
        nodeSelector={"matchExpressions": [{"key": "pool", "operator": "In", "values": list(pools)}]},
        price=PRICE,
        limits={"pods": 100, "costPerHour": "100", "costPerMonth": "100"},
        stockOut=LADDER,
    ) | {"status": {"used": used}}


class Scene:
    """A new leader on a cluster that another one has accounted for until `ago` seconds before."""

    def __init__(self, start: int, ago: int, pods: Iterable[PodRecord]) -> None:
        self.start, self.ago = start, ago
        self.clock = FakeClock(float(start))
        budgets = [budget(name, [name], start, ago) for name in ("eci", "tke")]
        policy = policy_resource(elastic=ELASTIC, virtual={"budgets": ["eci", "tke"]})
        records = [node(name, pool) for name, pool in NODES.items()]
        self.world = make_world([*records, make_replicaset(), *pods], [policy, *budgets], self.clock)
        self.controller = BudgetController(self.world, period_seconds=10)
        self._numbers = itertools.count(10)
        list(self.controller.subscribe())

    async def play(self, steps: Sequence[Step], during: Callable[[], bool]) -> None:
        """Begin, with a step at each pause for which `during` holds, and the rest of the steps afterwards."""
        left = list(steps)

        async def pause(_: TimeSlice) -> None:
            if left and during():
                self.step(*left.pop(0))

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(TimeSlice, "pause", pause)
            await self.controller.reconcile("*")
        for one in left:
            self.step(*one)
        await self.end()

    async def end(self) -> None:
        for seconds in (1, 100):
            self.clock.forward(seconds)
            await self.controller.reconcile("*")

    def step(self, seconds: int, kind: str, number: int) -> None:
        self.clock.forward(seconds)
        now, state = self.clock.now(), self.world.state
        pods = sorted(state.pods.values(), key=lambda pod: pod.name)
        nodes = sorted(NODES)
        name = nodes[number % len(nodes)]
        pod = pods[number % len(pods)] if pods else None
        match kind:
            case "create":
                tier = ("fixed", "virtual")[number % 2]
                state.apply(virtual(self._new(), node=NodeName(name), started=now, tier=tier))
            case "create-waiting":
                state.apply(virtual(self._new(), node=NodeName(""), started=0.0))
            case "create-ended":
                state.apply(virtual(self._new(), node=NodeName(name), started=now - 9, **ended(now)))
            case "relabel":
                state.apply(node(name, ("eci", "tke", "")[number % 3]))
            case "lose-node":
                state.remove(node(name, ""))
            case "budgets":
                pools = (["eci", "tke"], ["eci"], ["tke"])[number % 3]
                changed = budget("eci", pools, self.start, self.ago, next(self._numbers))
                changed["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
                self.world.catalog.upsert(Kind.VIRTUAL_NODE_BUDGET, changed)
            case _ if pod is not None:
                if kind == "delete":
                    state.remove(pod)
                else:
                    state.apply(msgspec.structs.replace(pod, **changes(kind, pod, now, number)))

    def _new(self) -> str:
        return f"new-{next(self._numbers)}"

    def accounts(self) -> Any:
        """Everything that is known of pools, and what is metered."""
        controller = self.controller
        return (
            {
                name: (
                    controller.costs(name),
                    controller.used(name),
                    controller.limits(name),
                    controller.resizing(name),
                    pool.waiting,
                )
                for name, pool in controller._accounting.pools.items()
            },
            {key: rate for key, rate in controller._consumption.meter.present().items() if any(rate)},
            self.world.board.spent,
        )


def changes(kind: str, pod: PodRecord, now: float, number: int) -> Mapping[str, Any]:
    """What a change of this kind does to a pod, where it is possible."""
    started, runs = {"started": pod.started or now}, bool(pod.node) and not pod.finished
    of_kind: Mapping[str, Mapping[str, Any]] = {
        "bind": {} if pod.node else {"node": NodeName(sorted(NODES)[number % len(NODES)])},
        "start": started if runs else {},
        "finish": started | ended(now) if runs else {},
        "resize": {"cpu_millis": 500 * (1 + number % 4), "held": (1000, GIB)},
        "grow": {"cpu_millis": 2000, "held": (2000, GIB)},
        "size": {"size": f"{2000 * (1 + number % 2)}m-{GIB}"},
        "release": {"owner_uid": OwnerUid(""), "owner_kind": "", "owner_name": ""},
        "mark": {"tier": ("fixed", "virtual")[number % 2], "policy": "online"},
    }
    return of_kind[kind]


def ended(now: float) -> dict[str, Any]:
    return {"phase": Phase.SUCCEEDED, "ended": now}


def node(name: str, pool: str) -> Any:
    return make_node(name, labels={"pool": pool} if pool else {})


def virtual(name: str, **given: Any) -> PodRecord:
    return make_pod(name, **{"policy": "online", "tier": "virtual", "cpu_millis": 1000, **given})


KINDS = [
    *(
        "create",
        "create",
        "create-waiting",
        "create-ended",
        "bind",
        "start",
        "finish",
        "finish",
        "delete",
        "resize",
        "size",
        "release",
        "mark",
    ),
    *("relabel", "relabel", "lose-node", "budgets"),
]
MARKS: Sequence[Mapping[str, Any]] = (
    {},
    {"tier": "fixed"},
    {"owner_uid": "u2", "owner_name": "web2"},
    {"size": f"2000m-{GIB}"},
)


def existing(name: str, start: int, *, on: str, ago: int, lived: float | None, mark: Mapping[str, Any]) -> PodRecord:
    """A pod that waits (`ago` below 0), runs, or ended before the leader began, after a share of the time."""
    given: dict[str, Any] = {"node": NodeName(on), "started": 0.0 if ago < 0 else float(start - ago)}
    if lived is not None and ago > 0:
        given |= ended(float(start - ago + int(ago * lived)))
    return virtual(name, **given, **mark)


@pytest.mark.parametrize("seed", range(SCENES))
async def test_pods_that_change_while_they_are_taken_up_count_once(seed: int) -> None:
    chance = random.Random(seed)
    start = chance.choice([MONTH_END - 40_000, MONTH_END - 30, MONTH_END + 100])
    ago = chance.randrange(300)
    pods = [
        existing(
            f"p{number}",
            start,
            on=chance.choice(["v1", "v1", "v2", "v3", "n1", "gone"]),
            ago=chance.choice([-1, 0, *(chance.randrange(500) for _ in range(4))]),
            lived=chance.choice([None, None, None, 0.2, 0.9]),
            mark=chance.choice(MARKS),
        )
        for number in range(chance.randrange(4, 12))
    ]
    steps = [(chance.choice([0, 1, 30]), chance.choice(KINDS), chance.randrange(1000)) for _ in range(10)]
    at_once, sliced = (Scene(start, ago, pods) for _ in range(2))
    await at_once.play(steps, lambda: False)
    await sliced.play(steps, lambda: chance.random() < 0.7)
    assert sliced.accounts() == at_once.accounts()


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        ("grow", 320 + 2 * 10),
        ("finish", 320),
        ("delete", 320),
        ("release", 330),
        ("leave", 320),
        ("lose-node", 330),
        ("go-over", 320),
    ],
)
async def test_a_pod_that_changes_before_it_is_taken_up_is_charged_until_then_as_it_was(
    kind: str, seconds: int
) -> None:
    """It runs on a core since long before the total was stored, 300 s ago; 20 s pass, it changes, and 10 s pass."""
    start = MONTH_END - 40_000
    waiting = virtual("first", node=NodeName("v1"), started=0.0)
    scene = Scene(start, 300, [waiting, virtual("pod", node=NodeName("v2"), started=float(start - 1000))])
    changed: list[bool] = []

    async def pause(_: TimeSlice) -> None:
        if changed:
            return
        changed.append(True)
        assert not scene.world.board.spent_read.is_set()
        shown = scene.controller
        assert [shown.costs("eci"), shown.used("eci"), shown.limits("eci")] == [None] * 3
        scene.clock.forward(20)
        if kind in {"leave", "go-over"}:
            scene.world.state.apply(node("v2", "tke" if kind == "go-over" else ""))
        elif kind == "lose-node":
            scene.world.state.remove(node("v2", ""))
        else:
            scene.step(0, kind, 1)
        assert not scene.world.board.spent_read.is_set(), "a part of what the pool has cost is not published"

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TimeSlice, "pause", pause)
        await scene.controller.reconcile("*")
    scene.clock.forward(10)
    await scene.controller.reconcile("*")
    spent = Decimal("7.5") + Decimal(seconds) / 1000
    other = Decimal("7.5") + (Decimal("0.010") if kind == "go-over" else 0)
    assert scene.world.board.spent == {"eci": spent, "tke": other}


async def test_a_pod_whose_node_the_budgets_give_to_another_pool_is_charged_there_from_then_on() -> None:
    """Also if the pod itself changes before the accounting follows the budgets."""
    start = MONTH_END - 40_000
    scene = Scene(start, 0, [virtual("pod", node=NodeName("v3"), started=float(start - 1000))])
    await scene.controller.reconcile("*")
    scene.step(100, "budgets", 0)
    scene.step(0, "grow", 0)
    await scene.controller.reconcile("*")
    scene.clock.forward(10)
    await scene.controller.reconcile("*")
    assert scene.world.board.spent == {"eci": Decimal("7.52"), "tke": Decimal("7.6")}


async def test_other_tasks_run_while_pods_are_taken_up() -> None:
    start = MONTH_END - 40_000
    pods = [virtual(f"p{number}", node=NodeName("v1"), started=float(start - 1000)) for number in range(2000)]
    scene = Scene(start, 300, pods)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while not scene.world.board.spent_read.is_set():
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(count())
        group.create_task(scene.controller.reconcile("*"))
    assert turns > 3
    assert scene.world.board.spent == {"eci": Decimal("7.5") + 600, "tke": Decimal("7.5")}
