"""Additions to a document: what they do to it, and how they are rendered."""

from typing import Any

import pytest

from spillway.domain.model.additions import Addition, annotation_additions, json_patch
from tests.support.json_patch import added, applied


@pytest.mark.parametrize(
    ("path", "result"),
    [
        (("b",), {"a": {"list": [1, 2]}, "b": 9}),
        (("a", "b"), {"a": {"list": [1, 2], "b": 9}}),
        (("a", "list", "-"), {"a": {"list": [1, 2, 9]}}),
        (("a", "list", "0"), {"a": {"list": [9, 1, 2]}}),
        (("a", "list"), {"a": {"list": 9}}),
    ],
    ids=["member", "inner member", "end of a list", "beginning of a list", "in place"],
)
def test_an_add_is_that_of_rfc_6902(path: tuple[str, ...], result: Any) -> None:
    document = {"a": {"list": [1, 2]}}
    assert added(document, path, 9) == result
    assert document == {"a": {"list": [1, 2]}}, "what was given is not changed"


def test_a_list_within_a_list_is_reached() -> None:
    assert added({"c": [{"env": []}, {}]}, ("c", "0", "env", "-"), 1) == {"c": [{"env": [1]}, {}]}


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (None, [("/metadata/annotations", {"a.b/c": "1", "d": "2"})]),
        ({}, [("/metadata/annotations/a.b~1c", "1"), ("/metadata/annotations/d", "2")]),
        ({"d": "2", "mine": "x"}, [("/metadata/annotations/a.b~1c", "1")]),
        ({"d": "2", "a.b/c": "1"}, []),
    ],
    ids=["none yet", "empty", "one there", "all there"],
)
def test_annotations_are_added_and_others_left_alone(present: dict[str, str] | None, expected: list[Any]) -> None:
    patch = json_patch(annotation_additions(present, {"a.b/c": "1", "d": "2"}))
    assert [(operation["path"], operation["value"]) for operation in patch] == expected
    assert {operation["op"] for operation in patch} <= {"add"}


def test_additions_are_applied_in_their_order() -> None:
    additions = [Addition(("a",), []), Addition(("a", "-"), 1), Addition(("a", "-"), 2)]
    assert applied({}, additions) == {"a": [1, 2]}


def test_every_segment_is_escaped_as_rfc_6901_has_it() -> None:
    assert json_patch([Addition(("a/b", "c~d", "0", "-"), 1)]) == [{"op": "add", "path": "/a~1b/c~0d/0/-", "value": 1}]
