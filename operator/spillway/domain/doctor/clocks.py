"""The check of clocks: the user's machine and the operator's leader against the API server.

Contract: pure. The leader's clock shows in its Lease: `spec.renewTime` is the leader's time, and the API server notes
its own time of the same write in the managed fields. Both are a little apart by the way that the write takes, so only
what is more than `TOLERATED` counts.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.documents import Json
from spillway.domain.overview.attention import Severity
from spillway.domain.overview.status import moment

TOLERATED: Final = timedelta(seconds=10)


def check_own_clock(server: datetime, before: datetime, after: datetime) -> Iterator[Finding]:
    """A finding if this machine's clock differs; `server` was said between `before` and `after`, in whole seconds."""
    ahead = before - server - timedelta(seconds=1)
    behind = server - after
    if max(ahead, behind) > TOLERATED:
        yield Finding(
            Severity.WARNING,
            Check.CLOCKS,
            "your machine",
            f"its clock is {_seconds(max(behind, ahead))} "
            f"{'ahead of' if ahead > behind else 'behind'} that of the API server, so times that this command shows "
            "may be wrong",
            "Synchronise the clock of the machine that runs this command (NTP).",
        )


def check_leader_clock(lease: Json) -> Iterator[Finding]:
    """A finding if the clock of the replica that renewed the Lease last differs from that of the API server."""
    renewed, written = moment((lease.get("spec") or {}).get("renewTime")), _written(lease)
    if renewed is None or written is None:
        return
    ahead = renewed - written
    if abs(ahead) > TOLERATED:
        metadata = lease.get("metadata") or {}
        yield Finding(
            Severity.WARNING,
            Check.CLOCKS,
            f"Lease/{metadata.get('namespace')}/{metadata.get('name')}",
            f"the leader's clock is {_seconds(abs(ahead))} {'ahead of' if ahead > timedelta() else 'behind'} that of "
            "the API server: cordons end, schedules begin and months are charged at wrong times",
            "Synchronise the clock of the node on which the leader runs (NTP).",
        )


def _written(lease: Json) -> datetime | None:
    """When the API server stored the last `renewTime`, by its own clock."""
    times = [
        moment(one.get("time"))
        for one in (lease.get("metadata") or {}).get("managedFields") or ()
        if "f:renewTime" in ((one.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return max((one for one in times if one is not None), default=None)


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} s"
