"""The rule of volumes that only some nodes reach (the scheduler's VolumeBinding).

Contract: pure, on a claim's PersistentVolume, or on its StorageClass while it has none. A volume's node affinity is
respected whatever its type. A claim that waits for its first consumer gets a volume where the class allows topologies,
and one that no provisioner makes is taken for local: such volumes exist already, on nodes.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from spillway.domain.fit.node_affinity import matches_any
from spillway.domain.model.documents import Json
from spillway.domain.model.records import NodeRecord

NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"


class VolumeReach(NamedTuple):
    """The nodes that reach the volume of one claim."""

    claim: str
    bound: bool = False
    """Whether the claim has its volume: then nothing of this changes."""
    local: bool = False
    """Whether the volume is part of one node."""
    terms: Sequence[Json] | None = None
    """Node selector terms, of which a node has to match one; None if every node reaches it."""


def of_volume(claim: str, volume: Json) -> VolumeReach:
    """The reach of a PersistentVolume."""
    spec: Any = volume.get("spec") or {}
    required = (spec.get("nodeAffinity") or {}).get("required")
    terms = None if required is None else required.get("nodeSelectorTerms") or ()
    return VolumeReach(claim, bound=True, local=bool(spec.get("local") or spec.get("hostPath")), terms=terms)


def of_class(claim: str, storage_class: Json) -> VolumeReach:
    """The reach of the volume that a claim without one will get from its StorageClass."""
    if storage_class.get("volumeBindingMode") != "WaitForFirstConsumer":
        return VolumeReach(claim)
    if storage_class.get("provisioner") == NO_PROVISIONER:
        return VolumeReach(claim, local=True)
    allowed: Any = storage_class.get("allowedTopologies")
    return VolumeReach(claim, terms=[_as_term(one) for one in allowed] if allowed else None)


def reaching(volumes: Sequence[VolumeReach], nodes: Sequence[NodeRecord]) -> tuple[Sequence[NodeRecord], str]:
    """The nodes of these that reach all volumes, and a clause that says why there is none."""
    for volume in volumes:
        if volume.terms is not None:
            nodes = [node for node in nodes if matches_any(volume.terms, node)]
            if not nodes:
                return (), f"that reaches the volume of its claim {volume.claim}"
    return nodes, ""


def _as_term(topology: Json) -> Json:
    expressions: Any = topology.get("matchLabelExpressions") or ()
    return {"matchExpressions": [{"key": one["key"], "operator": "In", "values": one["values"]} for one in expressions]}
