"""Memories with a bound: what was remembered last is kept.

Contract: pure; an entry point costs the same however much is remembered, save for a `FairMemory` that forgets an entry
of another share, which looks at the number of entries of every share.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


def remember(memory: OrderedDict[K, V], key: K, value: V, *, most: int) -> None:
    """Remember this as the newest entry; beyond `most` entries the oldest is forgotten."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > most:
        memory.popitem(last=False)


class KeptFor(Generic[K, V]):
    """A memory of at most `most` entries, each used for `seconds` after it was put, as `clock` gives them."""

    def __init__(self, seconds: float, most: int, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value of a key; None if there is none, or its time is over."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and self._clock() < entry[0] else None

    def put(self, key: K, value: V) -> None:
        """Remember this as the newest entry; beyond `most` entries the oldest is forgotten."""
        remember(self._entries, key, (self._clock() + self._seconds, value), most=self._most)


class FairMemory(Generic[K, V]):
    """A memory of at most `most` entries that are shared out, so that no share can make it forget those of others.

    A share is what one user of the cluster controls, a namespace. A share that has no more than its even part of the
    entries loses none of them because of others.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[K, V] = {}
        self._share_of: dict[K, str] = {}
        self._shares: dict[str, OrderedDict[K, None]] = {}
        self.get: Callable[[K], V | None] = self._values.get
        """The value of a key; None if there is none. The look-up of a dictionary, for callers on the hot path."""

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> Iterable[V]:
        return self._values.values()

    def put(self, key: K, value: V, *, share: str) -> K | None:
        """Remember this as the newest entry of the share; if there are too many then, an oldest one is forgotten.

        Returns the key that was forgotten for it.
        """
        self.pop(key)
        self._values[key] = value
        self._share_of[key] = share
        own = self._shares.setdefault(share, OrderedDict())
        own[key] = None
        if len(self._values) > self._most:
            even = max(self._most // len(self._shares), 1)
            largest = own if len(own) > even else max(self._shares.values(), key=len)
            forgotten = next(iter(largest))
            self.pop(forgotten)
            return forgotten
        return None

    def update(self, key: K, value: V) -> None:
        """Replace the value of an entry, which gets no newer by this; nothing without one."""
        if key in self._values:
            self._values[key] = value

    def pop(self, key: K) -> V | None:
        """Forget an entry; its value, None if there is none."""
        if key not in self._values:
            return None
        share = self._share_of.pop(key)
        own = self._shares[share]
        del own[key]
        if not own:
            del self._shares[share]
        return self._values.pop(key)
