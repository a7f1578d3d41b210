"""The pods that came to their nodes by a move, so that the same pod is not moved again within a while.

Contract: no clock of its own. Which pod took the place of a moved one is not recorded anywhere, but it was created
while the move was in progress: the pods of the workload that were created then count as moved. The API server's clock
says when that was, so a move counts as longer by `CLOCK_SECONDS` at both ends. A new leader does not know the moves of
the leader before it.
"""

from dataclasses import dataclass, field
from typing import Final

AGAIN_SECONDS: Final = 3600.0
"""To even out load, a pod that came by a move is not moved again for so long."""
CLOCK_SECONDS: Final = 30.0
"""The clocks of the API server and of the operator may differ by so much; `kubectl spillway doctor` reports less."""
SUCCESSOR_SECONDS: Final = 60.0
"""After an eviction, the owner creates the next pod within this time."""
_KEPT_SECONDS: Final = 24 * 3600.0


@dataclass(slots=True)
class Arrivals:
    """The times at which moves created pods, by workload; one object for all who move pods."""

    _moves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def note(self, workload: str, began: float, ended: float) -> None:
        """Note a move of a workload that created a pod in this time; Unix seconds, whole ones in `began`."""
        kept = [one for one in self._moves.get(workload, ()) if one[1] > ended - _KEPT_SECONDS]
        self._moves[workload] = [*kept, (began, ended)]

    def note_eviction(self, workload: str, now: float) -> None:
        """Note that a pod of a workload is being evicted: its successor comes by that move."""
        self.note(workload, float(int(now)), now + SUCCESSOR_SECONDS)

    def moved(self, workload: str, created: float, now: float, *, within: float) -> bool:
        """Whether a pod of the workload, created at this time, came by a move that ended within so many seconds."""
        moves = self._moves.get(workload, ())
        return any(
            began - CLOCK_SECONDS <= created <= ended + CLOCK_SECONDS and now - ended < within for began, ended in moves
        )

    def forget(self, now: float) -> None:
        """Forget the moves of more than a day ago."""
        self._moves = {
            name: moves for name, moves in self._moves.items() if any(ended > now - _KEPT_SECONDS for _, ended in moves)
        }
