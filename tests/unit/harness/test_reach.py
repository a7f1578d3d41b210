"""How an API server is told to reach this machine, and who is skipped where no one has said it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness.operator import Installation
from harness.reach import HOST_VARIABLE, webhook_host
from localcluster import ClusterApi, FeatureMissing
from tests.support.admission_rig import AdmissionRig
from tests.support.policies import governance_of

ELSEWHERE = frozenset({"kwok"})
HERE = ELSEWHERE | {"loopback-webhooks"}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_an_api_server_on_this_machine_is_told_localhost(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOST_VARIABLE, raising=False)
    assert webhook_host(ClusterApi(kubeconfig, features=HERE)) == "localhost"


def test_one_elsewhere_is_told_what_the_variable_says(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOST_VARIABLE, "bridge.example")
    assert webhook_host(ClusterApi(kubeconfig, features=ELSEWHERE)) == "bridge.example"


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(webhook_host, id="asked"),
        pytest.param(Installation, id="the operator's processes"),
        pytest.param(lambda cluster: AdmissionRig(cluster, governance_of()), id="the admission rig"),
    ],
)
def test_without_the_variable_whoever_has_webhooks_is_skipped(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[[ClusterApi], object]
) -> None:
    monkeypatch.delenv(HOST_VARIABLE, raising=False)
    with pytest.raises(FeatureMissing, match="loopback-webhooks"):
        start(ClusterApi(kubeconfig, features=ELSEWHERE))


def test_the_variable_is_documented() -> None:
    page = Path(__file__).parents[3] / "docs/how-to/local-cluster.md"
    assert f"`{HOST_VARIABLE}`" in page.read_text()
