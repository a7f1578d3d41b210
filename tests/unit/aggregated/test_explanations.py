"""The API of the answers over plain HTTP: its paths, whom the API server is asked about, and refusals."""

from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import aiohttp
import pytest

from spillway.aggregated.explanations import EXPLANATIONS, ExplainApi, NoAnswerError
from spillway.aggregated.server import AggregatedServer, MayAll
from spillway.domain.explain.answers import Answer, PoolAnswer
from spillway.domain.explain.served import RESOURCES, ExplainQuestion
from spillway.kube.access import Access, User, Verdict

ROOT = "/apis/explain.spillway.dev/v1alpha1"
POOL = PoolAnswer(
    pool="eci",
    takes_pods=True,
    closed_because=None,
    cordon="None",
    nodes=2,
    nodes_ready=2,
    pods=7,
    kept_out_namespaces=(),
    policies=(),
    workloads=(("Deployment/shop/web", 7),),
    why=("It takes pods.",),
    price=None,
    changes=(),
)


class _Everything:
    """Answers each question with the same pool, but for objects with the name of a refusal."""

    def __init__(self) -> None:
        self.asked: list[tuple[ExplainQuestion, str]] = []

    async def answer(self, question: ExplainQuestion, user: User) -> Answer:
        self.asked.append((question, user.name))
        if question.name == "busy":
            raise NoAnswerError(HTTPStatus.TOO_MANY_REQUESTS, "too many questions", retry_after=1)
        if question.name == "absent":
            raise NoAnswerError(HTTPStatus.NOT_FOUND, "there is no node absent; there are none")
        return POOL


class _Gate:
    """Tokens are the names of users, of whom only `reader` may read."""

    def __init__(self) -> None:
        self.asked: list[Access] = []

    async def authenticate(self, token: str) -> User | Verdict:
        return User(token) if token else Verdict.UNAUTHENTICATED

    async def authorize(self, user: User, access: Access) -> Verdict:
        self.asked.append(access)
        return Verdict.ALLOWED if user.name == "reader" else Verdict.FORBIDDEN


@pytest.fixture
def answers() -> _Everything:
    return _Everything()


@pytest.fixture
def gate() -> _Gate:
    return _Gate()


@pytest.fixture
async def get(gate: _Gate, answers: _Everything) -> AsyncIterator[Callable[..., Any]]:
    server = AggregatedServer(ExplainApi(answers), MayAll(gate), lambda: None, tls=None, port=0, host="127.0.0.1")
    await server.start()
    async with aiohttp.ClientSession() as session:

        async def get(path: str, token: str = "reader") -> tuple[int, Any, str | None]:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with session.get(f"http://127.0.0.1:{server.port}{path}", headers=headers) as answer:
                return answer.status, await answer.json(), answer.headers.get("Retry-After")

        yield get
    await server.stop()


@pytest.mark.parametrize(
    ("path", "question"),
    [
        ("namespaces/shop/podexplanations/web-0", ExplainQuestion("pod", "web-0", "shop")),
        ("namespaces/shop/workloadexplanations/web", ExplainQuestion("workload", "web", "shop")),
        (
            "namespaces/shop/workloadexplanations/web?kind=deploy",
            ExplainQuestion("workload", "deploy/web", "shop"),
        ),
        ("nodeexplanations/n1", ExplainQuestion("node", "n1")),
        ("poolexplanations/eci", ExplainQuestion("pool", "eci")),
    ],
)
async def test_a_path_is_a_question_and_an_object_that_a_user_gets(
    get: Callable[..., Any], gate: _Gate, answers: _Everything, path: str, question: ExplainQuestion
) -> None:
    status, document, _ = await get(f"{ROOT}/{path}")

    assert (status, document["apiVersion"]) == (200, "explain.spillway.dev/v1alpha1")
    assert document["kind"] == RESOURCES[question.what].kind
    assert document["metadata"].get("namespace", "") == question.namespace
    assert document["answer"]["workloads"] == [["Deployment/shop/web", 7]]
    assert document["answer"]["takesPods"] is True
    assert answers.asked == [(question, "reader")]
    plural = path.partition("?")[0].split("/")[-2]
    assert gate.asked == [
        Access("get", group="explain.spillway.dev", version="v1alpha1", resource=plural, namespace=question.namespace)
    ]


@pytest.mark.parametrize(("token", "expected"), [("", 401), ("mallory", 403)])
async def test_a_question_of_somebody_else_is_not_asked(
    get: Callable[..., Any], answers: _Everything, token: str, expected: int
) -> None:
    for path in (f"{ROOT}/nodeexplanations/n1", ROOT, "/apis"):
        status, document, _ = await get(path, token)
        assert (status, document["kind"]) == (expected, "Status")
    assert answers.asked == []


async def test_refusals_are_statuses(get: Callable[..., Any]) -> None:
    status, document, after = await get(f"{ROOT}/nodeexplanations/busy")
    assert (status, document["message"], after) == (429, "too many questions", "1")
    status, document, after = await get(f"{ROOT}/nodeexplanations/absent")
    assert (status, document["reason"], after) == (404, "NotFound", None)


@pytest.mark.parametrize(
    "path",
    [
        "podexplanations/web-0",
        "namespaces/shop/nodeexplanations/n1",
        "namespaces/shop/podexplanations",
        "namespaces/shop/pods/web-0",
    ],
)
async def test_other_paths_are_none_of_the_api(get: Callable[..., Any], answers: _Everything, path: str) -> None:
    assert (await get(f"{ROOT}/{path}"))[0] == 404
    assert answers.asked == []


async def test_discovery_names_the_resources(get: Callable[..., Any]) -> None:
    _, document, _ = await get(ROOT)
    assert {one["name"]: (one["namespaced"], one["verbs"]) for one in document["resources"]} == {
        "podexplanations": (True, ["get"]),
        "workloadexplanations": (True, ["get"]),
        "nodeexplanations": (False, ["get"]),
        "poolexplanations": (False, ["get"]),
    }
    aggregated = EXPLANATIONS.discovery("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    assert aggregated is not None
    [version] = aggregated[1]["items"][0]["versions"]
    assert [one["scope"] for one in version["resources"]] == ["Namespaced", "Namespaced", "Cluster", "Cluster"]
