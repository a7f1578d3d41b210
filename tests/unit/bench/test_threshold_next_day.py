"""Both plans are judged by a day that neither of them knows."""

import csv
import gzip
from pathlib import Path

import numpy as np

from tests.bench.threshold_next_day import next_day


def trace(folder: Path, *, low_on_weekends: bool) -> None:
    step = np.arange(28 * 288)
    busy = (step % 288 > 96) & (step % 288 < 192) & (~low_on_weekends | (step // 288 % 7 < 5))
    values = np.where(busy, 10.0, 2.0) * np.random.default_rng(1).normal(1, 0.02, step.size)
    with gzip.open(folder / "made.csv.gz", "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["ts", "value"])
        rows.writerows(zip(1_767_571_200 + 300 * step, values, strict=True))


def test_the_distribution_knows_the_days_of_the_week_and_past_days_do_not(tmp_path: Path) -> None:
    trace(tmp_path, low_on_weekends=True)
    found = next_day(tmp_path, 1, share=0.7, target=0.65)
    assert found["workloads"] == 20
    # The windows that end on a weekend are fewer than half, so the median does not show them.
    assert found["distribution"]["covered"] > 0.7
    assert found["distribution"]["steps_above_target_percent"] <= found["past_days"]["steps_above_target_percent"]


def test_on_days_that_are_alike_both_have_in_use_what_the_best_has(tmp_path: Path) -> None:
    trace(tmp_path, low_on_weekends=False)
    found = next_day(tmp_path, 1, share=0.7, target=0.65)
    for one in ("past_days", "distribution"):
        assert found[one]["pinball_loss"] < 0.03
        assert found[one]["in_use_of_best"] > 0.9


def test_without_traces_there_are_no_figures(tmp_path: Path) -> None:
    assert next_day(tmp_path, 1, share=0.7, target=0.65) == {}
