"""How the Event about a planned scale-down names its victims, and how that is read again.

Contract: pure. The same text is written by the operator and read by `spillway explain pod` for a pod that is gone.
"""

import re
from collections.abc import Sequence
from typing import Final

from spillway.domain.scale_down.reasons import VictimReason

_BEGINS: Final = "; pods: "
_NAMED: Final = re.compile(r"(?:^|, )([a-z0-9][-a-z0-9.]*) \((\w+)\)")


def told_victims(summary: str, victims: Sequence[tuple[str, VictimReason]], planned: int, longest: int) -> str:
    """The summary, and the victims with their rules, in the order of deletion, as far as `longest` characters allow.

    `planned` is the number of all victims, of which `victims` may be the first ones.
    """
    room = longest - len(summary) - len(_BEGINS) - len(_more(planned))
    named: list[str] = []
    for name, reason in victims:
        text = f"{name} ({reason.value})"
        room -= len(text) + len(", ")
        if room < 0:
            break
        named.append(text)
    if not named:
        return summary
    left = planned - len(named)
    return f"{summary}{_BEGINS}{', '.join(named)}{_more(left) if left else ''}"


def told_reason(note: str, pod: str) -> VictimReason | None:
    """The rule for which a pod was a victim, from the text of the Event; None if it does not name the pod."""
    _, _, named = note.partition(_BEGINS)
    found = next((reason for name, reason in _NAMED.findall(named) if name == pod), None)
    return next((reason for reason in VictimReason if reason.value == found), None)


def _more(left: int) -> str:
    return f" and {left} more"
