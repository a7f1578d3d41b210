"""How the Event about a move by surge names the additional replica, and how that is read again.

Contract: pure. The same text is written by the operator and read by `spillway explain pod`.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from spillway.domain.surge.steps import Purpose

ASKERS: Final[Mapping[Purpose, str]] = MappingProxyType(
    {Purpose.REBALANCE: "ZonalBalance", Purpose.CONSOLIDATE: "ElasticPolicy"}
)
"""The kinds of the resources that ask for moves."""
_MOVED: Final = re.compile(
    r"A pod was moved off .+: the additional replica (?P<pod>\S+) was ready before it was deleted "
    r"\((?P<kind>\w+) (?P<name>\S+)\)\."
)


def told_move(off: str, successor: str, purpose: Purpose, asker: str) -> str:
    """The text about a move: what the pod was moved off and why, and the name of the additional replica.

    The name is empty if it is not known which pod that is.
    """
    replica = f"the additional replica {successor}" if successor else "an additional replica"
    return f"A pod was moved off {off}: {replica} was ready before it was deleted ({ASKERS[purpose]} {asker})."


def told_asker(note: str, pod: str) -> str | None:
    """Kind/name of the resource for which this pod came, from the text of the Event; None if it does not name it."""
    found = _MOVED.fullmatch(note)
    return None if found is None or found["pod"] != pod else f"{found['kind']}/{found['name']}"
