"""The lookup of objects: who shares a question with whom."""

import asyncio

from spillway.admission.deadline import Deadline
from spillway.domain.model.names import OwnerUid
from spillway.webhooks.lookup import Lookup
from tests.builders import make_replicaset, make_state
from tests.support.fake_reader import FakeReader

UID = OwnerUid("rs-web")
PATH = "/apis/apps/v1/namespaces/shop/replicasets/web"


def _slow() -> FakeReader:
    """A reader that answers once it is told to, and not with a ReplicaSet for what it does not know."""
    server = FakeReader(lambda _: "no object")
    server.answers.clear()
    return server


def _deadline() -> Deadline:
    return Deadline(lambda: 0.0, 1.0)


async def test_a_question_about_the_same_uid_in_another_place_does_not_answer_for_the_real_one() -> None:
    server = _slow()
    server.objects[PATH] = {"metadata": {"name": "web", "namespace": "shop", "uid": UID}}
    lookup = Lookup(make_state(), server)
    asking = [
        asyncio.create_task(lookup.replicaset(namespace, name, UID, _deadline()))
        for namespace, name in (("attacker", "web"), ("shop", "other"), ("shop", "web"))
    ]
    async with asyncio.timeout(5.0):
        while len(server.read) < 3:  # noqa: ASYNC110  # the tasks run meanwhile
            await asyncio.sleep(0.001)
        server.answers.set()
        elsewhere, misnamed, real = await asyncio.gather(*asking)
    assert (elsewhere, misnamed) == (None, None)
    assert real is not None
    assert real.key == "shop/web"


async def test_those_that_ask_for_the_same_share_one_request_and_the_watch_may_answer() -> None:
    server, state = _slow(), make_state()
    lookup = Lookup(state, server)
    asking = [asyncio.create_task(lookup.replicaset("shop", "web", UID, _deadline())) for _ in range(3)]
    async with asyncio.timeout(5.0):
        while not server.read:  # noqa: ASYNC110  # the tasks run meanwhile
            await asyncio.sleep(0.001)
        state.apply(make_replicaset())
        found = await asyncio.gather(*asking)
    assert [one.key for one in found if one is not None] == ["shop/web"] * 3
    assert server.read == [PATH]
