"""One reading of a cluster for read-only commands, into the same records as the operator's.

Contract: needs the permission to list pods, nodes, namespaces, ReplicaSets and Spillway's kinds; writes nothing.
"""

import time
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
from spillway.state.catalog import Catalog, Kind
from spillway.state.cluster import ClusterState
from spillway.state.node_places import NodePlaces
from spillway.state.pool_membership import PoolMembership

_PAGE: Final = 2000


async def read_world(client: KubeClient, *, own_namespace: str) -> World:
    """The present state of the cluster.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
    """
    state = ClusterState(clock=time.monotonic, now=time.time)
    for one in FOLLOWED.values():
        await _read(client, state, one)
    state.mark_synced()
    catalog = Catalog(partial(Governance.compile, own_namespace=own_namespace))
    for kind in Kind:
        page = await client.get_json(paths.of_spillway(kind.plural).everywhere)
        catalog.replace(kind, page.get("items") or (), page["metadata"]["resourceVersion"])
    places = NodePlaces(state, lambda: catalog.governance, time.monotonic, now=time.time)
    membership = PoolMembership(state, lambda: catalog.governance)
    return World(state, catalog, places, time.time, Board(time.time), membership)


async def _read(client: KubeClient, state: ClusterState, kind: Followed) -> None:
    async with aclosing(items_of(client, kind.resource.everywhere, kind.decoder.page, limit=_PAGE)) as found:
        async for item in found:
            state.apply(kind.decoder.record(item))
