"""`spillway cordon` and `uncordon`: when a pool opens again, what is written, and what the commands say."""

from datetime import UTC, datetime
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.commands import application
from spillway.cli.cordon import _end, change
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Server:
    """A client of an API server with one pool, `eci-a`."""

    def __init__(self, **spec: Any) -> None:
        self.spec = spec
        self.patches: list[tuple[dict[str, Any], dict[str, Any]]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def get_json(self, path: str) -> Any:
        if path.endswith("/virtualnodebudgets"):
            return {"items": [{"metadata": {"name": "eci-a"}}]}
        if path.endswith("/eci-a"):
            return {"spec": self.spec}
        raise ApiError(404, "NotFound", "not found")

    async def request(
        self, _: str, __: str, *, params: dict[str, Any], body: dict[str, Any], content_type: str
    ) -> None:
        assert content_type == "application/merge-patch+json"
        self.patches.append((params, body))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(cordon="None")

    async def connect(*_: object, patient: bool) -> Server:
        assert patient
        return made

    monkeypatch.setattr(KubeClient, "connect", connect)
    return made


def run(*command: str) -> Any:
    return CliRunner().invoke(application(), [*command])


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (["cordon", "eci-a"], {"cordon": "Hold", "cordonUntil": None}),
        (["cordon", "eci-a", "--drain"], {"cordon": "HoldAndDrain", "cordonUntil": None}),
        (
            ["cordon", "eci-a", "--until", "2126-11-11T06:00:00+08:00"],
            {"cordon": "Hold", "cordonUntil": "2126-11-10T22:00:00Z"},
        ),
    ],
)
def test_a_pool_is_closed(server: Server, command: list[str], wanted: dict[str, Any]) -> None:
    result = run(*command)

    assert result.exit_code == 0, result.output
    [(params, body)] = server.patches
    assert body == {"spec": wanted}
    assert params["dryRun"] is None
    assert result.stdout.startswith(f"pool eci-a is closed ({wanted['cordon']})")


def test_a_pool_is_opened(server: Server) -> None:
    server.spec = {"cordon": "Hold", "cordonUntil": "2126-11-10T22:00:00Z"}

    assert run("uncordon", "eci-a").stdout == "pool eci-a is opened; cordon was Hold\n"
    assert server.patches[0][1] == {"spec": {"cordon": "None", "cordonUntil": None}}


def test_nothing_is_written_for_what_is_so_already(server: Server) -> None:
    assert run("uncordon", "eci-a").stdout == "pool eci-a was open already\n"
    assert server.patches == []


def test_a_dry_run(server: Server) -> None:
    assert run("cordon", "eci-a", "--dry-run").stdout.endswith("(dry run)\n")
    assert server.patches[0][0]["dryRun"] == "All"


@pytest.mark.parametrize("name", ["eci-b", "../x"])
def test_an_unknown_pool(server: Server, name: str) -> None:
    result = run("cordon", name)

    assert result.exit_code == live.NEGATIVE
    assert result.stderr == f"error: there is no pool {name}; there are: eci-a\n"
    assert server.patches == []


def test_when_it_opens_again() -> None:
    assert _end("1h30m", None, NOW) == "2026-01-05T13:30:00Z"
    assert _end(None, "2026-01-06T00:00:00+08:00", NOW) == "2026-01-05T16:00:00Z"
    assert _end(None, None, NOW) is None


@pytest.mark.parametrize(
    ("for_", "until", "words"),
    [
        ("soon", None, "--for: "),
        (None, "soon", "^--until: must be RFC 3339, for example 2026-11-11T06:00:00.08:00, not 'soon'$"),
        (None, "2026-01-05T11:00:00Z", "in the past"),
        ("1h", "2026-01-06T00:00:00Z", "not both"),
    ],
)
def test_times_that_are_refused(for_: str | None, until: str | None, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        _end(for_, until, NOW)


@pytest.mark.parametrize(
    ("before", "wanted", "said"),
    [
        pytest.param({}, ("Hold", None), "pool a is closed (Hold); cordon was None", id="no-cordon-before"),
        pytest.param(
            {"cordon": "Hold"},
            ("HoldAndDrain", "2026-01-06T00:00:00Z"),
            "pool a is closed (HoldAndDrain) until 2026-01-06T00:00:00Z; cordon was Hold",
            id="drained-later",
        ),
        pytest.param({"cordon": "Hold"}, ("Hold", None), "pool a was closed (Hold) already", id="the-same"),
    ],
)
def test_what_it_says(before: dict[str, Any], wanted: tuple[str, str | None], said: str) -> None:
    assert change("a", before, {"cordon": wanted[0], "cordonUntil": wanted[1]}) == said
