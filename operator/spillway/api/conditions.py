"""Conditions in the form of `metav1.Condition`, merged so that the transition time is when the status last changed.

Contract: `Ready` says that the spec is valid and in force; kstatus, `kubectl wait`, Flux and Argo CD read it, and
`Reconciling` and `Stalled` as well. What happens in the cluster has conditions of its own. A type in `NORMALLY_TRUE` is
True while all is well; every other type is True while an exceptional state lasts, and absent or False otherwise. Pure:
the caller passes the time.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field

from spillway.api.scalars import Timestamp
from spillway.api.schema import Model

READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
"""The object waits for something that comes by itself, such as a budget that is not applied yet."""
STALLED: Final = "Stalled"
"""The object's spec has to be changed before anything more happens."""
ACCEPTING: Final = "Accepting"
"""A pool takes new pods."""
DEGRADED: Final = "Degraded"
NOT_IMPLEMENTED: Final = "NotImplemented"
FOREIGN_WRITER: Final = "ForeignWriter"
HEALTHY: Final = "Healthy"
IN_STOCK: Final = "InStock"
OVERLAY_INVALID: Final = "OverlayInvalid"
"""The API server takes no pod with a pool's podOverlay."""
HEADROOM_READY: Final = "HeadroomReady"
"""All of a policy's headroom has a node."""
METRIC_NOT_SERVED: Final = "MetricNotServed"
"""Autoscalers cannot read the recommended replicas as an external metric."""
PODS_REFUSED: Final = "PodsRefused"
"""The API server refuses pods that were made for a pool."""

NORMALLY_TRUE: Final = frozenset({READY, ACCEPTING, HEALTHY, IN_STOCK, HEADROOM_READY})
"""Conditions that are True while all is well; every other condition is True in an unusual situation."""

_MESSAGE_MAX: Final = 32_768


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of the object's state, in the form of metav1.Condition."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
    ]
    """The aspect that the condition describes, in CamelCase: Ready, Degraded, NotImplemented, ForeignWriter."""

    status: ConditionStatus
    """Whether it holds: True, False or Unknown."""

    observed_generation: Annotated[int | None, Field(ge=0, json_schema_extra={"format": "int64"})] = None
    """The metadata.generation for which the condition was determined."""

    last_transition_time: Timestamp
    """When `status` last changed."""

    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """The reason, as one CamelCase word for programs."""

    message: Annotated[str, Field(max_length=_MESSAGE_MAX)] = ""
    """The reason, as a sentence for people: what is wrong, and what would be right."""

    @classmethod
    def make(cls, kind: str, *, holds: bool | None, reason: str, message: str, now: datetime) -> Self:
        """A condition as determined at `now`; `holds=None` means that it is not known."""
        status = ConditionStatus.UNKNOWN if holds is None else ConditionStatus(str(holds))
        return cls(type=kind, status=status, reason=reason, message=message[:_MESSAGE_MAX], last_transition_time=now)


def merge(current: Iterable[Condition], found: Iterable[Condition], *, generation: int) -> tuple[Condition, ...]:
    """The conditions to write: those of `found`, and those of `current` whose types are not in `found`.

    A condition whose status did not change keeps its transition time, so writing the same conditions again changes
    nothing. Ready comes first, the others follow by type. `without()` removes a type that must disappear.
    """
    before = {condition.type: condition for condition in current}
    merged = dict(before)
    for new in found:
        old = before.get(new.type)
        since = old.last_transition_time if old and old.status == new.status else new.last_transition_time
        merged[new.type] = new.model_copy(update={"last_transition_time": since, "observed_generation": generation})
    return tuple(sorted(merged.values(), key=lambda condition: (condition.type != READY, condition.type)))


def without(current: Iterable[Condition], *types: str) -> tuple[Condition, ...]:
    """The conditions except those of `types`."""
    return tuple(condition for condition in current if condition.type not in types)


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of this type, or None."""
    return next((condition for condition in conditions if condition.type == kind), None)
