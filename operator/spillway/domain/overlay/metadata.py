"""The annotations and labels that an overlay gives to pods on its pool.

Contract: never in place of anything that the user set. They are all of an overlay that a pod which exists already can
still get: `patchable` tells whether an overlay is nothing else.
"""

from typing import Final

from spillway.api.podoverlay import PodOverlay
from spillway.domain.overlay.draft import Draft, kept
from spillway.domain.overlay.landing import is_landing

_ANNOTATIONS: Final = ("metadata", "annotations")
_LABELS: Final = ("metadata", "labels")


def add_metadata(draft: Draft, overlay: PodOverlay, *, pool: str) -> None:
    """Add the annotations and labels of an overlay."""
    annotations = dict(overlay.annotations)
    core = overlay.core_dump
    if core is not None and core.annotation is not None:
        annotations.setdefault(core.annotation, f"{core.path.rstrip('/')}/{core.file}")
    for path, wanted in ((_ANNOTATIONS, annotations), (_LABELS, overlay.labels)):
        for key, value in wanted.items():
            if not draft.member(path, key, value):
                draft.conflict(kept(f"{path[-1]} {key}", pool))


def patchable(overlay: PodOverlay) -> bool:
    """Whether a pod that was created for physical nodes can get all it needs by a patch: its metadata alone."""
    core = overlay.core_dump
    return not (
        overlay.volumes
        or overlay.sidecars
        or overlay.logs is not None
        or overlay.dns_config is not None
        or (core is not None and core.volume is not None)
        or any(not is_landing(env) for env in overlay.env)
    )
