"""The connection to Prometheus that the flags `--prometheus-…` describe.

Contract: an error begins with the flag that it is about.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from spillway.sources.connection import Connection, check_headers, check_matchers, pairs, prometheus_url

PREFIX: Final = "prometheus_"
"""What the names of the settings begin with."""
Value = TypeVar("Value")


def connection_of(
    url: str,
    *,
    matchers: Iterable[str] = (),
    headers: Iterable[str] = (),
    token_file: Path | None = None,
    username_file: Path | None = None,
    password_file: Path | None = None,
    ca_file: Path | None = None,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    server_name: str | None = None,
) -> Connection:
    """The connection; matchers and headers are `NAME=VALUE`.

    Raises:
        ValueError: a value cannot be used, or two values exclude each other.
    """
    _of_flag("--prometheus-url", lambda: prometheus_url(url))
    return _of_flag(
        "--prometheus-…",
        lambda: Connection(
            url=url,
            matchers=_of_flag("--prometheus-matcher", lambda: check_matchers(pairs(matchers, "cluster=prod-1"))),
            headers=_of_flag("--prometheus-header", lambda: check_headers(pairs(headers, "X-Scope-OrgID=prod"))),
            token_file=_path(token_file),
            username_file=_path(username_file),
            password_file=_path(password_file),
            ca_file=_path(ca_file),
            cert_file=_path(cert_file),
            key_file=_path(key_file),
            server_name=server_name or "",
        ),
    )


def connection_in(settings: Mapping[str, Any]) -> Connection | None:
    """The connection that the settings with this prefix describe; None without a URL.

    Raises:
        ValueError: as `connection_of`.
    """
    given = {
        name.removeprefix(PREFIX): value
        for name, value in settings.items()
        if name.startswith(PREFIX) and value is not None
    }
    return connection_of(**given) if given.get("url") else None


class _FlagError(ValueError):
    """An error that already begins with its flag."""


def _of_flag(flag: str, read: Callable[[], Value]) -> Value:
    try:
        return read()
    except _FlagError:
        raise
    except ValueError as error:
        raise _FlagError(f"{flag}: {error}") from error


def _path(path: Path | None) -> str:
    return str(path) if path is not None else ""
