"""The process's memory: one heap for all threads, what is free returned, no collection of what stays for good."""

import asyncio
import ctypes
import gc
import math
from pathlib import Path
from typing import Final

TRIM_SECONDS: Final = 60.0
"""How often free memory is returned to the system."""
_CONTROL_GROUP: Final = Path("/sys/fs/cgroup")
_M_ARENA_MAX: Final = -8
"""From malloc.h."""


def use_one_heap() -> bool:
    """Make all threads allocate from one heap; return whether the C library supports it.

    Call it before any thread starts. With a C library other than glibc it does nothing.

    glibc gives each thread a heap of its own. The thread that decompresses the pages of a list needs much memory once,
    and what it frees stays in its heap. With one heap the main thread can use that memory again (4 MiB of 200 at
    150,000 pods).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_ARENA_MAX, 1))


def return_free_memory() -> bool:
    """Give the free memory of the heap back to the system, and return whether the C library supports it.

    glibc keeps what lies below anything that is in use, which after the first list of a large cluster is a sixth of the
    process.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    trim(0)
    return True


async def keep_returning_free_memory() -> None:
    """Do so regularly, in a thread, until cancelled."""
    while True:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.to_thread(return_free_memory)


def room_in_container(group: Path = _CONTROL_GROUP) -> float:
    """How many bytes the container of this process may still use; infinite where no limit is known.

    What the kernel keeps of files and can drop at once counts as free. It reads the files of a control group version 2.
    """
    try:
        most = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        parts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return math.inf
    return math.inf if most == "max" else int(most) - used + int(parts.get("inactive_file", 0))


def keep_for_good() -> None:
    """Collect garbage once, and leave out of later collections everything that exists now.

    Call it when the process has loaded its code and read the cluster. A full collection goes over every object that the
    imports made, during which no admission request is answered; what is left afterwards are the changes.
    """
    gc.collect()
    gc.freeze()
