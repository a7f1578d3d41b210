"""All contenders are judged by days that none of them knows."""

import csv
import gzip
from pathlib import Path

import numpy as np

from tests.bench.threshold_next_day import next_day


def trace(folder: Path, *, low_on_weekends: bool) -> None:
    step = np.arange(28 * 288)
    busy = (step % 288 > 96) & (step % 288 < 192) & (~low_on_weekends | (step // 288 % 7 < 5))
    values = np.where(busy, 10.0, 2.0) * np.random.default_rng(1).normal(1, 0.02, step.size)
    for name in ("made", "other"):
        with gzip.open(folder / f"{name}.csv.gz", "wt", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["ts", "value"])
            rows.writerows(zip(1_767_571_200 + 300 * step, values, strict=True))


def test_the_forecast_knows_the_days_of_the_week_and_past_days_do_not(tmp_path: Path) -> None:
    trace(tmp_path, low_on_weekends=True)
    figures = next_day(tmp_path, 1, share=0.7, target=0.65)
    for group in ("seen", "held_out"):
        found = figures[group]
        assert (found["plans"], found["workloads"]) == (7, 28)
        assert found["chosen"]["forecast_share"] > 0.5
        assert found["chosen"]["pinball_loss"] < 0.7 * found["past_days"]["pinball_loss"]
        assert found["chosen"]["cost_of_best"] <= found["past_days"]["cost_of_best"]


def test_on_days_that_are_alike_all_have_in_use_what_the_best_has(tmp_path: Path) -> None:
    trace(tmp_path, low_on_weekends=False)
    found = next_day(tmp_path, 1, share=0.7, target=0.65)["held_out"]
    for one in ("past_days", "forecast", "chosen"):
        assert found[one]["pinball_loss"] < 0.03
        assert found[one]["in_use_of_best"] > 0.9
        assert 1 <= found[one]["cost_of_best"] < 1.1


def test_without_traces_there_are_no_figures(tmp_path: Path) -> None:
    assert next_day(tmp_path, 1, share=0.7, target=0.65) == {}
