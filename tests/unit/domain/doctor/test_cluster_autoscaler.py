"""The check of cluster-autoscaler's flags, and of the nodes that it may not remove."""

from typing import Any

import pytest

from spillway.domain.doctor.autoscaler import check_node_annotations
from spillway.domain.doctor.cluster_autoscaler import (
    SCALE_DOWN_DISABLED,
    ElasticFacts,
    check_cluster_autoscaler,
    is_cluster_autoscaler,
)

EMPTY_ONLY = ("--scale-down-utilization-threshold=0.01", "--ignore-daemonsets-utilization=true")
IMAGE = "registry.k8s.io/autoscaling/cluster-autoscaler:v1.33.0"


def deployment(*arguments: str, image: str = IMAGE, command: tuple[str, ...] = ("./cluster-autoscaler",)) -> Any:
    container = {"name": "app", "image": image, "command": list(command), "args": list(arguments)}
    sidecar = {"name": "proxy", "image": "envoy:1"}
    return {
        "metadata": {"namespace": "kube-system", "name": "ca"},
        "spec": {"template": {"spec": {"containers": [sidecar, container]}}},
    }


def told(found: Any) -> list[tuple[str, str]]:
    return [(one.severity.value, f"{one.message} | {one.remedy}") for one in found]


@pytest.mark.parametrize(
    ("arguments", "severity", "words"),
    [
        pytest.param(("--scale-down-enabled=false",), "error", "are never removed", id="no-scale-down"),
        pytest.param((), "warning", "threshold is 0.5, so it drains nodes", id="drains-by-default"),
        pytest.param((), "warning", "(skip-nodes-with-local-storage)", id="local-storage-by-default"),
        pytest.param(("--scale-down-utilization-threshold=0.7",), "warning", "is 0.7, so it drains", id="drains"),
        pytest.param(("-scale-down-utilization-threshold", "0.7"), "warning", "is 0.7, so it drains", id="two-words"),
        pytest.param(("--scale-down-utilization-threshold=0",), "error", "never remove one", id="threshold-0"),
        pytest.param(
            ("--scale-down-utilization-threshold=0.02",), "warning", "pods of DaemonSets count", id="daemonsets"
        ),
        pytest.param((*EMPTY_ONLY, "--scale-down-unneeded-time=1h30m"), "warning", "for that long", id="unneeded"),
        pytest.param((*EMPTY_ONLY, "--scale-down-unneeded-time=601s"), "warning", "is 601s", id="unneeded-seconds"),
    ],
)
def test_flags_that_hinder_emptying(arguments: tuple[str, ...], severity: str, words: str) -> None:
    found = list(check_cluster_autoscaler(deployment(*arguments), ElasticFacts()))

    [(told_severity, text)] = told(found)
    assert told_severity == severity
    assert words in text
    assert found[0].object == "Deployment/kube-system/ca"


@pytest.mark.parametrize(
    "arguments",
    [
        EMPTY_ONLY,
        (*EMPTY_ONLY, "--scale-down-unneeded-time=10m", "--scale-down-enabled", "--v=4"),
        (*EMPTY_ONLY, "--scale-down-enabled=false", "--scale-down-enabled=true"),
        (*EMPTY_ONLY, "--scale-down-unneeded-time=$(UNNEEDED)", "--expendable-pods-priority-cutoff=$(CUTOFF)"),
        ("--scale-down-utilization-threshold=$(THRESHOLD)",),
    ],
)
def test_flags_that_hinder_nothing_or_are_not_known(arguments: tuple[str, ...]) -> None:
    assert not told(check_cluster_autoscaler(deployment(*arguments), ElasticFacts(headroom=True)))


@pytest.mark.parametrize(
    ("more", "nodes", "severity", "words"),
    [
        pytest.param(
            (),
            ElasticFacts(kept={"n1": "kube-system/coredns-1"}),
            "warning",
            "1 elastic nodes have pods of kube-system, and it removes only nodes that are empty: "
            "kube-system/coredns-1 on n1",
            id="system-pods",
        ),
        pytest.param(
            (),
            ElasticFacts(used={"n1": 0.0, "n2": 0.01, "n3": 0.009}),
            "info",
            "the pods on 2 elastic nodes request less than that, so it drains these nodes, which evicts the pods "
            "unless they forbid it: n1, n3",
            id="hardly-any-requests",
        ),
        pytest.param(
            ("--expendable-pods-priority-cutoff=-5",),
            ElasticFacts(headroom=True),
            "warning",
            "is -5",
            id="placeholders",
        ),
        pytest.param((), ElasticFacts(zones=3), "info", "3 zones", id="zones"),
    ],
)
def test_flags_that_matter_for_what_the_cluster_has(
    more: tuple[str, ...], nodes: ElasticFacts, severity: str, words: str
) -> None:
    [(told_severity, text)] = told(check_cluster_autoscaler(deployment(*EMPTY_ONLY, *more), nodes))
    assert told_severity == severity
    assert words in text
    assert not told(check_cluster_autoscaler(deployment(*EMPTY_ONLY, *more), ElasticFacts()))


@pytest.mark.parametrize(
    ("more", "nodes"),
    [
        (("--expendable-pods-priority-cutoff=-10",), ElasticFacts(headroom=True)),
        (("--expendable-pods-priority-cutoff=-20",), ElasticFacts(headroom=True)),
        (("--balance-similar-node-groups",), ElasticFacts(zones=3)),
    ],
)
def test_remedies_are_accepted(more: tuple[str, ...], nodes: ElasticFacts) -> None:
    assert not told(check_cluster_autoscaler(deployment(*EMPTY_ONLY, *more), nodes))


def test_pods_of_the_system_beside_one_that_drains_nodes() -> None:
    nodes = ElasticFacts(kept={"n1": "kube-system/coredns-1"}, used={"n1": 0.0})

    [_, (severity, text)] = told(check_cluster_autoscaler(deployment(), nodes))
    assert severity == "warning"
    assert (
        "that may keep them, unless a PodDisruptionBudget covers them or they carry safe-to-evict: "
        "kube-system/coredns-1 on n1"
    ) in text
    assert len(told(check_cluster_autoscaler(deployment("--skip-nodes-with-system-pods=false"), nodes))) == 1


def test_pods_of_the_system_keep_nodes_that_have_to_be_empty_whatever_else_is_said() -> None:
    nodes = ElasticFacts(kept={"n1": "kube-system/coredns-1"}, used={"n1": 0.1})

    [(severity, text)] = told(
        check_cluster_autoscaler(deployment(*EMPTY_ONLY, "--skip-nodes-with-system-pods=false"), nodes)
    )
    assert severity == "warning"
    assert "skip-nodes-with-system-pods" not in text


def test_flags_in_the_words_of_a_shell() -> None:
    line = "exec ./cluster-autoscaler --v=4 --scale-down-enabled=false 1>>/var/log/ca.log"
    found = told(check_cluster_autoscaler(deployment(command=("sh", "-c", line)), ElasticFacts()))
    assert [severity for severity, _ in found] == ["error"]


@pytest.mark.parametrize(
    ("image", "command", "is_one"),
    [
        (IMAGE, ("./cluster-autoscaler",), True),
        ("mirror:5000/ca@sha256:abc", ("/usr/local/bin/cluster-autoscaler",), True),
        ("registry.k8s.io/autoscaling/cluster-autoscaler-arm64:v1.33.0", (), True),
        ("registry.k8s.io/cpa/cluster-proportional-autoscaler:1.8", ("/cluster-proportional-autoscaler",), False),
        ("registry.k8s.io/coredns:1", (), False),
    ],
)
def test_which_deployment_is_one(image: str, command: tuple[str, ...], *, is_one: bool) -> None:
    assert is_cluster_autoscaler(deployment(image=image, command=command)) is is_one


def test_elastic_nodes_that_it_may_not_remove() -> None:
    def node(name: str, **annotations: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "annotations": annotations}}

    held = {SCALE_DOWN_DISABLED: "true"}
    nodes = [node("n2", **held), node("n1", **held), node("n3"), node("fixed", **held)]

    found = list(check_node_annotations(nodes, frozenset({"n1", "n2", "n3"}), SCALE_DOWN_DISABLED))

    assert [one.object for one in found] == ["Node/n1", "Node/n2"]
    assert found[0].remedy == f"kubectl annotate node n1 {SCALE_DOWN_DISABLED}-"
