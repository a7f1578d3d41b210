"""A draft: what it adds, what counts as there already, and what it leaves to the user."""

from typing import Any

import pytest

from spillway.domain.model.additions import Addition
from spillway.domain.overlay.draft import Draft, covers


@pytest.mark.parametrize(
    ("present", "wanted", "is_there"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, True),
        ([1, 2], [1, 2], True),
        ([1, 2, 3], [1, 2], False),
        ([{"name": "y"}, {"name": "x", "v": 1}], [{"name": "x"}], True),
        ([{"name": "y"}], [{"name": "x"}], False),
        ([{"mountPath": "/a", "name": "v"}], [{"mountPath": "/a", "name": "v"}], True),
        ("ab", ["a", "b"], False),
        (["a"], "a", False),
        (None, {}, False),
    ],
)
def test_what_counts_as_there(present: Any, wanted: Any, *, is_there: bool) -> None:
    assert covers(present, wanted) is is_there


def test_a_missing_list_or_map_is_made_with_its_first_entry_and_then_filled() -> None:
    draft = Draft({"metadata": {}, "spec": {}})
    assert draft.member(("metadata", "labels"), "a", "1")
    assert draft.member(("metadata", "labels"), "b", "2")
    assert draft.entry(("spec", "volumes"), {"name": "v"})
    assert draft.entry(("spec", "volumes"), {"name": "w"})
    assert draft.additions == (
        Addition(("metadata", "labels"), {"a": "1"}),
        Addition(("metadata", "labels", "b"), "2"),
        Addition(("spec", "volumes"), [{"name": "v"}]),
        Addition(("spec", "volumes", "-"), {"name": "w"}),
    )


def test_what_the_user_set_is_not_touched() -> None:
    pod = {"metadata": {"labels": {"a": "1"}}, "spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    draft = Draft(pod)
    assert not draft.member(("metadata", "labels"), "a", "2")
    assert not draft.entry(("spec", "volumes"), {"name": "v", "nfs": {}})
    assert draft.member(("metadata", "labels"), "a", "1")
    assert (draft.additions, draft.conflicts) == ((), ())


@pytest.mark.parametrize(("present", "result"), [({}, "None"), ({"p": "usual"}, "None"), ({"p": "mine"}, "mine")])
def test_only_a_default_is_replaced(present: dict[str, str], result: str) -> None:
    draft = Draft({"spec": present})
    draft.fill(("spec",), "p", "None", default="usual")
    assert draft.at("spec", "p") == result


def test_nothing_is_found_below_nothing() -> None:
    assert Draft({"spec": {}}).at("spec", "containers", "0", "env") is None
