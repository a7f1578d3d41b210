"""The annotations and labels of an overlay, which also a pod that exists can get."""

import pytest

from spillway.domain.model.additions import json_patch
from spillway.domain.overlay.draft import Draft
from spillway.domain.overlay.metadata import add_metadata, patchable
from tests.unit.domain.overlay.overlay_cases import FULL, LOGS, Json, overlay, pod

POOL = "pool-v"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"annotations": {"a": "b"}, "labels": {"c": "d"}, "tolerations": [{"operator": "Exists"}]}, True),
        ({"env": [FULL["env"][0], FULL["env"][2]]}, True),
        ({"coreDump": {"path": "/d", "annotation": "a"}}, True),
        ({"env": [FULL["env"][3]]}, False),
        ({"sidecars": FULL["sidecars"]}, False),
        ({"logs": LOGS}, False),
        ({"coreDump": {"path": "/d", "volume": {"emptyDir": {}}}}, False),
        ({"dnsConfig": {"searches": ["a"]}}, False),
    ],
)
def test_what_an_existing_pod_can_still_get(fields: Json, *, expected: bool) -> None:
    assert patchable(overlay(**fields)) is expected


def test_an_existing_pod_gets_the_annotations_and_labels_that_it_lacks() -> None:
    body = pod(metadata={"annotations": {"a": "mine", "b": "2"}})
    wanted = overlay(
        annotations={"a": "yours", "b": "2", "c": "3"}, labels={"d": "4"}, coreDump={"path": "/x/", "annotation": "e"}
    )
    draft = Draft(body)
    add_metadata(draft, wanted, pool=POOL)
    assert json_patch(draft.additions) == [
        {"op": "add", "path": "/metadata/annotations/c", "value": "3"},
        {"op": "add", "path": "/metadata/annotations/e", "value": "/x/core-%h-%p-%t"},
        {"op": "add", "path": "/metadata/labels", "value": {"d": "4"}},
    ]
    assert draft.conflicts == ("annotations a is set by the pod and was kept: pool pool-v asks for another",)
    draft = Draft(body)
    add_metadata(draft, overlay(), pool=POOL)
    assert (draft.additions, draft.conflicts) == ((), ())
