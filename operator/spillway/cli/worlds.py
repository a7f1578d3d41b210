"""The world of a cluster as commands read it: its state, with Spillway's resources as they are or as they would be."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from spillway.app.explain.worlds import world_around
from spillway.domain.policies.governance import Governance
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.state.catalog import Catalog, Kind, Raw
from spillway.state.cluster import ClusterState
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
    return world_around(state, catalog)
