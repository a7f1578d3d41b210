"""The demo on a terminal: the figures shown are those that were measured."""

import re
from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from demo.contenders import Contender
from demo.costs import cost
from demo.scaledowns import ScaleDown
from demo.view import PIPED_WIDTH, View, console_for, summary
from spillway.domain.model.names import Tier
from spillway.domain.scale_down.reasons import VictimReason
from tests.unit.demo.demo_cases import CONTENDERS, SECONDS, down, made_up_scene, victim


def drawn(what: RenderableType) -> str:
    console = Console(file=StringIO(), width=120, record=True)
    console.print(what)
    return console.export_text()


def panel(text: str, name: str) -> str:
    """What stands in the frame of that title, spaces put together."""
    found = re.search(rf"╭─ {name} (.*?)╰", text, re.DOTALL)
    assert found, text
    return " ".join(found[1].replace("│", " ").split())


def quiet_view() -> View:
    return View(Console(file=StringIO(), width=120), CONTENDERS)


def test_the_picture_has_each_contenders_figures_in_its_own_frame() -> None:
    scene = made_up_scene()
    for samples in scene.observer.samples.values():
        samples.pop()
    text = drawn(quiet_view().picture(scene, SECONDS))

    plain, ours = panel(text, "plain"), panel(text, "spillway")
    assert "pods fixed 13 elastic 9 virtual 4" in plain
    assert "elastic nodes 4 · 23.0 node-hours · zone skew 9 · cost 64.47 EUR" in plain
    assert "deleted 2, 50% as planned · virtual-first broken 1 times · evictions 33" in plain
    assert "pods fixed 23 elastic 2 virtual 0" in ours
    assert "elastic nodes 0 · 4.5 node-hours · zone skew 1 · cost 57.56 EUR" in ours
    assert "deleted 2, 100% as planned · virtual-first broken 0 times · evictions 0" in ours
    assert "requests of ready pods 0 cores · forecast load 2 · headroom 1" in ours
    assert "forecast" not in plain, "its HPAs go by CPU alone"
    assert "unassigned" not in plain, "a tier with no one in it"


def test_the_clock_tells_the_hour_the_load_and_what_is_left() -> None:
    scene = made_up_scene()
    hour = scene.day.hour_at(100)
    text = drawn(quiet_view().picture(scene, 100))

    assert text.startswith(f"{int(hour):02d}:{round(hour * 60) % 60:02d}")
    assert f"load {scene.day.total_load(hour):.0f} cores each · 140 s to go" in text
    assert "to go" not in drawn(quiet_view().picture(scene, SECONDS))


def test_the_bar_is_as_long_as_the_pods_are_many() -> None:
    scene = made_up_scene()
    most = 12 + 17 + 5 + 1
    for samples in scene.observer.samples.values():
        del samples[2:]
    text = drawn(quiet_view().picture(scene, 100))

    assert panel(text, "plain").count("█") == pytest.approx(30, abs=2), "the most that there ever were: the whole bar"
    assert panel(text, "spillway").count("█") == pytest.approx(30 * (22 + 8 + 7) / max(most, 22 + 8 + 7), abs=2)


def test_who_was_deleted_last_stands_first_with_the_reason() -> None:
    scene = made_up_scene()
    view = quiet_view()
    closed: list[ScaleDown] = scene.observer.tracker.finished
    view.tick(scene, 130, closed)
    lines = [" ".join(line.strip("│ ").split()) for line in drawn(view.picture(scene, 130)).splitlines()]
    rows = [line for line in lines if re.match(r"\d\d:\d\d (plain|spillway) ", line)]

    hour = scene.day.hour_at(120)
    at = f"{int(hour):02d}:{round(hour * 60) % 60:02d}"
    assert rows == [
        f"{at} spillway svc-spillway-2 virtual zone-b the last to come on fixed nodes",
        f"{at} spillway svc-spillway-1 virtual zone-b virtual pods go first",
        f"{at} plain svc-plain-2 elastic zone-b by Kubernetes' own rules, though a virtual pod ran",
        f"{at} plain svc-plain-1 fixed zone-b as the plan would: the last to come on fixed nodes",
    ]


def test_without_a_terminal_a_line_tells_the_same_and_not_too_often() -> None:
    scene = made_up_scene()
    for samples in scene.observer.samples.values():
        samples.pop()
    out = StringIO()
    view = View(Console(file=out, width=300), CONTENDERS)
    for elapsed in (200, 201, 209):
        view.tick(scene, elapsed, [])

    [line] = out.getvalue().splitlines()
    assert "plain: pods fixed/elastic/virtual 13/9/4, elastic nodes 4, skew 9, deleted 2" in line
    assert "spillway: pods fixed/elastic/virtual 23/2/0, elastic nodes 0, skew 1, deleted 2" in line
    view.tick(scene, 210, [])
    assert len(out.getvalue().splitlines()) == 2


FIGURES: dict[str, dict[str, Any]] = {
    Contender.PLAIN.value: {
        "cost": cost(hours=24, elastic_node_hours=123.45, virtual_pod_hours=6),
        "victims": 417,
        "planned_ratio": 0.4321,
        "virtual_first_violations": 77,
        "elastic_node_hours": 123.45,
        "virtual_pod_hours": 6.0,
        "zone_skew_max": 8,
        "zone_skew_p99": 5.0,
        "pending_p99_s": 31.0,
        "unmet_ratio": 0.0123,
        "evictions": 3,
        "extra_api_writes_per_deleted_pod": 0.0,
    },
    Contender.SPILLWAY.value: {
        "cost": cost(hours=24, elastic_node_hours=60, virtual_pod_hours=0),
        "victims": 418,
        "planned_ratio": 1.0,
        "pending_p99_s": 2.5,
        "evictions": None,
        "extra_api_writes_per_deleted_pod": 0.7,
    },
}


def test_the_summary_puts_contenders_side_by_side() -> None:
    text = drawn(summary(FIGURES))
    rows = {cells[0]: cells[1:] for line in text.splitlines() if len(cells := re.split(r"\s{2,}", line.strip())) > 1}

    assert re.search(r"plain\s+spillway", text)
    assert rows["a pod waits until it is ready, 99th percentile"] == ["31 s", "2.5 s"]
    assert rows["load beyond what ready pods request"] == ["1.2 %", "-"]
    assert rows["pods deleted by scale-downs"] == ["417", "418"]
    assert rows["of these, ready ones that the plan wanted gone"] == ["43.2 %", "100.0 %"]
    assert rows["physical pods deleted while a virtual one stayed"] == ["77", "-"]
    assert rows["elastic node-hours"] == ["123.5 h", "-"]
    assert rows["virtual pod-hours"] == ["6 h", "-"]
    assert rows["zone skew, worst workload at rest"] == ["8", "-"]
    assert rows["zone skew, 99th percentile"] == ["5", "-"]
    assert rows["evictions"] == ["3", "-"]
    assert rows["extra API writes for each deleted pod"] == ["0", "0.7"]


def test_the_summary_begins_with_the_cost_and_the_saving() -> None:
    lines = [" ".join(line.split()) for line in drawn(summary(FIGURES)).splitlines() if line.strip()]

    assert lines[0].startswith("Spillway saved ")
    assert lines[1] == "the cost of the day, in EUR"
    assert [line.partition(" ")[0] for line in lines[4:7]] == ["cost", "saving", "saving"]
    assert "6 fixed nodes (12 CPUs), all day 0.360 a node-hour 51.84 51.84" in lines


@pytest.mark.parametrize("width", [80, 100, PIPED_WIDTH])
def test_no_cell_of_the_summary_is_wrapped_or_cut(width: int) -> None:
    console = Console(file=StringIO(), width=width, record=True)
    console.print(summary(FIGURES))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    tables = [line for line in lines[lines.index("the cost of the day, in EUR") :] if line.strip()]

    assert "…" not in "".join(lines)
    assert len(tables) == (3 + 6) + (3 + 3) + (3 + 10), "a line for each row, a title, a header and a rule"


def test_a_gain_is_green_and_a_loss_is_red() -> None:
    console = Console(file=StringIO(), width=100, record=True, force_terminal=True)
    console.print(summary(FIGURES))
    lines = console.export_text(styles=True).splitlines()

    def colours(row: str) -> list[str]:
        [line] = [line for line in lines if row in line]
        return re.findall(r"\x1b\[(?:1;)?(3[12])m", line)

    assert colours("cost of the day ") == ["32"], "less than plain"
    assert colours("of these, ready ones") == ["32"], "more than plain"
    assert colours("extra API writes") == ["31"], "worse than plain"
    assert colours("pods deleted by") == [], "neither"
    assert colours("evictions") == [], "not measured"


@pytest.mark.parametrize("columns", [None, "90"])
def test_a_pipe_is_as_wide_as_the_view_needs_or_as_asked_for(
    columns: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)

    assert console_for(StringIO()).width == int(columns or PIPED_WIDTH)


@pytest.mark.parametrize("reason", [*VictimReason])
def test_the_picture_is_not_cut_in_a_pipe(reason: VictimReason) -> None:
    scene = made_up_scene()
    scene.observer.audit.evictions[Contender.PLAIN] = 12345  # type: ignore[union-attr]
    out = StringIO()
    view = View(Console(file=out, width=PIPED_WIDTH), CONTENDERS)
    name = f"svc-19-{'a' * 9}-xyz12"
    view.tick(scene, 130, [down(Contender.PLAIN, victim(name, Tier.ELASTIC, reason=reason.value))])
    console = Console(file=StringIO(), width=PIPED_WIDTH, record=True)
    console.print(view.picture(scene, 130))

    assert "…" not in console.export_text()
