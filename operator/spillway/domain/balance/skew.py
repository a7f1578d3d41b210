"""The skew of a workload: how much more pods its fullest zone has than its emptiest; and how concentrated it is.

Contract: pure. For the skew, zones without pods of the workload count; pods in other zones do not. A node without a
zone, whose zone is empty, is in none.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeVar

Z = TypeVar("Z", bound=str)


def zone_skew(pods: Mapping[Z, int], zones: Iterable[Z]) -> int:
    """The difference between the most and the fewest pods in one of these zones; 0 without zones."""
    counts = [pods.get(zone, 0) for zone in zones]
    return max(counts) - min(counts) if counts else 0


def keeps_zones(pods: Mapping[Z, int], source: Z, target: Z, max_skew: int, empty: Iterable[Z]) -> bool:
    """Whether a move leaves a workload's skew within `max_skew`, or no larger than it is.

    `empty` are the zones without pods of the workload to which its pods may come.
    """
    if source == target:
        return True
    after = after_move(pods, source, target)
    zones = {*pods, *after, *empty}
    return zone_skew(after, zones) <= max(max_skew, zone_skew(pods, zones))


def after_move(pods: Mapping[Z, int], source: Z, target: Z) -> dict[Z, int]:
    """The pods by zone after one of them has moved."""
    after = Counter(pods)
    after[source] -= 1
    after[target] += 1
    return {zone: count for zone, count in after.items() if zone}


def concentration(pods: Mapping[Z, int]) -> float:
    """How concentrated pods are in few zones: 1 if all are in one, and lower after each move to a zone that has fewer.

    It is the sum of the squares of the zones' shares. Unlike the skew it is also lower after a move from one of several
    fullest zones to one of several emptiest, and it does not change when a workload is scaled in proportion.
    """
    total = sum(pods.values())
    return sum(count * count for count in pods.values()) / (total * total) if total else 0.0
