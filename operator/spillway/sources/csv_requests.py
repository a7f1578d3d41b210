"""The requests of workloads from a CSV file: `workload,cpu,memory`.

Contract: amounts are Kubernetes quantities, for example 500m and 2Gi; an empty memory is 0. The file is read by the
rules of `csv_rules`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from spillway.api.quantity import cpu_millis, memory_bytes
from spillway.domain.model.units import GIB
from spillway.sources.csv_rules import CsvError, read_file, rows

COLUMNS: Final = ("workload", "cpu", "memory")


def csv_requests(path: Path) -> Mapping[str, tuple[float, float]]:
    """Cores and GiB of a replica, by workload.

    Raises:
        CsvError: it cannot be read, or is not valid.
    """
    return read_file(path, requests_of)


def requests_of(lines: Iterable[str]) -> Mapping[str, tuple[float, float]]:
    """Cores and GiB of a replica, by workload.

    Raises:
        CsvError: a column is missing, a workload occurs twice, or a line has no such amount.
    """
    found: dict[str, tuple[float, float]] = {}
    for line, (workload, cpu, memory) in rows(lines, COLUMNS):
        if not workload or workload in found:
            problem = "occurs twice" if workload else "is empty, write for example Deployment/shop/cart"
            raise CsvError(f"line {line}, column workload: {workload or 'it'} {problem}")
        try:
            cores = cpu_millis(cpu) / 1000
        except ValueError as error:
            raise CsvError(f"line {line}, column cpu: {error}") from error
        if cores <= 0:
            raise CsvError(f"line {line}, column cpu: must be above 0, for example 500m")
        try:
            gib = memory_bytes(memory or "0") / GIB
        except ValueError as error:
            raise CsvError(f"line {line}, column memory: {error}") from error
        found[workload] = (cores, gib)
    return found
