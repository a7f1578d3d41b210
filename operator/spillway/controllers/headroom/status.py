"""The part of an ElasticPolicy's status about headroom: the amount in each zone, and the condition.

Contract: pure, except for the contributor that reads the values. 16 zones are listed.
"""

from datetime import datetime
from typing import Final

from spillway.api.conditions import HEADROOM_READY
from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.api.headroom import HeadroomStatus, HeadroomUnit, HeadroomZone
from spillway.api.scalars import Cpu, Memory
from spillway.controllers.headroom.controller import HeadroomController, HeadroomNow
from spillway.controllers.status.part import ObservedCondition, StatusPart
from spillway.controllers.status.wording import ignored
from spillway.domain.headroom.shape import Shape
from spillway.domain.model.units import quantity

LISTED: Final = 16


class HeadroomContributor:
    """The contributor of headroom."""

    def __init__(self, headroom: HeadroomController) -> None:
        self._headroom = headroom

    def part(self, model: ElasticPolicy, _current: ElasticPolicyStatus, _now: datetime) -> StatusPart:
        """The part of one policy."""
        now = self._headroom.report.get(model.metadata.name)
        if now is None and model.spec.headroom is not None:
            # The first pass of a new leader reads the size of elastic nodes from the present value.
            return StatusPart()
        return headroom_part(now)


def headroom_part(now: HeadroomNow | None) -> StatusPart:
    """The part of one policy; None where it has no headroom."""
    if now is None:
        return StatusPart({"headroom": None})
    return StatusPart({"headroom": _status(now)}, (_condition(now),))


def _status(now: HeadroomNow) -> HeadroomStatus:
    pods = now.size.pods
    return HeadroomStatus(
        pods=pods,
        ready=sum(now.ready.values()),
        nodes=-(-pods // now.units_per_node),
        unit=_amounts(now.unit),
        node=_amounts(now.node),
        reason=now.size.reason.value,
        schedule=now.size.schedule,
        forecast=now.size.forecast,
        held_by=now.by.value if now.by is not None else "",
        zones=tuple(
            HeadroomZone(zone=zone, pods=count, ready=now.ready.get(zone, 0))
            for zone, count in sorted(now.by_zone.items())[:LISTED]
        ),
    )


def _amounts(shape: Shape | None) -> HeadroomUnit | None:
    if shape is None:
        return None
    cpu, memory = shape
    return HeadroomUnit(cpu=Cpu(quantity("cpu", cpu)), memory=Memory(quantity("memory", memory)))


def _condition(now: HeadroomNow) -> ObservedCondition:
    pods, ready = now.size.pods, sum(now.ready.values())
    if not now.elastic:
        reason = "NoElasticTier"
        message = "The policy has no elastic tier (spec.tiers.elastic), so there is no node to keep headroom on."
    elif now.invalid:
        reason = "BadSchedule"
        message = ignored(now.invalid)
    elif now.unit is None:
        reason = "UnitUnknown"
        message = 'No governed pod has requests; set spec.headroom.unit, for example {cpu: "2", memory: 4Gi}.'
    elif now.by is None:
        reason = "Recommended"
        message = f"In mode Enforce, {pods} placeholder pods would be kept."
    elif ready < pods:
        reason = "WaitingForNodes"
        message = f"{pods - ready} of {pods} placeholder pods wait for a node autoscaler to add nodes."
    else:
        return _kept(now)
    return ObservedCondition(HEADROOM_READY, holds=False, reason=reason, message=message)


def _kept(now: HeadroomNow) -> ObservedCondition:
    if now.buffers_ignored:
        message = "No node autoscaler acts on CapacityBuffers, so balloons hold the headroom."
        return ObservedCondition(HEADROOM_READY, holds=True, reason="BuffersIgnored", message=message)
    message = "All of the headroom is there." if now.size.pods else "No headroom is needed now."
    return ObservedCondition(HEADROOM_READY, holds=True, reason="Kept", message=message)
