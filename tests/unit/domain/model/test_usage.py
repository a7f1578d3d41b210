from spillway.domain.model.usage import NOTHING, Usage, add_count

ONE = Usage(1, 500, 1 << 30)


def test_amounts_are_taken_field_by_field() -> None:
    assert Usage(2, 1000, 2 << 30) == ONE + ONE
    assert ONE - ONE == NOTHING
    assert Usage(3, 1500, 3 << 30) == ONE * 3


def test_the_larger_and_the_smaller_of_each_field() -> None:
    first, second = Usage(0, 1, 20), Usage(1, 3, 4)
    assert first.at_least(second) == Usage(1, 3, 20)
    assert first.at_most(second) == Usage(0, 1, 4)
    assert Usage(-1, 5, -2).at_least(NOTHING) == Usage(0, 5, 0)


def test_minus_one_times_is_what_takes_it_away() -> None:
    assert Usage(4, 700, 5) + ONE * -1 == Usage(4, 700, 5) - ONE
    assert sum([ONE, ONE], NOTHING) == ONE * 2


def test_a_count_that_has_come_to_nothing_is_not_kept() -> None:
    counts = {"a": 1}
    add_count(counts, "a", -1)
    add_count(counts, "b", 2)
    assert counts == {"b": 2}
