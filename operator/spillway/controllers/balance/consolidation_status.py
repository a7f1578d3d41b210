"""The part of an ElasticPolicy's status about consolidation: the nodes that are emptied, the moves, and what stays."""

from datetime import datetime
from typing import Protocol

from spillway.api.consolidation import ConsolidationStatus
from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.controllers.balance.descheduling import descheduling
from spillway.controllers.status.part import StatusPart


class Consolidator(Protocol):
    """What empties nodes."""

    descheduler: str
    """The key of another descheduler that runs, or empty."""

    def status(self, policy: str) -> ConsolidationStatus | None:
        """What is done for a policy."""


class ConsolidationContributor:
    """The contributor of consolidation."""

    def __init__(self, consolidator: Consolidator) -> None:
        self._consolidator = consolidator

    def part(self, model: ElasticPolicy, _current: ElasticPolicyStatus, _now: datetime) -> StatusPart:
        """The part of one policy."""
        conditions = (descheduling(self._consolidator.descheduler),) if model.spec.consolidates else ()
        return StatusPart({"consolidation": self._consolidator.status(model.metadata.name)}, conditions)
