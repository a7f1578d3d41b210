"""The annotations with which Spillway marks a new pod: what was decided for it, by which policy, under which token.

Contract: pure. They replace what is there: a template that was copied from a pod must not decide for its pods.
"""

from collections.abc import Mapping

from spillway.domain.model import names
from spillway.domain.placement.decide import NodeKind


def virtual_annotations(pools: str, *, size: str, policy: str, reservation: str) -> dict[str, str]:
    """The annotations of a pod for virtual nodes of `pools`, separated by commas.

    `size` is the mark of the size, empty for a pod that requests no step of a ladder.
    """
    marks = {names.PLACEMENT: NodeKind.VIRTUAL.value, names.POOLS: pools}
    return marks | ({names.SIZE: size} if size else {}) | _common(policy, reservation)


def physical_annotations(present: Mapping[str, str] | None, *, policy: str, reservation: str) -> dict[str, str]:
    """The annotations of a pod for physical nodes; `present` are those of its template."""
    # Pools come only from a template copied from a pod: on a physical pod they would mean that it has spilled.
    copied = {names.POOLS: ""} if names.POOLS in (present or {}) else {}
    return {names.PLACEMENT: NodeKind.PHYSICAL.value} | copied | _common(policy, reservation)


def _common(policy: str, reservation: str) -> dict[str, str]:
    return ({names.RESERVATION: reservation} if reservation else {}) | {names.POLICY: policy}
