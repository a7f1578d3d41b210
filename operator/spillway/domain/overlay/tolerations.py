"""The tolerations that a pod needs on a pool, beside those that it has.

Contract: nothing that the user wrote is changed or repeated. What a pool needs is what its overlay lists, or, where
that lists none, one toleration for each taint on the pool's nodes that keeps pods away for good (`lasting_taints`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from spillway.api.podoverlay import OverlayToleration, PodOverlay
from spillway.domain.fit.taint_toleration import Toleration, lasting_taints
from spillway.domain.model.additions import Addition
from spillway.domain.model.documents import Json
from spillway.domain.model.records import NodeRecord


def needed(overlay: PodOverlay | None, nodes: Iterable[NodeRecord]) -> tuple[dict[str, Any], ...]:
    """What a pod has to tolerate on a pool with these nodes; in a fixed order."""
    if overlay is not None and overlay.tolerations:
        return tuple(_json(toleration) for toleration in overlay.tolerations)
    taints = {taint for node in nodes for taint in lasting_taints(node)}
    return tuple(
        {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
        if taint.value
        else {"key": taint.key, "operator": "Exists", "effect": taint.effect}
        for taint in sorted(taints, key=lambda taint: (taint.key, taint.value, taint.effect))
    )


def toleration_additions(pod: Json, wanted: Iterable[Toleration]) -> tuple[Addition, ...]:
    """Add what the pod does not have yet, in order."""
    present: Sequence[Toleration] = (pod.get("spec") or {}).get("tolerations") or ()
    missing: list[Toleration] = []
    for toleration in wanted:
        if not any(_covers(one, toleration) for one in (*present, *missing)):
            missing.append(toleration)
    if not missing:
        return ()
    if not present:
        return (Addition(("spec", "tolerations"), missing),)
    return tuple(Addition(("spec", "tolerations", "-"), toleration) for toleration in missing)


def _covers(present: Toleration, wanted: Toleration) -> bool:
    """Whether whatever `wanted` tolerates `present` tolerates for ever, as far as that shows."""
    if present.get("tolerationSeconds") is not None:
        return False
    if present.get("effect") and present["effect"] != wanted.get("effect"):
        return False
    if not present.get("key"):
        return present.get("operator") == "Exists"
    if present["key"] != wanted.get("key"):
        return False
    if present.get("operator") == "Exists":
        return True
    same = (present.get("value") or "") == (wanted.get("value") or "")
    return same and (wanted.get("operator") or "Equal") == "Equal" and (present.get("operator") or "Equal") == "Equal"


def _json(toleration: OverlayToleration) -> dict[str, Any]:
    found: dict[str, Any] = {"operator": toleration.operator}
    for field in ("key", "value", "effect"):
        if given := getattr(toleration, field):
            found[field] = given
    return found
