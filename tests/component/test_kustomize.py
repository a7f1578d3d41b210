"""The Kustomize base and overlays: those of the chart, accepted by the API server; recommend-only writes nothing."""

from collections.abc import Iterator

import pytest
import yaml

from harness.kustomize import FOLDER, files
from harness.operator import Installation
from localcluster import ClusterApi
from localcluster.rest import Object
from tests.support.command_line import doctor_findings

OVERLAYS = ("cluster-install", "recommend-only")


def _built(cluster: ClusterApi, overlay: str) -> list[Object]:
    return list(yaml.safe_load_all(cluster.kubectl("kustomize", str(FOLDER / "overlays" / overlay))))


def test_the_files_are_those_of_the_chart() -> None:
    committed = {path.relative_to(FOLDER).as_posix(): path.read_text() for path in FOLDER.rglob("*.yaml")}
    assert committed == files(), "run `make kustomize`"


def test_recommend_only_may_not_create_what_holds_headroom() -> None:
    overlay = yaml.safe_load(files()["overlays/recommend-only/kustomization.yaml"])
    changes = {one["target"]["kind"]: yaml.safe_load(one["patch"])[0]["value"] for one in overlay["patches"]}
    allowed = {(name, verb) for rule in changes["Role"] for name in rule["resources"] for verb in rule["verbs"]}
    headroom = {(name, verb) for name, verb in allowed if name in {"deployments", "podtemplates", "capacitybuffers"}}
    assert headroom == {("deployments", "list"), ("podtemplates", "list"), ("capacitybuffers", "list")}
    assert {("leases", "update"), ("configmaps", "patch"), ("secrets", "update")} <= allowed


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_server_accepts_an_overlay_without_hooks(cluster: ClusterApi, overlay: str) -> None:
    objects = _built(cluster, overlay)
    assert not [item for item in objects if "helm.sh" in str(item["metadata"])]
    assert {item["kind"] for item in objects}.isdisjoint({"Job", "Pod"})
    assert len([item for item in objects if item["kind"] == "CustomResourceDefinition"]) == 3
    [deployment] = [item for item in objects if item["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/spillway-operator:0.1.0"
    cluster.apply([item for item in objects if item["kind"] == "Namespace"])
    answer = cluster.apply(objects, "--server-side", "--force-conflicts", "--dry-run=server")
    assert answer.count("(server dry run)") == len(objects)


@pytest.fixture
def reader(cluster: ClusterApi) -> Iterator[Installation]:
    """An operator with the webhooks and the rights of recommend-only."""
    with Installation(cluster, flags=["--lease-seconds=6", "--status-seconds=1"]) as installed:
        installed.apply()
        changed = [
            item
            for item in _built(cluster, "recommend-only")
            if (item["kind"], item["metadata"]["name"])
            in {("ClusterRole", "spillway"), ("Role", "spillway"), ("MutatingWebhookConfiguration", "spillway")}
        ]
        cluster.apply(changed, "--server-side", "--force-conflicts")
        installed.start(1)
        installed.wait_ready(0)
        installed.wait_leader()
        yield installed
        installed.uninstall()


@pytest.mark.usefixtures("reader")
def test_recommend_only_reports_and_cannot_write(cluster: ClusterApi) -> None:
    [node] = cluster.add_nodes("kept", 1)
    path = "/apis/spillway.dev/v1alpha1/elasticpolicies/kept"
    policy: Object = {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ElasticPolicy",
        "metadata": {"name": "kept"},
        "spec": {
            "mode": "Enforce",
            "tiers": {"elastic": {"nodeSelector": {"matchLabels": {"pool": "kept"}}}},
            "workloads": [{"name": "default", "match": {"namespaces": {"matchLabels": {"none": "none"}}}}],
        },
    }
    cluster.apply(policy)
    try:
        cluster.wait_until(
            lambda: (cluster.rest.get(path).get("status") or {}).get("nodes", {}).get("elastic") == 1,
            "the report about the elastic node",
        )
        assert not cluster.rest.get(f"/api/v1/nodes/{node}")["spec"].get("taints"), "the right is missing"
    finally:
        cluster.rest.delete(path)


@pytest.mark.usefixtures("reader")
def test_doctor_says_that_recommend_only_is_installed_and_misses_no_right(cluster: ClusterApi) -> None:
    [(severity, about, message)] = doctor_findings(cluster, "leader", "webhooks", "rights")
    assert (severity, about) == ("info", "MutatingWebhookConfiguration")
    assert "as in the overlay recommend-only" in message
