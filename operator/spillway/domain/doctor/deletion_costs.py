"""The check for other clients that write deletion costs on governed pods.

Contract: pure. Who wrote is read from the managed fields of a pod, where Kubernetes records it.
"""

from collections.abc import Iterable, Iterator, Mapping

from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.documents import Json
from spillway.domain.model.names import POD_DELETION_COST
from spillway.domain.overview.attention import Severity


def managers_of(pod: Json) -> frozenset[str]:
    """The field managers that own the deletion cost of a pod."""
    return frozenset(
        str(entry.get("manager") or "unknown")
        for entry in (pod.get("metadata") or {}).get("managedFields") or ()
        if f"f:{POD_DELETION_COST}" in _annotations(entry)
    )


def foreign_writers(workloads: Mapping[str, tuple[int, Iterable[str]]]) -> Iterator[Finding]:
    """Findings by workload: how many of its pods have another client's cost, and the managers that wrote it."""
    for workload, (pods, managers) in sorted(workloads.items()):
        named = ", ".join(sorted(managers)) or "a client that is not recorded"
        yield Finding(
            Severity.WARNING,
            Check.DELETION_COSTS,
            workload,
            f"{named} wrote the deletion cost of {pods} of its pods, so Spillway leaves the workload alone and its "
            "scale-downs are not exact",
            "Stop the other client, or exclude the workload from the policy; then remove the annotation "
            f"{POD_DELETION_COST} from its pods. See the runbook SpillwayForeignWriter.",
        )


def _annotations(entry: Json) -> Json:
    fields: Json = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
    found: Json = fields.get("f:annotations") or {}
    return found
