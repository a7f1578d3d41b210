"""The move by which a pod came to its node, as far as the pod, its ReplicaSet and the Events of its namespace tell it.

Contract: pure. The pod's own node affinity names the planned node, for as long as the pod is there. For which resource
the move is, the mark of the surge tells until it ends, and the Event about it afterwards. Whoever may write ReplicaSets
or Events in the namespace can forge that.
"""

from collections.abc import Iterable

from spillway.domain.explain.answers import PlannedMove
from spillway.domain.explain.gone import EventRecord
from spillway.domain.model import event_reasons
from spillway.domain.model.event_source import REPORTING_CONTROLLER
from spillway.domain.model.names import NodeName
from spillway.domain.model.records import PodRecord
from spillway.domain.surge.steps import Surge
from spillway.domain.surge.told import ASKERS, told_asker


def explain_move(node: NodeName, pod: PodRecord, mark: str, events: Iterable[EventRecord]) -> PlannedMove:
    """The move that planned this node for a pod; `mark` is that of its ReplicaSet's surge, empty without one."""
    return PlannedMove(node, _going_on(pod, mark) or _told(pod, events))


def _going_on(pod: PodRecord, mark: str) -> str | None:
    surge = Surge.parse(mark) if mark else None
    if surge is None or surge.purpose not in ASKERS or pod.created < surge.since or pod.uid == surge.pod:
        return None
    return f"{ASKERS[surge.purpose]}/{surge.asker}"


def _told(pod: PodRecord, events: Iterable[EventRecord]) -> str | None:
    ours = (one for one in events if one.controller == REPORTING_CONTROLLER and one.reason == event_reasons.POD_MOVED)
    return next(filter(None, (told_asker(one.note, pod.name) for one in ours)), None)
