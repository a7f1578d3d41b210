"""The flags for reaching a Prometheus, shared by the commands that read the history of demand.

Contract: a command decorated with `with_prometheus` has a parameter `prometheus`, and in its place all of these flags.
"""

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from spillway.app.errors import SettingsError

if TYPE_CHECKING:
    from spillway.sources.connection import Connection

PANEL: Final = "Prometheus"
_PARAMETER: Final = "prometheus"


HistoryFile = Annotated[
    Path | None,
    typer.Option(
        help="CSV or Parquet file with the history of demand, instead of --prometheus-url. Its columns are workload, "
        "time and replicas."
    ),
]
"""The flag for a history that is in a file."""


@dataclass(frozen=True, slots=True)
class PrometheusFlags:
    """The values of the flags; each field is the setting of the same name."""

    prometheus_url: Annotated[
        str | None,
        typer.Option(
            help="URL of the Prometheus from which history is read, for example http://prometheus.monitoring:9090; "
            "also Thanos, Mimir or VictoriaMetrics.",
            envvar="SPILLWAY_PROMETHEUS_URL",
            rich_help_panel=PANEL,
        ),
    ] = None
    prometheus_matchers: Annotated[
        list[str] | None,
        typer.Option(
            "--prometheus-matcher",
            help="LABEL=VALUE that the series of this cluster have, where Prometheus holds several clusters, for "
            "example cluster=prod-1; may be repeated.",
            rich_help_panel=PANEL,
        ),
    ] = None
    prometheus_headers: Annotated[
        list[str] | None,
        typer.Option(
            "--prometheus-header",
            help="NAME=VALUE: a header of each request to Prometheus, for example X-Scope-OrgID=prod; may be repeated.",
            rich_help_panel=PANEL,
        ),
    ] = None
    prometheus_token_file: Annotated[
        Path | None,
        typer.Option(help="File with the bearer token for Prometheus, read for each request.", rich_help_panel=PANEL),
    ] = None
    prometheus_username_file: Annotated[
        Path | None,
        typer.Option(help="File with the user for basic authentication, read for each request.", rich_help_panel=PANEL),
    ] = None
    prometheus_password_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the password for basic authentication, read for each request.", rich_help_panel=PANEL
        ),
    ] = None
    prometheus_ca_file: Annotated[
        Path | None,
        typer.Option(
            help="PEM certificates of the CAs that may sign Prometheus' certificate. Default: the system's.",
            rich_help_panel=PANEL,
        ),
    ] = None
    prometheus_cert_file: Annotated[
        Path | None,
        typer.Option(help="Client certificate for Prometheus, PEM; read again when it changes.", rich_help_panel=PANEL),
    ] = None
    prometheus_key_file: Annotated[
        Path | None, typer.Option(help="Key of the client certificate, PEM, not encrypted.", rich_help_panel=PANEL)
    ] = None
    prometheus_server_name: Annotated[
        str | None,
        typer.Option(
            help="Name in Prometheus' certificate. Default: the host of --prometheus-url.", rich_help_panel=PANEL
        ),
    ] = None

    @property
    def values(self) -> dict[str, Any]:
        """The values by the name of the setting."""
        return asdict(self)

    @property
    def given(self) -> bool:
        """Whether there is a URL."""
        return bool(self.prometheus_url)

    @property
    def connection(self) -> "Connection":
        """The connection.

        Raises:
            SettingsError: there is no URL, a value cannot be used, or two values exclude each other.
        """
        from spillway.app.prometheus import connection_in  # noqa: PLC0415  # `--help` need not wait for it

        try:
            found = connection_in(self.values)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        if found is None:
            raise SettingsError("--prometheus-url: not given")
        return found


def with_prometheus(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these flags where it has the parameter `prometheus`."""
    flags = inspect.signature(PrometheusFlags).parameters
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name == _PARAMETER:
            parameters += [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in flags.values()]
        else:
            parameters.append(parameter)

    @wraps(command)
    def called(**given: object) -> None:
        values: dict[str, Any] = {name: given.pop(name) for name in flags}
        command(**given, **{_PARAMETER: PrometheusFlags(**values)})

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    return called
