"""The start of an operator process: its heap, its logging and its event loop, then the operator."""

import asyncio
import sys
from collections.abc import Callable

from spillway.app.memory import use_one_heap
from spillway.app.settings import Settings
from spillway.logs import configure


def serve(settings: Settings) -> int:
    """Run one replica until it is told to stop, and return the exit code of the process."""
    use_one_heap()
    configure(settings.log_format, settings.log_level)
    from spillway.app.operator import run_until_signalled  # noqa: PLC0415  # after logging is set up

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(run_until_signalled(settings))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop of uvloop where it is installed; None stands for asyncio's own."""
    if sys.implementation.name != "cpython":
        return None
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop
