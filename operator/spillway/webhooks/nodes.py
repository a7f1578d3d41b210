"""The webhook on CREATE `nodes`: a node gets its taint and its cordon in the write that creates it.

Contract: the plans are those of the controllers that repair (`domain.nodes`), so both agree. A node that another client
creates unschedulable gets no mark. The answer depends on the policies alone and not on the cluster's state.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.domain.model.additions import Addition, annotation_additions
from spillway.domain.model.names import CORDONED_BY
from spillway.domain.model.records import NodeRecord, Taint
from spillway.domain.nodes.cordon import BudgetCordon, plan_cordon
from spillway.domain.nodes.taints import plan_taint
from spillway.kube.decode import NODES
from spillway.state.node_places import NodePlaces


class _Metadata(msgspec.Struct, frozen=True):
    annotations: dict[str, str] | None = None


class _Spec(msgspec.Struct, frozen=True):
    taints: list[dict[str, Any]] | None = None


class _RawNode(msgspec.Struct, frozen=True):
    """The part of the sent object that a patch needs."""

    metadata: _Metadata
    spec: _Spec | None = None


_decoder: Final = msgspec.json.Decoder(_RawNode)


class NodeWebhook:
    """The webhook that gives new nodes their taint and their cordon."""

    def __init__(self, places: NodePlaces, now: Callable[[], float]) -> None:
        self._places = places
        self._now = now

    async def __call__(self, request: AdmissionRequest, deadline: Deadline) -> Answer:  # noqa: ARG002 - waits for nothing
        node = NODES.one(request.object)
        raw = _decoder.decode(request.object)
        if node.deleting:
            return Answer("unchanged")
        spec: list[Addition] = []
        marks: dict[str, str] = {}
        wanted = self._taint(node)
        if wanted is not None:
            spec.append(_add_taint(raw, wanted))
        budget = self._closed_by(node)
        if budget is not None:
            spec.append(Addition(("spec", "unschedulable"), value=True))
            marks[CORDONED_BY] = budget
        if not spec:
            return Answer("unchanged")
        if raw.spec is None:
            spec.insert(0, Addition(("spec",), {}))
        outcome = "closed" if budget is not None else "tainted"
        return Answer(outcome, (*spec, *annotation_additions(raw.metadata.annotations, marks)))

    def _taint(self, node: NodeRecord) -> Taint | None:
        plan = plan_taint(node, self._places.governance.elastic_owner(node))
        return plan.wanted[-1] if plan is not None and plan.added else None

    def _closed_by(self, node: NodeRecord) -> str | None:
        governance = self._places.governance
        budget = governance.budget_of(node)
        if budget is None:
            return None
        plan = plan_cordon(node, budget, {budget: BudgetCordon.of(governance.budgets[budget])}, self._now())
        return plan.mark if plan is not None and plan.unschedulable else None


def _add_taint(raw: _RawNode, taint: Taint) -> Addition:
    value = {"key": taint.key, "effect": taint.effect, "value": taint.value}
    present = raw.spec.taints if raw.spec is not None else None
    if present is None:
        return Addition(("spec", "taints"), [value])
    others = [entry for entry in present if entry.get("key") != taint.key]
    if len(others) != len(present):
        return Addition(("spec", "taints"), [*others, value])
    return Addition(("spec", "taints", "-"), value)
