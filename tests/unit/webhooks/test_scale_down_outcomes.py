"""Plans are followed by the leader, whichever replica made them; what is counted waits on the board for the status."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import LetGoError
from spillway.domain.model.names import OwnerUid, PodUid
from spillway.domain.scale_down.outcome import ScaleDowns
from spillway.state.board import Board
from spillway.telemetry import scale_down as metrics
from spillway.webhooks.scale_down_outcomes import FollowedPlan, Outcomes
from tests.builders import make_pod, make_state

PLAN = FollowedPlan(OwnerUid("rs-web"), "online", 1000.0, (PodUid("uid-a"), PodUid("uid-b")))


class Replica:
    """One replica's state, board and outcomes; `leader` is where its plans go."""

    def __init__(self, leader: "Replica | None" = None) -> None:
        self.state = make_state()
        self.board = Board(lambda: 1000.0, leading=lambda: leader is None)
        self.leader = leader
        self.reachable = True
        self.outcomes = Outcomes(
            self.state, self.board, policies=lambda: ("online",), forward=self._forward, clock=lambda: 0.0
        )
        for name in ("a", "b", "c"):
            self.state.apply(make_pod(name, uid=f"uid-{name}", owner_uid="rs-web"))

    async def _forward(self, request: AdmissionRequest, deadline: Deadline) -> Answer:
        if self.leader is None or not self.reachable:
            raise LetGoError("forward-error")
        return await self.leader.outcomes.reported(request, deadline)

    def delete(self, name: str) -> None:
        pod = self.state.pods[PodUid(f"uid-{name}")]
        self.state.apply(msgspec.structs.replace(pod, terminating=True))
        self.state.remove(pod)


@pytest.fixture
def leader() -> Iterator[Replica]:
    replica = Replica()
    yield replica
    replica.outcomes.close()


async def _run(replica: Replica) -> None:
    """Until there is nothing more to tell."""
    task = asyncio.create_task(replica.outcomes.run())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()


async def test_plans_of_invented_policies_or_owners_are_not_followed(leader: Replica) -> None:
    invented = [FollowedPlan(PLAN.owner, f"invented-{n}", 1000.0, PLAN.victims) for n in range(1000)]
    invented += [FollowedPlan(OwnerUid(f"rs-{n}"), "online", 1000.0, PLAN.victims) for n in range(1000)]
    request = AdmissionRequest(uid="plans", object=msgspec.Raw(msgspec.json.encode(invented)))
    assert await leader.outcomes.reported(request, Deadline(lambda: 0.0, 1.0)) == Answer("followed")
    leader.delete("a")
    assert leader.board.scale_downs == {}
    labels = {sample.labels["policy"] for family in metrics.VICTIMS.collect() for sample in family.samples}
    assert not any(policy.startswith("invented") for policy in labels)


async def test_the_leader_counts_its_own(leader: Replica) -> None:
    heard = []
    leader.board.scale_downs_counted.subscribe(lambda: heard.append(True))
    leader.outcomes.follow(PLAN)
    leader.delete("a")
    leader.delete("c")
    assert leader.board.scale_downs == {"online": ScaleDowns(2, 1)}
    assert len(heard) == 2, "the status hears of it"


async def test_what_another_replica_planned_is_counted_once_by_the_leader(leader: Replica) -> None:
    other = Replica(leader)
    leader.delete("a")
    other.outcomes.follow(PLAN)
    await _run(other)
    for replica in (leader, other):
        replica.delete("b")
    assert leader.board.scale_downs == {"online": ScaleDowns(2, 2)}
    assert other.board.scale_downs == {}


async def test_a_leader_that_cannot_be_told_holds_nobody_up(leader: Replica) -> None:
    other = Replica(leader)
    other.reachable = False
    other.outcomes.follow(PLAN)
    await _run(other)
    other.reachable = True
    other.outcomes.follow(msgspec.structs.replace(PLAN, victims=(PodUid("uid-c"),)))
    await _run(other)
    leader.delete("c")
    leader.delete("a")
    assert leader.board.scale_downs == {"online": ScaleDowns(1, 1)}


async def test_a_replica_that_does_not_lead_takes_no_plans(leader: Replica) -> None:
    other = Replica(leader)
    with pytest.raises(LetGoError, match="not-leader"):
        await other.outcomes.reported(AdmissionRequest(uid="u"), Deadline(lambda: 0.0, 1.0))


def test_what_is_written_is_taken_off_the_board(leader: Replica) -> None:
    leader.board.count_scale_downs("online", ScaleDowns(3, 3))
    leader.board.count_scale_downs("online", ScaleDowns(1, 0))
    leader.board.scale_downs_written("online", ScaleDowns(3, 3))
    assert leader.board.scale_downs == {"online": ScaleDowns(1, 0)}
    leader.board.scale_downs_written("online", ScaleDowns(1, 0))
    assert leader.board.scale_downs == {}
