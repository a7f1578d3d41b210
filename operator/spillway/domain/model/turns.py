"""Turns of namespaces: what there is to do for one of them, however much, does not keep others waiting.

Contract: pure, and the order within a share stays.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def in_turns(items: Iterable[T], share: Callable[[T], str]) -> list[T]:
    """The first item of each share, then the second of each, and so on."""
    taken: Counter[str] = Counter()
    ranked: list[tuple[int, int, T]] = []
    for index, item in enumerate(items):
        ranked.append((taken[share(item)], index, item))
        taken[share(item)] += 1
    return [item for _, _, item in sorted(ranked, key=lambda one: one[:2])]
