from dataclasses import replace

import msgspec
import pytest

from demo.contenders import Contender
from demo.plans import Plans
from demo.scaledowns import ScaleDown, Victim
from demo.view import why
from spillway.domain.model.names import NodeName, OwnerUid, PodUid, Tier, Zone
from spillway.domain.scale_down.reasons import VictimReason
from spillway.webhooks.plan_log import PlanEntry, PlannedVictim

EPOCH = 1000.0


def plan(*victims: str, at: float = EPOCH + 10, **changes: object) -> PlanEntry:
    made = PlanEntry(
        at=at,
        namespace="day-spillway",
        replicaset="svc-1",
        replicaset_uid="rs",
        owner_kind="Deployment",
        owner_uid="d",
        owner_name="svc",
        about={"apiVersion": "apps/v1", "kind": "Deployment", "name": "svc", "uid": "d"},
        policy="demo",
        outcome="written",
        old_replicas=4,
        new_replicas=3,
        mirror=False,
        victims=tuple(
            PlannedVictim(
                uid=PodUid(name),
                name=name,
                node=NodeName("n"),
                zone=Zone("a"),
                tier=Tier.FIXED,
                reason=VictimReason.FIXED,
                why=f"{name} goes",
                written=True,
            )
            for name in victims
        ),
        planned=len(victims),
        writes=1,
        hold_seconds=0.1,
        settle_seconds=0.05,
    )
    return msgspec.structs.replace(made, **changes)


def down(*names: str) -> ScaleDown:
    victims = tuple(
        Victim(
            uid=PodUid(name),
            name=name,
            node=NodeName("n"),
            tier=Tier.FIXED,
            zone=Zone("a"),
            ready=True,
            cost=0,
            planned=False,
            virtual_survived=False,
            reason="",
        )
        for name in names
    )
    return ScaleDown(
        contender=Contender.SPILLWAY,
        namespace="day-spillway",
        workload="svc",
        replicaset="svc-1",
        uid=OwnerUid("rs"),
        began=10.2,
        ended=12.0,
        before=4,
        after=3,
        victims=victims,
        missed=(),
        missed_unready=0,
        skew=1,
        skew_possible=1,
    )


def plans(*entries: PlanEntry) -> Plans:
    made = Plans()
    made.take(msgspec.json.encode(entries))
    return made


def test_what_the_operator_planned_decides_over_the_second_opinion() -> None:
    verdict = plans(plan("a")).verdict(down("a", "b"), EPOCH)
    assert [(victim.name, victim.planned) for victim in verdict.down.victims] == [("a", True), ("b", False)]
    assert [why(verdict.down, victim) for victim in verdict.down.victims] == [
        "the last to come on fixed nodes",
        "by Kubernetes' own rules; the plan would have kept it",
    ]
    assert len(verdict.plans) == 1


def test_plans_of_another_time_or_replicaset_do_not_count() -> None:
    known = plans(plan("a", at=EPOCH - 30), plan("a", at=EPOCH + 60), plan("a", replicaset_uid="other"))
    verdict = known.verdict(down("a"), EPOCH)
    assert verdict.plans == ()
    assert verdict.down == down("a")


def test_the_same_plan_read_twice_counts_once_and_tells_why() -> None:
    known = plans(plan("a"), plan("a"))
    assert len(known.verdict(down("a"), EPOCH).plans) == 1
    assert known.why(PodUid("a")) == "a goes"
    assert known.why(PodUid("b")) == ""


@pytest.mark.parametrize(
    ("entries", "missed_unready", "words"),
    [
        pytest.param((), 0, "no plan was recorded", id="no plan"),
        pytest.param(
            (plan("a", let_go="deadline"),), 0, "answered before all costs were written: deadline", id="let go"
        ),
        pytest.param((plan("a", outcome="foreign-cost"),), 0, "another client writes", id="foreign writer"),
        pytest.param((plan("a"),), 1, "readiness changed", id="became ready"),
        pytest.param((plan("a"),), 0, "1 were written and 0.05 s were left", id="stale cache"),
        pytest.param((plan("a", writes=0),), 0, "stored costs were assumed to be correct", id="stored costs"),
    ],
)
def test_every_miss_is_explained(entries: tuple[PlanEntry, ...], missed_unready: int, words: str) -> None:
    verdict = plans(*entries).verdict(replace(down("b"), missed_unready=missed_unready), EPOCH)
    assert words in verdict.explain(verdict.down.victims[0])


def test_a_replica_that_does_not_answer_is_no_error() -> None:
    Plans().fetch("http://127.0.0.1:9/debug/plans")
