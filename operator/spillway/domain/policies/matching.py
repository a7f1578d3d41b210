"""The compiled form of `WorkloadMatch`: which workloads an entry of a policy, or a balance, selects."""

from dataclasses import dataclass
from typing import Self

from spillway.api.common import WorkloadMatch
from spillway.domain.model.selectors import Labels, Selector


@dataclass(frozen=True, slots=True)
class Match:
    """A compiled match: all of its requirements must hold; without kinds every kind matches."""

    namespaces: Selector
    labels: Selector
    kinds: frozenset[str]

    @classmethod
    def of(cls, match: WorkloadMatch | None) -> Self:
        """Compile; None asks nothing."""
        found = match or WorkloadMatch()
        return cls(Selector.of(found.namespaces), Selector.of(found.labels), frozenset(found.kinds))

    def matches(self, namespace_labels: Labels, kind: str, labels: Labels) -> bool:
        """Whether a workload of this kind, with these labels on its pod template, is selected."""
        return (
            (not self.kinds or kind in self.kinds)
            and self.labels.matches(labels)
            and self.namespaces.matches(namespace_labels)
        )

    def within(self, other: "Match") -> bool:
        """Whether `other` certainly selects every workload that this one selects."""
        kinds = not other.kinds or (bool(self.kinds) and self.kinds <= other.kinds)
        return kinds and self.labels.within(other.labels) and self.namespaces.within(other.namespaces)
