"""The saving of thresholds per hour, compared with owning for the peak and with owning for the lowest demand only.

Contract: an average hour of the cycle. *All owned*: owned cores for the highest real load. *All virtual*: owned cores
for what each workload needs at every step, and virtual nodes for the rest. *Planned*: the owned cores
that there are, and virtual nodes for what exceeds the thresholds. Prices as in `nodes_worth_owning`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spillway.domain.threshold.billing import Billing, billed
from spillway.domain.threshold.demand import Demand


@dataclass(frozen=True, slots=True)
class HourlyCost:
    """The cost of an average hour, in the currency of the prices."""

    planned: float
    all_owned: float
    all_virtual: float

    @property
    def saved_against_owned(self) -> float:
        """Negative where owning for the peak would be cheaper."""
        return self.all_owned - self.planned

    @property
    def saved_against_virtual(self) -> float:
        """Negative where owning no more than the valley would be cheaper."""
        return self.all_virtual - self.planned


def hourly_cost(
    demands: Sequence[Demand],
    thresholds: Mapping[str, int],
    *,
    owned_price: float,
    virtual_price: float,
    target_utilization: float,
    billing: Billing,
    owned_cores: float | None = None,
) -> HourlyCost:
    """The cost of these demands; `thresholds` by workload; a workload without one is entirely on owned nodes.

    `owned_cores` are paid for whether in use or not; None: just as many as the thresholds need. For one workload,
    hand it over alone and leave `owned_cores` out.
    """
    if not demands:
        return HourlyCost(owned_price * (owned_cores or 0.0), 0.0, 0.0)
    tabled = billed(demands, billing)
    kept = [thresholds.get(one.workload, one.peak) for one in demands]
    valleys = [int(one.whole_replicas().min()) for one in demands]

    def cores_for(counts: Sequence[int]) -> float:
        load = np.sum([one.owned_load(count) for one, count in zip(demands, counts, strict=True)], axis=0)
        return float(load.max()) / target_utilization

    def rented(counts: Sequence[int]) -> float:
        return virtual_price * sum(one.at(count) for one, count in zip(tabled, counts, strict=True))

    paid_cores = cores_for(kept) if owned_cores is None else owned_cores
    return HourlyCost(
        planned=owned_price * paid_cores + rented(kept),
        all_owned=owned_price * cores_for([one.peak for one in demands]),
        all_virtual=owned_price * cores_for(valleys) + rented(valleys),
    )
