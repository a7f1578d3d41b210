"""The pod on which an overlay is tried, and where in the overlay a fault of that pod comes from.

Contract: pure. The pod has one container, and nothing that a namespace may object to; `add_overlay` is what admission
does. The API server names a field of the pod, from which `overlay_field` finds the field of the overlay that put it
there. A fault that only shows together with a certain pod of a user is not found by this.
"""

import re
from pathlib import PurePosixPath
from typing import Any, Final

from spillway.api.podoverlay import PodOverlay
from spillway.domain.model.documents import Json
from spillway.domain.overlay.draft import Draft
from spillway.domain.overlay.plan import CORE_DUMPS, add_landing_variables, add_overlay
from spillway.domain.overlay.tolerations import needed, toleration_additions

_OVERLAY: Final = "spec.podOverlay"
_ENTRY: Final = re.compile(r"spec\.(initContainers|volumes|tolerations|containers\[0\]\.env)\[(\d+)\](.*)")
_WHOLE: Final = {
    "metadata.annotations": "annotations",
    "metadata.labels": "labels",
    "spec.containers[0].volumeMounts": "coreDump.path",
}
_SECURITY: Final[Json] = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def trial_pod(name: str, overlay: PodOverlay, *, pool: str) -> Json:
    """A pod with this overlay, as admission would make it for this pool."""
    folders = sorted({str(PurePosixPath(path).parent) for path in (overlay.logs.paths if overlay.logs else ())})
    volumes = [{"name": f"trial-{index}", "emptyDir": {}} for index in range(len(folders))]
    mounts = [{"name": f"trial-{index}", "mountPath": folder} for index, folder in enumerate(folders)]
    container: dict[str, Any] = {
        "name": "trial",
        "image": "registry.invalid/trial:1",
        "securityContext": _SECURITY,
        # Enough for a namespace with a quota, and for one with a minimum there is no right answer.
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "volumeMounts": mounts,
    }
    metadata = {"name": name, "labels": {}, "annotations": {}}
    draft = Draft({"metadata": metadata, "spec": {"containers": [container], "volumes": volumes}})
    add_overlay(draft, overlay, pool=pool)
    add_landing_variables(draft, [(pool, overlay)])
    draft.add_all(toleration_additions(draft.pod, needed(overlay, ())))
    return draft.pod


def overlay_field(pod_field: str, overlay: PodOverlay, pod: Json) -> str:
    """The field of the VirtualNodeBudget from which a field of its trial pod comes; the whole overlay if unclear."""
    for prefix, field in _WHOLE.items():
        if pod_field.startswith(prefix):
            return f"{_OVERLAY}.{field}"
    if pod_field.startswith("spec.dnsConfig"):
        return f"{_OVERLAY}.{pod_field.removeprefix('spec.')}"
    entry = _ENTRY.fullmatch(pod_field)
    if entry is None:
        return _OVERLAY
    kind, index, rest = entry[1].removeprefix("containers[0]."), int(entry[2]), entry[3]
    if kind == "tolerations":
        return f"{_OVERLAY}.tolerations[{index}]{rest}"
    entries = pod["spec"]["containers"][0]["env"] if kind == "env" else pod["spec"][kind]
    return _named_entry(kind, entries[index]["name"], rest, overlay)


def _named_entry(kind: str, name: str, rest: str, overlay: PodOverlay) -> str:
    if kind == "env":
        field, names = "env", [env.name for env in overlay.env]
    elif kind == "volumes":
        field, names = "volumes", [str(volume["name"]) for volume in overlay.volumes]
    else:
        field, names = "sidecars", [str(sidecar["name"]) for sidecar in overlay.sidecars]
    if name in names:
        return f"{_OVERLAY}.{field}[{names.index(name)}]{rest}"
    if kind == "volumes" and overlay.core_dump is not None and name == CORE_DUMPS:
        return f"{_OVERLAY}.coreDump.volume{rest}"
    return f"{_OVERLAY}.logs"
