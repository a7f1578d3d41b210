"""A replacement is whole or nothing: the redirect and the Job's retry follow from whether the pod was deleted."""

from typing import Any

import pytest

from spillway.controllers.base import World
from spillway.controllers.placement.replacement import Replacement, ReplacementResult
from spillway.domain.model.names import OwnerUid
from spillway.domain.model.records import PodRecord
from spillway.domain.placement.decide import NodeKind
from spillway.domain.placement.job_retries import Retries
from spillway.kube.errors import ApiError
from spillway.kube.writer import Fenced
from spillway.state.board import AVOID_SECONDS, JOB_REDIRECT_SECONDS
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.fake_writer import FakeWriter, Write
from tests.support.pools import budget, jobs, policy, sent
from tests.support.world import make_world

RS, JOB = OwnerUid("rs-web"), OwnerUid("job")
OF_JOB: dict[str, Any] = {"owner_uid": JOB, "owner_kind": "Job", "owner_name": "etl"}
PATH = "/api/v1/namespaces/shop/pods/web-1"


class Scene:
    def __init__(self, answer: bool | Exception = True, reader: FakeReader | None = None) -> None:  # noqa: FBT001, FBT002
        self.clock = FakeClock(1000.0)
        self.world: World = make_world([], [budget("a"), budget("b"), policy()], self.clock)
        self.retries = Retries()
        self.redirect_at_deletion: list[bool] = []

        async def respond(write: Write) -> bool:
            assert write.pod is not None
            self.redirect_at_deletion.append(self.world.board.redirected(write.pod.owner_uid))
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.writer = FakeWriter(respond)
        self.replacement = Replacement(self.world, self.writer, reader or jobs(), self.retries)

    async def replace(self, pod: PodRecord, **changes: Any) -> ReplacementResult:
        return await self.replacement.replace(pod, **changes)


@pytest.mark.parametrize("nodes", list(NodeKind))
async def test_the_successor_is_redirected_before_the_pod_is_deleted(nodes: NodeKind) -> None:
    scene = Scene()
    scene.world.board.avoid(RS, {"b"}, 60.0, namespace="shop")
    assert await scene.replace(sent("web-1"), nodes=nodes, avoid={"a"}) is ReplacementResult.REPLACED
    assert scene.redirect_at_deletion == [True]
    redirect = scene.world.board.take_redirect(RS)
    assert redirect is not None
    assert (redirect.physical, redirect.virtual) == (nodes is NodeKind.PHYSICAL, nodes is NodeKind.VIRTUAL)
    assert redirect.avoid == {"a", "b"}


async def test_without_nodes_admission_decides_on_the_successor() -> None:
    scene = Scene()
    assert await scene.replace(sent("web-1")) is ReplacementResult.REPLACED
    assert scene.redirect_at_deletion == [False]


@pytest.mark.parametrize("answer", [False, ApiError(500, "InternalError", PATH), Fenced()])
async def test_of_a_pod_that_is_not_deleted_nothing_remains(answer: bool | Exception) -> None:  # noqa: FBT001
    scene = Scene(answer)
    for _ in range(5):
        pod = sent("web-1", **OF_JOB)
        assert await scene.replace(pod, nodes=NodeKind.VIRTUAL) is ReplacementResult.REFUSED, "each retry is given back"
    assert not scene.world.board.redirected(JOB)
    assert not scene.world.board.avoided(JOB)


@pytest.mark.parametrize(
    ("reader", "replaced"), [(jobs(), 3), (FakeReader(lambda path: ApiError(503, "ServiceUnavailable", path)), 0)]
)
async def test_a_job_keeps_its_last_retry_and_all_of_them_while_it_cannot_be_read(
    reader: FakeReader, replaced: int
) -> None:
    scene = Scene(reader=reader)
    results = [await scene.replace(sent(f"etl-{number}", **OF_JOB), nodes=NodeKind.VIRTUAL) for number in range(5)]
    assert results == [ReplacementResult.REPLACED] * replaced + [ReplacementResult.NO_RETRY] * (5 - replaced)
    assert len(scene.writer.done) == replaced


@pytest.mark.parametrize(("changes", "seconds"), [({}, AVOID_SECONDS), (OF_JOB, JOB_REDIRECT_SECONDS)])
async def test_pools_are_avoided_at_least_until_the_owner_has_created_the_next_pod(
    changes: dict[str, Any], seconds: float
) -> None:
    scene = Scene()
    pod = sent("web-1", **changes)
    scene.replacement.avoid(pod, {"a"}, wait_seconds=60.0)
    await scene.clock.advance(seconds - 1)
    assert scene.world.board.avoided(pod.owner_uid) == {"a"}
    await scene.clock.advance(2)
    assert not scene.world.board.avoided(pod.owner_uid)
