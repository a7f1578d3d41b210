"""The Prometheus of tests and benchmarks gets its samples although it panics."""

import signal
import time

import numpy as np
import pytest

import harness.prometheus
from harness.prometheus import prometheus_running
from spillway.sources.connection import Connection
from spillway.sources.prometheus import Prometheus


async def test_samples_arrive_although_a_panic_has_left_a_lock_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a handler that panics while it holds a lock: the server lives and answers nothing."""
    monkeypatch.setattr(harness.prometheus, "_ANSWER_SECONDS", 2.0)
    now = time.time()
    with prometheus_running() as server:
        server.push([({"__name__": "before"}, np.array([now]), np.array([1.0]))])
        with server._processes.log("prometheus").open("a") as log:
            log.write("panic serving 127.0.0.1\n")
        server._processes.send("prometheus", signal.SIGSTOP)
        server.push([({"__name__": "after"}, np.array([now]), np.array([2.0]))])
        async with Prometheus(Connection(url=server.url)) as client:
            for name in ("before", "after"):
                assert await client.instant(name, now), name
