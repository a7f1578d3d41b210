"""What pods need on virtual nodes, with the whole of admission: what they get, and that they know where they are."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from harness import Installation
from harness.scene import Scene
from localcluster import ClusterApi
from localcluster.rest import Object
from tests.e2e.conftest import LEASE_PATH
from tests.unit.domain.overlay.overlay_cases import FULL, LOGS

OVERLAY = {key: value for key, value in FULL.items() if key != "dnsConfig"}
LANDING = {"TIER", "ZONE", "COLLECTOR"}


@pytest.fixture(scope="module")
def operator(installation: Installation, cluster: ClusterApi) -> Iterator[Installation]:
    """One replica for all that is asked here."""
    cluster.rest.delete(LEASE_PATH)
    installation.start_one(0)
    installation.wait_ready(0)
    installation.wait_leader()
    yield installation
    installation.kill(0)
    cluster.rest.delete(LEASE_PATH)


@pytest.fixture(scope="module")
def stage(operator: Installation, cluster: ClusterApi) -> Iterator[Scene]:
    """Three classes over a pool with an overlay: two replicas stay physical, all do, and none is looked at."""
    with Scene(cluster, virtual_nodes=1) as scene:
        scene.add_budget(podOverlay=OVERLAY)
        namespace = {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}}
        scene.add_policy(
            workloads=[
                {"name": "two", "match": namespace, "threshold": {"mode": "Manual", "replicas": 2}},
                {"name": "physical", "match": namespace, "threshold": {"mode": "Manual", "replicas": 100}},
                {"name": "untouched", "match": namespace},
            ]
        )
        scene.wait_enforced()
        yield scene


def deploy(stage: Scene, name: str, replicas: int, workload_class: str, **pod_spec: object) -> list[Object]:
    """Pods of a class that write their logs into a volume; returns them when they run."""
    main = {
        "name": "main",
        "image": "registry.invalid/main:1",
        "env": [{"name": "REGION", "value": "mine"}],
        "volumeMounts": [{"name": "logs", "mountPath": "/var/log/app"}],
        "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}},
    }
    labels = {"app": name, "spillway.dev/class": workload_class}
    stage.cluster.rest.create(
        f"/apis/apps/v1/namespaces/{stage.namespace}/deployments",
        {
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "nodeSelector": {"scene": stage.id},
                        "initContainers": [{"name": "setup", "image": "registry.invalid/setup:1"}],
                        "containers": [main],
                        "volumes": [{"name": "logs", "emptyDir": {}}],
                        "terminationGracePeriodSeconds": 0,
                        **pod_spec,
                    },
                },
            },
        },
    )
    return stage.cluster.wait_pods_ready(stage.namespace, replicas, f"app={name}")


def seen(pod: Object, container: str = "main") -> dict[str, str]:
    """A container's variables as its kubelet gives them: an annotation that is missing reads as nothing."""
    spec, annotations = pod["spec"], pod["metadata"].get("annotations") or {}
    every = {one["name"]: one for one in [*spec.get("initContainers", ()), *spec["containers"]]}
    read = {}
    for env in every[container].get("env", ()):
        path = (env.get("valueFrom") or {}).get("fieldRef", {}).get("fieldPath", "")
        if path.startswith("metadata.annotations["):
            read[env["name"]] = annotations.get(path.removeprefix("metadata.annotations['").removesuffix("']"), "")
        else:
            read[env["name"]] = env.get("value", "")
    return read


def tier(stage: Scene, pod: Object) -> str:
    return next(tier for tier, nodes in stage.nodes.items() if pod["spec"]["nodeName"] in nodes)


def names(items: object) -> list[str]:
    assert isinstance(items, list)
    return [item["name"] for item in items]


def zone_of(stage: Scene, pod: Object) -> str:
    labels: Mapping[str, str] = stage.cluster.rest.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")["metadata"]["labels"]
    return labels["topology.kubernetes.io/zone"]


def test_pods_beyond_the_threshold_get_what_they_need_and_every_pod_knows_where_it_is(stage: Scene) -> None:
    pods = deploy(stage, "web", 4, "two")

    virtual = [pod for pod in pods if tier(stage, pod) == "virtual"]
    assert len(virtual) == 2
    for pod in pods:
        there = pod in virtual
        env = seen(pod)
        assert env["TIER"] == tier(stage, pod)
        assert env["ZONE"] == zone_of(stage, pod)
        assert env["COLLECTOR"] == ("http://collector:4317" if there else "")
        assert env["REGION"] == "mine", "the user's own"
        assert set(seen(pod, "setup")) == LANDING | ({"REGION"} if there else set())
        assert names(pod["spec"]["initContainers"]) == ["setup", *(["proxy", "spillway-logs"] if there else [])]
        assert (pod["metadata"]["labels"].get("compute") == "serverless") is there
        mounted = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
        assert ("/data/dump" in mounted) is there
    for pod in virtual:
        assert seen(pod, "spillway-logs")["TIER"] == "virtual"
        assert LOGS["kafka"]["topic"] in pod["metadata"]["annotations"]["landing.spillway.dev/vector"]


def test_what_the_user_set_is_told_by_an_event(stage: Scene) -> None:
    deploy(stage, "told", 3, "two")

    def told() -> list[Object]:
        events = stage.cluster.rest.items(f"/api/v1/namespaces/{stage.namespace}/events")
        return [
            event
            for event in events
            if event["reason"] == "OverlayConflict" and event["involvedObject"]["name"].startswith("told")
        ]

    [event, *_] = stage.cluster.wait_until(told, "an Event about the conflict")
    assert "env REGION of container main" in event["message"]
    assert stage.budget in event["message"]


def test_a_pod_that_came_there_by_itself_knows_it_as_well(stage: Scene) -> None:
    """Decided physical, as its threshold says; its user sends it to virtual nodes."""
    toleration = {"key": "virtual-kubelet.io/provider", "operator": "Exists"}
    selector = {"scene": stage.id, "type": "virtual-kubelet"}

    [pod] = deploy(stage, "own-way", 1, "physical", nodeSelector=selector, tolerations=[toleration])

    assert tier(stage, pod) == "virtual"
    env = seen(pod)
    assert (env["TIER"], env["COLLECTOR"]) == ("virtual", "http://collector:4317")
    assert names(pod["spec"]["initContainers"]) == ["setup"]


def test_a_class_that_places_nothing_is_not_touched(stage: Scene) -> None:
    [pod] = deploy(stage, "as-before", 1, "untouched")

    assert seen(pod) == {"REGION": "mine"}
    assert names(pod["spec"]["initContainers"]) == ["setup"]
    assert not [key for key in pod["metadata"]["annotations"] if key.startswith("landing.")]


def test_examples_of_pools_are_taken_together(operator: Installation, cluster: ClusterApi) -> None:
    """Applied side by side, in a running operator: each has its status, and none claims another's nodes."""
    folder = Path(__file__).parents[2] / "examples"
    documents = [
        document
        for path in [folder / "4-alibaba-eci.yaml", *sorted(folder.glob("providers/*.yaml"))]
        for document in yaml.safe_load_all(path.read_text())
    ]
    assert len(documents) == 4
    cluster.apply(documents)
    try:
        for document in documents:
            path = f"/apis/spillway.dev/v1alpha1/virtualnodebudgets/{document['metadata']['name']}"

            def reported(path: str = path) -> bool:
                return bool((cluster.rest.get(path).get("status") or {}).get("conditions"))

            cluster.wait_until(reported, f"the status of {path}")
            conditions = {one["type"]: one for one in cluster.rest.get(path)["status"]["conditions"]}
            assert conditions["Ready"]["reason"] != "Conflict"
            assert "NotImplemented" not in conditions
    finally:
        cluster.delete(documents)
