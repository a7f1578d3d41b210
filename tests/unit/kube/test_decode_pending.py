"""What a pending pod says of itself, wherever its provider has written it."""

from typing import Any

import msgspec
import pytest

from spillway.domain.model.records import Pending
from spillway.kube import decode


def pending(**status: Any) -> Pending:
    raw = {"metadata": {"name": "web-1", "namespace": "shop", "uid": "u1"}, "status": {"phase": "Pending", **status}}
    found = decode.PODS.one(msgspec.json.encode(raw)).pending
    assert found is not None
    return found


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"containerStatuses": [{"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}]}


def condition(kind: str, reason: str, message: str = "", status: str = "False") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


READY = condition("Ready", "ContainersNotReady", "containers with unready status: [main]")
NO_STOCK = condition("ContainerInstanceCreated", "ContainerInstanceCreateFailed", "NoStock")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        pytest.param({}, ("", ""), id="nothing"),
        pytest.param({"reason": "ProviderFailed", "message": "NoStock"}, ("ProviderFailed", "NoStock"), id="itself"),
        pytest.param(waits("ImagePullBackOff", "no such image"), ("ImagePullBackOff", "no such image"), id="container"),
        pytest.param(
            {"reason": "ProviderFailed", "message": "NoStock", **waits("ContainerCreating")},
            ("ProviderFailed", "NoStock"),
            id="that a container is being made hides nothing",
        ),
        pytest.param(
            {"conditions": [READY, NO_STOCK], **waits("ContainerCreating")},
            ("ContainerInstanceCreateFailed", "NoStock"),
            id="a condition of the provider's own",
        ),
        pytest.param(
            {
                "containerStatuses": [
                    {"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}},
                    {"name": "log", "state": {"waiting": {"reason": "CreateFailed", "message": "NoStock"}}},
                ]
            },
            ("CreateFailed", "NoStock"),
            id="another container",
        ),
        pytest.param(
            {
                "initContainerStatuses": [
                    {"name": "setup", "state": {"waiting": {"reason": "CreateFailed", "message": "NoStock"}}}
                ],
                **waits("PodInitializing"),
            },
            ("CreateFailed", "NoStock"),
            id="an init container",
        ),
        pytest.param({"conditions": [READY]}, ("", ""), id="Kubernetes' own conditions say nothing"),
        pytest.param(
            {"conditions": [condition("ContainerInstanceCreated", "Created", status="True")]}, ("", ""), id="it holds"
        ),
        pytest.param(
            {"conditions": [condition("PodScheduled", "Unschedulable", "0/3 nodes")]},
            ("Unschedulable", "0/3 nodes"),
            id="the scheduler",
        ),
        pytest.param(waits("ContainerCreating"), ("ContainerCreating", ""), id="better than nothing"),
    ],
)
def test_what_keeps_it_from_starting(status: dict[str, Any], said: tuple[str, str]) -> None:
    found = pending(**status)
    assert (found.reason, found.message) == said


@pytest.mark.parametrize(
    ("reason", "since", "gated"), [("Unschedulable", 1767323045.0, False), ("SchedulingGated", 0.0, True)]
)
def test_a_gated_pod_is_not_unschedulable(reason: str, since: float, *, gated: bool) -> None:
    stamp = {"lastTransitionTime": "2026-01-02T03:04:05Z"}
    found = pending(conditions=[condition("PodScheduled", reason) | stamp])
    assert (found.unschedulable_since, found.gated) == (since, gated)


def test_a_pod_whose_gate_was_removed_waits_since_its_creation_where_kubernetes_leaves_the_time_out() -> None:
    refused = {**condition("PodScheduled", "Unschedulable"), "lastTransitionTime": None, "lastProbeTime": None}
    metadata = {"name": "web-1", "namespace": "shop", "uid": "u1", "creationTimestamp": "2026-01-02T03:04:05Z"}
    status = {"phase": "Pending", "conditions": [refused]}

    found = decode.PODS.one(msgspec.json.encode({"metadata": metadata, "status": status}))

    assert found.unschedulable_since == 1767323045.0


@pytest.mark.parametrize(
    ("ready", "since"),
    [
        (None, 0.0),
        ({"status": "True"}, 0.0),
        ({"status": "False"}, 1767323045.0),
        ({"status": "Unknown"}, 1767323045.0),
    ],
)
def test_a_node_tells_since_when_it_is_not_ready(ready: dict[str, str] | None, since: float) -> None:
    stamp = {"type": "Ready", "lastTransitionTime": "2026-01-02T03:04:05Z"}
    conditions = [] if ready is None else [stamp | ready]
    raw = msgspec.json.encode({"metadata": {"name": "n1", "uid": "u"}, "status": {"conditions": conditions}})
    assert decode.NODES.one(raw).unready_since == since
