"""The objects that hold headroom: balloon Deployments, or CapacityBuffers with the template of their pods.

Contract: pure. Every object carries the label `names.HEADROOM` and the marks of `domain.model.created`. A balloon asks
for one unit, runs on elastic nodes of one zone alone (it tolerates their soft taint), never on virtual nodes, and ends
at once. What tells a node autoscaler not to remove a node is never on it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spillway.api.common import LabelSelector
from spillway.domain.fit.node_affinity import selector_requirements
from spillway.domain.headroom.leaving import BALLOON_COST
from spillway.domain.headroom.shape import Shape
from spillway.domain.model.created import Created
from spillway.domain.model.documents import Json
from spillway.domain.model.names import ELASTIC_TAINT, HEADROOM, HEADROOM_PREFIX, POD_DELETION_COST, ZONE_LABEL, Zone
from spillway.domain.model.records import Taint
from spillway.domain.model.units import quantity
from spillway.domain.nodes.taints import SOFT

BUFFER_API: Final = "autoscaling.x-k8s.io/v1beta1"
ACTIVE_CAPACITY: Final = "buffer.x-k8s.io/active-capacity"
_VIRTUAL_KUBELET: Final = ("type", "virtual-kubelet")
"""The label by which virtual-kubelet marks its nodes."""
_NAME_LENGTH: Final = 63 - len("-") - 8


@dataclass(frozen=True, slots=True)
class Look:
    """What the pods of headroom look like, besides their size."""

    image: str
    priority_class: str
    pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What one object holds: so many units of a policy in a zone."""

    policy: str
    policy_uid: str
    zone: Zone
    """Empty: in no zone in particular."""
    pods: int
    unit: Shape
    elastic: LabelSelector
    """The nodes of the elastic tier."""
    taints: tuple[Taint, ...] = ()
    """The lasting taints of these nodes, which the pods tolerate."""

    @property
    def name(self) -> str:
        """Its name, of the objects and of the label that their pods carry."""
        return name_of(self.policy, self.zone)


def name_of(policy: str, zone: Zone) -> str:
    """The name of the object of a policy and a zone; two of them never have the same."""
    readable = re.sub(r"[^a-z0-9-]+", "-", f"{policy}-{zone}".lower()).strip("-")
    digest = hashlib.sha256(f"{policy}/{zone}".encode()).hexdigest()[:8]
    return f"{f'{HEADROOM_PREFIX}{readable}'[:_NAME_LENGTH].rstrip('-')}-{digest}"


def balloons(held: Held, look: Look, namespace: str) -> dict[str, Any]:
    """A Deployment of balloons."""
    spec = {
        # Of two generations of balloons the old ones would hold the room of the new ones.
        "strategy": {"type": "Recreate"},
        "revisionHistoryLimit": 1,
        "selector": {"matchLabels": _pod_labels(held)},
        "template": _template(held, look),
    }
    return _marked("apps/v1", "Deployment", held, namespace, {"spec": {"replicas": held.pods, **spec}})


def pod_template(held: Held, look: Look, namespace: str) -> dict[str, Any]:
    """The PodTemplate of a CapacityBuffer."""
    return _marked("v1", "PodTemplate", held, namespace, {"template": _template(held, look)})


def capacity_buffer(held: Held, namespace: str) -> dict[str, Any]:
    """A CapacityBuffer."""
    spec = {
        "provisioningStrategy": ACTIVE_CAPACITY,
        "podTemplateRef": {"name": held.name},
        "replicas": held.pods,
    }
    return _marked(BUFFER_API, "CapacityBuffer", held, namespace, {"spec": spec})


def quantities(shape: Shape) -> dict[str, str]:
    """A shape as Kubernetes writes resources."""
    amounts = {"cpu": shape.cpu_millis, "memory": shape.memory_bytes}
    return {resource: quantity(resource, amount) for resource, amount in amounts.items() if amount}


def _pod_labels(held: Held) -> dict[str, str]:
    return {HEADROOM: held.name}


def _marked(api_version: str, kind: str, held: Held, namespace: str, body: Json) -> dict[str, Any]:
    created = Created(namespace, held.name, held.policy, held.policy_uid, _pod_labels(held))
    return created.manifest(api_version, kind, body)


def _template(held: Held, look: Look) -> dict[str, Any]:
    return {
        "metadata": {
            "labels": _pod_labels(held),
            "annotations": {
                POD_DELETION_COST: str(BALLOON_COST),
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
            },
        },
        "spec": {
            "priorityClassName": look.priority_class,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "imagePullSecrets": [{"name": name} for name in look.pull_secrets],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65535,
                "runAsGroup": 65535,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "balloon",
                    "image": look.image,
                    "resources": {"requests": quantities(held.unit)},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
            "affinity": {"nodeAffinity": _nodes(held), "podAffinity": _TOGETHER},
            "topologySpreadConstraints": [{**_NO_SPREAD, "labelSelector": {"matchLabels": _pod_labels(held)}}],
            "tolerations": _tolerations(held.taints),
        },
    }


_TOGETHER: Final[Json] = {
    # The fuller a node, the better: what balloons leave empty can go.
    "preferredDuringSchedulingIgnoredDuringExecution": [
        {
            "weight": 100,
            "podAffinityTerm": {
                "topologyKey": "kubernetes.io/hostname",
                "labelSelector": {},
                "namespaceSelector": {},
            },
        }
    ]
}
_NO_SPREAD: Final[Mapping[str, Any]] = {
    # All of these pods are in one zone; without a constraint of their own they would get the scheduler's default ones,
    # which spread them over nodes.
    "maxSkew": 1,
    "topologyKey": ZONE_LABEL,
    "whenUnsatisfiable": "ScheduleAnyway",
}


def _nodes(held: Held) -> dict[str, Any]:
    expressions = [
        *selector_requirements(held.elastic),
        {"key": _VIRTUAL_KUBELET[0], "operator": "NotIn", "values": [_VIRTUAL_KUBELET[1]]},
    ]
    if held.zone:
        expressions.append({"key": ZONE_LABEL, "operator": "In", "values": [held.zone]})
    terms = [{"matchExpressions": expressions}]
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}


_SOFTLY: Final = {"key": ELASTIC_TAINT, "operator": "Exists", "effect": SOFT}
"""Without it, Karpenter would never place a unit of a CapacityBuffer on a node with the soft taint of elastic nodes: it
takes a soft taint that no NodePool declares for a hard one. It would replace the nodes of a buffer whenever they join.
"""


def _tolerations(taints: Iterable[Taint]) -> Sequence[dict[str, str]]:
    lasting = [
        {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
        for taint in sorted(set(taints), key=lambda one: (one.key, one.value, one.effect))
    ]
    return [_SOFTLY, *lasting]
