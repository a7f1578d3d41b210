"""One reading of a cluster for read-only commands, into the same records as the operator's.

Contract: needs the permission to list pods, nodes, namespaces, ReplicaSets and Spillway's kinds; writes nothing.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final

from spillway.controllers.base import World
from spillway.domain.policies.governance import Governance
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.followed import FOLLOWED, Followed
from spillway.kube.pages import items_of
from spillway.state.board import Board
from spillway.state.catalog import Catalog, Kind, Raw
from spillway.state.cluster import ClusterState
from spillway.state.node_places import NodePlaces
from spillway.state.pool_membership import PoolMembership

_PAGE: Final = 2000


async def read_world(client: KubeClient, *, own_namespace: str) -> World:
    """The current state of the cluster.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
    """
    state, resources = await read_state(client), await read_resources(client)
    return world_of(state, resources, own_namespace=own_namespace)


async def read_state(client: KubeClient) -> ClusterState:
    """Pods, nodes, namespaces and owners.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
    """
    state = ClusterState(clock=time.monotonic, now=time.time)
    for one in FOLLOWED.values():
        await _read(client, state, one)
    state.mark_synced()
    return state


async def read_resources(client: KubeClient) -> Mapping[Kind, Sequence[Raw]]:
    """Spillway's resources.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
    """
    pages = [(kind, await client.get_json(paths.of_spillway(kind.plural).everywhere)) for kind in Kind]
    return {kind: page.get("items") or () for kind, page in pages}


def world_of(state: ClusterState, resources: Mapping[Kind, Sequence[Raw]], *, own_namespace: str) -> World:
    """The world of a cluster's state with these resources; several may share a state that does not change any more."""
    catalog = Catalog(partial(Governance.compile, own_namespace=own_namespace))
    for kind, raws in resources.items():
        catalog.replace(kind, raws, "")
    places = NodePlaces(state, lambda: catalog.governance, time.monotonic, now=time.time)
    membership = PoolMembership(state, lambda: catalog.governance)
    return World(state, catalog, places, time.time, Board(time.time), membership)


async def _read(client: KubeClient, state: ClusterState, kind: Followed) -> None:
    async with aclosing(items_of(client, kind.resource.everywhere, kind.decoder.page, limit=_PAGE)) as found:
        async for item in found:
            state.apply(kind.decoder.record(item))
