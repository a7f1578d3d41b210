"""`spillway check-admission`: when it stops asking, what it asks for, and what it says."""

import json
from typing import Any

import pytest

from spillway.app.check_admission import WRONG_TIME_ZONE, AdmissionAnswers, check_admission
from spillway.cli.check_admission import described
from spillway.kube.errors import ApiError

MARKS = {"spillway.dev/placement": "physical", "spillway.dev/policy": "try"}
REFUSAL = f'spec.timeZone: "{WRONG_TIME_ZONE}" is not an IANA time zone'


class Server:
    """An API server whose webhooks answer from their n-th request on."""

    def __init__(self, *, refuses_from: int = 1, marks_from: int = 1, conflict: str = "") -> None:
        self.refuses_from, self.marks_from, self.conflict = refuses_from, marks_from, conflict
        self.pools, self.pods = 0, list[dict[str, Any]]()

    async def request(self, method: str, path: str, *, params: dict[str, str], body: dict[str, Any]) -> bytes:
        assert (method, params) == ("POST", {"dryRun": "All"})
        if path.endswith("/virtualnodebudgets"):
            self.pools += 1
            if self.pools >= self.refuses_from:
                raise ApiError(403, "Forbidden", REFUSAL)
            return json.dumps(body).encode()
        assert path == "/api/v1/namespaces/shop/pods"
        self.pods.append(body)
        metadata = {**body["metadata"], "annotations": MARKS if len(self.pods) >= self.marks_from else {}}
        return json.dumps({**body, "metadata": metadata}).encode()

    async def get_json(self, path: str) -> Any:
        assert path.endswith("/elasticpolicies/test")
        ready = {"type": "Ready", "reason": "Conflict" if self.conflict else "Enforcing", "message": self.conflict}
        return {"status": {"conditions": [ready]}}


async def _ask(server: Any, *, policy: str | None = None, seconds: float = 0.0) -> AdmissionAnswers:
    return await check_admission(server, "shop", policy=policy, timeout_seconds=seconds)


async def test_both_answers_are_found_and_nothing_is_created() -> None:
    server = Server()
    assert await _ask(server) == AdmissionAnswers(refusal=str(ApiError(403, "Forbidden", REFUSAL)), **_placed())
    [owner] = server.pods[0]["metadata"]["ownerReferences"]
    assert owner["controller"] is True


def _placed() -> dict[str, str]:
    return {"placement": "physical", "policy": "try"}


async def test_it_waits_for_an_operator_that_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spillway.app.check_admission._POLL_SECONDS", 0.0)
    server = Server(refuses_from=2, marks_from=3)
    assert (await _ask(server, seconds=30.0)).complete
    assert (server.pools, len(server.pods)) == (2, 3)


@pytest.mark.parametrize(
    ("server", "missing"), [(Server(refuses_from=9), "refusal"), (Server(marks_from=9), "placement")]
)
async def test_a_webhook_that_does_not_answer_is_found(server: Server, missing: str) -> None:
    answers = await _ask(server, policy="test")
    assert not answers.complete
    assert not getattr(answers, missing)
    assert any("did not answer" in line for line in described(answers, "shop"))


async def test_an_older_policy_that_governs_the_namespace_is_no_error() -> None:
    answers = await _ask(Server(marks_from=9, conflict="policy old governs it"), policy="test")
    assert answers.complete
    assert described(answers, "shop")[1].endswith("another policy governs shop: policy old governs it")


async def test_a_missing_right_is_not_taken_for_an_answer() -> None:
    class Refusing(Server):
        async def request(self, *_: object, **__: object) -> bytes:
            raise ApiError(403, "Forbidden", "virtualnodebudgets is forbidden")

    with pytest.raises(ApiError, match="is forbidden"):
        await _ask(Refusing())
