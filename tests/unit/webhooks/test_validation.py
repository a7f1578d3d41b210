from typing import Any

import msgspec
import pytest

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.webhooks.validation import ValidationWebhook, regex_problem, time_zone_problem


async def _ask(plural: str, new: dict[str, Any], old: dict[str, Any] | None = None) -> Answer:
    request = AdmissionRequest(
        uid="u",
        object=msgspec.Raw(msgspec.json.encode(new)),
        old_object=msgspec.Raw(msgspec.json.encode(old)) if old is not None else msgspec.Raw(),
    )
    return await ValidationWebhook(plural)(request, Deadline(lambda: 0.0, 1.0))


def _policy(**schedule: str) -> dict[str, Any]:
    return {"spec": {"workloads": [{"name": "a"}, {"name": "b", "scaling": {"schedules": [schedule]}}]}}


def _budget(**spec: Any) -> dict[str, Any]:
    return {"spec": spec}


@pytest.mark.parametrize(
    ("plural", "raw", "field", "says"),
    [
        (
            "elasticpolicies",
            _policy(start="0 18 * * *", timeZone="Asia/Shanghia"),
            "spec.workloads[1].scaling.schedules[0].timeZone",
            "for example Asia/Shanghai",
        ),
        (
            "elasticpolicies",
            _policy(start="0 25 * * *"),
            "spec.workloads[1].scaling.schedules[0].start",
            "hour",
        ),
        (
            "elasticpolicies",
            {"spec": {"workloads": [{"scaling": {"forecast": {"occasions": [{"timeZone": "Mars/Base"}]}}}]}},
            "spec.workloads[0].scaling.forecast.occasions[0].timeZone",
            "for example Asia/Shanghai",
        ),
        (
            "elasticpolicies",
            {"spec": {"headroom": {"schedules": [{"start": "0 0 30 2 *"}]}}},
            "spec.headroom.schedules[0].start",
            "never comes",
        ),
        ("virtualnodebudgets", _budget(timeZone="shanghai"), "spec.timeZone", "did you mean Asia/Shanghai"),
        (
            "virtualnodebudgets",
            _budget(stockOut={"detect": [{"reason": "x"}, {"messageRegex": "No(Stock"}]}),
            "spec.stockOut.detect[1].messageRegex",
            "for example NoStock",
        ),
        (
            "virtualnodebudgets",
            _budget(stockOut={"detect": [{"messageRegex": "(?!sold )out"}]}),
            "spec.stockOut.detect[0].messageRegex",
            "RE2 syntax",
        ),
    ],
)
async def test_the_field_and_an_example_are_named(plural: str, raw: dict[str, Any], field: str, says: str) -> None:
    answer = await _ask(plural, raw)
    assert [denial.field for denial in answer.denials] == [field]
    assert says in answer.denials[0].message


async def test_what_is_right_passes() -> None:
    assert not (await _ask("elasticpolicies", _policy(start="0 18 * * MON-FRI", timeZone="Asia/Shanghai"))).denials
    good = _budget(timeZone="UTC", stockOut={"detect": [{"messageRegex": "NoStock|Out.*Stock"}]})
    assert not (await _ask("virtualnodebudgets", good)).denials
    assert not (await _ask("zonalbalances", {"spec": {}})).denials


@pytest.mark.parametrize(
    ("load", "refused"),
    [
        ({"refresh": "30s", "staleAfter": "30s"}, True),
        ({"refresh": "1h", "staleAfter": "50m"}, True),
        ({"refresh": "10m"}, True),
        ({"staleAfter": "20s"}, True),
        ({"refresh": "2m"}, False),
        ({"staleAfter": "31s", "refresh": "30s"}, False),
        ({"staleAfter": "3s", "refresh": "1s"}, True),
        ({"staleAfter": "6s", "refresh": "0s"}, False),
        ({"refresh": "soon", "staleAfter": 5}, False),
        ({}, False),
        ("all", False),
    ],
)
async def test_a_reading_that_is_stale_before_the_next_one_is_refused(load: Any, *, refused: bool) -> None:
    answer = await _ask("zonalbalances", {"spec": {"load": load}})
    assert [denial.field for denial in answer.denials] == ["spec.load.staleAfter"] * refused
    assert all("for example {refresh: 30s, staleAfter: 3m}" in denial.message for denial in answer.denials)


async def test_what_stands_already_does_not_stop_a_cordon() -> None:
    old = _budget(timeZone="Mars/Olympus", cordon="None")
    answer = await _ask("virtualnodebudgets", _budget(timeZone="Mars/Olympus", cordon="Hold"), old)
    assert not answer.denials
    assert (await _ask("virtualnodebudgets", _budget(timeZone="Mars/Hellas"), old)).denials


@pytest.mark.parametrize("text", [r"(?=a)b", r"(?<!a)b", r"(a)\1", r"a++"])
def test_what_re2_has_not_is_refused(text: str) -> None:
    assert regex_problem(text) is not None


@pytest.mark.parametrize("text", [r"NoStock|OutOfStock", r"(?i)no\s+stock", r"(?P<zone>[a-z]+)", r"\\1", r"a+?"])
def test_what_re2_has_is_taken(text: str) -> None:
    assert regex_problem(text) is None


def test_odd_shapes_are_left_to_the_schema() -> None:
    assert time_zone_problem("UTC") is None


async def test_a_time_that_lasts_no_time_is_refused() -> None:
    answer = await _ask("elasticpolicies", _policy(start="0 18 * * *", duration="0s"))
    assert [denial.field for denial in answer.denials] == ["spec.workloads[1].scaling.schedules[0].duration"]
    assert "for example 5h" in answer.denials[0].message
