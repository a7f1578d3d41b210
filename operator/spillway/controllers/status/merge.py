"""The merge of the parts that features contribute into the status to write.

Contract: pure. `Ready` is always present. A condition that is True in an unusual situation appears when it is first
True and then stays, as False once the situation is over, so that `kubectl wait` can wait for its end. A condition that
is True in the usual situation is present while some feature observes it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from spillway.api.common import Status
from spillway.api.conditions import NORMALLY_TRUE, READY, STALLED, Condition, find, merge
from spillway.controllers.status.part import ObservedCondition, StatusPart

S = TypeVar("S", bound=Status)


def merged_status(current: S, parts: Iterable[StatusPart], *, generation: int, now: datetime) -> S:
    """The status to write for a resource whose present status is `current`."""
    parts = tuple(parts)
    observed = [condition for part in parts for condition in part.conditions]
    status = current.model_copy(
        update={
            **{name: value for part in parts for name, value in part.fields.items()},
            "observed_generation": generation,
            "conditions": merged_conditions(current.conditions, observed, generation=generation, now=now),
        }
    )
    kept = {name: value for part in parts for name, value in part.if_nothing_else_changed.items()}
    unchanged = status.model_copy(update=kept)
    return unchanged if kept and unchanged.wire() == current.wire() else status


def merged_conditions(
    current: Iterable[Condition], observed: Iterable[ObservedCondition], *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions to write; of several observations of one type the first counts.

    A condition that is no longer observed is resolved; one that is normally True goes, since False is a problem.
    """
    current = tuple(current)
    found: dict[str, Condition] = {}
    for one in observed:
        present = one.holds or one.type in NORMALLY_TRUE or find(current, one.type) is not None
        if present and one.type not in found:
            found[one.type] = Condition.make(one.type, holds=one.holds, reason=one.reason, message=one.message, now=now)
    kept = [old for old in current if old.type in found or old.type not in NORMALLY_TRUE]
    over = [
        Condition.make(
            old.type, holds=False, reason="Resolved", message="The condition does not apply any more.", now=now
        )
        for old in kept
        if old.type not in found
    ]
    return merge(kept, [*found.values(), *over], generation=generation)


def conditions_in(status: Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions of a status as it was read; none if they cannot be parsed."""
    try:
        return Status.model_validate({"conditions": status.get("conditions", ())}).conditions
    except ValidationError:
        return ()


def unreadable(status: Mapping[str, Any], error: str, *, generation: int, now: datetime) -> Status:
    """The status of a resource of which no version could ever be parsed."""
    message = f"The resource is not valid, so nothing of it is in force: {error}"
    invalid = [
        Condition.make(kind, holds=holds, reason="Invalid", message=message, now=now)
        for kind, holds in ((READY, False), (STALLED, True))
    ]
    merged = merge(conditions_in(status), invalid, generation=generation)
    return Status(observed_generation=generation, conditions=merged)
