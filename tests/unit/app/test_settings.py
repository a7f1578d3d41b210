"""What an operator refuses to start with, and how it says so."""

import math
from pathlib import Path
from typing import Any

import pytest

from spillway.app.errors import SettingsError
from spillway.app.settings import Settings, default_identity


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"metrics_port": 99999}, "--metrics-port: ", id="port"),
        pytest.param({"log_format": "xml"}, "'json' or 'console'", id="log format"),
        pytest.param({"namespace": "Not_A_Label"}, "--namespace: ", id="namespace"),
        pytest.param({"lease_seconds": 1}, "--lease-seconds: ", id="lease too short to renew"),
        pytest.param({"evictions_per_second": 0}, "--evictions-per-second: ", id="rate of nothing"),
        pytest.param({"prometheus_url": "prometheus:9090"}, "http://prometheus.monitoring:9090", id="Prometheus"),
        pytest.param({"kubeconfig": Path("/nowhere/config")}, "file not found: /nowhere/config", id="kubeconfig"),
        pytest.param({"webhook_cert_dir": Path("/nowhere")}, "folder not found: /nowhere", id="certificates"),
        pytest.param({"webhook_client_ca_file": Path("/nowhere/ca")}, "file not found: /nowhere/ca", id="client CA"),
        pytest.param({"external_metrics": True, "webhooks": False}, "needs webhooks", id="metric without TLS"),
        pytest.param({"demand_speed": 180.0}, "needs demand_meets", id="demand that never meets the clock"),
        pytest.param({"scheduler_extender": True, "webhooks": False}, "needs webhooks", id="extender without TLS"),
        pytest.param({"explain_api": True, "webhooks": False}, "needs webhooks", id="explain API without TLS"),
        pytest.param({"demand_speed": math.inf, "demand_meets": 1.0}, "finite number", id="demand of no time"),
        pytest.param({"webhook_timeout_seconds": 11}, "less than or equal to 10", id="a timeout that is too long"),
        pytest.param(
            {"scheduler_extender": True, "scheduler_extender_port": 9443},
            "webhook_port and scheduler_extender_port: need different ports",
            id="one port for two servers",
        ),
        pytest.param({"webhook_client_names": ["apiserver"]}, "needs webhook_client_ca_file", id="names of no one"),
    ],
)
def test_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.of(**values)


def test_what_is_not_given_has_its_default() -> None:
    settings = Settings.of(namespace=None, metrics_port=0)
    assert (settings.namespace, settings.metrics_port, settings.webhooks) == ("spillway-system", 0, True)


def test_two_processes_of_one_pod_have_two_identities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "spillway-0")
    first, second = default_identity(), default_identity()
    assert first.startswith("spillway-0_")
    assert first != second


def test_other_replicas_are_told_the_pods_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_IP", raising=False)
    assert Settings().advertise_host == "127.0.0.1"
    monkeypatch.setenv("POD_IP", "10.1.2.3")
    assert Settings().advertise_host == "10.1.2.3"
    assert Settings().peer_port == 9444, "never the webhook's port, which the API server must reach"
