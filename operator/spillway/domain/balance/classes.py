"""Load classes: whether the pods of a workload use much CPU for their memory, by measurements over days.

Contract: no clock of its own. The measure is the ratio of cores to GiB in use; what counts is its 95th percentile in a
histogram whose buckets grow by a factor of 2^(1/4). A sample weighs as many seconds as it stands for, and half as much
after each `HALF_LIFE_SECONDS`, as in the recommender of the VerticalPodAutoscaler. A workload has no class until it has
been measured for long enough, and its class changes only when the percentile has passed the limit by `HYSTERESIS`, so
that a workload near the limit does not change back and forth.
"""

import math
from collections import Counter
from collections.abc import Collection
from enum import StrEnum
from typing import Final, Self

import msgspec

from spillway.domain.model.additions import Addition
from spillway.domain.model.documents import Json
from spillway.domain.model.names import LOAD_CLASS

HALF_LIFE_SECONDS: Final = 24 * 3600.0
PERCENTILE: Final = 0.95
HYSTERESIS: Final = 1.25
LONGEST_SAMPLE_SECONDS: Final = 300.0
"""A sample stands for no more time, so that a gap does not count as measured."""
ANTI_AFFINITY_WEIGHT: Final = 10
"""Of the preference that pods of one class are apart: less than that of most preferences of a user's own."""
_STEPS: Final = 4
"""Buckets for each doubling of the ratio."""
_MOST: Final = 10 * _STEPS
"""The last bucket, for 1024 cores a GiB; the first is for one 1024th of a core."""
_NEGLIGIBLE: Final = 1e-3
_GIB: Final = 2**30


class LoadClass(StrEnum):
    """What the pods of a workload use much of."""

    CPU = "cpu-bound"
    MEMORY = "memory-bound"


class ClassHistory(msgspec.Struct, omit_defaults=True):
    """What is remembered of one workload."""

    at: float = 0.0
    """Unix seconds of the last sample."""
    measured: float = 0.0
    """Seconds that the samples stand for, in all."""
    weights: dict[int, float] = {}
    """The weight of each bucket at the last sample."""
    load_class: LoadClass | None = None

    @property
    def percentile(self) -> float | None:
        """The 95th percentile of cores for each GiB; None without a sample."""
        left = PERCENTILE * sum(self.weights.values())
        for bucket in sorted(self.weights):
            left -= self.weights[bucket]
            if left <= 1e-9:
                return float(2 ** (bucket / _STEPS))
        return None

    def add(self, cpu_millis: float, memory_bytes: float, now: float) -> None:
        """Add what its pods use now; use that is no number, or no memory, says nothing."""
        if not (math.isfinite(cpu_millis) and math.isfinite(memory_bytes) and cpu_millis >= 0 and memory_bytes > 0):
            return
        elapsed = now - self.at if self.at else 0.0
        self.at = now
        if elapsed <= 0:
            return
        seconds = min(elapsed, LONGEST_SAMPLE_SECONDS)
        kept = 0.5 ** (elapsed / HALF_LIFE_SECONDS)
        weights = {one: left for one, weight in self.weights.items() if (left := weight * kept) > _NEGLIGIBLE}
        bucket = _bucket((cpu_millis / 1000) / (memory_bytes / _GIB))
        weights[bucket] = weights.get(bucket, 0.0) + seconds
        self.weights = {one: round(weight, 3) for one, weight in weights.items()}
        self.measured += seconds

    def judge(self, cpu_ratio: float, least_seconds: float) -> bool:
        """Decide on the class; whether it has changed. `cpu_ratio` is the limit, in cores for each GiB."""
        found, before = self.percentile, self.load_class
        if found is None or self.measured < least_seconds:
            return False
        if before is None:
            self.load_class = LoadClass.CPU if found > cpu_ratio else LoadClass.MEMORY
        elif before is LoadClass.CPU and found < cpu_ratio / HYSTERESIS:
            self.load_class = LoadClass.MEMORY
        elif before is LoadClass.MEMORY and found > cpu_ratio * HYSTERESIS:
            self.load_class = LoadClass.CPU
        return self.load_class is not before


class ClassHistories(msgspec.Struct):
    """What is remembered of all workloads."""

    workloads: dict[str, ClassHistory] = {}
    """By key, Kind/namespace/name."""

    def keep(self, workloads: Collection[str]) -> None:
        """Forget all workloads but these, and those of which there is no sample."""
        self.workloads = {name: one for name, one in self.workloads.items() if name in workloads and one.at}

    def fewer(self, most: int) -> Self:
        """So many workloads of these: those of the namespaces with the most go first, the least measured before others.

        Whoever has many workloads in a namespace takes no place from those of the other namespaces.
        """
        taken: Counter[str] = Counter()
        ranks: dict[str, int] = {}
        for key, _ in sorted(self.workloads.items(), key=lambda item: (-item[1].measured, item[0])):
            namespace = key.split("/")[1]
            ranks[key] = taken[namespace]
            taken[namespace] += 1
        return type(self)({key: self.workloads[key] for key in sorted(ranks, key=lambda key: ranks[key])[:most]})


def class_of_pod(pod: Json, found: LoadClass | None) -> str | None:
    """The class that counts for a new pod: the label of its template, or what was found of its workload."""
    labels = (pod.get("metadata") or {}).get("labels") or {}
    return labels.get(LOAD_CLASS) or (None if found is None else found.value)


def label_additions(pod: Json, load_class: str) -> tuple[Addition, ...]:
    """Give a pod the label of its class; one that has such a label keeps it."""
    labels = (pod.get("metadata") or {}).get("labels")
    if not labels:
        return (Addition(("metadata", "labels"), {LOAD_CLASS: load_class}),)
    return () if LOAD_CLASS in labels else (Addition(("metadata", "labels", LOAD_CLASS), load_class),)


def anti_affinity_term(load_class: str) -> Json:
    """The preferred term that keeps pods of a class, of whatever namespace, on different nodes."""
    return {
        "weight": ANTI_AFFINITY_WEIGHT,
        "podAffinityTerm": {
            "labelSelector": {"matchLabels": {LOAD_CLASS: load_class}},
            "namespaceSelector": {},
            "topologyKey": "kubernetes.io/hostname",
        },
    }


def _bucket(ratio: float) -> int:
    return -_MOST if ratio <= 0 else max(-_MOST, min(round(math.log2(ratio) * _STEPS), _MOST))
