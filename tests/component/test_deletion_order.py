"""The model of Kubernetes' deletion order beside the ReplicaSet controller's own code, on random pods.

The controller's comparison is not transitive everywhere: rules 6 and 8 fall back to the UID where two ages have the
same power of two, and a third pod of equal age is told apart by a later rule. What it does with such a set depends on
the sequence in its cache. So the model is compared on every two pods, and on whole rankings where the comparison is an
order.
"""

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from spillway.domain.model.names import POD_DELETION_COST, OwnerUid, Tier, Zone
from spillway.domain.model.places import NodePlace
from spillway.domain.model.records import PodRecord, ReplicaSetRecord
from spillway.domain.scale_down.candidates import Candidate, candidates_of, related_pods
from spillway.domain.scale_down.kubernetes_order import kubernetes_order
from spillway.kube import decode
from tests.support.go_tools import ask, needs_go

Object = dict[str, Any]

QUESTIONS: Final = 900
PODS_AT_MOST: Final = 24
NOW: Final = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NAMESPACE: Final = "shop"
COSTS: Final = (None, None, None, "0", "5", "-5", "-1000000", "2147483647", "+5", "007", "ten", "2147483648")
AGES: Final = (-5, 0, 1, 2, 3, 4, 60, 100, 1000, 1000, 1000, 1001, 1500, 90_000, 5_000_000)


class Dice:
    """Random objects as the API server would show them; few distinct values, so that every rule gets its turn."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def stamp(self) -> str | None:
        if self.random.random() < 0.05:
            return None
        at = NOW.replace(microsecond=0) - timedelta(seconds=self.random.choice(AGES))
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")

    def statuses(self, names: tuple[str, ...]) -> list[Object]:
        return [{"name": name, "restartCount": self.random.choice((0, 0, 0, 1, 4))} for name in names]

    def pod(self, index: int, replicaset: Object) -> Object:
        dice = self.random
        cost = dice.choice(COSTS)
        own = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True}
        own |= {key: replicaset["metadata"][key] for key in ("name", "uid")}
        ready = dice.choice(("True", "True", "True", "True", "False", "Unknown", None))
        conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": self.stamp()}]
        if ready is not None:
            conditions.append({"type": "Ready", "status": ready, "lastTransitionTime": self.stamp()})
        metadata: Object = {
            "name": f"pod-{index}",
            "namespace": NAMESPACE,
            "uid": f"{dice.getrandbits(64):016x}",
            "labels": replicaset["spec"]["selector"]["matchLabels"],
            "annotations": {} if cost is None else {POD_DELETION_COST: cost},
            "ownerReferences": [own],
            "creationTimestamp": self.stamp(),
        }
        if dice.random() < 0.05:
            metadata["deletionTimestamp"] = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
        sidecar = {"name": "proxy", **({"restartPolicy": "Always"} if dice.random() < 0.7 else {})}
        phases = ("Running",) * 12 + ("Pending", "Unknown", "Succeeded", "Failed")
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "nodeName": dice.choice(("", "n1", "n1", "n2", "n3", "n4")),
                "containers": [{"name": "app"}, {"name": "log"}],
                "initContainers": [sidecar, {"name": "setup"}],
            },
            "status": {
                "phase": dice.choice(phases),
                "conditions": conditions,
                "containerStatuses": self.statuses(("app", "log")),
                "initContainerStatuses": self.statuses(("proxy", "setup")),
            },
        }

    def replicaset(self, index: int, owner: str, *, controls: bool) -> Object:
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": owner, "controller": controls}
        return {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"rs-{index}",
                "namespace": NAMESPACE,
                "uid": f"rs-{index}",
                "ownerReferences": [reference] if owner else [],
            },
            "spec": {"replicas": 1, "selector": {"matchLabels": {"hash": f"h{index}"}}},
        }

    def question(self) -> Object:
        owner = self.random.choice(("web", "web", "web", ""))
        controls = self.random.random() < 0.9
        replicasets = [self.replicaset(0, owner, controls=controls)]
        replicasets += [
            self.replicaset(index, self.random.choice((owner, "other")), controls=controls)
            for index in range(1, self.random.randint(1, 3))
        ]
        pods = [
            self.pod(index, self.random.choice((replicasets[0], *replicasets)))
            for index in range(self.random.randint(2, PODS_AT_MOST))
        ]
        return {"now": NOW.isoformat(), "target": "rs-0", "replicaSets": replicasets, "pods": pods}


def modelled(question: Object) -> Mapping[str, Candidate]:
    """The target's candidates by uid, by the same path as in the operator: decoded, indexed by owner, counted."""
    pods: dict[OwnerUid, list[PodRecord]] = {}
    for raw in question["pods"]:
        pod = decode.PODS.one(msgspec.json.encode(raw))
        pods.setdefault(pod.owner_uid, []).append(pod)
    replicasets = [decode.REPLICASETS.one(msgspec.json.encode(raw)) for raw in question["replicaSets"]]
    target = replicasets[0]
    siblings: list[ReplicaSetRecord] = [one for one in replicasets if one.owner_uid == target.owner_uid]
    candidates = candidates_of(
        pods.get(target.uid, ()),
        {},
        lambda _: NodePlace(tier=Tier.FIXED, zone=Zone("")),
        {},
        related=related_pods(target, siblings, lambda uid: pods.get(uid, [])),
    )
    return {candidate.uid: candidate for candidate in candidates}


@needs_go("deletion-order")
def test_the_model_agrees_with_the_controllers_own_code() -> None:
    dice = Dice(seed=20260301)
    questions = [dice.question() for _ in range(QUESTIONS)]
    answers = [json.loads(line) for line in ask("deletion-order", questions)]
    now = NOW.timestamp()
    compared = ranked = 0
    for question, answer in zip(questions, answers, strict=True):
        candidates = modelled(question)
        uids = answer["pods"]
        assert set(candidates) == set(uids), "the same pods are active"
        for i, first in enumerate(uids):
            for j, second in enumerate(uids):
                if answer["less"][i][j] == "1":
                    chosen = kubernetes_order([candidates[second], candidates[first]], now=now)[0]
                    assert chosen.uid == first, f"{candidates[first]} goes before {candidates[second]}"
                    compared += 1
        if sorted(row.count("1") for row in answer["less"]) == list(range(len(uids))):
            assert [one.uid for one in kubernetes_order(candidates.values(), now=now)] == answer["order"]
            ranked += len(uids)
    assert compared > 30_000
    assert ranked > 2_000
