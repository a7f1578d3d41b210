"""The rows of the summary: what is a gain, what is a loss, and what the first sentence says."""

from typing import Any

import pytest

from demo.tables import Mark, cost_rows, day_rows, figure_text, headline, headline_mark


def figures(**totals: float) -> dict[str, dict[str, Any]]:
    return {
        name: {"cost": {"fixed": 50.0, "elastic": total - 50.0, "virtual": 0.0, "total": total}, "evictions": 0}
        for name, total in totals.items()
    }


def test_the_first_sentence_tells_the_saving() -> None:
    found = figures(plain=137.3, spillway=122.58)

    assert headline(found) == (
        "Spillway saved 14.72 EUR (10.7 %): the day cost 122.58 EUR, and 137.30 EUR with plain Kubernetes."
    )
    assert headline_mark(found) is Mark.GAIN


def test_a_loss_is_told_as_one() -> None:
    found = figures(plain=100.0, spillway=104.5)

    assert headline(found) == (
        "Spillway lost 4.50 EUR (4.5 %): the day cost 104.50 EUR, and 100.00 EUR with plain Kubernetes."
    )
    assert headline_mark(found) is Mark.LOSS
    total, saved, share, *_ = cost_rows(found)
    assert [(cell.text, cell.mark) for cell in total.cells] == [("100.00", Mark.SAME), ("104.50", Mark.LOSS)]
    assert [(cell.text, cell.mark) for cell in saved.cells] == [("-", Mark.SAME), ("-4.50", Mark.LOSS)]
    assert [(cell.text, cell.mark) for cell in share.cells] == [("-", Mark.SAME), ("-4.5 %", Mark.LOSS)]


def test_the_same_cost_is_neither() -> None:
    found = figures(plain=100.0, spillway=100.0)

    assert headline(found) == "The day cost 100.00 EUR with Spillway, as much as with plain Kubernetes."
    assert headline_mark(found) is Mark.SAME


@pytest.mark.parametrize(
    ("totals", "told"),
    [
        pytest.param({"spillway": 9.0}, "The day cost 9.00 EUR with spillway.", id="alone"),
        pytest.param(
            {"flat": 8.0, "spillway": 9.0}, "The day cost 8.00 EUR with flat, 9.00 EUR with spillway.", id="no baseline"
        ),
        pytest.param(
            {"plain": 8.0, "flat": 9.0}, "The day cost 8.00 EUR with plain, 9.00 EUR with flat.", id="no Spillway"
        ),
    ],
)
def test_without_a_comparison_there_is_no_saving(totals: dict[str, float], told: str) -> None:
    assert headline(figures(**totals)) == told
    assert headline_mark(figures(**totals)) is Mark.SAME


def test_without_plain_kubernetes_there_is_no_row_of_savings() -> None:
    assert [row.words for row in cost_rows(figures(flat=8.0, spillway=9.0))] == [
        "cost of the day",
        "6 fixed nodes (12 CPUs), all day",
        "elastic nodes (8 CPUs)",
        "virtual pods (0.95 CPU, 256 MiB)",
    ]


@pytest.mark.parametrize(
    ("key", "plain", "own", "mark"),
    [
        pytest.param("evictions", 3, 5, Mark.LOSS, id="more evictions"),
        pytest.param("evictions", 5, 3, Mark.GAIN, id="fewer evictions"),
        pytest.param("planned_ratio", 0.5, 1.0, Mark.GAIN, id="more as planned"),
        pytest.param("planned_ratio", 1.0, 0.5, Mark.LOSS, id="less as planned"),
        pytest.param("planned_ratio", 0.99991, 0.99999, Mark.SAME, id="the same as it is shown"),
        pytest.param("victims", 3, 5, Mark.SAME, id="how many pods went is neither good nor bad"),
        pytest.param("evictions", None, 5, Mark.SAME, id="not measured"),
    ],
)
def test_a_figure_is_compared_with_plain_kubernetes(key: str, plain: float | None, own: float, mark: Mark) -> None:
    found = day_rows({"plain": {key: plain}, "spillway": {key: own}})

    marks = {cell.mark for row in found for cell in row.cells[1:] if cell.text != "-"}
    assert marks == {mark}
    assert {row.cells[0].mark for row in found} == {Mark.SAME}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(None, "h", "-"), (0, "", "0"), (2.0, "h", "2 h"), (2.25, "h", "2.2 h"), (0.999, "%", "99.9 %")],
)
def test_a_figure_has_its_unit_and_a_dash_where_there_is_none(value: float | None, unit: str, text: str) -> None:
    assert figure_text(value, unit) == text
