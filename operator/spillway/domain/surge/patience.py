"""How long a surge waits until all replicas of its workload are ready.

Contract: pure, on the spec of the workload's own object. A Deployment says by `progressDeadlineSeconds` how long a
replica of it may take to become ready before a rollout counts as failed; the API server stores a default where it is
not set. A surge that waited for less would fail again and again for a workload whose rollouts succeed. Every user who
may change a Deployment can set that time, and a surge runs an additional replica for so long, so it is bounded. Other
kinds have no such field.
"""

from collections.abc import Mapping
from typing import Any, Final

DEFAULT_READY_SECONDS: Final = 600.0
"""The `progressDeadlineSeconds` of a Deployment that does not set it."""
LONGEST_READY_SECONDS: Final = 1800.0
"""The most of a Deployment's `progressDeadlineSeconds` for which a surge waits, in seconds: three times the default."""
LONGEST_AVAILABLE_SECONDS: Final = 900.0
"""The most of a workload's `minReadySeconds` for which a surge waits, in seconds."""


def patience_seconds(spec: Mapping[str, Any], ready_seconds: float) -> float:
    """The seconds after which a surge of a workload with this spec is undone: until ready, and then until available.

    `ready_seconds` is the least that a replica of any workload is given to become ready.
    """
    deadline = min(spec.get("progressDeadlineSeconds") or 0, LONGEST_READY_SECONDS)
    available = min(spec.get("minReadySeconds") or 0, LONGEST_AVAILABLE_SECONDS)
    return float(max(ready_seconds, deadline) + available)
