"""What is told about a pod that failed before it started, wherever its provider has written it."""

from typing import Any

import msgspec
import pytest

from spillway.kube import decode

STARTED = "2026-01-02T03:04:05Z"


def failure(**status: Any) -> tuple[tuple[str, str], ...] | None:
    raw = {"metadata": {"name": "job-1", "namespace": "shop", "uid": "u1"}, "status": {"phase": "Failed", **status}}
    found = decode.PODS.one(msgspec.json.encode(raw))
    assert found.pending is None
    return None if found.failure is None else found.failure.statements


def container(**state: Any) -> dict[str, Any]:
    return {"name": "main", "state": state}


NO_STOCK = {"reason": "CreateFailed", "message": "NoStock"}
PROVIDER = {"reason": "ProviderFailed", "message": "create failed"}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param(PROVIDER, (("ProviderFailed", "create failed"),), id="itself"),
        pytest.param({"containerStatuses": [container(waiting=NO_STOCK)]}, (("CreateFailed", "NoStock"),), id="waits"),
        pytest.param(
            {**PROVIDER, "containerStatuses": [container(terminated={**NO_STOCK, "startedAt": None})]},
            (("ProviderFailed", "create failed"), ("CreateFailed", "NoStock")),
            id="ended without a start, and itself",
        ),
        pytest.param(
            {"initContainerStatuses": [container(terminated={**NO_STOCK, "startedAt": "1970-01-01T00:00:00Z"})]},
            (("CreateFailed", "NoStock"),),
            id="an init container, with no time at all",
        ),
        pytest.param(
            {"conditions": [{"type": "InstanceCreated", "status": "False", **NO_STOCK}]},
            (("CreateFailed", "NoStock"),),
            id="a condition of the provider's own",
        ),
        pytest.param({**PROVIDER, "containerStatuses": [container(terminated={"startedAt": STARTED})]}, None, id="ran"),
        pytest.param({**PROVIDER, "containerStatuses": [container(running={"startedAt": STARTED})]}, None, id="runs"),
        pytest.param({**PROVIDER, "containerStatuses": [{"name": "main", "restartCount": 1}]}, None, id="before"),
    ],
)
def test_why_it_failed(status: dict[str, Any], told: tuple[tuple[str, str], ...] | None) -> None:
    assert failure(**status) == told


def test_a_message_is_kept_as_far_as_it_is_searched() -> None:
    assert failure(reason="A", message="x" * 5000) == (("A", "x" * 2048),)
