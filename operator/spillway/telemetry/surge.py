"""Metrics of the moves of chosen pods by surge. Only the leader sets them."""

from typing import Final

from spillway.telemetry.registry import counter, gauge

SURGES: Final = counter(
    "spillway_surges",
    "Surges to move a pod that ended, by purpose (Rebalance or Consolidate) and outcome: Succeeded, or the reason why "
    "not: NoRoom, NotReady, NoGain, Refused, Overtaken, NotDeleted, Withdrawn or Forgotten.",
    ("purpose", "outcome"),
)
RUNNING: Final = gauge(
    "spillway_surges_running",
    "Workloads that now run an additional replica, so that a pod can be moved, by purpose. Leader only.",
    ("purpose",),
)
