"""The wording of the Events about a bring-back: why a workload stays as it is, and how a surge ended."""

from typing import Final

from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.steps import SurgeOutcome

SAID: Final = {
    Left.PAUSED: "it is paused",
    Left.AUTOSCALER_AT_MAXIMUM: "its HorizontalPodAutoscaler allows no additional replica",
    Left.FOREIGN_WRITER: "another client writes its deletion costs, so it is not known which replica would be deleted",
    Left.EXACT_REPLICAS: "its class has scheduleOnly, so only its schedules change how many replicas it has",
    Left.CANNOT_SURGE: "it cannot run an additional replica for a while",
}
"""Reasons that only the user can change, for an Event; the others pass without action."""


TOLD: Final = {
    SurgeOutcome.NO_ROOM: "no physical node took it",
    SurgeOutcome.NOT_READY: "not every replica was ready in time",
    SurgeOutcome.REFUSED: "the API server refused the additional replica",
    SurgeOutcome.NO_GAIN: "the additional replica is on a virtual node too",
    SurgeOutcome.OVERTAKEN: "another client scaled the workload in the meantime",
}


def outcome_label(outcome: SurgeOutcome) -> str:
    """The outcome as the metric and the log name it."""
    return "BroughtBack" if outcome is SurgeOutcome.SUCCEEDED else outcome.value
