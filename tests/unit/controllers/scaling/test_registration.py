from typing import Any

import pytest

from spillway.controllers.scaling.registration import AGAIN_SECONDS, RegistrationController, trouble_of
from spillway.controllers.scaling.status import _served
from spillway.kube.errors import ApiError
from spillway.state.catalog import Kind
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import FakeReader
from tests.support.world import make_world, resource

OURS = ("spillway-system", "spillway-webhook")


def _registered(name: str = "spillway-webhook", namespace: str = "spillway-system", **status: Any) -> dict[str, Any]:
    return {"spec": {"service": {"namespace": namespace, "name": name}}, "status": status}


def _available(status: str) -> list[dict[str, str]]:
    return [{"type": "Available", "status": status, "message": "no route to host"}]


@pytest.mark.parametrize(
    ("registered", "reason", "says"),
    [
        (None, "NotRegistered", "externalMetrics creates it"),
        (_registered("keda-operator-metrics-apiserver", "keda"), "OwnedByAnother", "keda/keda-operator-metrics"),
        ({"spec": {"service": None}}, "OwnedByAnother", "leads to the Service /"),
        (_registered(conditions=_available("False")), "NotAvailable", "no route to host"),
    ],
)
def test_what_keeps_the_metric_from_autoscalers(registered: dict[str, Any] | None, reason: str, says: str) -> None:
    found = trouble_of(registered, OURS)
    assert found is not None
    assert found.reason == reason
    assert says in found.message


@pytest.mark.parametrize("registered", [_registered(), _registered(conditions=_available("True"))])
def test_an_api_that_leads_here_is_served(registered: dict[str, Any]) -> None:
    assert trouble_of(registered, OURS) is None


PATH = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io"


def _controller(reader: FakeReader, **workload: Any) -> RegistrationController:
    policy = resource(Kind.ELASTIC_POLICY, "online", tiers={}, workloads=[{"name": "default", **workload}])
    world = make_world([], [policy], FakeClock())
    return RegistrationController(world, reader, service="spillway-webhook", namespace="spillway-system")


async def test_it_is_looked_at_while_a_class_has_scaling_and_changes_are_told() -> None:
    reader = FakeReader()
    controller, told = _controller(reader, scaling={}), []
    controller.changed.subscribe(lambda: told.append(controller.trouble and controller.trouble.reason))
    assert await controller.reconcile("*") == AGAIN_SECONDS
    await controller.reconcile("*")
    reader.objects[PATH] = _registered()
    await controller.reconcile("*")
    assert set(reader.read) == {PATH}
    assert told == ["NotRegistered", None]
    reader.objects[PATH] = ApiError(500, "", "")
    with pytest.raises(ApiError):
        await controller.reconcile("*")


async def test_nothing_is_read_without_scaling() -> None:
    reader = FakeReader()
    assert await _controller(reader).reconcile("*") is None
    assert reader.read == []


def test_a_policy_without_scaling_is_not_told() -> None:
    assert not _served({}, trouble_of(None, OURS)).holds
