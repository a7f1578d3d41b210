"""The check of the webhooks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spillway.domain.doctor.webhooks import (
    EXPECTED,
    CertificateFacts,
    ServiceFacts,
    configured,
    reachable,
    services_of,
    trusted,
    webhooks_of,
)

NOW = datetime(2026, 1, 5, tzinfo=UTC)
SERVICES = [("spillway-system", "spillway-webhook")]
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


def test_no_configuration() -> None:
    [found] = configured({})

    assert (found.severity.value, found.object) == ("error", "MutatingWebhookConfiguration")


@pytest.mark.parametrize(
    ("missing", "severity", "words"),
    [
        ("replicasets.spillway.dev", "error", "scale-downs are not exact"),
        ("nodes.spillway.dev", "warning", "a moment late"),
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
