from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.named_workloads import named


def test_those_that_use_most_have_a_name() -> None:
    assert named((), {"a": 3, "b": 9, "c": 5}, size=2) == {"b", "c"}
    assert named((), {"a": 3}, size=2) == {"a"}


def test_a_name_stays_until_somebody_uses_twice_as_much() -> None:
    assert named({"a", "b"}, {"a": 10, "b": 4, "c": 8}, size=2) == {"a", "b"}
    assert named({"a", "b"}, {"a": 10, "b": 4, "c": 9}, size=2) == {"a", "c"}
    assert named({"a", "b"}, {"a": 10, "c": 1}, size=2) == {"a", "c"}
    assert named({"a", "b"}, {"a": 10}, size=2) == {"a", "b"}, "no one needs the name"
    assert named({"a", "b"}, {"a": 1, "b": 2, "c": 50, "d": 40}, size=2) == {"c", "d"}


@given(st.sets(st.sampled_from("abcdef")), st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50)))
def test_names_are_few_and_stand_still_when_use_does(before: set[str], present: dict[str, int]) -> None:
    found = named(before, present, size=3)
    assert len(found) <= 3
    assert named(found, present, size=3) == found


def test_nobody_has_a_name_where_there_are_none() -> None:
    assert named({"a"}, {"a": 3, "b": 9}, size=0) == frozenset()
