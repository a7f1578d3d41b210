"""The version of the operator that exports these metrics."""

from platform import python_version
from typing import Final

from spillway import __version__
from spillway.telemetry.registry import gauge

BUILD_INFO: Final = gauge(
    "spillway_build_info",
    "Always 1; the labels are the version of Spillway and that of Python.",
    ("version", "python_version"),
)


def set_build_info() -> None:
    """Export the versions of this process."""
    BUILD_INFO.labels(__version__, python_version()).set(1)
