"""Metrics of the moves of chosen pods by surge. Only the leader sets them."""

from typing import Final

from spillway.telemetry.registry import counter, gauge

SURGES: Final = counter(
    "spillway_surges",
    "Surges for the move of a pod that ended, by purpose (Rebalance, Consolidate) and outcome: Succeeded, or why not "
    "(NoRoom, NotReady, NoGain, Refused, Overtaken, Withdrawn, Forgotten).",
    ("purpose", "outcome"),
)
RUNNING: Final = gauge(
    "spillway_surges_running",
    "Workloads that run an additional replica so that a pod can move, by purpose. Leader only.",
    ("purpose",),
)
