"""Pods and overlays for tests of overlays: whole ones for tables, and any at all for properties."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from spillway.api.podoverlay import PodOverlay

Json = dict[str, Any]

LOGS: Json = {
    "image": "timberio/vector:0.40.0-distroless-static",
    "paths": ["/var/log/app/*.log"],
    "kafka": {"brokers": ["kafka-0:9092", "kafka-1:9092"], "topic": "logs"},
}

FULL: Json = {
    "annotations": {"provider.example.com/cache": "true"},
    "labels": {"compute": "serverless"},
    "env": [
        {"name": "TIER", "fromLanding": "tier"},
        {"name": "ZONE", "fromLanding": "zone"},
        {"name": "COLLECTOR", "value": "http://collector:4317", "landed": True},
        {"name": "REGION", "value": "b"},
    ],
    "sidecars": [{"name": "proxy", "image": "registry.invalid/proxy:1"}],
    "logs": LOGS,
    "coreDump": {"path": "/data/dump", "annotation": "provider.example.com/core", "volume": {"emptyDir": {}}},
    "dnsConfig": {"nameservers": ["10.0.0.2"], "options": [{"name": "ndots", "value": "2"}], "replace": True},
}


def overlay(**fields: Any) -> PodOverlay:
    """An overlay as a manifest writes it; an unknown field is an error."""
    return PodOverlay.strict(fields)


def pod(*containers: Json, init: tuple[Json, ...] = (), metadata: Mapping[str, Any] | None = None, **spec: Any) -> Json:
    """A pod as admission gets it; without `containers` one that writes logs into a volume."""
    writer = container(volumeMounts=[{"name": "logs", "mountPath": "/var/log/app"}])
    body: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "web-", "namespace": "shop", **(metadata or {})},
        "spec": {
            "containers": list(containers) or [writer],
            "volumes": [{"name": "logs", "emptyDir": {}}],
            "dnsPolicy": "ClusterFirst",
            **spec,
        },
    }
    if init:
        body["spec"]["initContainers"] = list(init)
    return body


def container(name: str = "main", **fields: Any) -> Json:
    return {"name": name, "image": f"registry.invalid/{name}:1", **fields}


def env_of(body: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By container: each variable's value, or the path that it refers to."""
    every = [*(body["spec"].get("initContainers") or ()), *body["spec"]["containers"]]
    return {
        one["name"]: {
            env["name"]: env.get("value", (env.get("valueFrom") or {}).get("fieldRef", {}).get("fieldPath"))
            for env in one.get("env") or ()
        }
        for one in every
    }


# Any at all: few names, so that they meet.

_names = st.sampled_from(["A", "B", "C", "D"])
_values = st.sampled_from(["", "1", "2"])
_keys = st.sampled_from(["x.io/a", "x.io/b", "c"])
_maps = st.dictionaries(_keys, _values, max_size=3)
_mount_paths = st.sampled_from(["/var/log", "/var/log/app", "/data", "/data/dump"])


def _entry(name: str, value: str) -> Json:
    return {"name": name, "value": value}


_env_entries = st.lists(st.builds(_entry, _names, _values), max_size=3, unique_by=lambda one: str(one["name"]))


@st.composite
def _containers(draw: st.DrawFn, names: list[str]) -> list[Json]:
    chosen = draw(st.lists(st.sampled_from(names), min_size=0, max_size=2, unique=True))
    found = []
    for name in chosen:
        one = container(name)
        if draw(st.booleans()):
            one["env"] = draw(_env_entries)
        if draw(st.booleans()):
            paths = draw(st.lists(_mount_paths, max_size=2, unique=True))
            one["volumeMounts"] = [{"name": draw(st.sampled_from(["v", "w"])), "mountPath": path} for path in paths]
        if draw(st.booleans()):
            one["ports"] = [{"containerPort": draw(st.sampled_from([2020, 8080, 9598]))}]
        found.append(one)
    return found


@st.composite
def pods(draw: st.DrawFn) -> Json:
    """Pods with and without lists and maps, some of whose names an overlay uses too."""
    containers = draw(_containers(["main", "proxy", "spillway-logs"])) or [container()]
    body = pod(*containers, volumes=[{"name": name, "emptyDir": {}} for name in ("v", "w")])
    init = draw(_containers(["setup", "agent"]))
    empty_list: bool = draw(st.booleans())
    if init or empty_list:
        body["spec"]["initContainers"] = init
    for field in ("annotations", "labels"):
        if draw(st.booleans()):
            body["metadata"][field] = draw(_maps)
    if draw(st.booleans()):
        body["spec"]["dnsConfig"] = draw(
            st.sampled_from([{}, {"nameservers": ["10.9.9.9"]}, {"options": [{"name": "ndots", "value": "5"}]}])
        )
    body["spec"]["dnsPolicy"] = draw(st.sampled_from(["ClusterFirst", "Default"]))
    return body


@st.composite
def overlays(draw: st.DrawFn) -> PodOverlay:
    """Overlays with any of their parts."""
    fields: Json = {"annotations": draw(_maps), "labels": draw(_maps)}
    env: list[Json] = []
    for name in draw(st.lists(_names, max_size=4, unique=True)):
        kind = draw(st.sampled_from(["value", "landed", "fromLanding"]))
        if kind == "fromLanding":
            env.append({"name": name, "fromLanding": draw(st.sampled_from(["tier", "pool", "zone", "node"]))})
        else:
            env.append({"name": name, "value": draw(_values), "landed": kind == "landed"})
    fields["env"] = env
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(["proxy", "agent", "main"]), max_size=2, unique=True))
        fields["sidecars"] = [{"name": name, "image": "registry.invalid/sidecar:1"} for name in names]
    if draw(st.booleans()):
        shipper = draw(st.sampled_from(["Vector", "FluentBit"]))
        paths = draw(st.sampled_from([["/var/log/app/*.log"], ["/var/*/x.log", "/data/a.log"]]))
        fields["logs"] = {**LOGS, "shipper": shipper, "paths": paths}
    if draw(st.booleans()):
        volume: Json | None = draw(st.sampled_from([None, {"emptyDir": {}}]))
        fields["coreDump"] = {"path": "/data/dump", "annotation": "c", "volume": volume}
    if draw(st.booleans()):
        fields["dnsConfig"] = FULL["dnsConfig"] | {"replace": draw(st.booleans())}
    return overlay(**fields)


CASES: dict[str, tuple[Json, Json]] = {
    "everything on a pod that has nothing": (pod(), FULL),
    "everything on a pod that has a list of each": (
        pod(
            container(
                env=[{"name": "MINE", "value": "1"}],
                ports=[{"containerPort": 9598}],
                volumeMounts=[{"name": "logs", "mountPath": "/var/log/app"}],
            ),
            container("helper"),
            init=(container("setup"), container("agent", restartPolicy="Always")),
            metadata={"annotations": {"a": "b"}, "labels": {"c": "d"}},
            dnsConfig={"searches": ["example.com"]},
        ),
        FULL,
    ),
    "Fluent Bit": (pod(), {"logs": LOGS | {"shipper": "FluentBit"}}),
    "two volumes for logs": (
        pod(
            container("a", volumeMounts=[{"name": "logs", "mountPath": "/var/log/app"}]),
            container("b", volumeMounts=[{"name": "more", "mountPath": "/var/log/app", "subPath": "b"}]),
            volumes=[{"name": "logs", "emptyDir": {}}, {"name": "more", "emptyDir": {}}],
        ),
        {"logs": LOGS},
    ),
    "names at their longest": (
        pod(),
        {"env": [{"name": "A_" + "b" * 57, "value": "x", "landed": True}, {"name": "a.x-y", "fromLanding": "node"}]},
    ),
}
"""Pods and overlays that between them have every way in which something is added."""
