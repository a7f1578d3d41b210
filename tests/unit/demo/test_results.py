"""The figures of a day: what the operator writes for one contender is not charged to another one."""

from pathlib import Path
from typing import cast

from demo.audit import AuditLog
from demo.contenders import Contender
from demo.day import OPERATOR_USER, Scene
from demo.observe import Observer
from demo.results import day_figures
from demo.scenario import plan_day
from harness.operator import Installation
from localcluster import ClusterApi
from spillway.kube.client import KubeClient
from tests.builders import make_state
from tests.unit.demo.demo_cases import SECONDS, down, victim
from tests.unit.demo.test_audit import line

CONTENDERS = (Contender.PLAIN, Contender.SPILLWAY, Contender.SPILLWAY_MOVES)


def written(resource: str, namespace: str, name: str) -> str:
    return line("patch", resource, user=OPERATOR_USER, namespace=namespace, name=name)


def test_the_writes_of_one_operator_are_charged_to_the_contender_for_which_it_wrote(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(written("pods", "day-spillway", "before-the-day"))
    audit = AuditLog(log)
    observer = Observer(make_state(), CONTENDERS, audit)
    observer.tracker.finished += [
        down(Contender.PLAIN, victim("p")),
        down(Contender.SPILLWAY, victim("a"), victim("b"), victim("c"), victim("d")),
        down(Contender.SPILLWAY_MOVES, victim("e"), victim("f")),
    ]
    scene = Scene(
        cast("ClusterApi", None),
        cast("KubeClient", None),
        plan_day(seed=3, workloads=4, seconds=SECONDS),
        CONTENDERS,
        observer,
        audit,
        cast("Installation", object()),
        wall_seconds=SECONDS,
    )
    before = scene.operator_writes()
    with log.open("a") as file:
        file.write(written("pods", "day-spillway", "a"))
        file.write(written("elasticpolicies/status", "", "demo"))
        file.write(written("secrets", "spillway-system", "spillway-webhook"))
        for _ in range(3):
            file.write(written("replicasets", "day-spillway-moves", "svc-1"))
            file.write(written("deployments/scale", "day-spillway-moves", "svc"))
        file.write(written("nodes", "", "spillway-moves-elastic-1"))
        file.write(line("patch", "pods", user="another", namespace="day-spillway", name="a"))
    scene.writes = scene.writes_since(before)
    audit.close()

    figures = day_figures(scene)

    ours, moves, plain = (figures[one] for one in (Contender.SPILLWAY, Contender.SPILLWAY_MOVES, Contender.PLAIN))
    assert ours["extra_api_writes"] == {"pods": 1, "elasticpolicies/status": 1, "secrets": 1}
    assert ours["extra_api_writes_per_deleted_pod"] == 0.75
    assert ours["extra_api_writes_on_others_per_deleted_pod"] == 0.5
    assert moves["extra_api_writes"] == {"replicasets": 3, "deployments/scale": 3, "nodes": 1, "secrets": 1}
    assert moves["extra_api_writes_per_deleted_pod"] == 4.0
    assert (plain["extra_api_writes"], plain["extra_api_writes_per_deleted_pod"]) == ({}, 0.0)
