"""The tables of a finished run, as rows of words that the terminal and the page draw. Pure.

Contract: what users ask first comes first: a sentence and a table about the cost of the day, then how well the load was
served, then how exactly pods were deleted. A cell is marked as a gain or a loss where its figure, as it is shown, is
better or worse than that of plain Kubernetes in the same row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final

from demo.contenders import Contender
from demo.costs import BASELINE, CURRENCY, PRICES, saving, saving_share

Figures = Mapping[str, Mapping[str, Any]]
"""By contender, as `results.day_figures` gives them."""

COST_TITLE: Final = f"the cost of the day, in {CURRENCY}"
SERVED_TITLE: Final = "how the load was served"
DAY_TITLE: Final = "how pods were deleted"


class Mark(Enum):
    """How a cell compares with plain Kubernetes."""

    GAIN = "gain"
    LOSS = "loss"
    SAME = ""


class Better(Enum):
    """The direction in which a figure is better."""

    LOWER = -1
    HIGHER = 1
    NEITHER = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of one contender."""

    text: str
    mark: Mark = Mark.SAME


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what it is about, the price that it is computed with, and a cell a contender."""

    words: str
    cells: tuple[Cell, ...]
    price: str = ""
    strong: bool = False


_SERVED_ROWS: Final = (
    ("a pod waits until it is ready, median", "pending_p50_s", "s", Better.LOWER),
    ("a pod waits until it is ready, 99th percentile", "pending_p99_s", "s", Better.LOWER),
    ("load beyond what ready pods request", "unmet_ratio", "%", Better.LOWER),
)
_DAY_ROWS: Final = (
    ("pods deleted by scale-downs", "victims", "", Better.NEITHER),
    ("of these, ready ones that the plan wanted gone", "planned_ratio", "%", Better.HIGHER),
    ("physical pods deleted while a virtual one stayed", "virtual_first_violations", "", Better.LOWER),
    ("elastic node-hours", "elastic_node_hours", "h", Better.LOWER),
    ("virtual pod-hours", "virtual_pod_hours", "h", Better.LOWER),
    ("zone skew, worst workload at rest", "zone_skew_max", "", Better.LOWER),
    ("zone skew, 99th percentile", "zone_skew_p99", "", Better.LOWER),
    ("evictions", "evictions", "", Better.LOWER),
    ("ready pods lost while fewer than requested remained", "dips", "", Better.LOWER),
    ("extra API writes for each deleted pod", "extra_api_writes_per_deleted_pod", "", Better.LOWER),
)
"""Words, key of the figures, unit, and the direction in which it is better."""


def headline(figures: Figures) -> str:
    """One sentence that says what the day cost and what Spillway saved of it."""
    ours = Contender.SPILLWAY.value
    saved, share = saving(figures, ours), saving_share(figures, ours)
    if saved is None or share is None:
        totals = {name: _money(values["cost"]["total"]) for name, values in figures.items()}
        return f"The day cost {', '.join(f'{total} {CURRENCY} with {name}' for name, total in totals.items())}."
    before, after = (f"{_money(figures[name]['cost']['total'])} {CURRENCY}" for name in (BASELINE, ours))
    if not saved:
        return f"The day cost {after} with Spillway, as much as with plain Kubernetes."
    difference = f"{_money(abs(saved))} {CURRENCY} ({figure_text(abs(share), '%')})"
    verb = "saved" if saved > 0 else "lost"
    return f"Spillway {verb} {difference}: the day cost {after}, and {before} with plain Kubernetes."


def headline_mark(figures: Figures) -> Mark:
    """Whether the headline tells of a gain or a loss."""
    return _sign(saving(figures, Contender.SPILLWAY.value))


def cost_rows(figures: Figures) -> list[Row]:
    """What each tier cost, the cost of the day, and the saving, with the price table."""
    parts = [Row(price.what, _cost_cells(figures, price.key), f"{price.amount:.3f} a {price.per}") for price in PRICES]
    total = Row("cost of the day", _cost_cells(figures, "total"), strong=True)
    if BASELINE not in figures or len(figures) == 1:
        return [total, *parts]
    savings = [saving(figures, name) for name in figures]
    shares = [saving_share(figures, name) for name in figures]
    return [
        total,
        Row(f"saving against {BASELINE}", tuple(_signed(value, _money) for value in savings), strong=True),
        Row(
            "saving as a share",
            tuple(_signed(value, _share) for value in shares),
            strong=True,
        ),
        *parts,
    ]


def served_rows(figures: Figures) -> list[Row]:
    """How long new pods waited, and how much of the load was not met. Seconds are real ones."""
    return _rows(_SERVED_ROWS, figures)


def day_rows(figures: Figures) -> list[Row]:
    """How exactly pods were deleted, and what came of it."""
    return _rows(_DAY_ROWS, figures)


def _rows(of: Sequence[tuple[str, str, str, Better]], figures: Figures) -> list[Row]:
    rows = []
    for words, key, unit, better in of:
        values = {name: of_one.get(key) for name, of_one in figures.items()}
        rows.append(Row(words, _compared(values, partial(figure_text, unit=unit), better)))
    return rows


def figure_text(value: float | None, unit: str) -> str:
    """A figure with its unit; a dash where it could not be measured."""
    if value is None:
        return "-"
    if unit == "%":
        return f"{100 * value:.1f} %"
    text = f"{value:.1f}" if isinstance(value, float) and not value.is_integer() else f"{value:.0f}"
    return f"{text} {unit}".strip()


def _money(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:.2f}"


def _share(value: float) -> str:
    return figure_text(value, "%")


def _signed(value: float | None, text: Callable[[float], str]) -> Cell:
    return Cell("-") if value is None else Cell(text(value), _sign(value))


def _sign(value: float | None) -> Mark:
    if not value:
        return Mark.SAME
    return Mark.GAIN if value > 0 else Mark.LOSS


def _cost_cells(figures: Figures, key: str) -> tuple[Cell, ...]:
    return _compared({name: values["cost"][key] for name, values in figures.items()}, _money, Better.LOWER)


def _compared(
    values: Mapping[str, float | None], text: Callable[[float | None], str], better: Better
) -> tuple[Cell, ...]:
    """A cell for each contender; what reads the same as the baseline's is neither a gain nor a loss."""
    base = values.get(BASELINE)
    cells = []
    for value in values.values():
        shown = text(value)
        if value is None or base is None or shown == text(base):
            cells.append(Cell(shown))
        else:
            cells.append(Cell(shown, _sign((value - base) * better.value)))
    return tuple(cells)
