"""A webhook on pods with a state, a placer and a leader, for the tests of its subjects."""

from collections.abc import Mapping
from typing import Any

import msgspec

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import LetGoError
from spillway.domain.model.additions import pointer
from spillway.domain.policies.governance import Governance
from spillway.state.board import Board
from spillway.state.node_places import NodePlaces
from spillway.state.pool_membership import PoolMembership
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from spillway.telemetry.registry import REGISTRY
from spillway.webhooks.limit_ranges import LimitRanges
from spillway.webhooks.lookup import Lookup
from spillway.webhooks.placer import Placer
from spillway.webhooks.pods import PodWebhook
from spillway.webhooks.workloads import Workloads
from tests.builders import (
    VAST,
    make_namespace,
    make_node,
    make_replicaset,
    make_state,
)
from tests.support.fake_reader import FakeReader
from tests.support.fake_recorder import FakeRecorder
from tests.support.placement import incoming, labels_of

CLAIM = "/api/v1/namespaces/shop/persistentvolumeclaims/disk"
VOLUME = "/api/v1/persistentvolumes/pv-1"
REPLICASET = "/apis/apps/v1/namespaces/shop/replicasets/web"
NEW_REPLICASET = "/apis/apps/v1/namespaces/shop/replicasets/web-2"
JOB = "/apis/batch/v1/namespaces/shop/jobs/nightly-1"


AUTO = {"threshold": {"mode": "Auto"}}


class Scene:
    def __init__(self, governance: Governance, *, leads: bool = True) -> None:
        self.state = make_state()
        self.server = FakeReader()
        self.recorder = FakeRecorder()
        self.forwarded: list[str] = []
        self.leader_answers = True
        self.state.apply(make_namespace("shop"))
        self.state.apply(make_node("f1"))
        self.state.apply(make_node("v1", labels=labels_of("a"), **VAST))
        self.state.apply(make_replicaset(replicas=100))
        self.state.mark_synced()
        self.leads = leads
        clock = lambda: 0.0  # noqa: E731 - time does not pass
        self.board = board = Board(clock, lambda: self.leads)
        board.verdicts_read.set()
        board.spent_read.set()
        lookup = Lookup(self.state, self.server)
        self.usage = LiveUsage(self.state, PoolMembership(self.state, lambda: governance), Reservations(clock))
        self.webhook = PodWebhook(
            NodePlaces(self.state, lambda: governance, clock, now=clock),
            Workloads(self.state, lookup, lambda: governance),
            Placer(self.usage, board, lambda: governance),
            board,
            limit_ranges=LimitRanges(lookup, clock),
            events=self.recorder,
            forward=self._forward,
        )

    async def _forward(self, request: AdmissionRequest, _: Deadline) -> Answer:
        if not self.leader_answers:
            raise LetGoError("forward-refused")
        self.forwarded.append(request.uid)
        return Answer("forwarded")

    def request(self, pod: Mapping[str, Any] | None = None, *, dry_run: bool = False) -> AdmissionRequest:
        raw = msgspec.Raw(msgspec.json.encode(pod or incoming()))
        return AdmissionRequest(uid="u", operation="CREATE", namespace="shop", dry_run=dry_run, object=raw)

    async def ask(self, pod: Mapping[str, Any] | None = None, *, dry_run: bool = False) -> Answer:
        return await self.webhook(self.request(pod, dry_run=dry_run), Deadline(lambda: 0.0, 1.0))


def decided(reason: str) -> float:
    labels = {"policy": "online", "decision": "physical", "reason": reason}
    return REGISTRY.get_sample_value("spillway_placement_decisions_total", labels) or 0.0


def patched_paths(answer: Answer) -> set[str]:
    return {pointer(*addition.path) for addition in answer.additions}


def job_object(**owner: Any) -> dict[str, Any]:
    return {"metadata": {"uid": "job-1", "ownerReferences": [{"controller": True, **owner}] if owner else []}}
