from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.threshold.recent_peak import WINDOW_SECONDS, Sample, seen_now


@given(st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 5)), min_size=1, max_size=60))
def test_the_first_is_the_most_of_the_last_day(steps: list[tuple[int, int]]) -> None:
    kept: tuple[Sample, ...] = ()
    all_seen: list[Sample] = []
    now = 0.0
    for pause, amount in steps:
        now += pause
        all_seen.append((now, float(amount)))
        kept = seen_now(kept, now, float(amount))
        assert kept[0][1] == max(amount for at, amount in all_seen if now - at < WINDOW_SECONDS)
        assert len(kept) <= 6
