"""A made-up run for the demo's pictures: two contenders, a few moments, two scale-downs. Every figure is told apart."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from demo.audit import AuditLog
from demo.contenders import CONTENDER_LABEL, TIER_LABEL, Contender
from demo.day import Scene
from demo.measure import Sample
from demo.observe import Observer
from demo.scaledowns import ScaleDown, Victim
from demo.scenario import plan_day
from localcluster import ClusterApi
from spillway.domain.model.names import NodeName, OwnerUid, PodUid, Tier, Zone
from spillway.kube.client import KubeClient
from tests.builders import make_node, make_state

CONTENDERS = (Contender.PLAIN, Contender.SPILLWAY)
SECONDS = 240.0
"""Of the day: ten to the hour."""

PODS = {
    Contender.PLAIN: [(11, 3, 2, 0), (12, 17, 5, 1), (13, 9, 4, 0)],
    Contender.SPILLWAY: [(21, 6, 1, 0), (22, 8, 7, 0), (23, 2, 0, 0)],
}
"""Fixed, elastic, virtual, unassigned at each moment; a fourth moment comes after the day."""
NODES = {Contender.PLAIN: [1, 5, 4], Contender.SPILLWAY: [2, 3, 0]}
SKEWS = {Contender.PLAIN: [1, 2, 9], Contender.SPILLWAY: [0, 1, 1]}
AT = (0.0, 100.0, 200.0)
FORECAST = [6.0, 9.5, 1.9]
HEADROOM = [0.0, 3.8, 0.95]
"""In cores, of Spillway's."""


def made_up_scene(*, foresees: bool = True) -> Scene:
    """As it stands when the day is over. Nothing in it is connected to anything."""
    day = plan_day(seed=3, workloads=4, seconds=SECONDS)
    audit = AuditLog(Path("/nowhere"))
    audit.evictions |= {Contender.PLAIN: 33, Contender.SPILLWAY: 0}
    observer = Observer(make_state(), CONTENDERS, audit)
    for contender in CONTENDERS:
        for at, pods, nodes, skew in zip(AT, PODS[contender], NODES[contender], SKEWS[contender], strict=True):
            observer.samples[contender].append(_sample(contender, at, pods, nodes, skew))
        if foresees and contender is Contender.SPILLWAY:
            observer.samples[contender] = [
                replace(sample, forecast_cores=ahead, headroom_cores=kept)
                for sample, ahead, kept in zip(observer.samples[contender], FORECAST, HEADROOM, strict=True)
            ]
        observer.samples[contender].append(_sample(contender, SECONDS + 1, (99, 99, 99, 99), 99, 99))
    _elastic_nodes(observer)
    observer.tracker.finished += [
        down(Contender.PLAIN, victim("a-1"), victim("a-2", Tier.ELASTIC, planned=False, virtual_survived=True)),
        down(Contender.SPILLWAY, victim("b-1", Tier.VIRTUAL, reason="Virtual"), victim("b-2", Tier.VIRTUAL)),
    ]
    cluster, client = cast("ClusterApi", None), cast("KubeClient", None)
    return Scene(cluster, client, day, CONTENDERS, observer, audit, None, wall_seconds=SECONDS)


def _sample(contender: Contender, at: float, pods: tuple[int, ...], nodes: int, skew: int) -> Sample:
    hour = plan_day(seconds=SECONDS).hour_at(at)
    by_tier = dict(zip((*(tier.value for tier in Tier), "unassigned"), pods, strict=True))
    return Sample(
        at=at, hour=hour, pods=by_tier, elastic_nodes=nodes, skews=(0, skew), load_cores=3.0, ready_cores=nodes + 0.5
    )


def _elastic_nodes(observer: Observer) -> None:
    """One of plain's stands for 3 and one for 20 hours; Spillway's for 4.5."""
    for name, contender, created, gone in (
        ("plain-1", Contender.PLAIN, 0.0, 30.0),
        ("plain-2", Contender.PLAIN, 40.0, 240.0),
        ("ours", Contender.SPILLWAY, 5.0, 50.0),
    ):
        labels = {CONTENDER_LABEL: contender.value, TIER_LABEL: Tier.ELASTIC.value}
        node = make_node(name, labels=labels)
        observer.now = created
        observer.state.apply(node)
        observer.now = gone
        observer.state.remove(node)


def victim(name: str, tier: Tier = Tier.FIXED, *, planned: bool = True, **more: object) -> Victim:
    made: dict[str, Any] = {
        "uid": PodUid(name),
        "name": name,
        "node": NodeName("n"),
        "tier": tier,
        "zone": Zone("zone-b"),
        "ready": True,
        "cost": 0,
        "planned": planned,
        "virtual_survived": False,
        "reason": "Fixed" if planned else "",
    }
    return Victim(**(made | more))


def down(contender: Contender, *victims: Victim) -> ScaleDown:
    return ScaleDown(
        contender=contender,
        namespace=contender.namespace,
        workload=f"svc-{contender}",
        replicaset=f"svc-{contender}-1",
        uid=OwnerUid(contender.value),
        began=120.0,
        ended=122.0,
        before=9,
        after=9 - len(victims),
        victims=victims,
        missed=(),
        missed_unready=0,
        skew=1,
        skew_possible=1,
    )
