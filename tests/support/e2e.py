"""What scenarios of the running operator share."""

from typing import Protocol

from harness import Installation

LEASE_SECONDS = 8
"""The shortest that can be renewed in time: a scenario waits for it wherever a leader is killed."""


class Start(Protocol):
    """Starts operator processes that are ready, one of which leads."""

    def __call__(self, count: int = 2, *flags: str) -> Installation: ...
