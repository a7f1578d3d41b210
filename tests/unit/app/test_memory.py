"""The settings of the process's memory."""

import gc
import platform

import pytest

from spillway.app.memory import keep_for_good, use_one_heap


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_glibc_takes_the_setting() -> None:
    assert use_one_heap()


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
