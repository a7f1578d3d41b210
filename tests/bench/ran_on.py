"""What a bench's figures were measured on, and the CPU clock of a process."""

import os
import platform
from importlib.metadata import version
from typing import Any

import psutil


def cpu_seconds(process: psutil.Process) -> float:
    """The CPU that a process has used since it began, in user and in system mode."""
    times = process.cpu_times()
    return float(times.user + times.system)


def ran_on(*libraries: str) -> dict[str, Any]:
    """The machine, its load now, and the versions of these libraries and of those that all benches rest on.

    Call it before the bench begins: its load is what others cause.
    """
    return {
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        **{name: version(name) for name in ("aiohttp", "msgspec", "uvloop", *libraries)},
    }
