"""No namespace keeps others waiting, however much there is to do for it."""

from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.turns import in_turns


def test_each_share_has_its_turn() -> None:
    items = ["a1", "a2", "a3", "b1", "c1", "c2"]
    assert in_turns(items, lambda one: one[0]) == ["a1", "b1", "c1", "a2", "c2", "a3"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers())))
def test_nothing_is_lost_and_the_order_within_a_share_stays(items: list[tuple[str, int]]) -> None:
    found = in_turns(items, lambda one: one[0])
    for share in "abc":
        assert [one for one in found if one[0] == share] == [one for one in items if one[0] == share]
