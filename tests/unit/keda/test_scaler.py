"""KEDA's side: a client that is made from the interface definition, over real TLS."""

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_tools import protoc

from spillway.admission.authority import Lifetimes, begin
from spillway.admission.tls import ServingTls
from spillway.domain.scaling.recommend import Number
from spillway.keda import externalscaler_pb2, scaler
from spillway.keda.scaler import KedaScaler
from spillway.state.signal import Signal

pytestmark = pytest.mark.xdist_group("keda-scaler")

FOLDER = Path(scaler.__file__).parent
NAME = "spillway-webhook.spillway-system.svc"
WAIT_SECONDS = 10.0


class _Spillway:
    """What the scaler reads: the recommended replicas, and when they change."""

    def __init__(self) -> None:
        self.numbers: dict[str, Number] = {"Deployment/shop/cart": Number(12, active=True)}
        self.changed: Signal[()] = Signal("Recommendation")

    async def find(self, namespace: str, workload: str) -> Number | None:
        return self.numbers.get(workload) if workload.split("/")[1] == namespace else None

    def set(self, replicas: int, *, active: bool) -> None:
        self.numbers = {"Deployment/shop/cart": Number(replicas, active=active)}
        self.changed.emit()


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The client that protoc makes from the definition."""
    folder = tmp_path_factory.mktemp("proto")
    flags = [f"--python_out={folder}", f"--pyi_out={folder}", f"--grpc_python_out={folder}"]
    assert protoc.main(["protoc", f"-I{FOLDER}", *flags, str(FOLDER / "externalscaler.proto")]) == 0
    for name in ("externalscaler_pb2.py", "externalscaler_pb2.pyi"):
        assert (folder / name).read_text() == (FOLDER / name).read_text(), f"{name} is stale: run `make proto`"
    (folder / "externalscaler_pb2.py").unlink()
    sys.modules["externalscaler_pb2"] = externalscaler_pb2
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("externalscaler_pb2_grpc")
    finally:
        sys.path.remove(str(folder))
        del sys.modules["externalscaler_pb2"]


@pytest.fixture
def spillway() -> _Spillway:
    return _Spillway()


@pytest.fixture
async def served(generated: Any, spillway: _Spillway) -> AsyncIterator[tuple[KedaScaler, Any]]:
    """The scaler, and a client of it."""
    material = begin((NAME, "localhost"), Lifetimes(), datetime.now(UTC))
    tls = ServingTls()
    tls.load(material.serving_certificate, material.serving_key, material.bundle)
    server = KedaScaler(spillway.find, spillway.changed, tls=tls, port=0, host="127.0.0.1")
    await server.start()
    trusted = grpc.ssl_channel_credentials(material.bundle)
    named = (("grpc.ssl_target_name_override", NAME),)
    async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", trusted, options=named) as channel:
        yield server, generated.ExternalScalerStub(channel)
    await server.stop()


@pytest.fixture
def client(served: tuple[KedaScaler, Any]) -> Any:
    return served[1]


def _asked(**metadata: str) -> Any:
    return externalscaler_pb2.ScaledObjectRef(name="cart", namespace="shop", scalerMetadata=metadata)


async def test_the_metric_is_worth_one_for_each_replica(client: Any) -> None:
    asked = _asked(workload="cart")
    [spec] = (await client.GetMetricSpec(asked, timeout=WAIT_SECONDS)).metricSpecs
    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("spillway-recommended-replicas", 1, 1.0)
    request = externalscaler_pb2.GetMetricsRequest(scaledObjectRef=asked, metricName=spec.metricName)
    [value] = (await client.GetMetrics(request, timeout=WAIT_SECONDS)).metricValues
    assert (value.metricName, value.metricValue, value.metricValueFloat) == (spec.metricName, 12, 12.0)


async def test_a_workload_that_nothing_asks_for_is_not_active(client: Any, spillway: _Spillway) -> None:
    asked = _asked(workload="cart", kind="Deployment")
    assert (await client.IsActive(asked, timeout=WAIT_SECONDS)).result
    spillway.set(1, active=False)
    assert not (await client.IsActive(asked, timeout=WAIT_SECONDS)).result


async def test_changes_are_pushed(client: Any, spillway: _Spillway) -> None:
    stream = client.StreamIsActive(_asked(workload="cart"), timeout=WAIT_SECONDS)
    seen = [(await anext(aiter(stream))).result]
    for active in (False, True):
        spillway.set(1, active=active)
        # What does not change whether it is active is not told.
        spillway.set(2, active=active)
        seen.append((await anext(aiter(stream))).result)
    assert seen == [True, False, True]
    stream.cancel()
    while spillway.changed:  # noqa: ASYNC110 - the server notices by itself
        await asyncio.sleep(0.01)


async def test_a_stream_waits_for_a_workload_that_has_no_number_yet(client: Any, spillway: _Spillway) -> None:
    known, spillway.numbers = spillway.numbers, {}
    stream = client.StreamIsActive(_asked(workload="cart"), timeout=WAIT_SECONDS)
    while not spillway.changed:  # noqa: ASYNC110 - until the server has the call
        await asyncio.sleep(0.01)
    spillway.numbers = known
    spillway.changed.emit()
    assert (await anext(aiter(stream))).result
    # One that has lost its number and found it again is told again.
    spillway.numbers = {}
    spillway.changed.emit()
    await asyncio.sleep(0.1)
    spillway.numbers = known
    spillway.changed.emit()
    assert (await anext(aiter(stream))).result
    stream.cancel()


async def test_streams_end_without_an_error_when_the_server_stops(served: tuple[KedaScaler, Any]) -> None:
    # KEDA doubles the time until it connects again after each error, and never forgets that.
    server, client = served
    stream = client.StreamIsActive(_asked(workload="cart"), timeout=WAIT_SECONDS)
    answers = aiter(stream)
    assert (await anext(answers)).result
    await server.stop()
    with pytest.raises(StopAsyncIteration):
        await anext(answers)
    assert await stream.code() is grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("metadata", "code", "says"),
    [
        ({}, grpc.StatusCode.INVALID_ARGUMENT, "workload: cart}"),
        ({"workload": "Deployment/cart"}, grpc.StatusCode.INVALID_ARGUMENT, 'the ScaledObject is "cart"'),
        ({"workload": "unknown"}, grpc.StatusCode.NOT_FOUND, "Deployment/shop/unknown has no recommended replicas"),
        ({"workload": "cart", "kind": "StatefulSet"}, grpc.StatusCode.NOT_FOUND, "StatefulSet/shop/cart"),
    ],
)
async def test_a_trigger_that_names_nothing_is_refused_with_what_is_right(
    client: Any, metadata: dict[str, str], code: grpc.StatusCode, says: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.IsActive(_asked(**metadata), timeout=WAIT_SECONDS)
    assert caught.value.code() is code
    assert says in caught.value.details()
    # A metric without a description is all that KEDA would show of a refusal here.
    assert (await client.GetMetricSpec(_asked(**metadata), timeout=WAIT_SECONDS)).metricSpecs


async def test_the_present_certificate_is_shown_at_each_connection(generated: Any, spillway: _Spillway) -> None:
    tls = ServingTls()
    old, new = (begin((NAME,), Lifetimes(), datetime.now(UTC)) for _ in range(2))
    tls.load(old.serving_certificate, old.serving_key, old.bundle)
    server = KedaScaler(spillway.find, spillway.changed, tls=tls, port=0, host="127.0.0.1")
    await server.start()
    tls.load(new.serving_certificate, new.serving_key, new.bundle)
    named = (("grpc.ssl_target_name_override", NAME),)
    trusted = grpc.ssl_channel_credentials(new.bundle)
    async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", trusted, options=named) as channel:
        answer = await generated.ExternalScalerStub(channel).IsActive(_asked(workload="cart"), timeout=WAIT_SECONDS)
    assert answer.result
    await server.stop()
