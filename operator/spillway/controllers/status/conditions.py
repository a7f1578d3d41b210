"""The conditions that every kind of ours has, from what is known about one resource.

Contract: `Ready` is always there. A condition that tells of something unusual appears when it first holds and then
stays, as False when it is over, so that a `kubectl wait` for its end works; before that it is absent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from spillway.api.common import Status
from spillway.api.conditions import DEGRADED, READY, Condition, find, merge, not_implemented
from spillway.domain.policies.governance import Problem

GOOD_WHEN_TRUE: Final = frozenset({READY, "Healthy", "InStock"})
"""Conditions that hold while all is well; every other is True while something unusual holds."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known about one resource besides its counts. `rejected` says why its newest form was refused."""

    problems: tuple[Problem, ...] = ()
    not_implemented: tuple[str, ...] = ()
    rejected: str = ""
    stale: str = ""
    """Which data is too old to act on; empty where it is fresh."""


@dataclass(frozen=True, slots=True)
class Unusual:
    """One condition that is True while something unusual holds."""

    kind: str
    holds: bool
    reason: str
    message: str


def conditions(
    current: Iterable[Condition],
    findings: Findings,
    ready: Condition,
    unusual: Iterable[Unusual] = (),
    *,
    also: Iterable[Condition] = (),
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """The conditions to write, merged with the present ones; `ready` is what Ready says while nothing is wrong.

    `also` are written as they are.
    """
    current = tuple(current)
    found = [_summary(findings, ready, now), *also]
    if findings.not_implemented or find(current, "NotImplemented"):
        found.append(not_implemented(findings.not_implemented, now=now))
    rest = [*unusual, _degraded(findings), *_from_problems(findings)]
    found.extend(
        Condition.make(one.kind, holds=one.holds, reason=one.reason, message=one.message, now=now)
        for one in rest
        if one.holds or find(current, one.kind) is not None
    )
    present = {condition.type for condition in found}
    over = [
        Condition.make(old.type, holds=False, reason="Resolved", message="No longer so.", now=now)
        for old in current
        if old.type not in present
    ]
    return merge(current, [*found, *over], generation=generation)


def standing(status: Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions that stand in a status as it was read; none where we do not understand them."""
    try:
        return Status.model_validate({"conditions": status.get("conditions", ())}).conditions
    except ValidationError:
        return ()


def unreadable(status: Mapping[str, Any], error: str, *, generation: int, now: datetime) -> Status:
    """What to say of a resource that was never understood."""
    message = f"The resource was not understood and nothing that it asks for is done: {error}"
    invalid = Condition.make(READY, holds=False, reason="Invalid", message=message, now=now)
    merged = merge(standing(status), [invalid], generation=generation)
    return Status(observed_generation=generation, conditions=merged)


def _summary(findings: Findings, ready: Condition, now: datetime) -> Condition:
    if findings.rejected:
        message = f"The newest form was not understood and the one before it stays in force: {findings.rejected}"
        return Condition.make(READY, holds=False, reason="Invalid", message=message, now=now)
    if findings.problems:
        message = " ".join(problem.message for problem in findings.problems)
        return Condition.make(READY, holds=False, reason=findings.problems[0].reason, message=message, now=now)
    return ready


def _degraded(findings: Findings) -> Unusual:
    if findings.stale:
        message = f"Nothing is changed until the data is fresh again: {findings.stale}."
        return Unusual(DEGRADED, holds=True, reason="StaleData", message=message)
    return Unusual(DEGRADED, holds=False, reason="DataIsFresh", message="Decisions stand on fresh data.")


def _from_problems(findings: Findings) -> Iterable[Unusual]:
    """Problems that name a condition of their own: one each type, with all of its messages."""
    types = dict.fromkeys(problem.type for problem in findings.problems if problem.type != READY)
    for kind in types:
        of_kind = [problem for problem in findings.problems if problem.type == kind]
        message = " ".join(problem.message for problem in of_kind)
        yield Unusual(kind, holds=True, reason=of_kind[0].reason, message=message)
