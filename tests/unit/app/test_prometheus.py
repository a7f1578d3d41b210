"""The connection that flags describe, and what an error begins with."""

from pathlib import Path
from typing import Any

import pytest

from spillway.app.errors import SettingsError
from spillway.app.prometheus import connection_of
from spillway.app.settings import Settings
from spillway.sources.connection import Connection

URL = "https://prometheus:9090"


def test_the_settings_are_the_connection() -> None:
    settings = Settings.of(
        prometheus_url=URL,
        prometheus_matchers=["cluster=prod-1"],
        prometheus_headers=["X-Scope-OrgID=a=b"],
        prometheus_username_file=Path("/u"),
        prometheus_password_file=Path("/p"),
        prometheus_ca_file=Path("/ca"),
        prometheus_cert_file=Path("/cert"),
        prometheus_key_file=Path("/key"),
        prometheus_server_name="prometheus.internal",
    )

    assert settings.prometheus == Connection(
        url=URL,
        matchers={"cluster": "prod-1"},
        headers={"X-Scope-OrgID": "a=b"},
        username_file="/u",
        password_file="/p",
        ca_file="/ca",
        cert_file="/cert",
        key_file="/key",
        server_name="prometheus.internal",
    )
    assert Settings.of().prometheus is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        pytest.param({"url": "prometheus"}, "^--prometheus-url: ", id="URL"),
        pytest.param({"matchers": ["cluster"]}, "^--prometheus-matcher: .*NAME=VALUE", id="matcher"),
        pytest.param({"matchers": ["a b=c"]}, "^--prometheus-matcher: 'a b' is no name", id="label"),
        pytest.param({"headers": ["Authorization=Bearer x"]}, "^--prometheus-header: .* token file", id="header"),
        pytest.param({"password_file": Path("/p")}, "a username file and a password file", id="user"),
    ],
)
def test_an_error_begins_with_its_flag(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        connection_of(**{"url": URL, **flags})
    with pytest.raises(SettingsError, match=message.removeprefix("^")):
        Settings.of(**{f"prometheus_{name}": value for name, value in {"url": URL, **flags}.items()})
