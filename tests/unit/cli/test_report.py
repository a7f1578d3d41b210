"""The page of `spillway report`: what it says, and how a browser shows it."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spillway.api.elasticpolicy import WorkloadThreshold
from spillway.app.errors import SettingsError
from spillway.cli.cluster_report import headline, page
from spillway.cli.commands import application
from spillway.cli.reporting import ClusterReport
from spillway.domain.overview.history import ClusterHistory, cost_by_day
from spillway.domain.overview.status import OperatorState, Overview, overview
from spillway.domain.threshold.request import PolicyNeed
from tests.support.browser import browser, installed_browser

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
HOURS = 14 * 24
PRICES = PolicyNeed(
    name="online",
    target=0.65,
    fixed_node_hour=20.0,
    elastic_node_hour=8.0,
    virtual_core_hour=2.0,
    virtual_gib_hour=0.0,
    currency="CNY",
)
CHAPTERS = [
    "Demand and capacity by tier",
    "Cost of each day",
    "Thresholds",
    "Victims by reason",
    "Imbalance",
    "Moves",
    "Limits of pools",
]


def empty() -> Overview:
    operator = OperatorState("spillway-1", None, None, None)
    return overview([], [], [], operator=operator, cluster="https://here", now=NOW)


def history() -> ClusterHistory:
    times = np.float64(NOW.timestamp()) - 3600.0 * np.arange(HOURS, dtype=np.float64)[::-1]
    hour = (times % 86_400) / 3600
    wave = np.exp(-(((hour - 19) / 3) ** 2))
    nothing = np.zeros(HOURS)
    gap = np.where(np.arange(HOURS) == 100, np.nan, 1.0)
    return ClusterHistory(
        times,
        3600.0,
        cores={"fixed": (30 + 20 * wave) * gap, "elastic": 10 * wave * gap, "virtual": 6 * wave * gap},
        gib={"fixed": nothing, "elastic": nothing, "virtual": nothing},
        nodes={"fixed": nothing + 3, "elastic": np.ceil(wave), "virtual": nothing + 2},
        owned_cores=nothing + 60.0,
        charged={"CNY": 12 * wave},
        victims={"Virtual": 4 * wave, "NodeEmpties": 2 * wave},
        moves={"to even out load: evicted": wave, "to empty elastic nodes: moved": 2 * wave},
        imbalance={"shop": 0.2 + 0.1 * wave},
        limits={"eci-a: pods": 0.2 + 0.7 * wave, "eci-a: costPerMonth": np.linspace(0, 0.8, HOURS)},
    )


def report() -> ClusterReport:
    past = history()
    names = [f"Deployment/shop/{name}" for name in ("cart", "search", "checkout-with-a-rather-long-name")]
    thresholds = [WorkloadThreshold(workload=one, replicas=8 - index, reason="Auto") for index, one in enumerate(names)]
    highest = dict(zip(names, (24.0, 12.0, 9.0), strict=True))
    return ClusterReport(empty(), thresholds, past, highest, PRICES, cost_by_day(past, PRICES))


def test_the_page_has_every_chapter_and_needs_no_network() -> None:
    text = page(report())

    for title in CHAPTERS:
        assert f"<h2>{title}</h2>" in text
    assert text.count("Plotly.newPlot(") == len(CHAPTERS) + 1
    assert 'src="http' not in text


def test_the_headline_compares_with_owned_nodes() -> None:
    found = report()
    actual = sum(one.actual for one in found.days)
    hours = HOURS - 1
    # The highest requests are some 66 cores, which need four nodes of 20.
    assert f"{actual:,.2f} CNY in {hours} hours: {100 * (1 - actual / (hours * 4 * 20)):.1f} % less" in headline(found)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"history": None, "days": ()}, "no history was read"),
        ({"days": (), "prices": None}, "no ElasticPolicy has tiers.fixed.price"),
        ({"days": ()}, "Prometheus has no history of the requests and nodes"),
    ],
)
def test_what_is_missing_is_said(changes: dict[str, object], told: str) -> None:
    full = report()
    text = page(ClusterReport(**{name: getattr(full, name) for name in ClusterReport.__slots__} | changes))
    assert told in text


def test_a_chart_without_data_is_a_sentence() -> None:
    times = np.array([NOW.timestamp()])
    text = page(ClusterReport(empty(), [], ClusterHistory(times, 3600.0)))

    assert text.count("Plotly.newPlot(") == 0
    for words in ("no history of requests", "No scale-down was planned", "No pool has a limit", "No workload has a"):
        assert words in text


@pytest.mark.parametrize("history", ["1m", "1y", "soon"])
def test_a_history_that_cannot_be_shown_is_refused(history: str) -> None:
    with pytest.raises(SettingsError, match="--history"):
        CliRunner().invoke(application("report"), ["report", f"--history={history}"], catch_exceptions=False)


@pytest.mark.skipif(installed_browser() is None, reason="needs Chromium")
async def test_a_browser_shows_and_prints_it(tmp_path: Path) -> None:
    program = installed_browser()
    assert program is not None
    file = tmp_path / "report.html"
    file.write_text(page(report()))
    async with browser(program, tmp_path / "profile") as shown:
        for width in (480, 1400):
            await shown.show(file, width=width)
            assert await shown.value("document.documentElement.scrollWidth") <= width
            charts = "[...document.querySelectorAll('.js-plotly-plot')]"
            assert await shown.value(f"{charts}.length") == len(CHAPTERS) + 1
            drawn = f"{charts}.map(one => one.querySelectorAll('.trace, .bars .point, .scatter').length)"
            assert min(await shown.value(drawn)) > 0, "every chart has data"
            assert await shown.value(f"{charts}.every(one => one.getBoundingClientRect().right <= {width})")
        await shown.value("dispatchEvent(new Event('beforeprint'))")
        assert await shown.value(f"{charts}.every(one => one.querySelector('svg').width.baseVal.value <= 680)"), (
            "as wide as paper"
        )
        assert (await shown.pdf()).startswith(b"%PDF")
    assert shown.problems == []
