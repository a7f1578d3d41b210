"""The heap: told to the C library where it can be."""

import platform

import pytest

from spillway.app.memory import use_one_heap


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_glibc_takes_the_setting() -> None:
    assert use_one_heap()
