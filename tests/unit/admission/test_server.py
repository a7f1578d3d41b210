"""The servers of webhooks: what is exported before the first request."""

import pytest

from spillway.admission.deadline import Deadline
from spillway.admission.peer_server import PeerServer
from spillway.admission.review import AdmissionRequest, Answer
from spillway.admission.server import AdmissionServer, Webhook
from spillway.telemetry import admission as metrics
from spillway.telemetry.registry import REGISTRY


async def never_asked(_: AdmissionRequest, __: Deadline) -> Answer:
    raise AssertionError


@pytest.mark.parametrize("server", [AdmissionServer, PeerServer])
def test_each_webhook_of_a_server_has_no_errors_yet(server: type[AdmissionServer | PeerServer]) -> None:
    metrics.ERRORS.clear()
    names = ("pods", "nodes")
    server([Webhook(name, f"/{name}", never_asked, 1.0) for name in names], tls=None, port=0)
    for name in names:
        assert REGISTRY.get_sample_value("spillway_admission_errors_total", {"webhook": name}) == 0
