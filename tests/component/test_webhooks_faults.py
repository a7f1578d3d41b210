"""New nodes, and what must not hurt: defects of ours, certificates that rotate, a server that is away."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from localcluster import ClusterApi
from localcluster.rest import Object
from spillway.admission.authority import Lifetimes
from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import Webhook
from spillway.domain.model.names import CORDONED_BY, ELASTIC_TAINT
from spillway.domain.policies.governance import Governance
from spillway.telemetry import admission as metrics
from tests.support.admission_rig import AdmissionRig
from tests.support.e2e import WEBHOOK_TIMEOUT_SECONDS
from tests.support.policies import governance_of

ELASTIC = {"pool": "faults-elastic"}
VIRTUAL = {"type": "virtual-kubelet", "provider": "faults"}


def _rig(cluster: ClusterApi, governance: Governance, **more: Any) -> AdmissionRig:
    """A rig for whose answer the API server waits as long as a busy machine needs."""
    return AdmissionRig(cluster, governance, timeout_seconds=WEBHOOK_TIMEOUT_SECONDS, **more)


def _node(name: str, rig: AdmissionRig, labels: dict[str, str], **spec: object) -> Object:
    return {"metadata": {"name": name, "labels": {**labels, **rig.labels}}, "spec": spec}


@contextmanager
def _created(cluster: ClusterApi, *nodes: Object) -> Iterator[list[Object]]:
    """Nodes as the API server answers their creation: what was added in that very write."""
    try:
        yield [cluster.rest.create("/api/v1/nodes", node) for node in nodes]
    finally:
        cluster.rest.delete_all(f"/api/v1/nodes/{node['metadata']['name']}" for node in nodes)


def _taints(node: Object) -> list[tuple[str, str, str]]:
    taints = node["spec"].get("taints", [])
    return [
        (taint["key"], taint["effect"], taint.get("value", ""))
        for taint in taints
        if "kubernetes.io" not in taint["key"]
    ]


def test_an_elastic_node_is_born_with_its_taint(cluster: ClusterApi) -> None:
    mine = {"key": "mine", "effect": "NoSchedule"}
    with (
        _rig(cluster, governance_of(elastic=ELASTIC, virtual=VIRTUAL)) as rig,
        _created(
            cluster,
            _node("faults-1", rig, ELASTIC),
            _node("faults-2", rig, ELASTIC, taints=[mine]),
            _node("faults-3", rig, {"pool": "other"}),
            _node("faults-4", rig, VIRTUAL),
        ) as nodes,
    ):
        ours = (ELASTIC_TAINT, "PreferNoSchedule", "online")
        assert [_taints(node) for node in nodes] == [[ours], [("mine", "NoSchedule", ""), ours], [], []]
        assert not any(node["spec"].get("unschedulable") for node in nodes)


def test_a_node_of_a_held_pool_is_born_closed(cluster: ClusterApi) -> None:
    with (
        _rig(cluster, governance_of(virtual=VIRTUAL, cordon="Hold")) as rig,
        _created(
            cluster,
            _node("held-1", rig, VIRTUAL),
            _node("held-2", rig, VIRTUAL, unschedulable=True),
            _node("held-3", rig, {"pool": "other"}),
        ) as nodes,
    ):
        marks = [node["metadata"].get("annotations", {}).get(CORDONED_BY) for node in nodes]
        assert marks == ["pool-v", None, None], "a node that another client closed is not ours to open"
        assert [node["spec"].get("unschedulable", False) for node in nodes] == [True, True, False]


def test_in_recommend_nodes_are_born_as_they_come(cluster: ClusterApi) -> None:
    with (
        _rig(cluster, governance_of(mode="Recommend", elastic=ELASTIC)) as rig,
        _created(cluster, _node("plain-1", rig, ELASTIC)) as nodes,
    ):
        assert _taints(nodes[0]) == []


def _broken(webhook: Webhook) -> Webhook:
    async def fail(request: AdmissionRequest, deadline: Deadline) -> Answer:
        raise RuntimeError("a defect")

    return replace(webhook, handle=fail)


def test_a_defect_of_ours_blocks_nothing(cluster: ClusterApi) -> None:
    errors = metrics.ERRORS.labels("nodes")
    before = errors._value.get()
    with (
        _rig(cluster, governance_of(elastic=ELASTIC), wrap=_broken) as rig,
        _created(cluster, _node("defect-1", rig, ELASTIC)) as nodes,
    ):
        assert _taints(nodes[0]) == []
        assert errors._value.get() == before + 1


def test_certificates_rotate_under_load_without_a_failed_call(cluster: ClusterApi) -> None:
    """Two servers share the port, one of them only follows; every creation of a node must come back tainted."""
    lifetimes = Lifetimes(authority=timedelta(seconds=18), serving=timedelta(seconds=8), overlap=timedelta(seconds=2))
    with _rig(cluster, governance_of(elastic=ELASTIC), lifetimes=lifetimes, poll_seconds=0.5, replicas=2) as rig:
        served: set[int] = set()
        authorities: set[str] = set()
        untainted: list[str] = []
        ends = time.monotonic() + 36.0

        def create(worker: int) -> int:
            count = 0
            while time.monotonic() < ends:
                name = f"rotate-{worker}-{count}"
                node = cluster.rest.create("/api/v1/nodes", _node(name, rig, ELASTIC))
                cluster.rest.delete(f"/api/v1/nodes/{name}")
                if not _taints(node):
                    untainted.append(name)
                for tls in rig.tls:
                    if (certificate := tls.certificate) is not None:
                        served.add(certificate.serial_number)
                        authorities.add(certificate.issuer.rfc4514_string())
                count += 1
                time.sleep(0.05)
            return count

        with ThreadPoolExecutor(2) as pool:
            created = sum(pool.map(create, range(2)))
    assert created > 100
    assert len(served) >= 4
    assert len(authorities) >= 2
    assert untainted == []


def test_an_admission_server_that_is_away_blocks_nothing(cluster: ClusterApi) -> None:
    with _rig(cluster, governance_of(elastic=ELASTIC)) as rig:
        rig.run(rig.stop_serving())
        with _created(cluster, _node("away-1", rig, ELASTIC)) as nodes:
            assert _taints(nodes[0]) == []
