"""The settings of the process's memory."""

import gc
import platform

import psutil
import pytest

from spillway.app.memory import keep_for_good, return_free_memory, use_one_heap


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_glibc_takes_the_setting() -> None:
    assert use_one_heap()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the function is glibc's")
def test_what_is_free_below_something_in_use_goes_back_to_the_system() -> None:
    kept, dropped = [], []
    for _ in range(2000):
        dropped.append(bytearray(50_000))
        kept.append(bytearray(2000))
    del dropped
    process = psutil.Process()
    before = process.memory_info().rss

    assert return_free_memory()

    assert before - process.memory_info().rss > 50 * 2**20
    assert len(kept) == 2000


def test_a_later_collection_leaves_out_what_was_there() -> None:
    before = gc.get_freeze_count()  # of what the test session keeps
    keep_for_good()
    try:
        assert gc.get_freeze_count() > before
        cycle: list[object] = []
        cycle.append(cycle)
        del cycle
        assert gc.collect() >= 1
    finally:
        if not before:
            gc.unfreeze()
