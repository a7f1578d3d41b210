"""Which connections and bodies are given up when there are too many."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from spillway.admission.connections import LARGE_BYTES, Connections

MIB = 1024 * 1024


class Line:
    """A connection that knows what becomes of it."""

    def __init__(self, connections: "Lines") -> None:
        self._connections = connections
        self.busy = False
        self.handled = False
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True
        self._connections.discard(self)


Lines = Connections[Line]


@pytest_asyncio.fixture
async def connections() -> AsyncIterator[Lines]:
    yield Connections("test", most=3, arriving_bytes=4 * MIB, answering_bytes=4 * MIB)


def opened(connections: Lines, count: int) -> list[Line]:
    lines = [Line(connections) for _ in range(count)]
    for line in lines:
        connections.add(line)
    return lines


def asked(connections: Lines, line: Line, size: int = 100) -> bool:
    connections.receive(line, size)
    return connections.answer(line)


async def test_a_flood_of_connections_closes_none_that_are_in_use(connections: Lines) -> None:
    (api_server,) = opened(connections, 1)
    assert asked(connections, api_server)
    connections.answered(api_server)
    flood = opened(connections, 50)
    assert not api_server.aborted
    assert [line.aborted for line in flood] == [True] * 48 + [False] * 2
    assert len(connections) == 3


async def test_of_those_that_were_answered_the_one_is_closed_that_was_idle_for_the_longest(
    connections: Lines,
) -> None:
    first, second, third = opened(connections, 3)
    for line in (first, second, third, first):
        asked(connections, line)
        connections.answered(line)
    second.busy = True
    opened(connections, 1)
    assert [line.aborted for line in (first, second, third)] == [False, False, True]


async def test_if_all_are_busy_one_that_was_never_answered_goes(connections: Lines) -> None:
    api_server, first, second = opened(connections, 3)
    connections.answered(api_server)
    for line in (api_server, first, second):
        line.busy = True
    opened(connections, 1)
    assert [line.aborted for line in (api_server, first, second)] == [False, True, False]


async def attacked(connections: Lines, *, answered: int, unanswered: int) -> list[Line]:
    """Connections on each of which half a request has arrived."""
    lines = opened(connections, answered + unanswered)
    for line in lines[:answered]:
        connections.answered(line)
    for line in lines:
        line.busy = True
    return lines


@pytest.mark.parametrize("answered", range(5))
async def test_a_new_connection_has_time_to_be_answered_whatever_the_others_are(answered: int) -> None:
    connections: Lines = Connections("test", most=4)
    await attacked(connections, answered=answered, unanswered=4 - answered)
    for _ in range(10):
        (probe,) = opened(connections, 1)
        opened(connections, 1)
        assert not probe.aborted, "half of the room is for connections that were not answered yet"
        probe.busy = probe.handled = True
        for line in opened(connections, 10):
            line.busy = True
        assert not probe.aborted, "its request has arrived whole"
        probe.busy = probe.handled = False
        connections.answered(probe)
        connections.discard(probe)


async def test_what_was_answered_keeps_half_of_the_room() -> None:
    connections: Lines = Connections("test", most=4)
    first, second = await attacked(connections, answered=2, unanswered=0)
    for line in opened(connections, 10):
        line.busy = True
    assert [line.aborted for line in (first, second)] == [True, False]


async def test_requests_that_have_arrived_whole_are_given_up_for_others_of_their_kind_alone() -> None:
    connections: Lines = Connections("test", most=4)
    lines = await attacked(connections, answered=2, unanswered=2)
    for line in lines:
        line.handled = True
    lines[3].handled = False
    (new,) = opened(connections, 1)
    assert [line.aborted for line in lines] == [False, False, False, True]
    new.handled = True
    opened(connections, 1)
    assert [line.aborted for line in lines] == [True, False, False, True]


async def test_half_bodies_hold_no_more_than_the_bound_and_the_oldest_goes(connections: Lines) -> None:
    slow, slower, api_server = opened(connections, 3)
    connections.receive(slow, 2 * MIB)
    connections.receive(slower, 2 * MIB)
    assert asked(connections, api_server)
    assert (slow.aborted, slower.aborted) == (True, False)
    connections.receive(slower, 2 * MIB)
    assert not slower.aborted, "what the first held is free again"


async def test_large_requests_that_are_answered_keep_out_other_large_ones_alone(connections: Lines) -> None:
    first, second, third = opened(connections, 3)
    assert asked(connections, first, 3 * MIB)
    assert not asked(connections, second, 2 * MIB)
    assert asked(connections, third, LARGE_BYTES - 1)
    connections.answered(first)
    assert asked(connections, second, 2 * MIB)


async def test_a_connection_that_is_gone_holds_nothing(connections: Lines) -> None:
    (line,) = opened(connections, 1)
    connections.receive(line, 3 * MIB)
    connections.discard(line)
    connections.answered(line)
    assert len(connections) == 0
    other, *_ = opened(connections, 2)
    connections.receive(other, 4 * MIB)
    assert not other.aborted
