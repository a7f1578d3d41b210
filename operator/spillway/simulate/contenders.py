"""The contenders of a replay, which decide on deletion costs: none, a flat rule, or Spillway's production planners.

Contract: a contender says which cost a pod gets at its creation and which costs are written before a scale-down, and
counts every write that needs an API call of its own. An initial cost needs no call if it is part of the binding.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from spillway.domain.model.names import NodeName, PodUid, Tier
from spillway.domain.model.places import NodePlace
from spillway.domain.model.records import NodeRecord
from spillway.domain.scale_down.candidates import Candidate
from spillway.domain.scale_down.costs import cost_writes, free_index, initial_cost
from spillway.domain.scale_down.marking import depth_for, upkeep
from spillway.domain.scale_down.node_order import emptying_order
from spillway.simulate.headroom import HeadroomRules
from spillway.simulate.hpa import Ints
from spillway.simulate.moves import MoveRules


class Contender(Protocol):
    """One way to decide which pods a scale-down deletes."""

    @property
    def soft_taint(self) -> bool:
        """Whether elastic nodes carry a PreferNoSchedule taint."""

    @property
    def looks_after(self) -> bool:
        """Whether `at_rest` needs to be called."""

    @property
    def moves(self) -> MoveRules | None:
        """How it moves pods off elastic nodes; None if it moves none."""

    @property
    def headroom(self) -> HeadroomRules | None:
        """How it keeps headroom; None if it keeps none."""

    @property
    def exact(self) -> bool:
        """Whether it writes costs by the plan of a scale-down."""

    def recommended(self, step: int) -> Ints | None:
        """The recommended replicas of each workload, an external metric for its HPA; None where there is none."""

    def goes_virtual(self, workload: int, physical: int, step: int) -> bool:
        """Whether the next pod of a workload that has `physical` ones off virtual nodes is sent to virtual nodes."""

    def initial_cost(self, place: NodePlace, node_order: int, in_zone: Iterable[int | None]) -> tuple[int | None, int]:
        """The cost of a pod that is bound now, and the number of writes for it.

        `in_zone` are the costs of the other pods of its ReplicaSet in the zone.
        """

    def before_scale_down(self, candidates: Sequence[Candidate], victims: Sequence[PodUid]) -> Mapping[PodUid, int]:
        """The costs that are written just before Kubernetes chooses the victims."""

    def at_rest(self, candidates: Sequence[Candidate]) -> Mapping[PodUid, int]:
        """The costs that are written once a workload is stable."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Kubernetes without Spillway."""

    soft_taint: bool = False
    looks_after: bool = False
    exact: bool = False
    moves: MoveRules | None = None
    headroom: HeadroomRules | None = None

    def recommended(self, step: int) -> Ints | None:
        del step
        return None

    def goes_virtual(self, workload: int, physical: int, step: int) -> bool:
        del workload, physical, step
        return False

    def initial_cost(self, place: NodePlace, node_order: int, in_zone: Iterable[int | None]) -> tuple[int | None, int]:
        del place, node_order, in_zone
        return None, 0

    def before_scale_down(self, candidates: Sequence[Candidate], victims: Sequence[PodUid]) -> Mapping[PodUid, int]:
        del candidates, victims
        return {}

    def at_rest(self, candidates: Sequence[Candidate]) -> Mapping[PodUid, int]:
        del candidates
        return {}


@dataclass(frozen=True, slots=True)
class Flat(Plain):
    """Cost -1 on every elastic and virtual pod, patched by a controller, and a soft taint on elastic nodes."""

    soft_taint: bool = True

    def initial_cost(self, place: NodePlace, node_order: int, in_zone: Iterable[int | None]) -> tuple[int | None, int]:
        del node_order, in_zone
        return (None, 0) if place.tier is Tier.FIXED else (-1, 1)


@dataclass(frozen=True, slots=True)
class Spillway(Plain):
    """The production planners: an initial cost, an exact order at a scale-down, and next victims marked in advance."""

    soft_taint: bool = True
    looks_after: bool = True
    exact: bool = True
    depth: Callable[[int], int] = depth_for
    """The number of replicas that are marked as next victims when a ReplicaSet becomes stable."""

    def initial_cost(self, place: NodePlace, node_order: int, in_zone: Iterable[int | None]) -> tuple[int | None, int]:
        return initial_cost(place, index_in_zone=free_index(in_zone, place), node_order=node_order), 0

    def before_scale_down(self, candidates: Sequence[Candidate], victims: Sequence[PodUid]) -> Mapping[PodUid, int]:
        return cost_writes(candidates, victims)

    def at_rest(self, candidates: Sequence[Candidate]) -> Mapping[PodUid, int]:
        return upkeep(candidates, self.depth(len(candidates)), max_skew=1)


def shared_order(
    nodes: Sequence[NodeRecord], place: Callable[[NodeRecord], NodePlace], pods: Mapping[NodeName, int]
) -> dict[NodeName, int]:
    """The order in which production empties these nodes."""
    return emptying_order(nodes, {node.name: place(node) for node in nodes}, pods=pods)
