"""Patches as values: each applies only to the object, and the state of it, for which it was decided.

Contract: pure. A merge patch names the object's uid, so that it is refused (422) for a new object of the same name. A
JSON patch tests what was seen before it changes it, element by element, so that a concurrent change of the same node
either stays or makes the patch fail (422), and is never overwritten.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from spillway.domain.model.additions import Addition, json_patch, pointer
from spillway.domain.model.names import CORDONED_BY
from spillway.domain.model.records import NodeRecord, Taint

Operation = dict[str, Any]
Annotations = Mapping[str, str | None]
"""A value of None removes the key."""


def annotate(uid: str, annotations: Annotations) -> dict[str, Any]:
    """Merge patch that sets and removes annotations of the object with this uid."""
    return {"metadata": {"uid": uid, "annotations": dict(annotations)}}


def node_patch(
    node: NodeRecord,
    *,
    annotations: Annotations | None = None,
    taints: tuple[Iterable[Taint], Iterable[Taint]] | None = None,
    unschedulable: bool | None = None,
    annotated: bool = True,
) -> list[Operation]:
    """JSON patch from the node as seen to the node as wanted; empty where nothing differs.

    `taints` is (seen, wanted). `annotated` says that the node has annotations at all: JSON patch cannot add into a map
    that is not there.
    """
    changes = [
        *_annotation_operations(node, annotations or {}, annotated=annotated),
        *(_taint_operations(*taints) if taints else ()),
        *_cordon_operations(node, unschedulable),
    ]
    return [_test("/metadata/uid", node.uid), *changes] if changes else []


def add_to(uid: str, resource_version: str, additions: Iterable[Addition]) -> list[Operation]:
    """JSON patch that makes additions to exactly the version of the object from which they were planned."""
    tests = [_test("/metadata/uid", uid), _test("/metadata/resourceVersion", resource_version)]
    adds = json_patch(additions)
    return [*tests, *adds] if adds else []


def scale(uid: str, *, seen: int, wanted: int) -> list[Operation]:
    """JSON patch of a `scale` subresource: from the number seen to the number wanted, or not at all."""
    replicas = "/spec/replicas"
    return [_test("/metadata/uid", uid), _test(replicas, seen), {"op": "replace", "path": replicas, "value": wanted}]


def _annotation_operations(node: NodeRecord, annotations: Annotations, *, annotated: bool) -> Iterable[Operation]:
    seen = {CORDONED_BY: node.cordoned_by or None}
    changed = {key: value for key, value in annotations.items() if key not in seen or seen[key] != value}
    if changed and not annotated:
        yield _test("/metadata/annotations", None)
        yield {"op": "add", "path": "/metadata/annotations", "value": {}}
    for key, value in changed.items():
        path = pointer("metadata", "annotations", key)
        if annotated and key in seen:
            yield _test(path, seen[key])
        if value is not None:
            yield {"op": "add", "path": path, "value": value}
        elif annotated:
            yield {"op": "remove", "path": path}


def _taint_operations(seen: Iterable[Taint], wanted: Iterable[Taint]) -> Iterable[Operation]:
    seen, wanted = tuple(seen), tuple(wanted)
    # From the last to the first, so that an index means the same before and after the removals behind it.
    for index in range(len(seen) - 1, -1, -1):
        taint = seen[index]
        if taint not in wanted:
            path = f"/spec/taints/{index}"
            yield _test(f"{path}/key", taint.key)
            yield _test(f"{path}/effect", taint.effect)
            if taint.value:
                yield _test(f"{path}/value", taint.value)
            yield {"op": "remove", "path": path}
    added = [_taint(taint) for taint in wanted if taint not in seen]
    if added and not seen:
        yield _test("/spec/taints", None)
        yield {"op": "add", "path": "/spec/taints", "value": added}
    else:
        for entry in added:
            yield {"op": "add", "path": "/spec/taints/-", "value": entry}


def _cordon_operations(node: NodeRecord, unschedulable: bool | None) -> Iterable[Operation]:  # noqa: FBT001 - a state
    if unschedulable is None or unschedulable == node.unschedulable:
        return
    yield _test("/spec/unschedulable", node.unschedulable or None)
    if unschedulable:
        yield {"op": "add", "path": "/spec/unschedulable", "value": True}
    else:
        yield {"op": "remove", "path": "/spec/unschedulable"}


def _taint(taint: Taint) -> dict[str, str]:
    return {"key": taint.key, "effect": taint.effect} | ({"value": taint.value} if taint.value else {})


def _test(path: str, value: object) -> Operation:
    """Kubernetes' JSON patch takes null for "is not there"."""
    return {"op": "test", "path": path, "value": value}
