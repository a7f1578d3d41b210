"""Pauses between tries: a table of the formula, and the counter."""

import pytest

from spillway.kube.pauses import Backoff, pause_seconds


@pytest.mark.parametrize(
    ("failures", "jitter", "pause"),
    [(1, 1.0, 0.5), (1, 0.0, 0.25), (2, 1.0, 1.0), (4, 1.0, 4.0), (5, 1.0, 5.0), (5, 0.0, 2.5), (100_000, 1.0, 5.0)],
)
def test_pauses_double_up_to_the_longest(failures: int, jitter: float, pause: float) -> None:
    assert pause_seconds(failures, first=0.5, longest=5.0, jitter=jitter) == pytest.approx(pause)


async def test_a_success_begins_again_and_a_server_may_ask_for_more() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    backoff = Backoff(1.0, 10.0, sleep=sleep, jitter=lambda: 1.0)
    await backoff.pause()
    await backoff.pause()
    backoff.reset()
    await backoff.pause(at_least=3.0)
    await backoff.pause(at_least=3600.0)
    assert slept == [1.0, 2.0, 3.0, 10.0]
