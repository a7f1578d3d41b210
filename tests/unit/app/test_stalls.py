"""A loop that stands still is told of, with what it was doing."""

import asyncio
import time

from structlog.testing import capture_logs

from spillway.app.stalls import BEAT_SECONDS, OVERDUE_SECONDS, StallWatch
from spillway.telemetry.event_loop import LATE_SECONDS


def _busy_by_name(seconds: float) -> None:
    time.sleep(seconds)


async def test_a_stall_is_logged_with_its_place_and_measured() -> None:
    watch = asyncio.create_task(StallWatch().run())
    await asyncio.sleep(2 * BEAT_SECONDS)
    slow = LATE_SECONDS._sum.get()
    with capture_logs() as logs:
        _busy_by_name(OVERDUE_SECONDS + 5 * BEAT_SECONDS)
        await asyncio.sleep(2 * BEAT_SECONDS)
    watch.cancel()
    stalls = [entry for entry in logs if entry["event"] == "the event loop stood still"]
    assert stalls
    assert "_busy_by_name" in stalls[0]["where"]
    assert stalls[0]["cpu_share"] < 0.9, "it slept"
    assert LATE_SECONDS._sum.get() - slow > OVERDUE_SECONDS
