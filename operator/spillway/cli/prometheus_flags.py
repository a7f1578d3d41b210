"""The flags for reaching a Prometheus, shared by the commands that read the history of demand."""

from pathlib import Path
from typing import Annotated, Final

import typer

PANEL: Final = "Prometheus"

Url = Annotated[
    str | None,
    typer.Option(
        help="URL of the Prometheus with the history of demand, for example http://prometheus.monitoring:9090; also "
        "Thanos, Mimir or VictoriaMetrics.",
        envvar="SPILLWAY_PROMETHEUS_URL",
        rich_help_panel=PANEL,
    ),
]
Matcher = Annotated[
    list[str] | None,
    typer.Option(
        help="LABEL=VALUE that the series of this cluster have, where Prometheus holds several clusters, for example "
        "cluster=prod-1; may be repeated.",
        rich_help_panel=PANEL,
    ),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=VALUE sent with each request, for example X-Scope-OrgID=prod; may be repeated.",
        rich_help_panel=PANEL,
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(help="File with the bearer token for Prometheus, read for each request.", rich_help_panel=PANEL),
]
UsernameFile = Annotated[
    Path | None,
    typer.Option(help="File with the user for basic authentication, read for each request.", rich_help_panel=PANEL),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="File with the password for basic authentication, read for each request.", rich_help_panel=PANEL),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        help="PEM certificates of the authorities that may sign Prometheus' certificate. Default: the system's.",
        rich_help_panel=PANEL,
    ),
]
CertFile = Annotated[
    Path | None,
    typer.Option(help="Client certificate for Prometheus, PEM; read again when it changes.", rich_help_panel=PANEL),
]
KeyFile = Annotated[
    Path | None, typer.Option(help="Key of the client certificate, PEM, not encrypted.", rich_help_panel=PANEL)
]
ServerName = Annotated[
    str | None,
    typer.Option(help="Name in Prometheus' certificate. Default: the host of --prometheus-url.", rich_help_panel=PANEL),
]
