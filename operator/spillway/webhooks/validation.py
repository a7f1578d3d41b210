"""Validation that the CRDs' CEL rules cannot express: time zones, recurring times, regular expressions, durations.

Contract: a refusal names the field by its path and gives an example of what is allowed. An invalid value that the
stored object already has is allowed: a value that was accepted while Spillway was not available must not prevent
closing a pool now.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple
from zoneinfo import available_timezones

import msgspec

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer, Denial, denied
from spillway.api.scalars import Duration
from spillway.api.zonalbalance import LEAST_REFRESH_SECONDS, Load
from spillway.domain.model.recurring import CronError, check_cron
from spillway.domain.pools.stock_out import ExpressionError, compile_expression


class _Finding(NamedTuple):
    field: str
    value: str
    message: str


Rule = Callable[[str], str | None]
"""A check: what is wrong with a value, and what would be right; None if it is valid."""

SectionRule = Callable[[Mapping[str, Any]], tuple[str, str] | None]
"""A check of a section: the field that is wrong beside the others, and what would be right; None if all are valid."""

_Path = tuple[str, ...]
_Place = tuple[_Path, Rule]


def time_zone_problem(name: str) -> str | None:
    if name in _time_zones() or not _time_zones():
        # An image without time zone data knows none, which is not the user's mistake.
        return None
    near = sorted(zone for zone in _time_zones() if name.lower().replace(" ", "_") in zone.lower())[:3]
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f'"{name}" is not an IANA time zone{hint}, for example Asia/Shanghai or UTC'


def cron_problem(text: str) -> str | None:
    try:
        check_cron(text)
    except CronError as error:
        return f'"{text}": {error}'
    return None


def period_problem(text: str) -> str | None:
    try:
        seconds = Duration(text).seconds
    except ValueError:
        return None  # The schema refuses it.
    return None if seconds else f'"{text}" is too short: must be longer than 0s, for example 5h'


def regex_problem(text: str) -> str | None:
    try:
        compile_expression(text)
    except ExpressionError as error:
        return f'"{text}" is not a regular expression in RE2 syntax ({error}), for example NoStock|OutOfStock'
    return None


def load_problem(load: Mapping[str, Any]) -> tuple[str, str] | None:
    try:
        known = Load.model_validate({name: load[name] for name in ("refresh", "staleAfter") if name in load})
    except ValueError:
        return None  # The schema refuses it.
    refresh, stale_after = known.refresh, known.stale_after
    if stale_after.seconds > known.refresh_seconds:
        return None
    least = f", and than {LEAST_REFRESH_SECONDS}s" if refresh.seconds < LEAST_REFRESH_SECONDS else ""
    return "staleAfter", (
        f'"{stale_after}" must be longer than refresh ("{refresh}"){least}, so that a reading counts until the next, '
        "for example {refresh: 30s, staleAfter: 3m}"
    )


_SCHEDULE: Final[tuple[_Place, ...]] = (
    (("start",), cron_problem),
    (("duration",), period_problem),
    (("timeZone",), time_zone_problem),
)

PLACES: Final[Mapping[str, tuple[_Place, ...]]] = {
    "elasticpolicies": tuple(
        ((*path, "*", *field), rule)
        for path in (
            ("spec", "workloads", "*", "scaling", "schedules"),
            ("spec", "workloads", "*", "scaling", "forecast", "occasions"),
            ("spec", "headroom", "schedules"),
        )
        for field, rule in _SCHEDULE
    ),
    "virtualnodebudgets": (
        (("spec", "timeZone"), time_zone_problem),
        (("spec", "stockOut", "detect", "*", "messageRegex"), regex_problem),
    ),
    "zonalbalances": (),
}
"""The paths to check in each kind; `*` is every entry of a list."""
SECTIONS: Final[Mapping[str, tuple[tuple[_Path, SectionRule], ...]]] = {
    "zonalbalances": ((("spec", "load"), load_problem),),
}
"""The sections whose fields are checked together."""


class ValidationWebhook:
    """The webhook that validates one of Spillway's kinds."""

    def __init__(self, plural: str) -> None:
        self._places = PLACES[plural]
        self._sections = SECTIONS.get(plural, ())

    async def __call__(self, request: AdmissionRequest, deadline: Deadline) -> Answer:  # noqa: ARG002 - waits for nothing
        new = msgspec.json.decode(request.object)
        old = msgspec.json.decode(request.old_object) if request.old_object else None
        stored = {(found.value, found.message) for found in self._findings(old)}
        return denied(
            Denial(found.message, found.field)
            for found in self._findings(new)
            if (found.value, found.message) not in stored
        )

    def _findings(self, raw: Any) -> Iterator[_Finding]:  # noqa: ANN401 - JSON is anything
        for path, rule in self._places:
            for field, value in _at(raw, path, ""):
                if isinstance(value, str) and (problem := rule(value)) is not None:
                    yield _Finding(field, value, problem)
        for path, check in self._sections:
            for field, section in _at(raw, path, ""):
                if isinstance(section, dict) and (wrong := check(section)) is not None:
                    name, problem = wrong
                    yield _Finding(f"{field}.{name}", "", problem)


def _at(raw: Any, path: _Path, field: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    if not path:
        yield field, raw
    elif path[0] == "*":
        for index, entry in enumerate(raw if isinstance(raw, list) else ()):
            yield from _at(entry, path[1:], f"{field}[{index}]")
    elif isinstance(raw, dict) and path[0] in raw:
        yield from _at(raw[path[0]], path[1:], f"{field}.{path[0]}" if field else path[0])


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
