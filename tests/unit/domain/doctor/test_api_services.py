"""The check of the APIServices."""

from typing import Any

import pytest

from spillway.domain.doctor.api_services import EXPLAIN, METRICS, ServedApi, check_api_service, names_metric_api
from spillway.domain.doctor.findings import Finding
from spillway.domain.doctor.webhooks import ServiceFacts

OURS = ("spillway-system", "spillway-webhook")
KEDA = ("keda", "keda-operator-metrics-apiserver")


def registered(service: tuple[str, str] = OURS, available: str = "True", **spec: Any) -> dict[str, Any]:
    condition = {"type": "Available", "status": available, "message": "connection refused"}
    leads = {"namespace": service[0], "name": service[1]}
    return {"spec": {"service": leads, "caBundle": "Y2E=", **spec}, "status": {"conditions": [condition]}}


def found(
    api: ServedApi,
    object_: dict[str, Any] | None,
    *,
    enabled: bool = True,
    installed: bool = True,
    trusted: bool | None = True,
    serves: bool = True,
) -> list[Finding]:
    facts = ServiceFacts("/".join(OURS), exists=True, ports=frozenset({api.port} if enabled else ()))
    services = {OURS: facts} if installed else {}
    return list(check_api_service(api, object_, services, trusted=trusted, serves=serves))


@pytest.mark.parametrize("api", [EXPLAIN, METRICS])
@pytest.mark.parametrize("trusted", [True, None])
def test_an_api_that_is_served(api: ServedApi, trusted: bool | None) -> None:  # noqa: FBT001
    assert found(api, registered(), trusted=trusted) == []


@pytest.mark.parametrize("api", [EXPLAIN, METRICS])
def test_an_api_that_is_not_enabled(api: ServedApi) -> None:
    assert found(api, None, enabled=False) == []


@pytest.mark.parametrize("api", [EXPLAIN, METRICS])
@pytest.mark.parametrize(
    ("object_", "changes", "severity", "words"),
    [
        pytest.param(None, {}, "warning", "it does not exist", id="not registered"),
        pytest.param(registered(KEDA), {}, "warning", f"leads to the Service {'/'.join(KEDA)}", id="another owner"),
        pytest.param(registered(caBundle=None), {"trusted": None}, "error", "it has no caBundle", id="no bundle"),
        pytest.param(registered(), {"trusted": False}, "error", "does not trust", id="not trusted"),
        pytest.param(registered(available="False"), {}, "error", "connection refused", id="not reached"),
        pytest.param(registered(available="Unknown"), {"trusted": None}, "error", "connection refused", id="unknown"),
        pytest.param(registered(available="False"), {"trusted": False}, "error", "does not trust", id="one cause"),
    ],
)
def test_an_api_that_is_enabled_and_not_served(
    api: ServedApi, object_: dict[str, Any] | None, changes: dict[str, Any], severity: str, words: str
) -> None:
    [one] = found(api, object_, **changes)
    assert (one.severity.value, one.object) == (severity, f"APIService/{api.name}")
    assert words in one.message
    assert api.without in one.message
    assert one.remedy


def test_what_the_webhooks_report_is_not_repeated() -> None:
    assert found(EXPLAIN, registered(available="False"), serves=False) == []


def test_a_certificate_that_is_not_verified_needs_no_bundle() -> None:
    assert found(EXPLAIN, registered(caBundle=None, insecureSkipTLSVerify=True), trusted=None) == []


def test_an_api_that_was_just_registered() -> None:
    assert found(EXPLAIN, registered() | {"status": {}}) == []


@pytest.mark.parametrize("available", ["True", "False"])
def test_the_metric_api_of_another_component_is_its_own_where_spillway_serves_none(available: str) -> None:
    assert found(METRICS, registered(KEDA, available), enabled=False) == []


def test_the_owner_of_the_metric_api_can_serve_the_number() -> None:
    [one] = found(METRICS, registered(KEDA))
    assert "KEDA through Spillway's external scaler" in one.remedy
    assert "prometheus-adapter through spillway_scaling_recommended_replicas" in one.remedy


@pytest.mark.parametrize("installed", [True, False])
def test_an_api_that_an_installation_left_behind_holds_up_the_deletion_of_namespaces(installed: bool) -> None:  # noqa: FBT001
    gone = ("old", "spillway-webhook")
    assert found(EXPLAIN, registered(gone), enabled=False, installed=installed) == []
    [one] = found(EXPLAIN, registered(gone, "False"), enabled=False, installed=installed)
    assert one.severity.value == "error"
    assert "Terminating" in one.message
    assert f"kubectl delete apiservice {EXPLAIN.name}" in one.remedy


@pytest.mark.parametrize("api", [EXPLAIN, METRICS])
@pytest.mark.parametrize("changes", [{}, {"caBundle": None}])
def test_an_api_that_was_turned_off_and_is_still_registered(api: ServedApi, changes: dict[str, Any]) -> None:
    [one] = found(api, registered(available="False", **changes), enabled=False, trusted=None)
    assert one.severity.value == "error"
    assert "/".join(OURS) in one.message
    assert f"{api.value} is not enabled" in one.message
    assert f"kubectl delete apiservice {api.name}" in one.remedy
    assert "firewall" not in one.remedy


def test_findings_that_are_about_the_metric_api() -> None:
    assert names_metric_api(found(METRICS, None))
    assert not names_metric_api(found(EXPLAIN, None))
