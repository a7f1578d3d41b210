"""What the replicas do about the Secret with their certificates."""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spillway.admission.authority import Lifetimes, Material, begin
from spillway.admission.certificates import Certificates, service_names
from spillway.admission.tls import ServingTls
from spillway.kube.errors import ApiError

NAMES = service_names("spillway-webhook", "spillway-system")
SECRET = "/api/v1/namespaces/spillway-system/secrets/spillway-webhook-tls"


class SecretServer:
    """An API server that holds one Secret and no webhook configuration."""

    def __init__(self, data: dict[str, bytes]) -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        self.secret: dict[str, Any] = {"metadata": {"resourceVersion": "1"}, "data": encoded}

    async def get_json(self, path: str) -> dict[str, Any]:
        if path != SECRET:
            raise ApiError(404, "NotFound", path)
        return self.secret

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> bytes:
        assert (method, path) == ("PUT", SECRET)
        self.secret = body
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
    held = Material.from_secret({key: base64.b64decode(value) for key, value in server.secret["data"].items()})
    assert held is not None
    assert (held.serving_key == data["tls.key"]) is not leads
    assert held.authorities == (data["ca.crt"],), "what the API server trusts stays"
