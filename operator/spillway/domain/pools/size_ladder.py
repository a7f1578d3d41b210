"""A position on the ladder of sizes of a pool; `namespace_ladders` keeps one for each namespace.

Contract: pure. Step 0 is a pod's own request, step `k` is the `k`-th size, or the first
after it that is large enough, and the step after the last size means that the pool is out of stock. A stock-out of the
size that is requested now moves the position beyond that size; one of an earlier step (the pod was created before the
last move) or of another size does not move it. `forgetAfter` after the last move the position returns to 0. So in that
time it moves past each size at most once, however many pods fail at once. Times are Unix seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spillway.api.virtualnodebudget import PodSpecSize
from spillway.domain.pools.sizes import Size, sizes_from


@dataclass(frozen=True, slots=True)
class Position:
    """A step, and when it was reached."""

    step: int = 0
    since: float = 0.0

    def out_of_stock(self, ladder: Sequence[PodSpecSize]) -> bool:
        """Whether every size has failed."""
        return self.step > len(ladder)


BOTTOM = Position()
_SECOND: Final = 1.0
"""Creation times are whole seconds: a pod created right after a move seems to be older than the move."""


def stocked_out(
    position: Position,
    ladder: Sequence[PodSpecSize],
    asked: Size,
    *,
    created: float,
    listed: bool,
    now: float,
) -> Position:
    """The position after a stock-out of one pod; unchanged if that is not new.

    `asked` is the size that the pod asked for, `created` when the API server made it (whole seconds), `listed` whether
    it had a list of sizes for its provider: then what was behind the first of them has failed as well.
    """
    if position.out_of_stock(ladder) or created + _SECOND <= position.since:
        return position
    sizes = tuple(map(Size.of, ladder))
    first = next((at for at, size in enumerate(sizes) if at >= position.step - 1 and size.covers(asked)), None)
    # Without a size for it, this pod's failure says nothing about smaller ones.
    if first is None:
        return position
    step = 1
    if position.step > 0:
        if sizes[first] != asked:
            return position
        step = first + 2
        if listed:
            # Its list has failed as a whole; where that began behind the present size, the present one was not in it.
            if first > position.step - 1:
                return position
            step = len(sizes) + 1
    while step <= len(sizes) and sizes[step - 1] == asked:
        step += 1
    return Position(step, now)


def decayed(position: Position, forget_after: float, now: float) -> Position:
    """The position at `now`: the bottom once the last move is `forget_after` seconds old."""
    return BOTTOM if position.step and now >= position.since + forget_after else position


def seconds_to_decay(position: Position, forget_after: float, now: float) -> float | None:
    """Seconds until the position returns to 0; None if it is 0."""
    return max(0.0, position.since + forget_after - now) if position.step else None


def another_size(position: Position, ladder: Sequence[PodSpecSize], asked: Size) -> bool:
    """Whether the pool now asks for another size than `asked` for a pod that failed with that one."""
    return any(size != asked for size in sizes_from(ladder, position.step, asked)[:1])
