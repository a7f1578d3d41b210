"""The skew of a workload: how much more pods its fullest zone has than its emptiest.

Contract: pure. Zones without pods of the workload count; pods in other zones do not.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

Z = TypeVar("Z", bound=str)


def zone_skew(pods: Mapping[Z, int], zones: Iterable[Z]) -> int:
    """The difference between the most and the fewest pods in one of these zones; 0 without zones."""
    counts = [pods.get(zone, 0) for zone in zones]
    return max(counts) - min(counts) if counts else 0


def keeps_zones(pods: Mapping[Z, int], source: Z, target: Z, max_skew: int) -> bool:
    """Whether a move leaves a workload's skew within `max_skew`, or no larger than it is."""
    if source == target:
        return True
    after = {**pods, source: pods.get(source, 0) - 1, target: pods.get(target, 0) + 1}
    return zone_skew(after, after) <= max(max_skew, zone_skew(pods, pods))
