"""The log shipper on virtual nodes: a native sidecar in place of the DaemonSet that does not run there.

Contract: the pod needs no other object. Fluent Bit takes all its configuration as arguments; Vector only reads files,
so its configuration is an annotation that a `downwardAPI` volume shows as a file. The sidecar mounts, to read, the
volumes in which the pod's containers keep their log files; a path that lies in no volume cannot be seen from another
container and is reported. It runs as the user, and at most with the rights, of a container that writes there, so a
namespace that takes the pod takes the sidecar; and it requests nothing unless configured otherwise, so the pod keeps
the size that the provider bills (a zero request satisfies a ResourceQuota, an absent one does not).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from spillway.api.podoverlay import OverlayLogs
from spillway.domain.model.names import LANDING_VECTOR
from spillway.domain.overlay.draft import Draft

SHIPPER: Final = "spillway-logs"

VECTOR_PORT_NAME: Final = "logs-vector"
FLUENT_BIT_PORT_NAME: Final = "logs-fluentbit"
"""The name of the port in the scrape configuration; 15 characters at most."""

_DATA: Final = "spillway-logs-data"
_DATA_PATH: Final = "/var/lib/spillway-logs"
_CONFIG: Final = "spillway-logs-config"
_CONFIG_PATH: Final = "/etc/spillway-logs"
_PORTS: Final = {"Vector": 9598, "FluentBit": 2020}
_WILD: Final = frozenset("*?[{")
_NOBODY: Final = 65532
"""The user for pods that must not run as root and name no user."""

_COPIED: Final = (
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "seccompProfile",
    "seLinuxOptions",
    "readOnlyRootFilesystem",
)
_ORIGIN: Final = {
    "SPILLWAY_NAMESPACE": "metadata.namespace",
    "SPILLWAY_POD": "metadata.name",
    "SPILLWAY_NODE": "spec.nodeName",
}


class _Mount(NamedTuple):
    """A container's mount of a volume in which it keeps log files."""

    volume: str
    at: str
    sub_path: str


def add_shipper(draft: Draft, logs: OverlayLogs, pool: str) -> dict[str, Any] | None:
    """Add what the shipper needs and return it; None where it would find no file."""
    mounts: dict[_Mount, str] = {}
    paths: list[str] = []
    writer: Mapping[str, Any] = {}
    for path in logs.paths:
        found = list(_found(draft, path))
        for container, mount in found:
            writer = writer or container
            paths.append(_seen_from_here(path, mount, mounts))
        if not found:
            draft.conflict(f"logs: no container mounts a volume that holds {path}: pool {pool} cannot ship it")
    if not paths:
        return None
    draft.entry(("spec", "volumes"), {"name": _DATA, "emptyDir": {}})
    container = {
        "name": SHIPPER,
        "image": logs.image,
        "env": [
            {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": field}}}
            for name, field in _ORIGIN.items()
        ],
        "resources": logs.resources or {"requests": {"cpu": "0", "memory": "0"}},
        "securityContext": _security(draft, writer),
        "volumeMounts": [
            {"name": _DATA, "mountPath": _DATA_PATH},
            *(
                {"name": mount.volume, "mountPath": at, "readOnly": True}
                | ({"subPath": mount.sub_path} if mount.sub_path else {})
                for mount, at in mounts.items()
            ),
        ],
    }
    unique = list(dict.fromkeys(paths))
    port = _port(draft, _PORTS[logs.shipper])
    return (
        _vector(draft, container, logs, unique, port)
        if logs.shipper == "Vector"
        else _fluent_bit(container, logs, unique, port)
    )


def _vector(draft: Draft, container: dict[str, Any], logs: OverlayLogs, paths: list[str], port: int) -> dict[str, Any]:
    file = "vector.json"
    field = {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{LANDING_VECTOR}']"}
    draft.member(("metadata", "annotations"), LANDING_VECTOR, _vector_configuration(logs, paths, port))
    draft.entry(("spec", "volumes"), {"name": _CONFIG, "downwardAPI": {"items": [{"path": file, "fieldRef": field}]}})
    container["env"].append({"name": "VECTOR_CONFIG", "value": f"{_CONFIG_PATH}/{file}"})
    container["volumeMounts"].append({"name": _CONFIG, "mountPath": _CONFIG_PATH, "readOnly": True})
    container["ports"] = [{"name": VECTOR_PORT_NAME, "containerPort": port, "protocol": "TCP"}]
    return container


def _vector_configuration(logs: OverlayLogs, paths: list[str], port: int) -> str:
    origin = [f'.{name.removeprefix("SPILLWAY_").lower()} = get_env_var!("{name}")' for name in _ORIGIN]
    configuration = {
        "data_dir": _DATA_PATH,
        "sources": {"files": {"type": "file", "include": paths}, "self": {"type": "internal_metrics"}},
        "transforms": {
            # Not by interpolation, which newer versions of Vector disable.
            "origin": {"type": "remap", "inputs": ["files"], "source": "\n".join([*origin, '.tier = "virtual"'])}
        },
        "sinks": {
            "kafka": {
                "type": "kafka",
                "inputs": ["origin"],
                "bootstrap_servers": ",".join(logs.kafka.brokers),
                "topic": logs.kafka.topic,
                "encoding": {"codec": "json"},
            },
            "metrics": {"type": "prometheus_exporter", "inputs": ["self"], "address": f"0.0.0.0:{port}"},
        },
    }
    return json.dumps(configuration, separators=(",", ":"))


def _fluent_bit(container: dict[str, Any], logs: OverlayLogs, paths: list[str], port: int) -> dict[str, Any]:
    arguments = ["--http", f"--port={port}"]
    for number, path in enumerate(paths):
        arguments += ["-i", "tail"]
        tail = {"path": path, "db": f"{_DATA_PATH}/{number}.db", "read_from_head": "true", "path_key": "file"}
        arguments += _properties(tail)
    origin = {name.removeprefix("SPILLWAY_").lower(): f"$({name})" for name in _ORIGIN} | {"tier": "virtual"}
    arguments += ["-F", "record_modifier", "-m", "*"]
    for key, value in origin.items():
        arguments += ["-p", f"record={key} {value}"]
    arguments += ["-o", "kafka", "-m", "*"]
    arguments += _properties({"brokers": ",".join(logs.kafka.brokers), "topics": logs.kafka.topic})
    container["args"] = arguments
    container["ports"] = [{"name": FLUENT_BIT_PORT_NAME, "containerPort": port, "protocol": "TCP"}]
    return container


def _properties(given: Mapping[str, str]) -> Iterator[str]:
    for key, value in given.items():
        # Kubernetes would put a variable in the place of $(NAME).
        yield from ("-p", f"{key}={value.replace('$(', '$$(')}")


def _found(draft: Draft, path: str) -> Iterator[tuple[Mapping[str, Any], _Mount]]:
    """The containers' mounts in which files of this path lie: of each container the deepest, or those below."""
    folder = _fixed_folder(path)
    for _, container in draft.containers("containers", "initContainers"):
        if container.get("name") == SHIPPER:
            continue
        mounts = [
            _Mount(mount["name"], mount["mountPath"].rstrip("/") or "/", mount.get("subPath") or "")
            for mount in container.get("volumeMounts") or ()
            # Its path depends on the container's own variables.
            if not mount.get("subPathExpr")
        ]
        above = [mount for mount in mounts if folder.is_relative_to(mount.at)]
        if above:
            yield container, max(above, key=lambda mount: len(mount.at))
        elif _has_wild_folder(path):
            yield from ((container, mount) for mount in mounts if PurePosixPath(mount.at).is_relative_to(folder))


def _fixed_folder(path: str) -> PurePosixPath:
    """The folder of a path up to the first pattern in it."""
    parts = PurePosixPath(path).parts[:-1]
    fixed = next((index for index, part in enumerate(parts) if _WILD & set(part)), len(parts))
    return PurePosixPath(*parts[:fixed])


def _has_wild_folder(path: str) -> bool:
    return any(_WILD & set(part) for part in PurePosixPath(path).parts[:-1])


def _seen_from_here(path: str, mount: _Mount, mounts: dict[_Mount, str]) -> str:
    """The path as the shipper sees it; notes where it mounts the volume, elsewhere if that place is taken."""
    at = mounts.setdefault(mount, mount.at)
    if at == mount.at and any(other != mount and taken == at for other, taken in mounts.items()):
        at = mounts[mount] = f"{_DATA_PATH}-{len(mounts)}"
    fixed = PurePosixPath(path)
    if at == mount.at or not fixed.is_relative_to(mount.at):
        return path
    return str(PurePosixPath(at, fixed.relative_to(mount.at)))


def _security(draft: Draft, writer: Mapping[str, Any]) -> dict[str, Any]:
    whole = draft.at("spec", "securityContext") or {}
    own = writer.get("securityContext") or {}
    context = {key: own[key] for key in _COPIED if own.get(key) is not None}
    dropped = (own.get("capabilities") or {}).get("drop")
    if dropped:
        context["capabilities"] = {"drop": list(dropped)}
    named = own.get("runAsUser", whole.get("runAsUser")) is not None
    if own.get("runAsNonRoot", whole.get("runAsNonRoot")) and not named:
        context["runAsUser"] = _NOBODY
    return context | {"allowPrivilegeEscalation": False}


def _port(draft: Draft, wanted: int) -> int:
    """The port, or the next that no container of the pod declares: they share one address."""
    taken = {
        port.get("containerPort")
        for _, container in draft.containers("containers", "initContainers")
        if container.get("name") != SHIPPER
        for port in container.get("ports") or ()
    }
    return next(port for port in range(wanted, wanted + len(taken) + 1) if port not in taken)
