"""The check of HorizontalPodAutoscalers of workloads whose pods are moved by surge.

Contract: pure; an autoscaler is the JSON of the API server. Without `spec.behavior` Kubernetes sets the highest number
of replicas that it has computed in the last five minutes, even above the present one. So it keeps the additional
replica of each surge for these minutes. With `spec.behavior`, an empty one too, it does not.
"""

from collections.abc import Collection, Iterable, Iterator

from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.documents import Json
from spillway.domain.model.wording import first_names
from spillway.domain.overview.attention import Severity


def check_stabilization(autoscalers: Iterable[Json], moved: Collection[str]) -> Iterator[Finding]:
    """A finding about the autoscalers of these workloads (Kind/namespace/name) that have no `spec.behavior`."""
    found = sorted(
        f"{one['metadata']['namespace']}/{one['metadata']['name']}"
        for one in autoscalers
        if _target(one) in moved and one["spec"].get("behavior") is None
    )
    if not found:
        return
    yield Finding(
        Severity.WARNING,
        Check.AUTOSCALER,
        f"HorizontalPodAutoscaler/{found[0]}",
        "without spec.behavior, Kubernetes keeps the additional replica of each move for five minutes: "
        f"{first_names(found)}",
        "Set spec.behavior: {} in these HorizontalPodAutoscalers; the defaults of Kubernetes stay the same.",
    )


def _target(autoscaler: Json) -> str:
    target = autoscaler["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{autoscaler['metadata']['namespace']}/{target['name']}"
