"""The world of a cluster as commands read it: its state, with Spillway's resources as they are or as they would be."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial

from spillway.domain.policies.governance import Governance
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.state.board import Board
from spillway.state.catalog import Catalog, Kind, Raw
from spillway.state.cluster import ClusterState
from spillway.state.node_places import NodePlaces
from spillway.state.pool_membership import PoolMembership
from spillway.state.world import World


async def read_resources(client: KubeClient) -> Mapping[Kind, Sequence[Raw]]:
    """Spillway's resources.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
    """
    pages = await asyncio.gather(*(client.get_json(paths.of_spillway(kind.plural).everywhere) for kind in Kind))
    return {kind: page.get("items") or () for kind, page in zip(Kind, pages, strict=True)}


def world_of(state: ClusterState, resources: Mapping[Kind, Sequence[Raw]], *, own_namespace: str) -> World:
    """The world of a cluster's state with these resources; several may share a state that does not change any more."""
    catalog = Catalog(partial(Governance.compile, own_namespace=own_namespace))
    for kind, raws in resources.items():
        catalog.replace(kind, raws, "")
    places = NodePlaces(state, lambda: catalog.governance, time.monotonic, now=time.time)
    membership = PoolMembership(state, lambda: catalog.governance)
    return World(state, catalog, places, time.time, Board(time.time), membership)
