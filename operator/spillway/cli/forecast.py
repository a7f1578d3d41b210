"""`spillway forecast`: the forecast of a history in a file, at each step by what was known then."""

import time
from pathlib import Path
from typing import Annotated

import typer

from spillway.app.errors import SettingsError
from spillway.cli import live
from spillway.cli.flags import above_zero, parsed


def forecast(
    file: Annotated[
        Path, typer.Argument(help="CSV file, plain or gzipped, or Parquet file, with the columns ts and the values.")
    ],
    *,
    column: Annotated[str, typer.Option(help="The column that has the values.")] = "value",
    window: Annotated[
        str, typer.Option(help="How far a forecast looks ahead, for example 60m; more than the start-up, up to 24h.")
    ] = "60m",
    startup: Annotated[
        str, typer.Option(help="The time from a decision until its replicas serve, for example 3m.")
    ] = "15m",
    price: Annotated[
        float,
        typer.Option(
            help="The cost of a unit of demand that is not served, in units of capacity that is not used; above 0."
        ),
    ] = 10.0,
    emit: Annotated[
        Path | None, typer.Option(help="CSV file to write, with the columns ts, forecast and predictable.")
    ] = None,
) -> None:
    """Forecast the demand in FILE, and show how good the forecast would have been. No cluster is needed.

    ts is in Unix seconds or RFC 3339. The forecast of each step of five minutes uses only what was known before that
    step. It is the demand to provide for between --startup and --window later; predictable is false where no forecast
    was better than the present demand times a fixed factor. Exit codes: 0 there is a forecast, 1 it cannot be written,
    2 wrong usage, 3 the file could not be read.
    """
    from spillway.api.quantity import duration_seconds  # noqa: PLC0415  # not for `--help`
    from spillway.app.history import read_from_history  # noqa: PLC0415
    from spillway.cli.forecasting import forecast_file, summary, write  # noqa: PLC0415
    from spillway.domain.forecast.spec import ForecastSpec  # noqa: PLC0415

    first, end = (
        float(parsed(flag, duration_seconds, text)) for flag, text in (("--startup", startup), ("--window", window))
    )
    above_zero("--price", price)
    try:
        spec = ForecastSpec(first, end, price)
    except ValueError as error:
        raise SettingsError(f"--startup, --window: {error}") from error
    with live.reported(), read_from_history():
        found = forecast_file(file, column, spec, now=time.time())
    if emit is not None:
        with live.written(emit):
            write(found, emit)
    typer.echo(summary(found, emit), nl=False)
