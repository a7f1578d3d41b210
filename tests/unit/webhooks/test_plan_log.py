from typing import Any

import msgspec

from spillway.domain.model.names import NodeName, PodUid, Tier, Zone
from spillway.domain.model.owners import object_reference
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.ranking import Victim
from spillway.domain.scale_down.reasons import VictimReason
from spillway.webhooks.plan_log import VICTIMS_KEPT, PlanEntry, PlanLog, planned_victims
from spillway.webhooks.scale_down_events import announcer
from tests.support.fake_recorder import FakeRecorder


def _candidates(count: int) -> dict[PodUid, Candidate]:
    return {
        PodUid(f"u{index}"): Candidate(
            uid=PodUid(f"u{index}"), name=f"web-{index}", node=NodeName("v1"), zone=Zone("a"), tier=Tier.VIRTUAL
        )
        for index in range(count)
    }


def _entry(**changes: Any) -> PlanEntry:
    candidates = _candidates(3)
    victims = planned_victims([Victim(uid, VictimReason.VIRTUAL) for uid in candidates], candidates, {PodUid("u0"): -5})
    entry = PlanEntry(
        at=1.0,
        namespace="shop",
        replicaset="web-1",
        replicaset_uid="rs",
        owner_kind="Deployment",
        owner_name="web",
        owner_uid="d",
        about=object_reference("apps/v1", "Deployment", "web", "d", namespace="shop"),
        policy="online",
        outcome="written",
        old_replicas=10,
        new_replicas=7,
        mirror=False,
        victims=victims,
        planned=3,
        writes=1,
        hold_seconds=0.02,
        settle_seconds=0.01,
    )
    return msgspec.structs.replace(entry, **changes)


def test_a_plan_says_how_many_of_which_tier_and_why() -> None:
    assert _entry().summary == "10 to 7 replicas: 3 pods are deleted (3 virtual), by the rules 3 Virtual"
    assert [victim.written for victim in _entry().victims] == [True, False, False]
    assert "web-0" in _entry().victims[0].why


def test_the_log_is_bounded_and_readable() -> None:
    log = PlanLog(size=2)
    heard: list[PlanEntry] = []
    log.subscribe(heard.append)
    for number in range(3):
        log.add(_entry(new_replicas=number))
    assert [entry["new_replicas"] for entry in msgspec.json.decode(log.as_json())] == [1, 2]
    assert len(heard) == 3


def test_of_a_huge_plan_the_first_victims_are_kept() -> None:
    candidates = _candidates(VICTIMS_KEPT + 10)
    victims = [Victim(uid, VictimReason.VIRTUAL) for uid in candidates]
    assert len(planned_victims(victims, candidates, {})) == VICTIMS_KEPT


def test_an_event_goes_to_what_users_scaled() -> None:
    recorder = FakeRecorder()
    announce = announcer(recorder)
    announce(_entry())
    announce(_entry(about=object_reference("argoproj.io/v1alpha1", "Rollout", "web", "r", namespace="shop")))
    announce(_entry(let_go="not-seen"))
    announce(_entry(outcome="recommend"))
    assert [(version, *said[:2]) for version, said in zip(recorder.api_versions, recorder.said, strict=True)] == [
        ("apps/v1", "Deployment/web", "Normal ScaleDownPlanned"),
        ("argoproj.io/v1alpha1", "Rollout/web", "Normal ScaleDownPlanned"),
        ("apps/v1", "Deployment/web", "Warning ScaleDownLetGo"),
    ]
    assert "not-seen" in recorder.said[2].message
    assert "web-0 (Virtual), web-1 (Virtual), web-2 (Virtual)" in recorder.said[0].message


def test_a_storm_in_one_namespace_hides_no_plan_of_another() -> None:
    log = PlanLog(size=4)
    log.add(_entry(namespace="shop", replicaset="web-1"))
    for number in range(10):
        log.add(_entry(namespace="hostile", replicaset=f"storm-{number}"))
    assert [entry.replicaset for entry in log.entries] == ["web-1", "storm-7", "storm-8", "storm-9"]
