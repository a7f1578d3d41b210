"""The Event about a planned scale-down, on the object that was scaled: how many pods go, of which tier, which, and why.

Contract: recorded after the answer, never while the request is held. A policy in Recommend records no Event.
"""

from collections.abc import Callable

from spillway.domain.model import event_reasons
from spillway.kube.events import LONGEST_NOTE
from spillway.kube.protocols import Recorder
from spillway.webhooks.plan_log import PlanEntry


def announcer(events: Recorder) -> Callable[[PlanEntry], None]:
    """A listener of the plan log that records Events."""

    def announce(entry: PlanEntry) -> None:
        if entry.outcome == "recommend":
            return
        kind, reason = (
            ("Warning", event_reasons.SCALE_DOWN_LET_GO)
            if entry.let_go
            else ("Normal", event_reasons.SCALE_DOWN_PLANNED)
        )
        events.record(dict(entry.about), kind, reason, entry.note(LONGEST_NOTE))

    return announce
