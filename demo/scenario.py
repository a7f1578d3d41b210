"""The day: how much load each workload has at each hour. Pure and seeded; nothing here knows a cluster.

Contract: the same seed gives the same day on every machine. Times of day are hours in [0, 24); load is in CPU cores. A
day begins and ends in the valley of the night, so that what a contender keeps through the valley is seen twice.
"""

import math
import random
from dataclasses import dataclass

REQUEST_MILLIS = 950
"""CPU request of every replica: eight fit on an elastic node of 8 cores, which keeps 100m for itself."""

TARGET_UTILIZATION = 60
"""Of the request, in percent: what every HPA aims at."""

HOURS = 24.0
DAY_BEGINS_AT = 4.0
"""Hour of the day at which a run begins: the depth of the valley."""

CORES_PER_REPLICA = REQUEST_MILLIS / 1000 * TARGET_UTILIZATION / 100


@dataclass(frozen=True, slots=True)
class Peak:
    """One rise of load: a bell around `hour`, `width_hours` wide (its standard deviation), `cores` high."""

    hour: float
    width_hours: float
    cores: float

    def at(self, hour: float) -> float:
        """The cores that this peak adds at that hour; the day is a circle."""
        distance = abs(hour - self.hour) % HOURS
        distance = min(distance, HOURS - distance)
        return self.cores * math.exp(-0.5 * (distance / self.width_hours) ** 2)


@dataclass(frozen=True, slots=True)
class Workload:
    """One service: a Deployment with an HPA."""

    name: str
    base_cores: float
    peaks: tuple[Peak, ...]
    ripple: tuple[float, float]
    """Relative height and phase (in hours) of an hourly unrest, so that the HPA has to turn back now and then."""
    overflow: bool
    """Whether its manifest tolerates virtual nodes."""
    min_replicas: int
    max_replicas: int

    def load(self, hour: float) -> float:
        """The load in cores at that hour of the day."""
        height, phase = self.ripple
        smooth = self.base_cores + sum(peak.at(hour) for peak in self.peaks)
        return smooth * (1 + height * math.sin(2 * math.pi * (hour + phase) / 1.5))


@dataclass(frozen=True, slots=True)
class Day:
    """A whole day, played in `seconds`."""

    seed: int
    seconds: float
    workloads: tuple[Workload, ...]

    @property
    def seconds_per_hour(self) -> float:
        return self.seconds / HOURS

    def hour_at(self, elapsed_seconds: float) -> float:
        """The hour of the day after that many seconds of the run."""
        return (DAY_BEGINS_AT + elapsed_seconds / self.seconds_per_hour) % HOURS

    def total_load(self, hour: float) -> float:
        """The load of all workloads, in cores."""
        return sum(workload.load(hour) for workload in self.workloads)

    def ideal_replicas(self, hour: float) -> int:
        """The replicas that all HPAs would ask for if they saw the load at once."""
        return sum(desired_replicas(workload, workload.load(hour)) for workload in self.workloads)


def desired_replicas(workload: Workload, cores: float) -> int:
    """What an HPA asks for at that load."""
    wanted = math.ceil(cores / CORES_PER_REPLICA - 1e-9)
    return min(max(wanted, workload.min_replicas), workload.max_replicas)


def plan_day(*, seed: int = 1, workloads: int = 20, seconds: float = 420.0) -> Day:
    """The day of that seed: a small peak in the forenoon, a large one in the evening; phases and sizes differ.

    Every third workload may overflow to virtual nodes.
    """
    chance = random.Random(seed)
    made = []
    for index in range(workloads):
        size = math.exp(chance.gauss(0.0, 0.35))
        base = chance.uniform(0.9, 1.6) * size
        morning = Peak(10.0 + chance.uniform(-1.8, 1.8), chance.uniform(0.9, 1.6), chance.uniform(1.5, 3.0) * size)
        evening = Peak(19.5 + chance.uniform(-2.0, 2.0), chance.uniform(1.2, 2.0), chance.uniform(3.0, 5.5) * size)
        made.append(
            Workload(
                name=f"svc-{index:02d}",
                base_cores=base,
                peaks=(morning, evening),
                ripple=(chance.uniform(0.0, 0.06), chance.uniform(0.0, 1.5)),
                overflow=index % 3 == 2,
                min_replicas=2,
                max_replicas=40,
            )
        )
    return Day(seed=seed, seconds=seconds, workloads=tuple(made))
