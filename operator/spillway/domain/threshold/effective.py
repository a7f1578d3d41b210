"""The effective threshold of a workload: from its annotation, the number in the policy, or the plan.

Contract: the annotation `spillway.dev/threshold` overrides everything, including `min` and `max`; then the number of
mode Manual; then the plan of mode Auto; `min` and `max` bound both. No number (None) means that every replica is
physical, which also holds until there is a plan. An invalid annotation is ignored: the webhook refuses it, but one that
was written while the webhook was not available must not decide anything; it is reported as a problem.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spillway.api.common import MOST_REPLICAS
from spillway.api.elasticpolicy import Threshold
from spillway.domain.model.names import THRESHOLD
from spillway.domain.model.owners import JOBS, PER_NODE

_CANONICAL: Final = re.compile(r"0|[1-9][0-9]{0,6}")


READ_ON: Final = "Deployments, ReplicaSets, ReplicationControllers, StatefulSets and Argo Rollouts"
"""The workloads on which the annotation is read."""


class AnnotationError(ValueError):
    """The annotation is not a number of replicas; the message says what is allowed."""


class ThresholdReason(StrEnum):
    """The source of a workload's threshold."""

    ANNOTATION = "Annotation"
    """The annotation on the workload."""
    MANUAL = "Manual"
    """The number in the policy."""
    AUTO = "Auto"
    """The plan over all workloads."""
    LEARNING_HISTORY = "LearningHistory"
    """Auto without a plan yet: everything is physical."""
    NOT_PLANNED = "NotPlanned"
    """Auto for a kind without ReplicaSets, whose demand is unknown: everything is physical, and stays so."""
    NO_THRESHOLD = "NoThreshold"
    """The class has none: everything is physical, and virtual nodes are only for replicas that find no room."""


@dataclass(frozen=True, slots=True)
class EffectiveThreshold:
    """A workload's threshold: replicas to keep on physical nodes, None for all of them."""

    replicas: int | None
    reason: ThresholdReason
    problem: str = ""
    """What is wrong with the annotation, for the user; empty if it is valid."""


def parse_annotation(text: str) -> int | None:
    """The number of replicas that the annotation gives; None for an empty text (there is no annotation).

    Raises:
        AnnotationError: the text is not a whole number from 0 to a million in its plain form (no sign, no leading
        zero).
    """
    if not text:
        return None
    if _CANONICAL.fullmatch(text) is None or int(text) > MOST_REPLICAS:
        raise AnnotationError(
            f"the annotation {THRESHOLD} must be a whole number from 0 to {MOST_REPLICAS}, for example"
            f' {THRESHOLD}: "12" keeps 12 replicas on physical nodes; not "{text[:64]}"'
        )
    return int(text)


def unread_on(kind: str) -> str:
    """Why the annotation means nothing on a workload of this kind, for the user."""
    why = ""
    if kind in PER_NODE:
        why = ", because its pods belong to their nodes"
    elif kind in JOBS:
        why = ", because its pods are not replicas of a service"
    return f"the annotation {THRESHOLD} has no effect on a {kind}{why}: it is read on {READ_ON}"


def effective(
    threshold: Threshold | None, annotation: str, auto: int | None, *, planned: bool = True
) -> EffectiveThreshold:
    """The threshold of a workload of a class with this `threshold`.

    `annotation` is the workload's, empty for none; `auto` is the plan's number, None while there is no plan; `planned`
    is whether there will be one, as there is for what has ReplicaSets.
    """
    problem = ""
    try:
        given = parse_annotation(annotation)
    except AnnotationError as error:
        given, problem = None, str(error)
    if given is not None:
        return EffectiveThreshold(given, ThresholdReason.ANNOTATION)
    if threshold is None:
        return EffectiveThreshold(None, ThresholdReason.NO_THRESHOLD, problem)
    if threshold.mode == "Manual":
        return EffectiveThreshold(bounded(threshold, threshold.replicas or 0), ThresholdReason.MANUAL, problem)
    if auto is None:
        reason = ThresholdReason.LEARNING_HISTORY if planned else ThresholdReason.NOT_PLANNED
        return EffectiveThreshold(None, reason, problem)
    return EffectiveThreshold(bounded(threshold, auto), ThresholdReason.AUTO, problem)


def bounded(threshold: Threshold, replicas: int) -> int:
    """`replicas` within the spec's `min` and `max`."""
    if threshold.max is not None:
        replicas = min(replicas, threshold.max)
    return max(replicas, threshold.min or 0)
