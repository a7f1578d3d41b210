"""The loads by which a replica scores nodes: the leader's own, and its page for the others.

Contract: only the leader reads the load of nodes. Another replica reads the leader's page every few seconds, so that it
answers as the leader does. What it has read last counts until it is older than the ZonalBalance's `staleAfter`, also
for the next leader until it has read the load itself.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec
import structlog

from spillway.api.zonalbalance import HotNodes
from spillway.domain.balance.load import Loads, weights_of
from spillway.domain.balance.node_scores import NodeLoads
from spillway.domain.policies.governance import Governance
from spillway.state.board import Board
from spillway.state.node_scores import NodeScores
from spillway.telemetry.extender import LOAD_TIMESTAMP

log: Final = structlog.get_logger(__name__)

PAGE: Final = "/balance/loads"
"""The path at which replicas ask the leader."""
TURN_SECONDS: Final = 2.0
_NOTHING: Final = b"[]"
_decoder: Final = msgspec.json.Decoder(tuple[NodeLoads, ...])
_encoder: Final = msgspec.json.Encoder(enc_hook=dict)


class LoadsOfLeader(Protocol):
    """The leader's page as another replica reads it."""

    content: bytes | None

    async def refresh(self) -> bool:
        """Read it again; whether the content is fresh."""


class LoadFeed:
    """What gives `scores` the present loads."""

    def __init__(
        self, board: Board, governance: Callable[[], Governance], scores: NodeScores, page: LoadsOfLeader
    ) -> None:
        self._board = board
        self._governance = governance
        self._scores = scores
        self._page = page
        self._source: object = None
        self._readings: tuple[NodeLoads, ...] = ()
        self._own: tuple[object, bytes] = (None, _NOTHING)

    async def run(self) -> None:
        """Follow the loads until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(TURN_SECONDS)

    async def turn(self) -> None:
        """Look once whether there are newer loads."""
        if self._board.leading():
            source = self._board.loads, self._governance()
            if not _same(source, self._source):
                self._use(source, self._readings_of(*source))
            return
        await self._page.refresh()
        content = self._page.content
        if content is None or content is self._source:
            return
        try:
            self._use(content, _decoder.decode(content))
        except msgspec.MsgspecError as error:
            self._source = content
            log.warning("the leader's loads cannot be read", key=PAGE, error=str(error))

    def _use(self, source: object, readings: tuple[NodeLoads, ...]) -> None:
        self._source = source
        self._readings = readings
        self._scores.use(readings)
        LOAD_TIMESTAMP.set(max((one.at for one in readings), default=0.0))

    def _readings_of(self, loads: Mapping[str, Loads], governance: Governance) -> tuple[NodeLoads, ...]:
        """The leader's readings; those of its predecessor while it has none and there is a ZonalBalance."""
        return readings_of(loads, governance) or (self._readings if governance.balances else ())

    def own_page(self) -> bytes:
        """What this replica tells the others, if it leads. They ask every few seconds."""
        source = self._board.loads, self._governance()
        if not _same(source, self._own[0]):
            self._own = source, _encoder.encode(self._readings_of(*source))
        return self._own[1]


def readings_of(loads: Mapping[str, Loads], governance: Governance) -> tuple[NodeLoads, ...]:
    """The last good readings, that of the oldest ZonalBalance first."""
    found = ((balance.spec, loads.get(name)) for name, balance in governance.balances.items())
    return tuple(
        NodeLoads(
            one.percent,
            one.at,
            float(spec.effective_load.stale_after.seconds),
            float((spec.hot_nodes or HotNodes()).above),
            weights_of(spec.effective_load),
            one.first,
        )
        for spec, one in found
        if one is not None and one.at
    )


def _same(new: tuple[object, ...], old: object) -> bool:
    """Whether both are made of the same objects, which are replaced as a whole."""
    return isinstance(old, tuple) and len(new) == len(old) and all(a is b for a, b in zip(new, old, strict=True))
