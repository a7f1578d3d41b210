"""The CPU of what the extender and the leader do for thousands of nodes grows with the nodes, not with their square.

How long it takes is measured by `make bench-extender`. Here only the CPU of four times as many nodes is compared with
that of the nodes: four times as much if it grows with them, sixteen times if it grows with their square.
"""

import random
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Final, cast

import pytest
from aiohttp import web

from spillway.domain.balance.load import Weights
from spillway.domain.balance.node_scores import NodeLoads
from spillway.extender.server import ExtenderServer
from spillway.state.node_scores import NodeScores
from tests.bench.bench_extender import body_of, names, readings
from tests.builders import make_node, make_state
from tests.support.fake_clock import FakeClock

NODES: Final = 2000
TIMES: Final = 4
MOST: Final = 9.0
"""Between what grows with the nodes, 4, and what grows with their square, 16, with room on both sides."""
TRIES: Final = 3
"""Of the comparison: other programs on the machine may disturb one."""


async def growth(cpu_seconds: Callable[[int], Awaitable[float]]) -> float:
    """How many times as much CPU `TIMES` as many nodes need; the least of a few tries."""
    found = float("inf")
    for _ in range(TRIES):
        found = min(found, await cpu_seconds(TIMES * NODES) / await cpu_seconds(NODES))
        if found < MOST:
            break
    return found


async def least(run: Callable[[], Awaitable[object]], count: int = 7) -> float:
    """The least CPU of some runs, in seconds."""
    took = list[float]()
    for _ in range(count):
        began = time.process_time()
        await run()
        took.append(time.process_time() - began)
    return min(took)


class Request:
    """A request of the scheduler that has come in."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        return self._body


async def cpu_of_requests(nodes: int) -> float:
    """The CPU of a request about all nodes after a new reading, from its body to the body of the answer."""
    clock, known, chance = FakeClock(10_000.0), names(nodes), random.Random(1)
    state = make_state(now=clock.now)
    for name in known:
        state.apply(make_node(name, cpu_millis=16_000, memory_bytes=64 << 30))
    scores = NodeScores(state, clock.now, in_pool=lambda _: False)
    server = ExtenderServer(scores.of, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), port=0)
    request = cast("web.Request", Request(body_of(nodes, nodes)))
    loads = {name: chance.uniform(5, 95) for name in known}

    async def ask() -> None:
        scores.use([NodeLoads(loads, clock.now(), 180.0, 80.0, Weights())])
        answer = await server._prioritize(request)
        assert answer.status == 200

    return await least(ask)


async def cpu_of_readings(nodes: int) -> float:
    """The CPU of one reading of the load, from the answer of metrics.k8s.io to the smoothed loads."""
    median: float = (await readings(nodes, count=7))["cpu_seconds"]
    return median


async def cpu_of_pairs(nodes: int) -> float:
    """What looks at each pair of nodes."""

    async def look() -> None:
        assert sum(one < other for one in range(nodes // 10) for other in range(nodes // 10))

    return await least(look, count=3)


@pytest.mark.parametrize("cpu_seconds", [cpu_of_requests, cpu_of_readings])
async def test_the_cpu_for_thousands_of_nodes_grows_with_the_nodes(
    cpu_seconds: Callable[[int], Awaitable[float]],
) -> None:
    assert await growth(cpu_seconds) < MOST


async def test_what_grows_with_the_square_is_found() -> None:
    assert await growth(cpu_of_pairs) > MOST
