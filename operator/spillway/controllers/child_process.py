"""A child process of the operator: another module of the same code, for work that would delay admission answers.

Contract: it runs at a lower priority than the process that answers admission requests. Requests come in on its standard
input and answers go out on its standard output; whatever else it prints goes to standard error.
"""

import asyncio
import os
import sys
from contextlib import suppress
from typing import Final

NICENESS: Final = 10
LINE_BYTES: Final = 64 * 1024 * 1024
"""The longest line that can be read from it."""


class UnansweredError(Exception):
    """The error of a request without an answer. `reason` is a word for a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def start(module: str) -> asyncio.subprocess.Process:
    """The process that runs this module, just started."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
        # The same code as in this process, wherever it was imported from.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


async def end(process: asyncio.subprocess.Process) -> None:
    """End the process unless it has ended by itself, and wait until it is gone."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def answers_to() -> int:
    """The file descriptor for the answers, in the process itself, which lowers its priority first."""
    os.nice(NICENESS)
    output = os.dup(1)
    os.dup2(2, 1)
    return output
