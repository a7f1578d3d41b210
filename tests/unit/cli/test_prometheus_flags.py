"""One command gets all flags of a Prometheus together."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from spillway.app.errors import SettingsError
from spillway.cli.prometheus_flags import PrometheusFlags, with_prometheus


@with_prometheus
def _command(*, prometheus: PrometheusFlags, days: Annotated[int, typer.Option(help="Days.")] = 1) -> None:
    typer.echo(f"{days} {prometheus.connection if prometheus.given else 'none'}")


def _run(*arguments: str) -> str:
    application = typer.Typer()
    application.command()(_command)
    return CliRunner().invoke(application, arguments, catch_exceptions=False).output


def test_a_command_gets_the_flags_beside_its_own() -> None:
    output = _run("--prometheus-url=http://b", "--prometheus-matcher=a=1", "--prometheus-matcher=b=2", "--days=2")
    assert output.startswith("2 Connection(url='http://b'")
    assert "'a': '1', 'b': '2'" in output


def test_without_a_url_there_is_no_connection() -> None:
    assert _run() == "1 none\n"
    with pytest.raises(SettingsError, match="--prometheus-url"):
        _ = PrometheusFlags().connection


def test_a_wrong_value_names_its_flag() -> None:
    with pytest.raises(SettingsError, match=r"^--prometheus-matcher: "):
        _run("--prometheus-url=http://b", "--prometheus-matcher=a")
