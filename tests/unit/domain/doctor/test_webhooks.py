"""The check of the webhooks."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spillway.domain.doctor.webhooks import (
    EXPECTED,
    MUTATING,
    VALIDATING,
    CertificateFacts,
    ServiceFacts,
    configured,
    reachable,
    services_of,
    trusted,
    webhooks_of,
    without_webhooks,
)

CHART = Path(__file__).resolve().parents[4] / "charts" / "spillway"
NOW = datetime(2026, 1, 5, tzinfo=UTC)
SERVICES = [("spillway-system", "spillway-webhook")]
OURS = {"app.kubernetes.io/name": "spillway"}
HOST = "spillway-webhook.spillway-system.svc"


def configuration(*names: str, bundle: str = "Y2E=") -> dict[str, Any]:
    service = {"namespace": "spillway-system", "name": "spillway-webhook"}
    return {"webhooks": [{"name": one, "clientConfig": {"service": service, "caBundle": bundle}} for one in names]}


def certificate(**changes: Any) -> CertificateFacts:
    good: dict[str, Any] = {
        "secret": "spillway-system/tls",
        "not_after": NOW + timedelta(days=60),
        "names": frozenset({HOST}),
        "trusted": dict.fromkeys(EXPECTED, True),
    }
    return CertificateFacts(**good | changes)


def test_other_webhooks_are_left_out() -> None:
    found = webhooks_of([configuration("mutate.example.com"), configuration(*EXPECTED), {}])

    assert set(found) == set(EXPECTED)
    assert services_of(found) == SERVICES
    assert list(configured(found)) == []


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((), [("error", "MutatingWebhookConfiguration"), ("warning", "ValidatingWebhookConfiguration")]),
        (MUTATING, [("warning", "ValidatingWebhookConfiguration")]),
        (VALIDATING, [("error", "MutatingWebhookConfiguration")]),
    ],
    ids=["neither", "mutating", "validating"],
)
def test_a_configuration_that_is_missing(there: Collection[str], expected: list[tuple[str, str]]) -> None:
    found = configured(webhooks_of([configuration(*there)]))

    assert [(one.severity.value, one.object) for one in found] == expected


@pytest.mark.parametrize(
    ("mutating", "expected"),
    [
        ([{"metadata": {"labels": OURS}, "webhooks": []}], True),
        ([{"metadata": {"labels": OURS}}], True),
        ([{"metadata": {"labels": OURS}, **configuration(*MUTATING)}], False),
        ([{"metadata": {"labels": OURS}}, {"metadata": {"labels": OURS}, **configuration(*MUTATING)}], False),
        ([{"metadata": {}}], False),
    ],
    ids=["empty", "left out", "webhooks", "an empty one left over", "of another component"],
)
def test_recommend_only(mutating: list[dict[str, Any]], *, expected: bool) -> None:
    assert without_webhooks(mutating) is expected

    found = configured(webhooks_of([configuration(*VALIDATING)]), recommend_only=True)
    assert [(one.severity.value, one.object) for one in found] == [("info", "MutatingWebhookConfiguration")]


@pytest.mark.parametrize(("file", "expected"), [("mutating", MUTATING), ("validating", VALIDATING)])
def test_the_webhooks_of_the_chart_are_expected(file: str, expected: Collection[str]) -> None:
    text = (CHART / "templates" / "webhooks" / f"{file}.yaml").read_text()
    names = set(re.findall(r"^- name: (\S+)\.spillway\.dev$", text, re.MULTILINE))
    for listed in re.findall(r"range \$plural := list (.+?) }}", text):
        names |= set(re.findall(r'"(\w+)"', listed))

    assert {f"{name}.spillway.dev" for name in names} == set(expected)


@pytest.mark.parametrize(
    ("missing", "severity", "words"),
    [
        ("replicasets.spillway.dev", "error", "scale-downs are not exact"),
        ("nodes.spillway.dev", "warning", "a moment late"),
        ("elasticpolicies.spillway.dev", "warning", "only a condition says so"),
        ("thresholds.spillway.dev", "warning", "only an Event says so"),
    ],
)
def test_a_webhook_that_is_missing_says_what_does_not_work(missing: str, severity: str, words: str) -> None:
    names = [name for name in EXPECTED if name != missing]

    [found] = configured(webhooks_of([configuration(*names)]))

    assert found.severity.value == severity
    assert words in found.message


def test_a_webhook_without_a_bundle() -> None:
    found = list(configured(webhooks_of([configuration(*EXPECTED, bundle="")])))

    assert len(found) == len(EXPECTED)
    assert all("no caBundle" in one.message for one in found)


def test_without_ready_endpoints_the_operator_is_looked_at() -> None:
    [found] = reachable(ServiceFacts("ops/spillway-webhook", exists=True, ready_endpoints=0))

    assert "kubectl -n ops get pods" in found.remedy
    assert "SpillwayNoLeader" in found.remedy


@pytest.mark.parametrize(
    ("service", "words"),
    [
        pytest.param(ServiceFacts("a/b", exists=False), "does not exist", id="missing"),
        pytest.param(ServiceFacts("a/b", exists=True, ready_endpoints=0), "no ready endpoint", id="no-endpoints"),
        pytest.param(ServiceFacts("a/b", exists=True, ready_endpoints=2), "", id="ready"),
        pytest.param(ServiceFacts("a/b", exists=True, external=True), "", id="external-name"),
    ],
)
def test_services(service: ServiceFacts, words: str) -> None:
    found = list(reachable(service))

    assert [one.severity.value for one in found] == (["error"] if words else [])
    assert all(words in one.message for one in found)


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    [
        pytest.param({"not_after": NOW}, "error", "expired at 2026-01-05T00:00:00Z", id="expired"),
        pytest.param({"not_after": NOW + timedelta(days=2)}, "warning", "was not renewed", id="expires-soon"),
        pytest.param({"names": frozenset()}, "error", HOST, id="other-names"),
        pytest.param({"trusted": {"pods.spillway.dev": False}}, "error", "does not trust", id="other-authority"),
    ],
)
def test_certificates(changes: dict[str, Any], severity: str, words: str) -> None:
    [found] = trusted(certificate(**changes), SERVICES, NOW)

    assert found.severity.value == severity
    assert words in found.message


def test_a_good_certificate() -> None:
    assert list(trusted(certificate(), SERVICES, NOW)) == []
