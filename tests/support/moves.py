"""Nodes and pods as the planners of moves see them, and a strategy of whole clusters."""

from typing import Any

from hypothesis import strategies as st

from spillway.domain.balance.load import Weights
from spillway.domain.balance.move_board import LoadedNode, MovablePod, MoveLimits
from spillway.domain.model.names import NodeName, PodUid, Zone
from spillway.domain.model.usage import Usage

FREE = Usage(50, 4000, 1 << 33)


def node(name: str, percent: float, zone: str = "a", **changes: Any) -> LoadedNode:
    room: dict[str, Any] = {"allocatable": Usage(110, 10_000, 1 << 35), "free": FREE}
    return LoadedNode(NodeName(name), Zone(zone), percent=percent, **{**room, **changes})


def pod(name: str, on: str, percent: float, workload: str = "", **changes: Any) -> MovablePod:
    amounts: dict[str, Any] = {
        "requests": Usage(1, 500, 1 << 30),
        "used_millis": 100 * percent,
        "used_bytes": 0,
        "zones": {},
    }
    key = f"shop/{name}"
    return MovablePod(PodUid(name), key, workload or f"Deployment/{key}", NodeName(on), **{**amounts, **changes})


def limits(**changes: Any) -> MoveLimits:
    bounds: dict[str, Any] = {"weights": Weights(100, 0), "max_imbalance": 20.0, "max_skew": 1, "most": 10}
    return MoveLimits(**{"admits": lambda _, __: True, **bounds, **changes})


NODES = [NodeName(f"n{index}") for index in range(5)]


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[LoadedNode], list[MovablePod]]:
    nodes = [
        node(
            name,
            draw(st.floats(0, 150)),
            draw(st.sampled_from("ab")),
            free=Usage(draw(st.integers(0, 3)), draw(st.integers(0, 3000)), FREE.memory_bytes),
            accepts=draw(st.booleans()),
        )
        for name in NODES[: draw(st.integers(1, 5))]
    ]
    zones = {Zone("a"): draw(st.integers(0, 4)), Zone("b"): draw(st.integers(0, 4))}
    pods = [
        pod(
            f"p{index}",
            draw(st.sampled_from(nodes)).name,
            draw(st.floats(0, 60)),
            f"Deployment/shop/w{draw(st.integers(0, 5))}",
            requests=Usage(1, draw(st.integers(0, 2000)), 1 << 30),
            zones=zones,
        )
        for index in range(draw(st.integers(0, 12)))
    ]
    return nodes, pods
