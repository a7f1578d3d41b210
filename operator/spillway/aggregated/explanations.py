"""The API `explain.spillway.dev/v1alpha1`: the answers of `spillway explain`, made by the operator.

Contract: an answer is in the key `answer` of a document of the question's kind, as the command prints it.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Protocol

import msgspec
from aiohttp import web

from spillway.aggregated.documents import ApiGroup
from spillway.aggregated.server import Handler, answered, refused
from spillway.domain.explain.answers import Answer
from spillway.domain.explain.served import ANSWER, GROUP, GROUP_VERSION, KIND, RESOURCES, VERSION, ExplainQuestion
from spillway.kube.access import Access, User
from spillway.telemetry import explain as metrics

EXPLANATIONS: Final = ApiGroup(GROUP, VERSION, tuple(RESOURCES.values()))
_WHAT: Final = {one.plural: what for what, one in RESOURCES.items()}
_RESOURCE: Final = "resource"


class NoAnswerError(Exception):
    """A question is not answered."""

    def __init__(self, status: HTTPStatus, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Explainer(Protocol):
    """What answers questions."""

    async def answer(self, question: ExplainQuestion, user: User) -> Answer:
        """The answer for a user.

        Raises:
            NoAnswerError: there is no answer, or none for this user.
        """


class ExplainApi:
    """The API of the answers."""

    name = "explain"
    group = EXPLANATIONS

    def __init__(self, answers: Explainer) -> None:
        self._answers = answers

    def routes(self) -> Mapping[str, Handler]:
        """Its paths below `group.root`."""
        namespaced = "|".join(one.plural for one in RESOURCES.values() if one.namespaced)
        others = "|".join(one.plural for one in RESOURCES.values() if not one.namespaced)
        return {
            f"/namespaces/{{namespace}}/{{{_RESOURCE}:{namespaced}}}/{{name}}": self._answer,
            f"/{{{_RESOURCE}:{others}}}/{{name}}": self._answer,
        }

    def access(self, request: web.Request) -> Access | None:
        """As kube-apiserver reads the path: one object is got."""
        found = request.match_info
        if _RESOURCE not in found:
            return None
        return Access(
            "get", group=GROUP, version=VERSION, resource=found[_RESOURCE], namespace=found.get("namespace", "")
        )

    def count(self, verdict: str) -> None:
        """Count a request."""
        metrics.REQUESTS.labels(verdict).inc()

    async def _answer(self, request: web.Request, user: User) -> web.Response:
        found = request.match_info
        what, name, namespace = _WHAT[found[_RESOURCE]], found["name"], found.get("namespace", "")
        kind = request.query.get(KIND, "")
        try:
            answer = await self._answers.answer(
                ExplainQuestion(what, f"{kind}/{name}" if kind else name, namespace), user
            )
        except NoAnswerError as error:
            return refused(error.status, str(error), retry_after=error.retry_after)
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        document = {"apiVersion": GROUP_VERSION, "kind": RESOURCES[what].kind, "metadata": metadata}
        return answered({**document, ANSWER: msgspec.Raw(msgspec.json.encode(answer))})
