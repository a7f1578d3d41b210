"""What the API server sends, as the planners see it."""

import tracemalloc
from typing import Any

import msgspec
import pytest

from spillway.domain.model.names import PLACEMENT, POLICY, POOL, POOLS, RESERVATION, SIZE, SURGE, THRESHOLD, TIER
from spillway.domain.model.pod_terms import TERMS_MAX
from spillway.domain.model.records import Phase, Taint
from spillway.kube import decode
from spillway.kube.errors import WatchError
from tests.builders import make_statefulset

COST = "controller.kubernetes.io/pod-deletion-cost"


def pod(**changes: Any) -> dict[str, Any]:
    """A running pod as the API server writes it, with much that no one reads."""
    base: dict[str, Any] = {
        "metadata": {
            "name": "web-5d-x",
            "namespace": "shop",
            "uid": "u1",
            "resourceVersion": "77",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": "web"},
            "annotations": {
                COST: "-42",
                "spillway.dev/deletion-cost": "-41",
                "spillway.dev/policy": "day",
                "spillway.dev/tier": "virtual",
                "spillway.dev/pool": "vk",
                "other": "x" * 50,
            },
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
            "ownerReferences": [
                {"kind": "Config", "name": "c", "uid": "c1"},
                {"kind": "ReplicaSet", "name": "web-5d", "uid": "rs1", "controller": True},
            ],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [
                {"name": "a", "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}}},
                {"name": "b", "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"cpu": "2"}}},
            ],
        },
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"},
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:15Z"},
            ],
            "containerStatuses": [{"restartCount": 2}, {"restartCount": 5}],
        },
    }
    for section, fields in changes.items():
        base[section] = {**base[section], **fields}
    return base


def record(**changes: Any) -> Any:
    return decode.PODS.one(msgspec.json.encode(pod(**changes)))


def test_a_pod_as_the_planners_see_it() -> None:
    seen = record()
    assert (seen.uid, seen.namespace, seen.name, seen.node) == ("u1", "shop", "web-5d-x", "n1")
    assert (seen.owner_uid, seen.owner_kind, seen.owner_name) == ("rs1", "ReplicaSet", "web-5d")
    assert (seen.phase, seen.ready, seen.restarts, seen.terminating) == (Phase.RUNNING, True, 5, False)
    assert seen.ready_since - seen.created == 10
    assert seen.created == 1767323045.0
    assert (seen.deletion_cost, seen.cost_written) == (-42, -41)
    assert (seen.policy, seen.tier, seen.pool) == ("day", "virtual", "vk")
    assert (seen.cpu_millis, seen.memory_bytes) == (1250, 1536 << 20)


def test_restarts_of_native_sidecars_are_told_from_those_of_containers_and_of_init_containers() -> None:
    init = [{"name": "proxy", "restartPolicy": "Always"}, {"name": "setup"}]
    statuses = [{"name": "setup", "restartCount": 9}, {"name": "proxy", "restartCount": 3}]
    seen = record(spec={"initContainers": init}, status={"initContainerStatuses": statuses})
    assert (seen.restarts, seen.sidecar_restarts) == (5, 3)


def test_a_pod_of_which_nothing_is_said() -> None:
    seen = decode.PODS.one(b'{"metadata":{"name":"p","uid":"u","annotations":null},"spec":{"containers":null}}')
    assert (seen.node, seen.owner_uid, seen.phase, seen.ready, seen.ready_since) == ("", "", Phase.PENDING, False, 0.0)
    assert (seen.deletion_cost, seen.cost_written, seen.policy, seen.cpu_millis) == (None, None, "", 0)


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("0", 0),
        ("-1", -1),
        ("2147483647", 2147483647),
        ("-2147483648", -2147483648),
        ("-08", -8),  # Kubernetes looks at the first character only
        ("+10", None),
        ("008", None),
        ("00", None),
        ("", None),
        ("-", None),
        ("1.5", None),
        ("1e3", None),
        (" 1", None),
        ("1_0", None),
        ("٣", None),
        ("2147483648", None),
        ("-2147483649", None),
    ],
)
def test_a_deletion_cost_is_what_kubernetes_takes_for_one(text: str, cost: int | None) -> None:
    assert decode.deletion_cost(text) == cost


def test_unready_and_deleted() -> None:
    seen = record(
        metadata={"deletionTimestamp": "2026-01-02T03:05:05Z"},
        status={"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-02T03:04:15Z"}]},
    )
    assert (seen.ready, seen.ready_since, seen.terminating, seen.active) == (False, 0.0, True, False)


def test_a_phase_that_is_new_to_us_is_unknown() -> None:
    assert record(status={"phase": "Dreaming"}).phase is Phase.UNKNOWN


def asks(cpu: str, *, sidecar: bool = False) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu}}} | ({"restartPolicy": "Always"} if sidecar else {})


@pytest.mark.parametrize(
    ("spec", "cpu_millis"),
    [
        ({"containers": [asks("1"), asks("0.1")]}, 1100),
        ({"containers": [asks("1")], "initContainers": [asks("3"), asks("2")]}, 3000),
        ({"containers": [asks("1")], "initContainers": [asks("500m", sidecar=True)]}, 1500),
        ({"containers": [asks("1")], "initContainers": [asks("1", sidecar=True), asks("2")]}, 3000),
        ({"containers": [asks("1")], "initContainers": [asks("2"), asks("1", sidecar=True)]}, 2000),
        ({"containers": [asks("1")], "overhead": {"cpu": "250m"}}, 1250),
        ({"containers": [asks("1")], "resources": {"requests": {"cpu": "4"}}}, 4000),
        ({"containers": [asks("100u")]}, 1),
        ({"containers": [asks("much")]}, 0),
        ({"containers": [{}]}, 0),
    ],
)
def test_requests_are_summed_as_the_scheduler_sums_them(spec: dict[str, Any], cpu_millis: int) -> None:
    assert record(spec=spec).cpu_millis == cpu_millis


def test_a_node() -> None:
    raw = msgspec.json.encode(
        {
            "metadata": {
                "name": "n1",
                "uid": "u",
                "labels": {"topology.kubernetes.io/zone": "a"},
                "annotations": {"spillway.dev/cordoned-by": "night"},
                "creationTimestamp": "2026-01-02T03:04:05Z",
            },
            "spec": {
                "unschedulable": True,
                "taints": [
                    {"key": "k", "value": "v", "effect": "NoExecute", "timeAdded": "2026-01-02T03:04:05Z"},
                    {"key": "spillway.dev/elastic", "effect": "PreferNoSchedule"},
                ],
            },
            "status": {
                "allocatable": {
                    "cpu": "7910m",
                    "memory": "30Gi",
                    "pods": "110",
                    "ephemeral-storage": "90Gi",
                    "nvidia.com/gpu": "2",
                },
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
    )
    node = decode.NODES.one(raw)
    assert node.labels == {"topology.kubernetes.io/zone": "a"}
    assert (node.ready, node.unschedulable, node.deleting, node.cordoned_by) == (True, True, False, "night")
    assert node.taints == (Taint("k", "NoExecute", "v"), Taint("spillway.dev/elastic", "PreferNoSchedule"))
    assert (node.cpu_millis, node.memory_bytes, node.pods_allocatable) == (7910, 30 << 30, 110)
    assert node.extended == {"nvidia.com/gpu": 2, "ephemeral-storage": 90 << 30}


@pytest.mark.parametrize(
    ("kind", "status", "reason", "refused"),
    [
        ("ReplicaFailure", "True", "FailedCreate", "exceeded quota"),
        ("ReplicaFailure", "False", "FailedCreate", ""),
        ("ReplicaFailure", "True", "FailedDelete", ""),
        ("Other", "True", "FailedCreate", ""),
    ],
)
def test_a_replicaset_says_that_its_pods_are_refused(kind: str, status: str, reason: str, refused: str) -> None:
    condition = {"type": kind, "status": status, "reason": reason, "message": "exceeded quota"}
    raw = {"metadata": {"name": "web", "namespace": "shop", "uid": "rs1"}, "status": {"conditions": [condition]}}
    assert decode.REPLICASETS.one(msgspec.json.encode(raw)).refused == refused


def test_a_replicaset_has_its_templates_labels() -> None:
    raw = msgspec.json.encode(
        {
            "metadata": {
                "name": "web-5d",
                "namespace": "shop",
                "uid": "rs1",
                "labels": {"not": "these"},
                "annotations": {
                    "deployment.kubernetes.io/revision": "12",
                    "spillway.dev/threshold": "8",
                    "spillway.dev/surge": "replicas=9 placed=8 since=2026-01-01T00:00:00Z",
                },
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d1", "controller": True}
                ],
            },
            "spec": {"replicas": 0, "template": {"metadata": {"labels": {"app": "web"}}}},
        }
    )
    found = decode.REPLICASETS.one(raw)
    assert (found.replicas, found.revision, found.labels) == (0, 12, {"app": "web"})
    assert (found.owner_uid, found.owner_kind, found.owner_name) == ("d1", "Deployment", "web")
    assert found.owner_api_version == "apps/v1"
    assert (found.threshold, found.surge) == ("8", "replicas=9 placed=8 since=2026-01-01T00:00:00Z")


@pytest.mark.parametrize("decoder", [decode.REPLICASETS, decode.REPLICATION_CONTROLLERS, decode.STATEFULSETS])
@pytest.mark.parametrize(
    ("spec", "rules"),
    [
        (None, {}),
        ({"containers": []}, {}),
        ({"nodeSelector": {"pool": "gpu"}, "containers": []}, {"nodeSelector": {"pool": "gpu"}}),
        (
            {"tolerations": [{"key": "gpu", "operator": "Exists"}]},
            {"tolerations": [{"key": "gpu", "operator": "Exists"}]},
        ),
        (
            {"affinity": {"podAntiAffinity": {}, "nodeAffinity": {"x": [1]}}, "nodeSelector": {}},
            {"nodeSelector": {}, "affinity": {"nodeAffinity": {"x": [1]}}},
        ),
        ({"affinity": {"podAntiAffinity": {}}}, {}),
        ({"nodeSelector": {"pool": "x" * decode.NODE_RULES_BYTES_MAX}}, None),
    ],
    ids=["no spec", "nothing", "selector", "tolerations", "affinity", "other affinity", "too long"],
)
def test_an_owner_has_what_its_template_says_about_nodes(
    decoder: decode.Decoder[Any, Any], spec: dict[str, Any] | None, rules: dict[str, Any] | None
) -> None:
    template = {"metadata": {"labels": {"app": "web"}}, **({"spec": spec} if spec is not None else {})}
    raw = {"metadata": {"name": "web", "namespace": "shop", "uid": "rs1"}, "spec": {"template": template}}
    found = decoder.one(msgspec.json.encode(raw)).node_rules
    assert (found if not found else msgspec.json.decode(found)) == ("" if rules == {} else rules)


def test_what_templates_say_about_nodes_is_shared_and_goes_with_the_last_record() -> None:
    def record(number: int) -> str | None:
        template = {"spec": {"nodeSelector": {"pool": f"{number:04d}" * 500}}}
        raw = {"metadata": {"name": "web", "namespace": "shop", "uid": "rs1"}, "spec": {"template": template}}
        return decode.REPLICASETS.one(msgspec.json.encode(raw)).node_rules

    assert record(0) is record(0)
    tracemalloc.start()
    try:
        kept = [record(number) for number in range(1000)]
        with_records = tracemalloc.get_traced_memory()[0]
        kept.clear()
        without = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert with_records > 1000 * 2000
    assert without < with_records / 10


@pytest.mark.parametrize(
    ("kind", "annotations", "revision"),
    [
        ("Rollout", {"rollout.argoproj.io/revision": "61"}, 61),
        ("Rollout", {"rollout.argoproj.io/revision": "61", "deployment.kubernetes.io/revision": "7"}, 61),
        ("Rollout", {"deployment.kubernetes.io/revision": "7"}, 7),
        ("Deployment", {"rollout.argoproj.io/revision": "61", "deployment.kubernetes.io/revision": "7"}, 7),
    ],
)
def test_a_rollout_numbers_its_replicasets_by_a_key_of_its_own(
    kind: str, annotations: dict[str, str], revision: int
) -> None:
    owner = {"apiVersion": "x/v1", "kind": kind, "name": "web", "uid": "d1", "controller": True}
    meta = {"name": "web", "namespace": "shop", "uid": "u", "annotations": annotations, "ownerReferences": [owner]}
    assert decode.REPLICASETS.one(msgspec.json.encode({"metadata": meta})).revision == revision


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "\u0661", "9" * 5000], ids=lambda text: text[:5] or "empty")
def test_a_revision_that_is_none_counts_as_absent(text: str) -> None:
    """Whoever may create a ReplicaSet may write anything there; it must not stop the watch for everybody."""
    meta = {
        "name": "web",
        "namespace": "shop",
        "uid": "rs1",
        "annotations": {"deployment.kubernetes.io/revision": text, "deployment.kubernetes.io/desired-replicas": text},
    }
    found = decode.REPLICASETS.one(msgspec.json.encode({"metadata": meta}))
    assert (found.revision, found.desired) == (0, None)


def test_a_page_and_its_token() -> None:
    raw = msgspec.json.encode({"metadata": {"resourceVersion": "9", "continue": "t"}, "items": [pod(), pod()]})
    page = decode.PODS.page(raw)
    assert (page.metadata.resource_version, page.metadata.next, len(page.items or ())) == ("9", "t", 2)


def test_a_bookmark_has_only_a_version() -> None:
    line = (
        b'{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"12","creationTimestamp":null},'
        b'"spec":{"containers":null},"status":{}}}'
    )
    change = decode.PODS.change(line)
    assert (change.type, change.object.metadata.resource_version) == ("BOOKMARK", "12")


def test_an_error_event_is_an_exception_with_its_code() -> None:
    line = (
        b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
        b'"message":"too old resource version","reason":"Expired","code":410}}'
    )
    for decoder in (decode.PODS, decode.NODES, decode.REPLICASETS, decode.NAMESPACES):
        with pytest.raises(WatchError) as caught:
            decoder.change(line)
        assert caught.value.code == 410


@pytest.mark.parametrize("line", [b"<html>", b'{"type":"ADDED"}', b'{"type":"ADDED","object":{"metadata":7}}', b""])
def test_a_line_that_is_no_event_raises(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode.PODS.change(line)


def test_repeated_strings_and_numbers_are_one_object() -> None:
    one, two = record(), record()
    for field in ("namespace", "node", "owner_uid", "owner_name", "policy", "created", "memory_bytes", "deletion_cost"):
        assert getattr(one, field) is getattr(two, field), field


@pytest.mark.parametrize(
    ("phase", "ended"), [("Succeeded", 1_767_323_100.0), ("Failed", 1_767_323_100.0), ("Running", 0.0)]
)
def test_a_finished_pod_says_when_the_last_of_its_containers_ended(phase: str, ended: float) -> None:
    finished = [
        {"state": {"terminated": {"finishedAt": "2026-01-02T03:04:10Z"}}},
        {"state": {"terminated": {"finishedAt": "2026-01-02T03:05:00Z"}}},
        {"state": {"terminated": {"finishedAt": None}}},
        {},
    ]
    assert record(status={"phase": phase, "containerStatuses": finished}).ended == ended


def test_a_statefulset_and_a_replication_controller() -> None:
    raw = {
        "metadata": {
            "uid": "u", "namespace": "shop", "name": "db", "annotations": {"spillway.dev/threshold": "2"},
        },
        "spec": {"replicas": 4, "ordinals": {"start": 5}, "template": {"metadata": {"labels": {"app": "db"}}}},
    }  # fmt: skip
    assert decode.STATEFULSETS.one(msgspec.json.encode(raw)) == make_statefulset(
        uid="u", replicas=4, start=5, threshold="2", labels={"app": "db"}
    )
    assert decode.STATEFULSETS.one(msgspec.json.encode({"metadata": {"name": "db"}, "spec": {}})).replicas == 1
    controller = decode.REPLICATION_CONTROLLERS.one(msgspec.json.encode(raw))
    assert (controller.kind, controller.workload_kind, controller.replicas, controller.threshold) == (
        "ReplicationController", "ReplicationController", 4, "2",
    )  # fmt: skip


def test_labels_are_kept_of_pods_that_no_replicaset_owns() -> None:
    assert record().labels is None
    given = pod()["metadata"]
    stateful = {"ownerReferences": [{"kind": "StatefulSet", "name": "db", "uid": "s1", "controller": True}]}
    assert record(metadata={**given, **stateful}).labels == {"app": "web"}
    assert record(metadata={**given, **stateful, "labels": None}).labels is None


def test_a_required_anti_affinity_is_one_object_for_all_pods_of_a_template() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    spec = pod()["spec"]
    one, two = (record(spec={**spec, "affinity": {"podAntiAffinity": required}}) for _ in range(2))
    assert one.repels is two.repels
    assert [(term.topology_key, term.namespaces) for term in one.repels] == [("kubernetes.io/hostname", {"shop"})]
    for affinity in (None, {}, {"podAffinity": required}, {"podAntiAffinity": None}):
        assert record(spec={**spec, "affinity": affinity}).repels == ()


def test_what_a_pods_user_may_write_without_end_is_bounded() -> None:
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}

    def repels(terms: list[dict[str, Any]], node: str = "n1") -> int:
        required = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
        spec = {**pod()["spec"], "nodeName": node, "affinity": {"podAntiAffinity": required}}
        return len(record(spec=spec).repels)

    assert repels([term]) == 1
    assert repels([term], node="") == 0, "only where it runs it keeps others away"
    assert repels([{**term, "topologyKey": f"zone-{index}"} for index in range(20)]) == TERMS_MAX
    assert repels([{**term, "namespaces": ["x" * decode.AFFINITY_BYTES_MAX]}]) == 0
    odd = {"matchExpressions": [{"key": "a", "operator": "Resembles", "values": ["b"]}]}
    assert repels([{**term, "labelSelector": odd}]) == 0, "it does not stop the watch"


MARKS = (POLICY, TIER, POOL, PLACEMENT, RESERVATION, SIZE)


def test_what_anybody_may_write_at_any_length_is_kept_in_part() -> None:
    long = "x" * 100_000
    labels = {f"key-{number:05}": "x" * 63 for number in range(7000)}
    owner = {"apiVersion": "v1", "kind": "Job", "name": long, "uid": "u", "controller": True}
    found = record(
        metadata={"annotations": dict.fromkeys((*MARKS, POOLS), long), "labels": labels, "ownerReferences": [owner]},
        status={"phase": "Pending", "containerStatuses": []},
    )
    assert (found.policy, found.tier, found.pool, found.size, found.owner_uid, found.owner_name) == ("",) * 6
    assert (found.pending.placement, found.pending.pools, found.pending.reservation) == ("", "", "")
    assert 100 < len(found.labels) < 300
    assert set(found.labels.items()) <= set(labels.items())


@pytest.mark.parametrize(
    ("kind", "name", "uid"),
    [
        pytest.param("K" * 63, "n" * 253, "u", id="as long as Kubernetes allows"),
        pytest.param("K" * 64, "n", "", id="the kind is longer"),
        pytest.param("K", "n" * 254, "", id="the name is longer"),
    ],
)
def test_an_owner_that_cannot_be_in_kubernetes_is_none(kind: str, name: str, uid: str) -> None:
    owner = {"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": True}
    found = record(metadata={"ownerReferences": [owner]})
    assert (found.owner_kind, found.owner_name, found.owner_uid) == ((kind, name, uid) if uid else ("", "", ""))


def test_as_many_pools_as_a_policy_may_list_are_read() -> None:
    pools = ",".join(f"{number:02}" + "p" * 61 for number in range(16))
    found = record(metadata={"annotations": {POOLS: pools}}, status={"phase": "Pending", "containerStatuses": []})
    assert found.pending.pools == pools


def test_the_annotations_and_labels_of_an_owner_are_kept_in_part() -> None:
    labels = {f"key-{number:05}": "x" * 63 for number in range(7000)}
    metadata = {"uid": "u", "annotations": {THRESHOLD: "9" * 100_000, SURGE: "s" * 100_000}}
    spec = {"template": {"metadata": {"labels": labels}}}
    found = decode.REPLICASETS.one(msgspec.json.encode({"metadata": metadata, "spec": spec}))
    assert (found.threshold, found.surge) == ("9" * 256, "")
    assert 100 < len(found.labels) < 300
