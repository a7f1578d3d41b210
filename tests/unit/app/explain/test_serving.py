"""Who gets an answer of the operator's, what becomes of the others, and how many questions may wait."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import pytest

from spillway.aggregated.explanations import NoAnswerError
from spillway.app.explain import serving
from spillway.app.explain.serving import WAITING, OperatorAnswers, rights
from spillway.domain.balance.zones import affinity_additions
from spillway.domain.explain.answers import NodeAnswer, PoolAnswer
from spillway.domain.explain.served import RESOURCES, ExplainQuestion
from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.kube.access import Access, User, Verdict
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError, RequestError, UnreachableError
from spillway.state.catalog import Kind
from spillway.state.world import World
from spillway.telemetry.explain import ANSWERS
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, policy_resource, resource

ASKER = User("ann")
USERS = (ASKER, *(User(f"user-{number}") for number in range(WAITING + 4)))
NODE = ExplainQuestion("node", "n1")


class _Gate:
    """Allows everything but what `refuses` says."""

    def __init__(
        self, refuses: Callable[[Access], bool] = lambda _: False, verdict: Verdict = Verdict.FORBIDDEN
    ) -> None:
        self._refuses = refuses
        self._verdict = verdict

    async def authenticate(self, token: str) -> User | Verdict:
        raise AssertionError(token)

    async def authorize(self, user: User, access: Access) -> Verdict:
        assert user in USERS
        return self._verdict if self._refuses(access) else Verdict.ALLOWED


class _Reads:
    """An API server that has this pod, or refuses it so; it notes what it was asked for."""

    def __init__(self, pod: dict[str, Any] | RequestError = UnreachableError("gone")) -> None:  # noqa: B008
        self._pod = pod
        self.paths: list[str] = []

    async def get_json(self, path: str) -> dict[str, Any]:
        self.paths.append(path)
        if isinstance(self._pod, RequestError):
            raise self._pod
        return self._pod


def _world(clock: FakeClock | None = None) -> World:
    budget = resource(Kind.VIRTUAL_NODE_BUDGET, "eci-a", nodeSelector={"matchLabels": {"pool": "eci-a"}})
    return make_world([make_node("n1"), make_pod("web-0")], [budget], clock or FakeClock(5_000.0))


def _answers(gate: _Gate, *, world: World | None = None, reads: _Reads | None = None) -> OperatorAnswers:
    return OperatorAnswers(world or _world(), cast("KubeClient", reads or _Reads()), gate)


def _counted(result: str) -> float:
    return float(ANSWERS.labels(result)._value.get())


async def test_who_may_read_everything_is_answered() -> None:
    answers, before = _answers(_Gate()), _counted("answered")

    node, pool = await answers.answer(NODE, ASKER), await answers.answer(ExplainQuestion("pool", "eci-a"), ASKER)

    assert isinstance(node, NodeAnswer)
    assert node.node == "n1"
    assert isinstance(pool, PoolAnswer)
    assert _counted("answered") == before + 2


@pytest.mark.parametrize("what", sorted(RESOURCES))
async def test_each_right_is_needed(what: str) -> None:
    question = ExplainQuestion(what, "web-0", "shop" if RESOURCES[what].namespaced else "")
    for missing in rights(question):
        reads, before = _Reads(), _counted("forbidden")
        with pytest.raises(NoAnswerError, match=f"cannot {missing.verb} {missing.resource} in") as refusal:
            await _answers(_Gate(missing.__eq__), reads=reads).answer(question, ASKER)
        assert refusal.value.status is HTTPStatus.FORBIDDEN
        assert reads.paths == []
        assert _counted("forbidden") == before + 1


def test_the_rights_are_those_of_a_command_that_reads_the_cluster() -> None:
    lists = {one.resource for one in rights(NODE)}
    assert lists == {
        "pods",
        "nodes",
        "namespaces",
        "replicasets",
        "replicationcontrollers",
        "statefulsets",
        "elasticpolicies",
        "virtualnodebudgets",
        "zonalbalances",
    }
    assert {(one.verb, one.namespace) for one in rights(NODE)} == {("list", "")}
    more = set(rights(ExplainQuestion("workload", "web", "shop"))) - set(rights(NODE))
    assert {(one.verb, one.resource, one.namespace) for one in more} == {
        ("get", "replicasets", "shop"),
        ("get", "replicationcontrollers", "shop"),
        ("get", "statefulsets", "shop"),
        ("get", "persistentvolumeclaims", "shop"),
        ("get", "persistentvolumes", ""),
        ("get", "storageclasses", ""),
        ("list", "limitranges", "shop"),
    }


async def test_nothing_is_answered_while_nobody_can_say_what_the_user_may_do() -> None:
    with pytest.raises(NoAnswerError) as refusal:
        await _answers(_Gate(lambda _: True, Verdict.UNKNOWN)).answer(NODE, ASKER)
    assert refusal.value.status is HTTPStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("what", sorted(RESOURCES))
async def test_what_is_not_there_is_not_found(what: str) -> None:
    reads = _Reads()
    with pytest.raises(NoAnswerError, match="there is no") as refusal:
        await _answers(_Gate(), reads=reads).answer(ExplainQuestion(what, "absent", "shop"), ASKER)
    assert refusal.value.status is HTTPStatus.NOT_FOUND
    assert reads.paths == []


def _moved_pod() -> dict[str, Any]:
    """A pod that a move created for a node."""
    [added] = affinity_additions({}, ZONE_LABEL, {}, node=NodeName("n1"))
    return {"metadata": {}, "spec": {"affinity": added.value}}


@pytest.mark.parametrize(
    ("question", "reads"),
    [
        pytest.param(ExplainQuestion("pod", "gone", "shop"), _Reads(), id="a pod that is gone"),
        pytest.param(
            ExplainQuestion("pod", "web-0", "shop"), _Reads(ApiError(404, "NotFound", "")), id="a pod that just went"
        ),
        pytest.param(ExplainQuestion("pod", "web-0", "shop"), _Reads(_moved_pod()), id="a pod of a move"),
        pytest.param(ExplainQuestion("node", "gone"), _Reads(), id="a node"),
        pytest.param(ExplainQuestion("pool", "gone"), _Reads(), id="a pool"),
        pytest.param(ExplainQuestion("workload", "gone", "shop"), _Reads(), id="a workload"),
    ],
)
async def test_nothing_is_copied_for_what_has_no_answer(
    question: ExplainQuestion, reads: _Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[World] = []
    monkeypatch.setattr(serving, "copying", copies.append)
    with pytest.raises(NoAnswerError) as refusal:
        await _answers(_Gate(), reads=reads).answer(question, ASKER)
    assert refusal.value.status is HTTPStatus.NOT_FOUND
    assert copies == []


async def test_an_object_that_cannot_be_read_is_no_answer() -> None:
    reads = _Reads()
    with pytest.raises(NoAnswerError) as refusal:
        await _answers(_Gate(), reads=reads).answer(ExplainQuestion("pod", "web-0", "shop"), ASKER)
    assert refusal.value.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert reads.paths == ["/api/v1/namespaces/shop/pods/web-0"]


async def test_a_pod_that_a_move_created_is_left_to_the_command() -> None:
    """Events about it are part of the answer, and the operator reads none for users."""
    reads = _Reads(_moved_pod())

    with pytest.raises(NoAnswerError, match="Events") as refusal:
        await _answers(_Gate(), reads=reads).answer(ExplainQuestion("pod", "web-0", "shop"), ASKER)

    assert refusal.value.status is HTTPStatus.NOT_FOUND
    assert reads.paths == ["/api/v1/namespaces/shop/pods/web-0"]


@pytest.mark.parametrize(("what", "name"), [("pod", "web-0"), ("workload", "web")])
async def test_a_workload_for_which_zones_are_preferred_is_left_to_the_command(
    what: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its pods use is part of the answer, and the operator reads it for no user."""
    resources = [policy_resource(), resource(Kind.ZONAL_BALANCE, "even", zonePreference={})]
    world = make_world([make_node("n1"), make_replicaset("web"), make_pod("web-0")], resources, FakeClock(5_000.0))
    reads = _Reads()
    copies: list[World] = []
    monkeypatch.setattr(serving, "copying", copies.append)

    with pytest.raises(NoAnswerError, match="ZonalBalance/even prefers for Deployment/shop/web") as refusal:
        await _answers(_Gate(), world=world, reads=reads).answer(ExplainQuestion(what, name, "shop"), ASKER)

    assert refusal.value.status is HTTPStatus.NOT_FOUND
    assert reads.paths == []
    assert copies == []


async def test_a_replica_that_does_not_know_the_cluster_answers_nothing() -> None:
    clock = FakeClock(5_000.0)
    world = _world(clock)
    await clock.advance(61.0)
    with pytest.raises(NoAnswerError, match="not known") as refusal:
        await _answers(_Gate(), world=world).answer(NODE, ASKER)
    assert refusal.value.status is HTTPStatus.SERVICE_UNAVAILABLE


async def test_few_questions_wait_and_the_others_are_told_when_to_ask_again() -> None:
    answers = _answers(_Gate())

    found = await asyncio.gather(*(answers.answer(NODE, user) for user in USERS[1:]), return_exceptions=True)

    refused = [one for one in found if isinstance(one, NoAnswerError)]
    assert [(one.status, one.retry_after) for one in refused] == [(HTTPStatus.TOO_MANY_REQUESTS, 1)] * 3
    assert sum(isinstance(one, NodeAnswer) for one in found) == WAITING + 1
    assert isinstance(await answers.answer(NODE, ASKER), NodeAnswer)


async def test_the_questions_of_one_user_take_no_turn_of_another_user() -> None:
    answers = _answers(_Gate())

    asked = [*(answers.answer(NODE, ASKER) for _ in range(WAITING + 1)), answers.answer(NODE, USERS[1])]
    *of_one, of_another = await asyncio.gather(*asked, return_exceptions=True)

    assert [isinstance(one, NodeAnswer) for one in of_one] == [True, *[False] * WAITING]
    assert isinstance(of_another, NodeAnswer)
    assert isinstance(await answers.answer(NODE, ASKER), NodeAnswer)
