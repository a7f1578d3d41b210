"""The page of the report: what it says, and how a browser shows it."""

from pathlib import Path

import numpy as np
import pytest

from spillway.app.report.page import headline, page
from spillway.app.report.reading import ClusterReport
from spillway.domain.overview.history import ClusterHistory, cost_by_day
from tests.support.browser import browser, installed_browser
from tests.support.report import CHAPTERS, HOURS, NOW, PRICES, empty, report

FOREIGN = "window.foreign = 1"


def test_the_page_has_every_chapter_and_needs_no_network() -> None:
    text = page(report())

    for title in CHAPTERS:
        assert f"<h2>{title}</h2>" in text
    assert text.count('<div class="chart">') == len(CHAPTERS) + 1
    assert 'src="http' not in text


def test_the_headline_compares_with_owned_nodes() -> None:
    found = report()
    actual = sum(one.actual for one in found.days)
    hours = HOURS - 1
    # The highest requests are some 66 cores, which need four nodes of 20.
    assert f"{actual:,.2f} CNY in {hours} hours: {100 * (1 - actual / (hours * 4 * 20)):.1f} % less" in headline(found)


def test_a_history_of_minutes_shows_its_only_values() -> None:
    times = np.array([NOW.timestamp() - 300, NOW.timestamp()])
    known = np.array([np.nan, 2.0])
    past = ClusterHistory(
        times,
        300.0,
        cores={"fixed": known},
        nodes={"fixed": known},
        owned_cores=known * 2,
        limits={"eci-a: pods": known / 2},
    )
    text = page(ClusterReport(empty(), [], past, {}, PRICES, cost_by_day(past, PRICES)))

    assert "3.33 CNY in 5 minutes" in text
    assert "The charts show the last 10 minutes" in text
    assert "all owned" in text
    assert text.count('"mode":"lines+markers"') == 2, "of one value no line is drawn"


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


@pytest.mark.parametrize("setting", ["--prometheus-url", "prometheus.url in the values of the chart"])
def test_without_a_history_the_setting_for_it_is_named(setting: str) -> None:
    text = page(ClusterReport(empty(), []), prometheus_setting=setting)
    assert f"Set {setting} for costs and charts of the past." in text


def test_a_chart_without_data_is_a_sentence() -> None:
    times = np.array([NOW.timestamp()])
    text = page(ClusterReport(empty(), [], ClusterHistory(times, 3600.0)))

    assert '<div class="chart">' not in text
    for words in ("no history of requests", "No scale-down was planned", "No pool has a limit", "No workload has a"):
        assert words in text


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
        await shown.value(
            f"document.body.append(Object.assign(document.createElement('script'), {{text: '{FOREIGN}'}}))"
        )
        await shown.value(f"document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"{FOREIGN}\">')")
        assert await shown.value("new Promise(done => setTimeout(() => done(window.foreign ?? 'none'), 300))") == "none"
        assert len(shown.problems) >= 2, "the policy of the page refuses every other script"
