"""The scenario of a replay: workloads with two peaks a day, nodes in three zones, and occasional rollouts.

Contract: everything follows from the seed. The sizes are those of a medium cluster of online services: a peak of some
800 pods, nodes that hold about 20, load that falls to a fifth or less at night.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spillway.domain.model.units import HOUR_SECONDS

STEP_SECONDS: Final = 15
"""The sync period of the HPA in seconds: the length of a step, unless a scenario has a longer one."""
EPOCH: Final = 1_000_000.0
"""The Unix time at which a made scenario begins; an arbitrary value."""
STEPS_A_DAY: Final = 24 * HOUR_SECONDS // STEP_SECONDS
ZONES: Final = ("z-a", "z-b", "z-c")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SimulatedWorkload:
    """One Deployment with an HPA."""

    name: str
    cpu: float
    """Request of one replica, in cores."""
    memory: float
    """Request of one replica, in GiB."""
    min_replicas: int
    max_replicas: int
    hard_zone_spread: bool
    """Whether its template forbids a zone skew above 1 (DoNotSchedule); else Kubernetes' default soft spread holds."""
    startup_steps: int
    """Steps from bound to ready."""
    rollouts: tuple[int, ...]
    """Steps at which a new revision is rolled out."""
    schedule_only: bool = False
    """Whether a recommended number of replicas is exact and its HPA does not count."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A cluster, and the load of its days."""

    workloads: tuple[SimulatedWorkload, ...]
    demand: Floats
    """By workload and step: load, in replicas that would be exactly at HPA's target."""
    node_cpu: float
    node_memory: float
    fixed_nodes: int
    elastic_max: int
    virtual_pool_pods: tuple[int, ...]
    """Capacity of each virtual pool, the cheapest first; the last one takes the rest."""
    seed: int
    step_seconds: int = STEP_SECONDS
    node_startup_seconds: float = 90.0
    """The time from the order of an elastic node until pods start on it."""
    start: float = EPOCH
    """The Unix time of the first step."""

    @property
    def steps(self) -> int:
        return int(self.demand.shape[1])

    def steps_in(self, seconds: float) -> int:
        """A time in whole steps, to the nearest one."""
        return math.floor(seconds / self.step_seconds + 0.5)

    def time_of(self, step: int) -> float:
        """The Unix time of a step."""
        return self.start + step * self.step_seconds


def two_peak_days(
    seed: int,
    *,
    days: int = 3,
    workloads: int = 60,
    fixed_share: float = 0.60,
    elastic_share: float = 0.35,
    node_cpu: float = 15.5,
    node_memory: float = 60.0,
    typical_peak: float = 28,
) -> Scenario:
    """Make `days` of load for as many workloads; fixed and elastic nodes hold these shares of the cluster's peak."""
    random = np.random.default_rng(seed)
    steps = days * STEPS_A_DAY
    made = [_workload(index, days, typical_peak, random) for index in range(workloads)]
    peaks = np.array([w.max_replicas / 1.25 for w in made])
    demand = np.stack([_load(peak, days, random) for peak in peaks])
    cpu = np.array([w.cpu for w in made])
    at_peak = float(np.max((np.ceil(demand) * cpu[:, None]).sum(axis=0)))
    zones = len(ZONES)
    return Scenario(
        workloads=tuple(made),
        demand=demand[:, :steps],
        node_cpu=node_cpu,
        node_memory=node_memory,
        fixed_nodes=max(zones, round(at_peak * fixed_share / node_cpu / zones) * zones),
        elastic_max=max(zones, round(at_peak * elastic_share / node_cpu / zones) * zones),
        virtual_pool_pods=(30, 10_000),
        seed=seed,
    )


def _workload(index: int, days: int, typical_peak: float, random: np.random.Generator) -> SimulatedWorkload:
    peak = float(np.clip(random.lognormal(np.log(typical_peak), 0.6), 5, 120))
    cpu = float(random.choice([0.5, 0.75, 1.0, 1.5], p=[0.4, 0.3, 0.2, 0.1]))
    # About one rollout every other day, in working hours (9 to 19).
    hours = [day * 24 + random.uniform(9, 19) for day in range(days) if random.random() < 0.5]
    return SimulatedWorkload(
        name=f"service-{index:02}",
        cpu=cpu,
        memory=cpu * float(random.choice([2.0, 3.0, 4.0])),
        min_replicas=max(2, round(peak * 0.1)),
        max_replicas=round(peak * 1.25),
        hard_zone_spread=bool(random.random() < 0.5),
        startup_steps=int(random.integers(2, 7)),
        rollouts=tuple(int(hour * HOUR_SECONDS / STEP_SECONDS) for hour in hours),
    )


def _load(peak: float, days: int, random: np.random.Generator) -> Floats:
    """A day of two peaks, repeated with differences from day to day, under noise that lasts some minutes."""
    hours = np.arange(days * STEPS_A_DAY) * STEP_SECONDS / HOUR_SECONDS
    kind = random.random()
    noon, evening = random.normal(11.0, 1.2), random.normal(20.0, 1.2)
    noon_height = random.uniform(0.4, 0.9)
    width = random.uniform(1.2, 2.4)
    valley = random.uniform(0.08, 0.2)
    of_day = hours % 24
    shape = np.full_like(hours, 0.6)
    if kind >= 0.15:  # the rest is load that does not depend on the hour
        shape = valley + (1 - valley) * np.maximum(
            noon_height * np.exp(-(((of_day - noon) / width) ** 2) / 2),
            np.exp(-(((of_day - evening) / width) ** 2) / 2),
        )
    if 0.15 <= kind < 0.25:  # spikes on the hour and the half hour
        shape += 0.15 * ((of_day * 60) % 30 < 3)
    shape *= np.repeat(random.normal(1.0, 0.08, days), STEPS_A_DAY)
    return np.maximum(shape * (1 + _noise(len(hours), random)), 0.02) * peak


def _noise(length: int, random: np.random.Generator) -> Floats:
    """Noise of 4 % whose memory is some five minutes, as from an AR(1) process."""
    memory = 0.95
    shocks = random.normal(0.0, 0.04 * np.sqrt(1 - memory**2), length)
    kernel = memory ** np.arange(200)
    return np.convolve(shocks, kernel)[:length]
