"""Environment variables that tell a container where its pod landed, and the annotations that they refer to.

Contract: a container's variable is read from the annotation when the container starts, which is after the binding, so
it is right however the pod got to its node. Where the annotation is missing the variable is there and empty: on
physical nodes that holds for every variable that only a pool gives (`landed`).
"""

from typing import Any, Final

from spillway.api.podoverlay import OverlayEnv, PodOverlay
from spillway.domain.model.names import LANDING_ENV, LANDING_NODE, LANDING_ZONE, POOL, TIER
from spillway.domain.model.places import NodePlace

_ANNOTATIONS: Final = {"tier": TIER, "pool": POOL, "zone": LANDING_ZONE, "node": LANDING_NODE}


def is_landing(env: OverlayEnv) -> bool:
    """Whether the variable's value is known only once the pod is bound."""
    return env.from_landing is not None or env.landed


def landing_annotation(env: OverlayEnv) -> str:
    """The annotation from which a landing variable is read."""
    return f"{LANDING_ENV}{env.name}" if env.from_landing is None else _ANNOTATIONS[env.from_landing]


def landing_reference(env: OverlayEnv) -> dict[str, Any]:
    """A landing variable as in a container's `env`; `apiVersion` as the API server would fill it in."""
    field = {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{landing_annotation(env)}']"}
    return {"name": env.name, "valueFrom": {"fieldRef": field}}


def landing_marks(place: NodePlace, node_name: str, overlay: PodOverlay | None) -> dict[str, str]:
    """What the Binding webhook adds besides tier and pool; `overlay` is that of the pool on which the pod lands."""
    marks = {LANDING_NODE: node_name}
    if place.zone:
        marks[LANDING_ZONE] = place.zone
    if place.pool and overlay is not None:
        marks |= {landing_annotation(env): env.value or "" for env in overlay.env if env.landed}
    return marks
