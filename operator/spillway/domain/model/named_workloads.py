"""The workloads that have series of their own in metrics, so that the number of series is bounded.

Contract: pure. The workloads that use most have a name. One keeps its name until another uses twice as much, so that a
series does not come and go with every wave.
"""

from collections.abc import Collection, Mapping
from typing import Final

_TAKES_OVER: Final = 2
"""The factor by which a workload must use more than the one whose name it takes."""


def named(before: Collection[str], present: Mapping[str, int], *, size: int) -> frozenset[str]:
    """The workloads that have a name of their own, at most `size`.

    `before` have one now; `present` says how much each uses. One that uses nothing keeps its name while no other
    workload needs it.
    """
    if not size:
        return frozenset()
    kept = sorted(before, key=lambda name: (-present.get(name, 0), name))[:size]
    wanting = sorted((name for name in present if name not in before), key=lambda name: (-present[name], name))
    free = size - len(kept)
    names = [*kept, *wanting[:free]]
    for newcomer in wanting[free:]:
        weakest = min(names, key=lambda name: (present.get(name, 0), name))
        if present[newcomer] <= _TAKES_OVER * present.get(weakest, 0):
            break
        names.remove(weakest)
        names.append(newcomer)
    return frozenset(names)
