"""The command `spillway report`: what it refuses."""

import pytest
from typer.testing import CliRunner

from spillway.app.errors import SettingsError
from spillway.cli.commands import application


@pytest.mark.parametrize("history", ["1m", "1y", "soon"])
def test_a_history_that_cannot_be_shown_is_refused(history: str) -> None:
    with pytest.raises(SettingsError, match="--history"):
        CliRunner().invoke(application("report"), ["report", f"--history={history}"], catch_exceptions=False)
