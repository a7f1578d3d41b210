"""Whether a pod as written may run on a node: its node selector, its required node affinity, and the node's taints.

Contract: pure, on the pod's spec as JSON has it (a pod's, or a template's), with the scheduler's meaning of each field.
What only the scheduler can weigh (spread, pod affinity, ports, volumes) is not looked at: "fits" here says that nothing
of the node itself is against it. Amounts are compared apart (`free_of`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from spillway.domain.records import NodeRecord, Taint

Spec = Mapping[str, Any]
Toleration = Mapping[str, Any]

_REPELLING: Final = frozenset({"NoSchedule", "NoExecute"})


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
    return selected(node, spec) and tolerated(node.taints, [*(spec.get("tolerations") or ()), *extra])


def selected(node: NodeRecord, spec: Spec) -> bool:
    """Whether the pod's node selector and its required node affinity choose this node."""
    if any(node.labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_term_selects(term, node) for term in required.get("nodeSelectorTerms") or ())


def tolerated(taints: Iterable[Taint], tolerations: Sequence[Toleration]) -> bool:
    """Whether each taint that keeps pods away is tolerated by one of these."""
    return all(
        any(tolerates(toleration, taint) for toleration in tolerations)
        for taint in taints
        if taint.effect in _REPELLING
    )


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """As Kubernetes' `ToleratesTaint`; an operator that we do not know tolerates nothing."""
    if (effect := toleration.get("effect")) and effect != taint.effect:
        return False
    key = toleration.get("key") or ""
    if key and key != taint.key:
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return bool(key) and (toleration.get("value") or "") == taint.value
        case _:
            return False


def _term_selects(term: Mapping[str, Any], node: NodeRecord) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    # A term that asks nothing selects nothing.
    return bool(expressions or fields) and (
        all(_holds(one, node.labels.get(one.get("key", ""))) for one in expressions)
        and all(one.get("key") == "metadata.name" and _holds(one, node.name) for one in fields)
    )


def _holds(requirement: Mapping[str, Any], value: str | None) -> bool:
    test = _TESTS.get(requirement.get("operator") or "")
    return test is not None and test(value, requirement.get("values") or ())


def _compared(value: str | None, values: Sequence[str]) -> int:
    """1 or -1 where the label's number is above or below the one asked; 0 where either is no number."""
    try:
        difference = int(value or "") - int(values[0])
    except (ValueError, IndexError):
        return 0
    return (difference > 0) - (difference < 0)


_TESTS: Final[Mapping[str, Callable[[str | None, Sequence[str]], bool]]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: _compared(value, values) > 0,
    "Lt": lambda value, values: _compared(value, values) < 0,
}
