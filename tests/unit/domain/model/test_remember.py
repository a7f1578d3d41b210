from collections import Counter, OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.remember import FairMemory, KeptFor, remember

MOST = 12


def filled(memory: FairMemory[int, str], share: str, keys: range) -> None:
    for key in keys:
        memory.put(key, share, share=share)


def test_the_oldest_entry_is_forgotten() -> None:
    memory: OrderedDict[str, int] = OrderedDict()
    for key in ("a", "b", "a", "c"):
        remember(memory, key, 0, most=2)
    assert list(memory) == ["a", "c"]


def test_an_entry_is_used_for_a_while() -> None:
    now = 100.0
    memory: KeptFor[str, int] = KeptFor(10.0, 2, lambda: now)
    assert memory.get("a") is None
    memory.put("a", 1)
    now = 109.0
    memory.put("b", 2)
    assert (memory.get("a"), memory.get("b")) == (1, 2)
    now = 110.0
    assert (memory.get("a"), memory.get("b")) == (None, 2)
    memory.put("a", 3)
    memory.put("c", 4)
    assert [memory.get(key) for key in "abc"] == [3, None, 4], "beyond the bound the oldest is forgotten"


def test_one_share_may_have_all_entries_while_nobody_else_wants_any() -> None:
    memory: FairMemory[int, str] = FairMemory(MOST)
    filled(memory, "shop", range(20))
    assert [key for key in range(20) if key in memory] == list(range(8, 20))


def test_a_flood_of_one_share_takes_nothing_from_another() -> None:
    memory: FairMemory[int, str] = FairMemory(MOST)
    filled(memory, "shop", range(6))
    filled(memory, "hostile", range(100, 1000))
    assert [memory.get(key) for key in range(6)] == ["shop"] * 6
    assert len(memory) == MOST


def test_a_small_share_gets_its_part_from_the_largest() -> None:
    memory: FairMemory[int, str] = FairMemory(MOST)
    filled(memory, "hostile", range(100, 200))
    filled(memory, "shop", range(6))
    assert Counter(memory.values()) == {"shop": 6, "hostile": 6}


def test_an_entry_that_is_put_again_is_the_newest() -> None:
    memory: FairMemory[int, str] = FairMemory(2)
    for key in (1, 2, 1, 3):
        memory.put(key, "", share="shop")
    assert 1 in memory
    assert 2 not in memory


def test_an_update_keeps_the_place_of_an_entry() -> None:
    memory: FairMemory[int, str] = FairMemory(2)
    filled(memory, "shop", range(1, 3))
    memory.update(1, "new")
    memory.update(7, "unknown")
    assert memory.get(1) == "new"
    filled(memory, "shop", range(3, 4))
    assert 1 not in memory
    assert memory.get(7) is None


def test_what_is_forgotten_leaves_no_trace() -> None:
    memory: FairMemory[int, str] = FairMemory(MOST)
    filled(memory, "shop", range(3))
    assert [memory.pop(key) for key in (0, 1, 2, 9)] == ["shop", "shop", "shop", None]
    assert len(memory) == 0
    filled(memory, "hostile", range(20))
    assert len(memory) == MOST


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc"), st.booleans()), max_size=150))
def test_no_share_within_its_even_part_loses_an_entry_to_others(story: list[tuple[int, str, bool]]) -> None:
    memory: FairMemory[tuple[str, int], str] = FairMemory(MOST)
    for number, share, forgets in story:
        before = {one: {key for key in range(41) if (one, key) in memory} for one in "abc"}
        if forgets:
            memory.pop((share, number))
        else:
            memory.put((share, number), share, share=share)
            assert (share, number) in memory
        after = {one: {key for key in range(41) if (one, key) in memory} for one in "abc"}
        assert len(memory) == sum(map(len, after.values())) <= MOST
        for other in set("abc") - {share}:
            assert after[other] == before[other] or len(before[other]) > MOST // len("abc")
