"""The settings of the process's memory."""

import gc
import math
import platform
from pathlib import Path

import psutil
import pytest

from spillway.app.memory import keep_for_good, return_free_memory, room_in_container, use_one_heap


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


@pytest.mark.parametrize(
    ("files", "room"),
    [
        ({"memory.max": "1000\n", "memory.current": "700\n", "memory.stat": "anon 500\ninactive_file 150\n"}, 450),
        ({"memory.max": "1000\n", "memory.current": "700\n", "memory.stat": "anon 700\n"}, 300),
        ({"memory.max": "max\n", "memory.current": "700\n", "memory.stat": "inactive_file 150\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_the_room_in_the_container(files: dict[str, str], room: float, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert room_in_container(tmp_path) == room


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
