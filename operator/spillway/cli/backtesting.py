"""The work behind `spillway backtest`: reads the history of demand and makes a case of it.

Contract: a workload has no demand before its first value, and none after its last one if that is more than an hour
before the end.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import structs

from spillway.domain.forecast.grid import on_grid
from spillway.domain.forecast.spec import DAY_STEPS, HOUR_STEPS, STEP_SECONDS, Floats
from spillway.domain.threshold.history import History
from spillway.simulate.backtest.bounds import nodes_for_the_peak
from spillway.simulate.backtest.case import Case, CaseError, Service, Setup
from spillway.sources.api_client import ApiClient
from spillway.sources.connection import Connection
from spillway.sources.csv_requests import csv_requests
from spillway.sources.demand_folder import REQUESTS, demand_folder
from spillway.sources.prometheus import Prometheus
from spillway.sources.prometheus_replicas import HistoryRequest, histories
from spillway.sources.prometheus_workloads import known_workloads

MOST_DAYS: Final = 100
_ROOM_FOR_ELASTIC: Final = 1.25
"""Elastic nodes over what the peak needs beyond the owned ones, where their number is not given: nodes are not full."""

Requests = Mapping[str, tuple[float, float]]
"""Cores and GiB of a replica, by workload."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The requests of replicas: those of a file, and for all other workloads those of the flags."""

    known: Requests
    cores: float | None
    gib: float

    def of(self, workload: str) -> Service:
        """The service of this name.

        Raises:
            CaseError: its requests are not given.
        """
        if workload in self.known:
            return Service(workload, *self.known[workload])
        if self.cores is None:
            raise CaseError(
                f"the requests of {workload} are not known: give --cpu (and --memory) for all workloads, or a file "
                f"{REQUESTS} with the columns workload,cpu,memory"
            )
        return Service(workload, self.cores, self.gib)


def case_of_folder(folder: Path, setup: Setup, sizes: Sizes, *, per_replica: float, unlimited: bool) -> Case:
    """The case of the histories in a folder.

    Raises:
        CsvError: a file is not valid.
        CaseError: there is too little demand, or a request is missing.
    """
    found = demand_folder(folder, per_replica=per_replica, now=time.time())
    known = replace(sizes, known={**found.requests, **sizes.known})
    return _case(f"Demand from {folder.resolve().name}", found.histories, setup, known, unlimited=unlimited)


async def case_of_prometheus(
    connection: Connection, setup: Setup, sizes: Sizes, *, seconds: float, unlimited: bool
) -> Case:
    """The case of all workloads that a Prometheus knows.

    Raises:
        PrometheusError: Prometheus does not answer.
        CaseError: there is too little demand, or a request is missing.
    """
    now, found = time.time(), list[History]()
    async with ApiClient(connection) as client:
        names = await known_workloads(client, now)
    async with Prometheus(connection) as prometheus:
        wanted = [HistoryRequest(name, seconds) for name in names]
        async for batch in histories(prometheus, wanted, now=now):
            found += [one for one in batch if one.times.size]
    return _case("Demand from Prometheus", found, setup, sizes, unlimited=unlimited)


def requests_from(path: Path | None) -> Requests:
    """The requests in a file, if one is given.

    Raises:
        CsvError: it is not valid.
    """
    return {} if path is None else csv_requests(path)


def _case(title: str, found: Sequence[History], setup: Setup, sizes: Sizes, *, unlimited: bool) -> Case:
    ordered = sorted((one for one in found if one.times.size), key=lambda one: one.workload)
    start, demand = _joined(ordered)
    case = Case(title, setup, tuple(sizes.of(one.workload) for one in ordered), start, demand)
    if not unlimited:
        return case
    beyond = max(0, nodes_for_the_peak(case) - setup.nodes)
    return replace(case, setup=structs.replace(setup, elastic_nodes=math.ceil(beyond * _ROOM_FOR_ELASTIC)))


def _joined(ordered: Sequence[History]) -> tuple[float, Floats]:
    """The start of all histories together, and their demand by workload and step."""
    grids = [on_grid(one.times, one.replicas) for one in ordered]
    start = min((begin for begin, _ in grids), default=0.0)
    offsets = [int((begin - start) // STEP_SECONDS) for begin, _ in grids]
    steps = max((offset + grid.size for offset, (_, grid) in zip(offsets, grids, strict=True)), default=0)
    if steps > MOST_DAYS * DAY_STEPS:
        raise CaseError(
            f"the histories cover {steps / DAY_STEPS:.0f} days from the first value to the last; a backtest takes at "
            f"most {MOST_DAYS}"
        )
    demand = np.full((len(ordered), steps), np.nan)
    for row, offset, (_, grid) in zip(demand, offsets, grids, strict=True):
        row[offset : offset + grid.size] = grid
        if steps - offset - grid.size > HOUR_STEPS:
            row[offset + grid.size :] = 0.0
    return start, demand
