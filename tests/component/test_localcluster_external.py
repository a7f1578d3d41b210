"""Clusters of others. A local cluster plays the foreign one, with its own kwok frozen, so that it revives nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import Cluster, ClusterApi, ClusterError, ExternalCluster, FeatureMissing, external

# Stands in for kind, which needs containers: the commands that are used, and the kubeconfig they give.
KIND = """#!/bin/sh
echo "$@" >> {log}
[ "$1 $2" = "create cluster" ] && cp {kubeconfig} "$6"
exit 0
"""


@pytest.fixture
def foreign(cluster: ClusterApi) -> Iterator[Cluster]:
    cluster.require("restart")
    assert isinstance(cluster, Cluster)
    cluster.pause("kwok")
    yield cluster
    cluster.resume("kwok")


def test_nodes_live_and_take_pods_while_it_is_used_and_are_gone_after(foreign: Cluster, namespace: str) -> None:
    with ExternalCluster(foreign.kubeconfig) as cluster:
        names = cluster.add_nodes("lc-external", 2)
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "p", "namespace": namespace},
                "spec": {"nodeSelector": {"pool": "lc-external"}, "containers": [{"name": "c", "image": "x"}]},
            }
        )
        cluster.wait_pods_ready(namespace, 1)

    assert not [name for name in names if foreign.exists(f"/api/v1/nodes/{name}")]


def test_what_it_has_not_is_named(foreign: Cluster) -> None:
    with ExternalCluster(foreign.kubeconfig) as cluster, pytest.raises(FeatureMissing, match="no karpenter, restart"):
        cluster.require("restart", "karpenter", "kwok")


def test_kind_makes_a_cluster_and_takes_it_down(
    foreign: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, program = tmp_path / "log", tmp_path / "kind"
    program.write_text(KIND.format(log=log, kubeconfig=foreign.kubeconfig))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CLUSTER", "kind")

    with external.from_environment() as cluster:
        assert cluster is not None
        assert cluster.exists("/api/v1/namespaces/default")

    created, deleted = log.read_text().splitlines()
    name = created.split()[3]
    assert created.startswith(f"create cluster --name {name} --kubeconfig ")
    assert deleted.startswith(f"delete cluster --name {name} --kubeconfig ")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CLUSTER": "kind", "PATH": ""}, "CLUSTER=kind needs the program kind"),
        ({"CLUSTER": "external", "KUBECONFIG": ""}, "CLUSTER=external needs KUBECONFIG"),
        ({"CLUSTER": "minikube"}, "CLUSTER=minikube: there are local, kind and external"),
    ],
)
def test_a_choice_that_cannot_be_had_says_why(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ClusterError, match=message), external.from_environment():
        pass


def test_unset_means_local_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLUSTER", raising=False)
    monkeypatch.setenv("KUBECONFIG", "/somebodys/own")

    with external.from_environment() as cluster:
        assert cluster is None
