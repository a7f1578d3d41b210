"""The loads by which a replica scores nodes: its own as the leader, and the leader's page for the others."""

from types import MappingProxyType
from typing import Any

from spillway.domain.balance.load import Loads
from spillway.domain.model.names import NodeName
from spillway.extender.loads import LoadFeed
from spillway.state.catalog import Kind
from spillway.state.node_scores import NodeScores
from spillway.telemetry.registry import REGISTRY
from tests.builders import make_node
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, resource

NODES = [NodeName("a"), NodeName("b")]


class Page:
    """The leader's page as the other replica reads it."""

    def __init__(self) -> None:
        self.content: bytes | None = None

    async def refresh(self) -> bool:
        return self.content is not None


class Replica:
    def __init__(self, clock: FakeClock, **spec: Any) -> None:
        balance = resource(Kind.ZONAL_BALANCE, "even", load={"source": "MetricsServer", "staleAfter": "1m"}, **spec)
        self.world = make_world([make_node(name) for name in NODES], [balance], clock)
        self.scores = NodeScores(self.world.state, clock, in_pool=lambda _: False)
        self.world.board.leading = lambda: True
        self.page = Page()
        self.feed = LoadFeed(self.world.board, lambda: self.world.governance, self.scores, self.page)

    def read(self, **percent: float) -> None:
        loads = {NodeName(name): value for name, value in percent.items()}
        self.world.board.set_loads("even", Loads(MappingProxyType(loads), self.world.now()))

    async def scored(self) -> list[int] | None:
        await self.feed.turn()
        return self.scores.of(NODES)


def _load_timestamp() -> float | None:
    return REGISTRY.get_sample_value("spillway_extender_load_timestamp_seconds")


def follower(clock: FakeClock, **spec: Any) -> Replica:
    made = Replica(clock, **spec)
    made.world.board.leading = lambda: False
    return made


async def test_the_leader_scores_by_its_own_loads() -> None:
    leader = Replica(FakeClock())
    assert await leader.scored() is None
    leader.read(a=0.0, b=40.0)
    assert await leader.scored() == [10, 5]
    leader.read(a=80.0, b=0.0)
    assert await leader.scored() == [0, 10]


async def test_nodes_without_any_score_are_those_that_are_hot() -> None:
    leader = Replica(FakeClock(), hotNodes={"above": 50})
    leader.read(a=0.0, b=50.0)
    assert await leader.scored() == [10, 0]


async def test_another_replica_answers_as_the_leader_does_until_the_loads_are_too_old() -> None:
    clock = FakeClock()
    leader, other = Replica(clock), follower(clock)
    assert await other.scored() is None, "there is no page yet"
    leader.read(a=0.0, b=40.0)
    other.page.content = leader.feed.own_page()
    assert await other.scored() == await leader.scored() == [10, 5]
    assert leader.feed.own_page() is other.page.content, "it is made once"
    clock.forward(61.0)
    assert await other.scored() is None


async def test_the_next_leader_goes_by_the_last_loads_until_it_has_its_own() -> None:
    clock = FakeClock()
    leader, other = Replica(clock), follower(clock)
    leader.read(a=0.0, b=40.0)
    other.page.content = leader.feed.own_page()
    await other.scored()
    other.world.board.leading = lambda: True
    assert await other.scored() == [10, 5]
    third = follower(clock)
    third.page.content = other.feed.own_page()
    assert await third.scored() == [10, 5]
    clock.forward(61.0)
    assert await other.scored() is None
    other.read(a=80.0, b=0.0)
    assert await other.scored() == [0, 10]


async def test_a_page_that_cannot_be_read_leaves_the_last_loads() -> None:
    clock = FakeClock()
    leader, other = Replica(clock), follower(clock)
    leader.read(a=0.0, b=40.0)
    other.page.content = leader.feed.own_page()
    await other.scored()
    other.page.content = b"[{]"
    assert await other.scored() == [10, 5]


async def test_the_loads_of_a_zonal_balance_that_is_gone_do_not_count() -> None:
    leader = Replica(FakeClock())
    leader.read(a=0.0, b=40.0)
    assert await leader.scored() == [10, 5]
    assert _load_timestamp() == leader.world.now()
    leader.world.catalog.replace(Kind.ZONAL_BALANCE, [], 60)
    assert await leader.scored() is None
    assert _load_timestamp() == 0.0
