"""Worlds that do not change any more: of what a command has read, and copies of what the operator knows.

Contract: records are shared with the original, because records do not change; everything else is the copy's own. The
objects are in the order in which the API server lists them, as in a world that a command has read, so that both give
the same answers.
"""

import time
from collections.abc import Callable
from typing import Final

from spillway.domain.model.records import NamespaceRecord, NodeRecord
from spillway.kube.followed import FOLLOWED
from spillway.state.board import Board
from spillway.state.catalog import Catalog
from spillway.state.cluster import ClusterState, Record
from spillway.state.node_places import NodePlaces
from spillway.state.pool_membership import PoolMembership
from spillway.state.world import World

_CLUSTER_WIDE: Final = (NamespaceRecord, NodeRecord)


def world_around(state: ClusterState, catalog: Catalog) -> World:
    """The world of a state and resources that do not change any more, without anything that only a leader knows."""
    places = NodePlaces(state, lambda: catalog.governance, time.monotonic, now=time.time)
    membership = PoolMembership(state, lambda: catalog.governance)
    return World(state, catalog, places, time.time, Board(time.time), membership)


def copying(world: World) -> Callable[[], World]:
    """Hold fast what the world is now, which is quick; what is returned makes the copy, in any thread, once."""
    records = world.state.all_records(FOLLOWED)
    catalog = world.catalog.copied()

    def copied() -> World:
        state = ClusterState(clock=time.monotonic, now=time.time)
        for some in records:
            # Lists of the API server began the operator's memory, so these are nearly in order, and quickly sorted.
            for record in sorted(some, key=_listed_as):
                state.apply(record)
        state.mark_synced()
        return world_around(state, catalog.with_statuses())

    return copied


def _listed_as(record: Record) -> str:
    return record.name if isinstance(record, _CLUSTER_WIDE) else f"{record.namespace}/{record.name}"
