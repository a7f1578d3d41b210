"""What the replicas do about the Secret with their certificates."""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spillway.admission.authority import Lifetimes, Material, begin
from spillway.admission.certificates import Certificates, service_names
from spillway.admission.tls import ServingTls
from spillway.telemetry.registry import REGISTRY
from tests.support.fake_reader import FakeReader

NAMES = service_names("spillway-webhook", "spillway-system")
NAME = "v1beta1.external.metrics.k8s.io"
API_SERVICE = f"/apis/apiregistration.k8s.io/v1/apiservices/{NAME}"
SECRET = "/api/v1/namespaces/spillway-system/secrets/spillway-webhook-tls"


class SecretServer(FakeReader):
    """An API server that holds one Secret and no webhook configuration."""

    def __init__(self, data: dict[str, bytes]) -> None:
        super().__init__()
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        self.trusted: list[str] = []
        self.objects[SECRET] = {"metadata": {"resourceVersion": "1"}, "data": encoded}

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> bytes:
        if path == API_SERVICE:
            operations = msgspec.json.decode(body)
            self.objects[API_SERVICE]["spec"]["caBundle"] = operations[-1]["value"]
            self.trusted.append(operations[-1]["path"])
            return b"{}"
        assert (method, path) == ("PUT", SECRET)
        self.objects[SECRET] = body
        return msgspec.json.encode(body)


@pytest.mark.parametrize("leads", [True, False])
async def test_the_leader_replaces_a_certificate_that_is_not_its_keys(*, leads: bool) -> None:
    now = datetime.now(UTC)
    data = begin(NAMES, Lifetimes(), now).as_secret()
    data["tls.key"] = begin(NAMES, Lifetimes(), now).serving_key
    server, tls, keys = SecretServer(data), ServingTls(), list[bytes]()
    certificates = Certificates(
        server,
        tls,
        namespace="spillway-system",
        is_leader=lambda: leads,
        key_loaded=keys.append,
    )
    for _ in range(3):
        await certificates.turn()
    assert tls.ready.is_set() is leads
    assert set(keys) == {data["ca.key"]}, "every replica reads the same key, served or not"
    held = Material.from_secret({key: base64.b64decode(value) for key, value in server.objects[SECRET]["data"].items()})
    assert held is not None
    assert (held.serving_key == data["tls.key"]) is not leads
    assert held.authorities == (data["ca.crt"],), "what the API server trusts stays"


def _registered(service: str, bundle: str | None = None) -> dict[str, Any]:
    spec = {"service": {"namespace": "spillway-system", "name": service}}
    return {"metadata": {"resourceVersion": "7"}, "spec": spec if bundle is None else {**spec, "caBundle": bundle}}


@pytest.mark.parametrize(
    ("registered", "leads", "written"),
    [
        (_registered("spillway-webhook"), False, True),
        (_registered("spillway-webhook", "b2xk"), True, True),
        # Another replica changes only what is empty, and none what belongs to another installation.
        (_registered("spillway-webhook", "b2xk"), False, False),
        (_registered("keda-operator-metrics-apiserver"), True, False),
        (None, True, False),
    ],
)
async def test_the_api_service_trusts_the_certificate_if_it_leads_here(
    registered: dict[str, Any] | None, *, leads: bool, written: bool
) -> None:
    data = begin(NAMES, Lifetimes(), datetime.now(UTC)).as_secret()
    server = SecretServer(data)
    server.objects[API_SERVICE] = registered
    certificates = Certificates(
        server, ServingTls(), namespace="spillway-system", api_services=[NAME], is_leader=lambda: leads
    )
    await certificates.turn()
    await certificates.turn()
    assert server.trusted == (["/spec/caBundle"] if written else [])
    if written and registered is not None:
        assert base64.b64decode(registered["spec"]["caBundle"]) == data["ca.crt"]


CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"


def _trusted(configuration: str) -> float | None:
    return REGISTRY.get_sample_value("spillway_serving_certificate_trusted", {"configuration": configuration})


def _configuration(*bundles: str | None) -> dict[str, Any]:
    webhooks = [{"clientConfig": {} if bundle is None else {"caBundle": bundle}} for bundle in bundles]
    return {"metadata": {"resourceVersion": "7"}, "webhooks": webhooks}


async def test_a_replica_exports_whether_the_api_server_trusts_what_it_serves() -> None:
    material = begin(NAMES, Lifetimes(), datetime.now(UTC))
    other = begin(NAMES, Lifetimes(), datetime.now(UTC))
    good, bad = (base64.b64encode(one.bundle).decode() for one in (material, other))
    both = base64.b64encode(other.bundle + material.bundle).decode()
    server = SecretServer(material.as_secret())
    # Another replica than the leader writes no caBundle over one that is there.
    certificates = Certificates(server, ServingTls(), namespace="spillway-system", is_leader=lambda: False)

    async def shown(mutating: dict[str, Any], validating: dict[str, Any]) -> tuple[float | None, float | None]:
        server.objects[f"{CONFIGURATIONS}/mutatingwebhookconfigurations/spillway"] = mutating
        server.objects[f"{CONFIGURATIONS}/validatingwebhookconfigurations/spillway"] = validating
        await certificates.turn()
        return _trusted("mutating"), _trusted("validating")

    assert await shown(_configuration(good, good), _configuration(both)) == (1, 1)
    assert await shown(_configuration(good, bad), _configuration("b2xk")) == (0, 0)
    assert await shown(_configuration(good), _configuration("no base64: ä")) == (1, 0)
