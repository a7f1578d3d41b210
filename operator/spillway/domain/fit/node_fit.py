"""Whether a pod as written may run on a node, and whether the node has room for one more.

Contract: pure, on the pod's spec as JSON has it (a pod's, or a template's), with the scheduler's meaning of each field.
What only the scheduler can weigh (spread, pod affinity, ports, volumes) is not looked at: "admits" says that nothing of
the node itself is against the pod.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from spillway.domain.fit.affinity import allows
from spillway.domain.fit.tolerations import Toleration, hard_taints, tolerates
from spillway.domain.model.records import NodeRecord

Spec = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Free:
    """What a node has left of requests: allocatable less what its pods ask for."""

    cpu_millis: int
    memory_bytes: int
    pods: int

    @classmethod
    def of(cls, node: NodeRecord, *, pods: int, cpu_millis: int, memory_bytes: int) -> Self:
        """Of a node on which so many pods request so much."""
        return cls(node.cpu_millis - cpu_millis, node.memory_bytes - memory_bytes, node.pods_allocatable - pods)

    def holds(self, cpu_millis: int, memory_bytes: int) -> bool:
        """Whether one more pod with these requests fits in."""
        return self.pods >= 1 and cpu_millis <= self.cpu_millis and memory_bytes <= self.memory_bytes

    def less(self, cpu_millis: int, memory_bytes: int) -> "Free":
        """With one more such pod on it."""
        return Free(self.cpu_millis - cpu_millis, self.memory_bytes - memory_bytes, self.pods - 1)


def admits(node: NodeRecord, spec: Spec, extra: Sequence[Toleration] = ()) -> bool:
    """Whether nothing of the node is against this pod, had it the `extra` tolerations as well."""
    present = [*(spec.get("tolerations") or ()), *extra]
    return allows(spec, node) and all(any(tolerates(one, taint) for one in present) for taint in hard_taints(node))
