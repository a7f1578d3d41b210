"""A memory with a bound: what was remembered last is kept.

Contract: pure; every entry point costs the same however much is remembered.
"""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def remember(memory: OrderedDict[K, V], key: K, value: V, *, most: int) -> None:
    """Remember this as the newest entry; beyond `most` entries the oldest is forgotten."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > most:
        memory.popitem(last=False)
