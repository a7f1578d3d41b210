"""The log shipper: what it ships, as whom it runs, and that it needs nothing beside the pod."""

import json
from typing import Any

import pytest

from spillway.domain.overlay.draft import Draft
from spillway.domain.overlay.plan import add_overlay
from tests.unit.domain.overlay.overlay_cases import LOGS, Json, container, overlay, pod

WRITER: Json = {"volumeMounts": [{"name": "logs", "mountPath": "/var/log/app"}]}


def shipped(body: Json, **logs: Any) -> tuple[Json, Json | None, tuple[str, ...]]:
    """The pod, its shipper, and what was said."""
    draft = Draft(body)
    add_overlay(draft, overlay(logs=LOGS | logs), pool="pool-v")
    result: Any = draft.pod
    found = [one for one in result["spec"].get("initContainers") or () if one["name"] == "spillway-logs"]
    return result, found[0] if found else None, draft.conflicts


def vector(result: Json) -> Json:
    """Vector's configuration as it will stand in the file."""
    volumes = {volume["name"]: volume for volume in result["spec"]["volumes"]}
    [item] = volumes["spillway-logs-config"]["downwardAPI"]["items"]
    key = item["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
    configuration: Json = json.loads(result["metadata"]["annotations"][key])
    return configuration


def test_vector_reads_its_configuration_from_an_annotation_of_the_pod() -> None:
    result, shipper, conflicts = shipped(pod())
    assert shipper is not None
    env = {one["name"]: one.get("value") for one in shipper["env"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in shipper["volumeMounts"]}
    configuration = vector(result)
    assert env["VECTOR_CONFIG"] == f"{mounts['spillway-logs-config']}/vector.json"
    assert configuration["sources"]["files"]["include"] == ["/var/log/app/*.log"]
    assert configuration["data_dir"] == mounts["spillway-logs-data"]
    kafka = configuration["sinks"]["kafka"]
    assert (kafka["bootstrap_servers"], kafka["topic"]) == ("kafka-0:9092,kafka-1:9092", "logs")
    assert kafka["inputs"] == ["origin"]
    assert conflicts == ()


def test_every_record_says_which_pod_it_is_from() -> None:
    result, shipper, _ = shipped(pod())
    assert shipper is not None
    source = vector(result)["transforms"]["origin"]["source"]
    named = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in shipper["env"] if "valueFrom" in one}
    assert set(named.values()) == {"metadata.namespace", "metadata.name", "spec.nodeName"}
    for name in named:
        assert f'get_env_var!("{name}")' in source
    assert "$" not in result["metadata"]["annotations"]["landing.spillway.dev/vector"]


def test_fluent_bit_is_configured_by_its_arguments_alone() -> None:
    result, shipper, _ = shipped(pod(), shipper="FluentBit", paths=["/var/log/app/a.log", "/var/log/app/$(B).log"])
    assert shipper is not None
    assert [volume["name"] for volume in result["spec"]["volumes"]] == ["logs", "spillway-logs-data"]
    assert "annotations" not in result["metadata"]
    arguments = shipper["args"]
    assert arguments[:2] == ["--http", "--port=2020"]
    assert [arguments[i + 1] for i, one in enumerate(arguments) if one == "-i"] == ["tail", "tail"]
    properties = [arguments[i + 1] for i, one in enumerate(arguments) if one == "-p"]
    assert "path=/var/log/app/a.log" in properties
    assert "path=/var/log/app/$$(B).log" in properties, "Kubernetes would expand it"
    assert "record=pod $(SPILLWAY_POD)" in properties
    assert arguments[-7:] == [
        "kafka", "-m", "*", "-p", "brokers=kafka-0:9092,kafka-1:9092", "-p", "topics=logs",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shipper", "port", "name"), [("Vector", 9598, "logs-vector"), ("FluentBit", 2020, "logs-fluentbit")]
)
def test_its_own_metrics_are_served_on_a_port_that_the_pod_leaves_free(shipper: str, port: int, name: str) -> None:
    _, alone, _ = shipped(pod(), shipper=shipper)
    busy = pod(container(ports=[{"containerPort": port}, {"containerPort": port + 1}], **WRITER))
    _, beside, _ = shipped(busy, shipper=shipper)
    assert alone is not None
    assert beside is not None
    assert alone["ports"] == [{"name": name, "containerPort": port, "protocol": "TCP"}]
    assert beside["ports"][0]["containerPort"] == port + 2
    assert len(name) <= 15


def test_volumes_are_mounted_to_read_where_the_containers_have_them() -> None:
    _, shipper, _ = shipped(pod())
    assert shipper is not None
    assert {"name": "logs", "mountPath": "/var/log/app", "readOnly": True} in shipper["volumeMounts"]


def test_two_volumes_at_one_place_are_both_read() -> None:
    body = pod(
        container("a", volumeMounts=[{"name": "logs", "mountPath": "/var/log/app/"}]),
        container("b", volumeMounts=[{"name": "more", "mountPath": "/var/log/app", "subPath": "b"}]),
        volumes=[{"name": "logs", "emptyDir": {}}, {"name": "more", "emptyDir": {}}],
    )
    result, shipper, _ = shipped(body)
    assert shipper is not None
    mounts = {mount["name"]: mount for mount in shipper["volumeMounts"]}
    assert mounts["logs"]["mountPath"] == "/var/log/app"
    assert mounts["more"]["mountPath"] == "/var/lib/spillway-logs-2"
    assert mounts["more"]["subPath"] == "b"
    assert vector(result)["sources"]["files"]["include"] == ["/var/log/app/*.log", "/var/lib/spillway-logs-2/*.log"]
    assert len({mount["mountPath"] for mount in shipper["volumeMounts"]}) == len(shipper["volumeMounts"])


def test_the_deepest_mount_is_the_one_that_holds_a_file() -> None:
    mounts = [{"name": "data", "mountPath": "/var"}, {"name": "logs", "mountPath": "/var/log/app"}]
    _, shipper, _ = shipped(pod(container(volumeMounts=mounts)))
    assert shipper is not None
    assert [mount["name"] for mount in shipper["volumeMounts"] if mount["name"] in ("data", "logs")] == ["logs"]


def test_a_pattern_finds_the_volumes_below_it() -> None:
    result, shipper, conflicts = shipped(pod(), paths=["/var/*/app/*.log"])
    assert shipper is not None
    assert conflicts == ()
    assert vector(result)["sources"]["files"]["include"] == ["/var/*/app/*.log"]


@pytest.mark.parametrize(
    "mounts",
    [
        [],
        [{"name": "logs", "mountPath": "/var/log/apps"}],
        [{"name": "logs", "mountPath": "/var/log/app", "subPathExpr": "$(POD)"}],
    ],
    ids=["none", "beside it", "by the container's own variables"],
)
def test_files_in_no_volume_are_reported_and_no_sidecar_is_added(mounts: list[Json]) -> None:
    body = pod(container(volumeMounts=mounts))
    result, shipper, conflicts = shipped(body)
    assert shipper is None
    assert result == body
    assert conflicts == (
        "logs: no container mounts a volume that holds /var/log/app/*.log: pool pool-v cannot ship it",
    )


@pytest.mark.parametrize(
    ("whole", "own", "expected"),
    [
        ({}, {}, {}),
        ({"runAsUser": 1000}, {}, {}),
        ({}, {"runAsUser": 1000, "runAsNonRoot": True}, {"runAsUser": 1000, "runAsNonRoot": True}),
        ({"runAsNonRoot": True}, {}, {"runAsUser": 65532}),
        ({"runAsNonRoot": True, "runAsUser": 7}, {}, {}),
        ({}, {"capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}, {"capabilities": {"drop": ["ALL"]}}),
        ({}, {"privileged": True}, {}),
        (
            {},
            {"seccompProfile": {"type": "RuntimeDefault"}, "readOnlyRootFilesystem": True},
            {"seccompProfile": {"type": "RuntimeDefault"}, "readOnlyRootFilesystem": True},
        ),
    ],
)
def test_it_runs_as_the_container_that_writes_and_with_no_more_rights(whole: Json, own: Json, expected: Json) -> None:
    _, shipper, _ = shipped(pod(container(securityContext=own, **WRITER), securityContext=whole))
    assert shipper is not None
    assert shipper["securityContext"] == expected | {"allowPrivilegeEscalation": False}


def test_it_asks_for_nothing_unless_told_to() -> None:
    _, bare, _ = shipped(pod())
    _, sized, _ = shipped(pod(), resources={"requests": {"cpu": "50m"}})
    assert bare is not None
    assert sized is not None
    assert bare["resources"] == {"requests": {"cpu": "0", "memory": "0"}}
    assert sized["resources"] == {"requests": {"cpu": "50m"}}
