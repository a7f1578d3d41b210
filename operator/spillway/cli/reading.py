"""One reading of a cluster for read-only commands, into the same records as the operator's.

Contract: needs the permission to list pods, nodes, namespaces, ReplicaSets and Spillway's kinds; writes nothing. The
models and planners, which take as long to import as the API server needs for its pods, are imported meanwhile.
"""

import asyncio
import importlib
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from spillway.kube.followed import FOLLOWED, Followed
from spillway.kube.pages_ahead import items_ahead
from spillway.state.cluster import ClusterState

if TYPE_CHECKING:
    from spillway.kube.client import KubeClient
    from spillway.state.catalog import Kind, Raw
    from spillway.state.world import World

_PAGE: Final = 2000
_WORLDS: Final = "spillway.cli.worlds"


async def read_world(client: "KubeClient", *, own_namespace: str, modules: Sequence[str] = ()) -> "World":
    """The current state of the cluster; `modules` are those that the caller is going to import.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
    """
    state, resources = await asyncio.gather(read_state(client), _read_resources(client, modules))
    from spillway.cli.worlds import world_of  # noqa: PLC0415

    return world_of(state, resources, own_namespace=own_namespace)


async def read_state(client: "KubeClient") -> ClusterState:
    """Pods, nodes, namespaces and owners.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
    """
    state = ClusterState(clock=time.monotonic, now=time.time)
    await asyncio.gather(*(_read(client, state, one) for one in FOLLOWED.values()))
    state.mark_synced()
    return state


async def _read(client: "KubeClient", state: ClusterState, kind: Followed) -> None:
    async with aclosing(items_ahead(client, kind.resource.everywhere, kind.decoder.page, limit=_PAGE)) as found:
        async for item in found:
            state.apply(kind.decoder.record(item))


async def _read_resources(client: "KubeClient", modules: Sequence[str]) -> "Mapping[Kind, Sequence[Raw]]":
    """Spillway's resources, after the modules have been imported in a thread."""
    await asyncio.to_thread(_imported, (_WORLDS, *modules))
    from spillway.cli.worlds import read_resources  # noqa: PLC0415

    return await read_resources(client)


def _imported(modules: Sequence[str]) -> None:
    for one in modules:
        importlib.import_module(one)
