"""The demand histories in a folder of files, for a backtest.

Contract: every file `*.csv`, `*.csv.gz` or `*.parquet` in the folder is read, but not those below it. One with the
columns `workload,time,replicas` has the histories of any number of workloads; one with the columns `ts` and `value` has
that of a workload with the name of the file. `requests.csv` (or with another of these endings) has the requests of
workloads. A workload may occur in one file.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from spillway.domain.threshold.history import History
from spillway.sources.csv_history import COLUMNS, csv_file
from spillway.sources.csv_requests import csv_requests
from spillway.sources.csv_rules import CsvError, read_file
from spillway.sources.csv_series import TIME_COLUMN, csv_series

REQUESTS: Final = "requests.csv"
"""The usual name of the file of requests; it may have each of the endings."""
VALUE_COLUMN: Final = "value"
_ENDINGS: Final = (".csv", ".csv.gz", ".parquet")


@dataclass(slots=True)
class DemandFolder:
    """What a folder holds."""

    histories: list[History] = field(default_factory=list)
    requests: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Cores and GiB of a replica, by workload."""


def demand_folder(folder: Path, *, per_replica: float, now: float) -> DemandFolder:
    """The histories in a folder; a value of `ts,value` is divided by what one replica carries.

    Raises:
        CsvError: the folder or a file cannot be read, or is not valid.
    """
    try:
        files = sorted(one for one in folder.iterdir() if one.is_file() and one.name.endswith(_ENDINGS))
    except OSError as error:
        raise CsvError(f"{folder} cannot be read: {error.strerror or error}") from error
    found, seen = DemandFolder(), dict[str, Path]()
    for path in files:
        if _without_ending(path.name) == _without_ending(REQUESTS):
            found.requests = dict(csv_requests(path))
            continue
        for one in _histories(path, per_replica, now):
            if one.problem is not None:
                raise CsvError(f"{path}: {one.workload}: {one.problem.message}")
            if one.workload in seen:
                raise CsvError(f"{path}: {one.workload} is in {seen[one.workload].name} as well")
            seen[one.workload] = path
            found.histories.append(one)
    if not found.histories:
        raise CsvError(
            f"{folder} has no history; expected files *.csv, *.csv.gz or *.parquet with the columns "
            f"{','.join(COLUMNS)}, or {TIME_COLUMN},{VALUE_COLUMN}"
        )
    return found


def _histories(path: Path, per_replica: float, now: float) -> list[History]:
    names = read_file(path, _header)
    if TIME_COLUMN in names and VALUE_COLUMN in names:
        try:
            series = csv_series(path, VALUE_COLUMN, now=now)
        except CsvError as error:
            text = str(error)
            raise CsvError(text if text.startswith(str(path)) else f"{path}: {text}") from error
        return [History(_without_ending(path.name), series.grid_times, series.grid_values / per_replica)]
    return csv_file(path, now=now)


def _without_ending(name: str) -> str:
    return next(name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending))


def _header(lines: Iterable[str]) -> list[str]:
    return [name.strip() for name in next(csv.reader(lines), [])]
