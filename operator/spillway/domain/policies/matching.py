"""Which workloads an entry of a policy, or a balance, means: the compiled form of `WorkloadMatch`."""

from dataclasses import dataclass
from typing import Self

from spillway.api.common import WorkloadMatch
from spillway.domain.model.selectors import Labels, Selector


@dataclass(frozen=True, slots=True)
class Match:
    """Everything that is asked must hold; no kinds are every kind."""

    namespaces: Selector
    labels: Selector
    kinds: frozenset[str]

    @classmethod
    def of(cls, match: WorkloadMatch | None) -> Self:
        """Compile; None asks nothing."""
        found = match or WorkloadMatch()
        return cls(Selector.of(found.namespaces), Selector.of(found.labels), frozenset(found.kinds))

    def matches(self, namespace_labels: Labels, kind: str, labels: Labels) -> bool:
        """Whether a workload of this kind, with these labels on its pod template, is meant."""
        return (
            (not self.kinds or kind in self.kinds)
            and self.labels.matches(labels)
            and self.namespaces.matches(namespace_labels)
        )

    def within(self, other: "Match") -> bool:
        """Whether `other` certainly means every workload that this means."""
        kinds = not other.kinds or (bool(self.kinds) and self.kinds <= other.kinds)
        return kinds and self.labels.within(other.labels) and self.namespaces.within(other.namespaces)
