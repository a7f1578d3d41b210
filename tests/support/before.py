"""The version before this one, as git has it."""

import subprocess
from pathlib import Path
from typing import Final

from harness.chart import PROJECT

BEFORE: Final = "29afb96458eed686966d928054529e2c86a1e44d"
"""The commit of the version before; the tag of a release takes its place once there is one."""


class NoHistoryError(Exception):
    """Git does not have the version before, as in a shallow clone."""


def checked_out_before(folder: Path) -> Path:
    """The chart and the operator of the version before, in this folder. Raises `NoHistoryError`."""
    command = ["git", "-C", str(PROJECT), "archive", "--format=tar", BEFORE, "charts", "operator"]
    archive = subprocess.run(command, capture_output=True, check=False, timeout=60)
    if archive.returncode:
        raise NoHistoryError(f"this checkout has no history with commit {BEFORE[:7]}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True, timeout=60)
    return folder
