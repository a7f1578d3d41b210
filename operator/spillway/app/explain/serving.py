"""The operator's answers to `spillway explain`: from its memory, and with the rights of who asks.

Contract: only users who may read what an answer is made of are answered, so they learn nothing that the API server
would not show them. Any replica answers, because an answer depends on nothing that only the leader knows. One answer is
made at a time, in a thread, from a copy of the world, which is made only if there is an answer; `WAITING` more may wait
for their turn, one of each user.
"""

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import structlog

from spillway.aggregated.explanations import NoAnswerError
from spillway.aggregated.server import Gate
from spillway.app.errors import NotFoundError
from spillway.app.explain.answering import answer, looked_up
from spillway.app.explain.snapshot import Snapshot
from spillway.app.explain.worlds import copying
from spillway.domain.explain.answers import Answer
from spillway.domain.explain.served import ExplainQuestion
from spillway.kube import paths
from spillway.kube.access import Access, User, Verdict
from spillway.kube.client import KubeClient
from spillway.kube.errors import RequestError
from spillway.kube.followed import FOLLOWED, FOLLOWED_OWNERS
from spillway.kube.paths import ApiResource
from spillway.state.catalog import Kind
from spillway.state.world import World
from spillway.telemetry import explain as metrics

log: Final = structlog.get_logger(__name__)

WAITING: Final = 4
BUSY_SECONDS: Final = 1
"""When to ask again if too many questions are waiting."""
_EVERYWHERE: Final = (*(one.resource for one in FOLLOWED.values()), *(paths.of_spillway(kind.plural) for kind in Kind))
"""What a command that reads the cluster itself lists."""


class OperatorAnswers:
    """The answers of one replica."""

    def __init__(self, world: World, client: KubeClient, gate: Gate) -> None:
        self._world = world
        self._client = client
        self._gate = gate
        self._turn = asyncio.Lock()
        self._asking: set[str] = set()
        """The names of the users whose questions are being answered, or wait."""

    async def answer(self, question: ExplainQuestion, user: User) -> Answer:
        """The answer for a user.

        Raises:
            NoAnswerError: there is no answer, or none for this user.
        """
        try:
            found = await self._answer(question, user)
        except NoAnswerError as error:
            metrics.ANSWERS.labels(_RESULTS[error.status]).inc()
            raise
        metrics.ANSWERS.labels("answered").inc()
        return found

    async def _answer(self, question: ExplainQuestion, user: User) -> Answer:
        for access in rights(question):
            await self._check(user, access)
        if len(self._asking) > WAITING:
            raise NoAnswerError(HTTPStatus.TOO_MANY_REQUESTS, "too many questions", retry_after=BUSY_SECONDS)
        if user.name in self._asking:
            text = f'User "{user.name}" waits for another answer'
            raise NoAnswerError(HTTPStatus.TOO_MANY_REQUESTS, text, retry_after=BUSY_SECONDS)
        self._asking.add(user.name)
        try:
            async with self._turn:
                return await self._made(question)
        finally:
            self._asking.discard(user.name)

    async def _check(self, user: User, access: Access) -> None:
        verdict = await self._gate.authorize(user, access)
        if verdict is Verdict.FORBIDDEN:
            where = f"in namespace {access.namespace}" if access.namespace else "in the whole cluster"
            text = f'User "{user.name}" cannot {access.verb} {access.resource} {where}, which the answer needs'
            raise NoAnswerError(HTTPStatus.FORBIDDEN, text)
        if verdict is not Verdict.ALLOWED:
            raise NoAnswerError(HTTPStatus.SERVICE_UNAVAILABLE, "the API server cannot be asked what the user may do")

    async def _made(self, question: ExplainQuestion) -> Answer:
        if not self._world.fresh:
            raise NoAnswerError(HTTPStatus.SERVICE_UNAVAILABLE, "the state of the cluster is not known")
        try:
            pod = await looked_up(self._client, self._world, question, reads_more=False)
            copied = copying(self._world)
            snapshot = await asyncio.to_thread(lambda: Snapshot.of(copied()))
            return await answer(self._client, snapshot, question, pod)
        except NotFoundError as error:
            raise NoAnswerError(HTTPStatus.NOT_FOUND, str(error)) from error
        except RequestError as error:
            log.warning("a question is not answered", key=f"{question.namespace}/{question.name}", error=str(error))
            raise NoAnswerError(HTTPStatus.SERVICE_UNAVAILABLE, "an object could not be read") from error


def rights(question: ExplainQuestion) -> Iterator[Access]:
    """What a user must be allowed to do to be answered: what the command does if it reads the cluster itself."""
    for resource in _EVERYWHERE:
        yield _access("list", resource)
    if question.what == "pod":
        yield _access("get", paths.PODS, question.namespace)
    if question.what == "workload":
        for owner in FOLLOWED_OWNERS.values():
            yield _access("get", owner.resource, question.namespace)
        yield _access("get", paths.CLAIMS, question.namespace)
        yield _access("get", paths.VOLUMES)
        yield _access("get", paths.STORAGE_CLASSES)
        yield _access("list", paths.LIMIT_RANGES, question.namespace)


def _access(verb: str, resource: ApiResource, namespace: str = "") -> Access:
    return Access(verb, group=resource.group, version=resource.version, resource=resource.plural, namespace=namespace)


_RESULTS: Final = {
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.TOO_MANY_REQUESTS: "busy",
    HTTPStatus.SERVICE_UNAVAILABLE: "unavailable",
}
