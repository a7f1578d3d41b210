"""Operator processes as a cluster runs them: ready, leading, failing over, stopping, and leaving no trace."""

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Installation, install
from harness.reach import webhook_host
from localcluster import ClusterApi
from localcluster.rest import Object
from spillway.admission.authority import Lifetimes, begin
from spillway.admission.certificates import CONFIGURATION_KINDS
from spillway.domain.model.names import ELASTIC_TAINT, POD_DELETION_COST
from spillway.state.cluster import RECORD_TYPES
from tests.support.installed import (
    annotations,
    applied,
    budget,
    closed,
    deployment,
    elastic,
    eventually,
    marked,
    node,
    our_taint,
    policy,
    status,
)

FLAGS = ("--lease-seconds=6", "--upkeep-seconds=1", "--status-seconds=0.5")
OWN = "/api/v1/namespaces/spillway-system"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/spillway-system/leases/spillway"


@pytest.fixture
def installed(cluster: ClusterApi) -> Iterator[Installation]:
    """Two replicas with webhooks."""
    with install(cluster, flags=FLAGS) as running:
        running.wait_leader()
        yield running
        running.uninstall()


def lease(cluster: ClusterApi) -> Mapping[str, Any]:
    found: Mapping[str, Any] = cluster.rest.get(LEASE)["spec"]
    return found


def traces(cluster: ClusterApi, namespace: str) -> dict[str, Any]:
    """What Spillway could have changed on nodes, and on the pods of a namespace: those of earlier tests may go."""
    found: dict[str, Any] = {}
    for path in ("/api/v1/nodes", f"/api/v1/namespaces/{namespace}/pods"):
        for item in cluster.rest.items(path):
            spec = item["spec"]
            found[item["metadata"]["uid"]] = (
                item["metadata"]["name"],
                # Kubernetes writes taints and times of its own.
                {key: value for key, value in annotations(item).items() if "kubernetes.io/" not in key}
                | {POD_DELETION_COST: annotations(item).get(POD_DELETION_COST)},
                sorted(item["metadata"].get("labels", {}).items()),
                [taint for taint in spec.get("taints") or [] if not taint["key"].startswith("node.kubernetes.io/")],
                spec.get("unschedulable", False),
            )
    return found


def test_another_replica_takes_over_from_a_leader_that_was_killed(cluster: ClusterApi, installed: Installation) -> None:
    (first,) = cluster.add_nodes("lead", 1)
    with applied(cluster, policy("lead", elastic=elastic("lead"))):
        eventually(lambda: our_taint(node(cluster, first)) == "lead", "the taint")
        killed = installed.wait_leader()
        installed.kill(killed, signal.SIGKILL)
        assert installed.wait_leader(other_than=killed) != killed
        cluster.rest.merge(f"/api/v1/nodes/{first}", {"spec": {"taints": None}})
        eventually(lambda: our_taint(node(cluster, first)) == "lead", "the new leader to repair")


def test_a_leader_that_is_asked_to_stop_hands_over_at_once(cluster: ClusterApi, installed: Installation) -> None:
    before = installed.wait_leader()
    installed.kill(before, signal.SIGTERM)
    assert installed.return_code(before) == 0
    assert not (lease(cluster).get("holderIdentity") or "").startswith(installed.pod(before)), "it need not expire"
    after = installed.wait_leader(other_than=before)
    assert after != before
    installed.kill(after, signal.SIGTERM)
    assert not lease(cluster).get("holderIdentity")


def _answers(installed: Installation) -> bool:
    """Whether a new connection to the webhooks' port is accepted, as one from a proxy that has not heard yet."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", installed.webhook_port), timeout=1):
        return True
    return False


def test_a_stopping_replica_answers_until_endpoints_have_moved(installed: Installation) -> None:
    """It is not ready from the first moment on, and the last of them, so no one else can answer on the port."""
    installed.kill(1, signal.SIGKILL)
    installed.kill(0, signal.SIGKILL)
    installed.start_one(0, flags=("--drain-seconds=5",))
    installed.wait_ready(0)
    began = time.monotonic()
    installed.kill(0, signal.SIGTERM, wait=False)
    eventually(lambda: not installed.ready(0), "not ready any more")
    while installed.pid(0) is not None and _answers(installed):
        time.sleep(0.1)
    assert time.monotonic() - began >= 5
    eventually(lambda: installed.pid(0) is None, "the end")
    assert installed.return_code(0) == 0


def test_a_leader_that_loses_the_lease_ends_with_an_error(cluster: ClusterApi, installed: Installation) -> None:
    leader = installed.wait_leader()
    # Frozen for longer than the Lease lasts, as a paused machine is: the other one takes it.
    installed.kill(leader, signal.SIGSTOP)
    installed.wait_leader(other_than=leader)
    installed.kill(leader, signal.SIGCONT)
    eventually(lambda: installed.pid(leader) is None, "the end of the former leader")
    assert installed.return_code(leader) not in (0, None)


@pytest.mark.parametrize("kind", CONFIGURATION_KINDS)
def test_a_ca_bundle_is_kept_in_place(cluster: ClusterApi, installed: Installation, kind: str) -> None:
    path = f"/apis/admissionregistration.k8s.io/v1/{kind}/spillway"

    def bundles() -> list[str]:
        return [webhook["clientConfig"].get("caBundle", "") for webhook in cluster.rest.get(path)["webhooks"]]

    before = eventually(lambda: all(bundles()) and bundles(), "every caBundle filled in")
    strange = base64.b64encode(begin(["localhost"], Lifetimes(), datetime.now(UTC)).bundle).decode()
    where = "/webhooks/{}/clientConfig/caBundle"
    patch = [{"op": "remove", "path": where.format(0)}, {"op": "replace", "path": where.format(1), "value": strange}]
    patched = cluster.rest.request("PATCH", path, body=patch, content_type="application/json-patch+json")
    changed = [webhook["clientConfig"].get("caBundle", "") for webhook in patched["webhooks"]]
    assert changed[:2] == ["", strange]
    eventually(lambda: bundles() == before, "the caBundle that was blanked, and the one that was replaced, to be back")


def test_metrics_and_plans_are_served(cluster: ClusterApi, installed: Installation) -> None:
    assert installed.metrics(0).total("spillway_informer_synced") == len(RECORD_TYPES)
    eventually(lambda: installed.total("spillway_leader") == 1, "one leader, and its word for it")


def test_restore_leaves_the_cluster_as_it_was(cluster: ClusterApi) -> None:
    webhook_host(cluster)
    cluster.add_nodes("trace-fixed", 2)
    elastic_nodes = cluster.add_nodes("trace-elastic", 3, taints=[{"key": "theirs", "effect": "NoSchedule"}])
    virtual_nodes = cluster.add_virtual_nodes("trace-virtual", 3, provider="trace")
    cluster.rest.merge(f"/api/v1/nodes/{virtual_nodes[0]}", {"spec": {"unschedulable": True}})
    cluster.rest.merge(f"/api/v1/nodes/{elastic_nodes[0]}", {"metadata": {"annotations": {"example.com/note": "x"}}})
    with cluster.namespace(labels={"team": "trace"}) as namespace:
        cluster.apply(
            [
                deployment(namespace, "owned", 4, nodeSelector={"pool": "trace-fixed"}),
                deployment(namespace, "burst", 2, nodeSelector={"pool": "trace-virtual"}),
            ]
        )
        pods = cluster.wait_pods_ready(namespace, 6)
        cluster.rest.merge(
            f"/api/v1/namespaces/{namespace}/pods/{pods[0]['metadata']['name']}",
            {"metadata": {"annotations": {"example.com/note": "y"}}},
        )
        before = traces(cluster, namespace)
        resources = [
            policy(
                "trace",
                namespace_label="trace",
                elastic=elastic("trace-elastic"),
                virtual={"budgets": ["trace-virtual"]},
            ),
            budget("trace-virtual", "trace-virtual", cordon="Hold"),
        ]
        with install(cluster, flags=FLAGS, replicas=1) as running, applied(cluster, *resources):
            eventually(lambda: len(marked(cluster.pods(namespace))) == 6, "every pod stamped")
            eventually(lambda: len(closed(cluster, "trace-virtual")) == 3, "the pool closed")
            eventually(lambda: all(our_taint(node(cluster, name)) for name in elastic_nodes), "the taints")
            assert traces(cluster, namespace) != before

            running.stop()
            seen = traces(cluster, namespace)
            said = dry_run(cluster)
            assert "8 nodes" not in said
            assert "would be restored" in said
            assert traces(cluster, namespace) == seen

            # The policies are still there: an uninstall has to cope with that.
            running.restore()
            assert traces(cluster, namespace) == before
            assert "0 nodes (0 taints, 0 cordons) and 0 pods (0 deletion costs) restored" in running.restore()
            plan, others = (f"{OWN}/configmaps/{name}" for name in ("spillway-thresholds-3", "theirs"))
            for path in (plan, others):
                cluster.rest.create(f"{OWN}/configmaps", {"metadata": {"name": path.rpartition("/")[2]}})
            assert cluster.exists(LEASE)

            running.uninstall()
            assert not cluster.exists(LEASE)
            assert not cluster.exists(plan)
            assert cluster.exists(others)
            cluster.rest.delete(others)
    assert all(ELASTIC_TAINT not in str(item["spec"]) for item in nodes(cluster))


def nodes(cluster: ClusterApi) -> list[Object]:
    return cluster.rest.items("/api/v1/nodes")


def dry_run(cluster: ClusterApi) -> str:
    argv = [sys.executable, "-m", "spillway", "restore", "--dry-run", "--kubeconfig", str(cluster.kubeconfig)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_restore_stops_the_operator_first(cluster: ClusterApi, namespace: str) -> None:
    cluster.add_nodes("stopped", 1)
    cluster.apply(deployment(namespace, "spillway", 2, nodeSelector={"pool": "stopped"}))
    cluster.wait_pods_ready(namespace, 2)
    argv = [sys.executable, "-m", "spillway", "restore", "--yes", "--kubeconfig", str(cluster.kubeconfig)]
    for _ in range(2):
        done = subprocess.run(
            [*argv, f"--stop-deployment={namespace}/spillway"], capture_output=True, text=True, timeout=60, check=True
        )
        assert f"deployment/{namespace}/spillway: stopped" in done.stdout
        assert cluster.pods(namespace) == []
    gone = subprocess.run(
        [*argv, f"--stop-deployment={namespace}/other"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "nothing to stop" in gone.stdout


@pytest.mark.parametrize(("typed", "code"), [("n", 1), ("y", 0)])
def test_restore_shows_the_cluster_and_asks(cluster: ClusterApi, tmp_path: Path, typed: str, code: int) -> None:
    [node] = cluster.add_nodes("asked", 1)
    taint = {"key": ELASTIC_TAINT, "value": "day", "effect": "PreferNoSchedule"}
    cluster.rest.merge(f"/api/v1/nodes/{node}", {"spec": {"taints": [taint]}})
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    [entry] = config["contexts"]
    config["contexts"] = [{**entry, "name": "staging"}, {"name": "nowhere", "context": {"cluster": "none", "user": ""}}]
    config["current-context"] = "nowhere"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    argv = [sys.executable, "-m", "spillway", "restore", "--kubeconfig", str(kubeconfig), "--context=staging"]

    unasked = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert unasked.returncode == 1
    assert "confirm with --yes" in unasked.stderr
    assert ELASTIC_TAINT in str(cluster.rest.get(f"/api/v1/nodes/{node}")["spec"])

    terminal, seen = os.openpty()
    try:
        os.write(terminal, f"{typed}\n".encode())
        asked = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, stdin=seen)
    finally:
        os.close(terminal)
        os.close(seen)
    assert asked.returncode == code, asked.stderr
    assert "(context staging)" in asked.stderr
    assert (ELASTIC_TAINT in str(cluster.rest.get(f"/api/v1/nodes/{node}")["spec"])) == (typed == "n")
    cluster.delete_nodes([node])


def test_users_resources_are_only_read(cluster: ClusterApi, installed: Installation) -> None:
    """kopf could put annotations and finalizers on what it watches."""
    with applied(cluster, policy("untouched")):
        eventually(lambda: status(cluster, "elasticpolicies", "untouched").get("conditions"), "a status")
        found = cluster.rest.get("/apis/spillway.dev/v1alpha1/elasticpolicies/untouched")
        assert "finalizers" not in found["metadata"]
        assert set(annotations(found)) <= {"kubectl.kubernetes.io/last-applied-configuration"}
        assert found["metadata"]["generation"] == 1
