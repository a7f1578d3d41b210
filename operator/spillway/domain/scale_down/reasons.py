"""The reasons for which a pod is chosen as a victim, and their sentences in Events and logs."""

from enum import StrEnum
from typing import Final

from spillway.domain.scale_down.candidates import Candidate


class VictimReason(StrEnum):
    """The rule of the scale-down order that chose a pod."""

    UNASSIGNED = "Unassigned"
    PENDING = "Pending"
    PHASE_UNKNOWN = "PhaseUnknown"
    NOT_READY = "NotReady"
    REPLACED = "Replaced"
    VIRTUAL = "Virtual"
    ZONE_SKEW = "ZoneSkew"
    ZONE_LOAD = "ZoneLoad"
    ELASTIC = "Elastic"
    FIXED_DOUBLED = "FixedDoubled"
    FIXED_HOT = "FixedHot"
    FIXED = "Fixed"
    ROLLOUT_FIXED = "RolloutFixed"
    ROLLOUT_ELASTIC = "RolloutElastic"
    ROLLOUT_VIRTUAL = "RolloutVirtual"


_BY_KUBERNETES: Final = "Kubernetes itself deletes such pods before any ready one, whatever their deletion cost"

_SENTENCES: Final = {
    VictimReason.UNASSIGNED: f"it was on no node yet: {_BY_KUBERNETES}",
    VictimReason.PENDING: f"it had not started yet: {_BY_KUBERNETES}",
    VictimReason.PHASE_UNKNOWN: f"its node does not answer: {_BY_KUBERNETES}",
    VictimReason.NOT_READY: f"it was not ready: {_BY_KUBERNETES}",
    VictimReason.REPLACED: "a surge moves it off {node}: its successor is ready elsewhere",
    VictimReason.VIRTUAL: "{virtual} is the most expensive tier still in use",
    VictimReason.ZONE_SKEW: "{zone} had more pods of this workload than the zone spread allows once fewer remain",
    VictimReason.ZONE_LOAD: (
        "{zone} has the lowest load of this workload among the zones from which a pod may be deleted"
    ),
    VictimReason.ELASTIC: "{elastic} is the next one to be emptied among those this workload runs on",
    VictimReason.FIXED_DOUBLED: "{fixed} had more pods of this workload than any other it could be taken from",
    VictimReason.FIXED_HOT: "{fixed} is hot: its real load is above the limit of a ZonalBalance",
    VictimReason.FIXED: "only pods on fixed nodes were left, and it was the newest of those that are otherwise equal",
    VictimReason.ROLLOUT_FIXED: "a rollout replaces it: fixed nodes are freed first, for the new version's pods",
    VictimReason.ROLLOUT_ELASTIC: "a rollout replaces it: {elastic} is the one that will stay longest",
    VictimReason.ROLLOUT_VIRTUAL: "a rollout replaces it: {virtual} is freed last",
}


def because(reason: VictimReason, victim: Candidate | None = None) -> str:
    """The clause that says why a pod is deleted; without the victim, what the rule means in general."""
    if victim is None:
        return _SENTENCES[reason].format(
            node="its node",
            elastic="its elastic node",
            fixed="its fixed node",
            zone="its zone",
            virtual="the virtual tier",
        )
    node = victim.node or "none"
    return _SENTENCES[reason].format(
        node=f"node {node}",
        elastic=f"its elastic node {node}",
        fixed=f"fixed node {node}",
        zone=f"zone {victim.zone or 'unknown'}",
        virtual=f"virtual pool {victim.pool}" if victim.pool else "the virtual tier",
    )


def explain(reason: VictimReason, victim: Candidate | None = None) -> str:
    """The sentence that says why a pod is deleted; without the victim, what the rule means in general."""
    clause = because(reason, victim)
    return clause if victim is None else f"pod {victim.name} deleted: {clause}"
