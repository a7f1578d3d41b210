"""Metrics of headroom: the placeholder pods that each policy wants in each zone, and those that have a node.

Contract: set by the leader and replaced as a whole. In mode Recommend only what is wanted is exported.
"""

from collections.abc import Mapping
from typing import Final

from spillway.telemetry.registry import counter, gauge

_POLICY_AND_ZONE: Final = ("policy", "zone")

WANTED: Final = gauge(
    "spillway_headroom_pods",
    "Placeholder pods that a policy needs in a zone. The label zone is empty for headroom that is not bound to a zone. "
    "Leader only.",
    _POLICY_AND_ZONE,
)
READY: Final = gauge(
    "spillway_headroom_ready_pods",
    "Placeholder pods of spillway_headroom_pods that have a node, or with a CapacityBuffer, that the free room of "
    "ready elastic nodes holds. Leader only.",
    _POLICY_AND_ZONE,
)
FORECAST: Final = gauge(
    "spillway_headroom_forecast_pods",
    "Placeholder pods that the forecast alone would need, before the bounds of the policy. Leader only.",
    ("policy",),
)
MOVED: Final = counter(
    "spillway_headroom_nodes_emptied",
    "Nodes whose placeholder pods were deleted, so that a node autoscaler can remove the nodes.",
    ("policy",),
)


def set_headroom(
    wanted: Mapping[tuple[str, str], int], ready: Mapping[tuple[str, str], int], forecast: Mapping[str, int]
) -> None:
    """Replace the values, by policy and zone."""
    for metric, values in ((WANTED, wanted), (READY, ready)):
        metric.clear()
        for labels, pods in values.items():
            metric.labels(*labels).set(pods)
    FORECAST.clear()
    for policy, pods in forecast.items():
        FORECAST.labels(policy).set(pods)
