"""The moves that ZonalBalances would plan now, by the planner of the operator.

Contract: reads the load once, from the source that the ZonalBalance names, and the workloads whose pods would be moved;
writes nothing. The load is that of this moment, because there is nothing to smooth it with, and pods of a load class
are moved only where their template has its label, because classes are measured over days.
"""

from collections.abc import Collection
from typing import Final

from spillway.controllers.balance.load import LoadController, current_loads
from spillway.controllers.balance.move_planner import NO_PLAN, MovePlanner, Plan
from spillway.controllers.balance.readings import MetricsError, Readings, problem_of
from spillway.controllers.surge.moves import SurgeMovesController
from spillway.controllers.surge.scaler import SurgeScaler
from spillway.controllers.surge.words import LISTED, left_lines
from spillway.domain.balance.load import evenness
from spillway.domain.balance.moves import MovePlan, Reason
from spillway.domain.balance.zone_watch import ZoneWatch
from spillway.domain.proposal.answers import ProposedMoves
from spillway.kube.client import KubeClient
from spillway.kube.errors import RequestError
from spillway.kube.writer import Writer
from spillway.sources.connection import Connection
from spillway.state.world import World

PASSES: Final = 5
"""A pass reads a bounded number of workloads; so many passes are made to read the others, as the operator does."""


class ProposedMovesPlanner:
    """The planner of one command."""

    def __init__(self, client: KubeClient, world: World, prometheus: Connection | None) -> None:
        self._world = world
        readings = Readings(world, client, prometheus)
        self._loads = LoadController(world, readings)
        # Its fence stays closed, so nothing is written whatever happens.
        writer = Writer(client, rate=1.0, burst=1, may_write=lambda: False)
        surges = SurgeMovesController(world, SurgeScaler(world, writer, client), ready_seconds=0.0)
        self._planner = MovePlanner(world, readings, surges)

    async def plans(self, balances: Collection[str]) -> tuple[ProposedMoves, ...]:
        """The plans of those of these ZonalBalances that plan moves."""
        known = self._world.governance.balances
        wanted = (name for name in sorted(balances) if name in known and known[name].spec.plans_moves)
        return tuple([await self._plan(name) for name in wanted])

    async def _plan(self, name: str) -> ProposedMoves:
        balance = self._world.governance.balances[name]
        await self._loads.reconcile(name)
        nodes = {node.name: node.zone_by(balance.spec.zone_key) for node in self._world.state.nodes.values()}
        imbalance = evenness(current_loads(self._world, balance), nodes).imbalance
        now = None if imbalance is None else round(imbalance)
        watch, found = ZoneWatch(), None
        try:
            for _ in range(PASSES):
                before, found = found, await self._planner.plan(balance, watch, {}, ())
                if found is None:
                    problem = self._world.board.loads[name].problem
                    return _unknown(name, now, "the load is not known" if problem is None else problem.message)
                if found == before:
                    break
        except RequestError as error:
            said = problem_of(error).message if isinstance(error, MetricsError) else str(error)
            return _unknown(name, now, said)
        plan, left = (NO_PLAN, {}) if found is None else found
        return _told(name, now, plan, left_lines(left))


def _unknown(balance: str, imbalance: int | None, problem: str) -> ProposedMoves:
    return ProposedMoves(balance, imbalance, None, 0, None, (), (), problem)


def _told(balance: str, imbalance: int | None, plan: Plan, left: tuple[str, ...]) -> ProposedMoves:
    after = plan.after if isinstance(plan, MovePlan) and plan.reason is Reason.LOAD and plan.moves else None
    return ProposedMoves(
        balance=balance,
        imbalance_percent=imbalance,
        expected_imbalance_percent=None if after is None else round(after),
        planned=len(plan.moves),
        reason=plan.reason.value if plan.moves else None,
        next=tuple(move.text for move in plan.moves[:LISTED]),
        left=left,
        problem=None,
    )
