"""What the kubelet and Prometheus are told."""

import aiohttp

from spillway.app.endpoints import EndpointServer
from spillway.telemetry.kube import LEADER
from spillway.telemetry.registry import exposition


async def answer(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text(), response.content_type


async def test_paths() -> None:
    checks = {"cluster read": False, "policies read": True}
    server = EndpointServer(
        "127.0.0.1",
        0,
        checks={name: (lambda name=name: checks[name]) for name in checks},  # type: ignore[misc]
        exposition=exposition,
        pages={"/debug/plans": lambda: b"[]"},
    )
    await server.start()
    try:
        base = f"http://127.0.0.1:{server.port}"
        assert (await answer(f"{base}/healthz"))[:2] == (200, "ok")
        assert (await answer(f"{base}/readyz"))[:2] == (503, "cluster read")
        checks["cluster read"] = True
        assert (await answer(f"{base}/readyz"))[:2] == (200, "ok")
        status, text, kind = await answer(f"{base}/metrics")
        assert (status, kind) == (200, "text/plain")
        assert [family.name for family in LEADER.describe() if family.name in text] == ["spillway_leader"]
        assert await answer(f"{base}/debug/plans") == (200, "[]", "application/json")
    finally:
        await server.stop()
