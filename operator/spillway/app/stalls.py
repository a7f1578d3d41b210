"""A watch over the event loop: it measures how late the loop runs, and logs the stack of a long stall.

Contract: all admission requests are answered in one event loop, so whatever blocks the loop delays pods. A task in the
loop wakes five times a second and measures its lateness (`spillway_event_loop_late_seconds`). A second thread records
the loop's stack once a wake-up is overdue. When the loop continues, the stall is logged with that stack and with the
share of the stall in which the process had a core: near 0 it waited for the machine or a disk, near 1 it ran code.
"""

import asyncio
import sys
import threading
import time
import traceback
from typing import Final

import structlog

from spillway.telemetry.event_loop import LATE_SECONDS

log: Final = structlog.get_logger(__name__)

BEAT_SECONDS: Final = 0.2
OVERDUE_SECONDS: Final = 0.3
"""Seconds of lateness from which on it is a stall; an admission answer is delayed by as much."""
_FRAMES: Final = 6


class StallWatch:
    """A watch over the event loop in which `run` runs."""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._stack = ""
        self._ended = threading.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        loop_thread = threading.get_ident()
        watcher = threading.Thread(target=self._watch, args=(loop_thread,), name="stall-watch", daemon=True)
        self._beat = time.monotonic()
        watcher.start()
        try:
            while True:
                cpu = time.process_time()
                await asyncio.sleep(BEAT_SECONDS)
                now = time.monotonic()
                late = max(0.0, now - self._beat - BEAT_SECONDS)
                self._beat = now
                LATE_SECONDS.observe(late)
                if late >= OVERDUE_SECONDS:
                    share = (time.process_time() - cpu) / (late + BEAT_SECONDS)
                    log.warning(
                        "the event loop stood still",
                        seconds=round(late, 2),
                        cpu_share=round(share, 2),
                        where=self._stack,
                    )
                self._stack = ""
        finally:
            self._ended.set()

    def _watch(self, loop_thread: int) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            if time.monotonic() - self._beat - BEAT_SECONDS > OVERDUE_SECONDS and not self._stack:
                frame = sys._current_frames().get(loop_thread)  # noqa: SLF001  # documented, despite its name
                frames = traceback.extract_stack(frame)[-_FRAMES:]
                self._stack = " < ".join(f"{one.name} ({one.filename}:{one.lineno})" for one in reversed(frames))
