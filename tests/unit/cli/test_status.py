"""The screen of `spillway status`, and what the live commands share: formats, exit codes, the repetition of a watch."""

import json
from datetime import UTC, datetime
from functools import partial

import pytest
import yaml
from typer.testing import CliRunner

from spillway.api import ElasticPolicy
from spillway.cli import live
from spillway.cli.commands import application
from spillway.cli.status_view import WITHOUT_HISTORY, WITHOUT_SAVING, overview_view
from spillway.domain.overview.status import OperatorState, Overview, PoolRow, overview

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
EMPTY = overview(
    [], [], [], operator=OperatorState("spillway-1", None, None, None), cluster="https://here (context [a])", now=NOW
)


def pool(name: str = "eci-a") -> PoolRow:
    given = {"name": name, "cordon": "None", "accepting": True, "pods": 3, "pods_limit": 9, "currency": "CNY"}
    return PoolRow(**{field: given.get(field) for field in PoolRow.__struct_fields__})  # type: ignore[arg-type]


def with_pool() -> Overview:
    return Overview(**{field: getattr(EMPTY, field) for field in Overview.__struct_fields__} | {"pools": (pool(),)})


def test_an_empty_cluster() -> None:
    text = live.text_of(EMPTY, live.Format.TABLE, overview_view)

    assert "https://here (context [a])" in text, "brackets are no markup"
    assert "spillway-1 leads" in text
    assert "There are no Spillway resources in this cluster." in text
    assert "Nothing needs attention." in text


def test_the_formats() -> None:
    found = with_pool()

    table = live.text_of(found, live.Format.TABLE, overview_view)
    assert "eci-a" in table
    assert "3/9" in table
    assert "\x1b[" not in table, "colours only on a terminal"
    assert not [line for line in table.splitlines() if line != line.rstrip()]
    assert "OPENS AT" not in table
    assert "OPENS AT" in live.text_of(found, live.Format.WIDE, overview_view)
    as_json = json.loads(live.text_of(found, live.Format.JSON, overview_view))
    assert as_json["pools"][0]["podsLimit"] == 9
    assert yaml.safe_load(live.text_of(found, live.Format.YAML, overview_view)) == as_json


def test_without_prometheus_it_says_what_shows_the_savings_of_today() -> None:
    spec = {"tiers": {"virtual": {"budgets": ["eci-a"]}}, "workloads": [{"name": "default"}]}
    metadata = {"name": "online"}
    online = ElasticPolicy.model_validate({"metadata": metadata, "spec": spec})
    found = overview([online], [], [], operator=EMPTY.operator, cluster=EMPTY.cluster, now=NOW)

    def shown(found: Overview, *, history: bool) -> str:
        return live.text_of(found, live.Format.TABLE, partial(overview_view, history=history))

    assert f"\n{WITHOUT_HISTORY}\n" in shown(found, history=False)
    assert "--prometheus-url" in WITHOUT_HISTORY
    assert WITHOUT_HISTORY not in shown(found, history=True)
    assert f"\n{WITHOUT_SAVING}\n" in shown(found, history=True)
    assert WITHOUT_SAVING not in shown(found, history=False)
    assert WITHOUT_HISTORY not in shown(EMPTY, history=False), "nothing can be saved yet"


def test_wrong_usage() -> None:
    assert CliRunner().invoke(application(), ["status", "-o", "xml"]).exit_code == 2


def test_a_watch_prints_only_what_has_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    later = Overview(
        **{field: getattr(EMPTY, field) for field in Overview.__struct_fields__} | {"at": "2026-01-05T12:00:02Z"}
    )
    seen = iter([EMPTY, later, with_pool()])

    def look() -> Overview:
        try:
            return next(seen)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(live, "WATCH_SECONDS", 0.0)
    with pytest.raises(SystemExit) as ended:
        live.show_watched(look, live.Format.JSON, overview_view)

    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.count('"cluster"') == 2
    assert "12:00:02Z" not in printed.split('"eci-a"')[0].split('"cluster"')[1]
