"""The check whether the API server calls the webhook for pods where it has to, and gets an answer in time.

Contract: pure. A pod is created in a dry run, which stores nothing and which the webhook answers without an effect. An
answer shows in the pod as the mark of a placement. The webhook's failurePolicy is Ignore, so without an answer the pod
is created all the same, and nothing else would tell.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.documents import Json
from spillway.domain.model.names import CLASS, PLACEMENT
from spillway.domain.model.records import NamespaceRecord
from spillway.domain.model.selectors import Selector
from spillway.domain.model.wording import first_names
from spillway.domain.overview.attention import Severity
from spillway.domain.policies.governance import Governance

PROBES: Final = 3
NAMED: Final = 10
"""How many namespaces a message names."""
WEBHOOK: Final = "pods.spillway.dev"
_KIND: Final = "SpillwayProbe"
"""Of an owner that does not exist, and of a kind that the operator does not look up."""


class Probe(NamedTuple):
    """Where a pod is created, and of which class."""

    namespace: str
    policy: str
    workload_class: str


def calls_for(webhook: Json | None) -> Callable[[NamespaceRecord], bool]:
    """Whether the API server calls this webhook for objects of a namespace; for every one if it is not known."""
    selector = Selector.of_json((webhook or {}).get("namespaceSelector") or {})
    return lambda namespace: selector.matches(namespace.labels)


def probe_in(governance: Governance, namespaces: Iterable[NamespaceRecord]) -> Probe | None:
    """A namespace and a class whose pods the webhook marks; None if no policy in Enforce places pods."""
    for namespace in sorted(namespaces, key=lambda one: one.name):
        for policy in governance.policies.values():
            for one in policy.spec.workloads:
                claim = governance.claim(namespace, _KIND, {CLASS: one.name})
                if claim is not None and claim.enforced and governance.placing_class(claim) is not None:
                    return Probe(namespace.name, claim.policy, claim.workload_class)
    return None


def check_excluded(namespaces: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """Findings about policies in Enforce with workloads in `namespaces` for which the webhook is not called."""
    for policy, names in namespaces.items():
        yield Finding(
            Severity.INFO,
            Check.WEBHOOKS,
            f"ElasticPolicy/{policy}",
            f"it governs workloads in namespaces for which the API server does not call the webhooks: "
            f"{first_names(sorted(names), most=NAMED)}; their new pods are not placed, and their scale-downs are not "
            "exact",
            "Nothing, if that is intended. Otherwise remove these namespaces from webhook.excludedNamespaces in the "
            "chart's values, or from what the policy matches.",
        )


def probe_pod(workload_class: str | None = None) -> dict[str, Any]:
    """The pod, of a class if one is given; it meets the restricted pod security standard."""
    owner = {"apiVersion": "spillway.dev/v1alpha1", "kind": _KIND, "name": "probe", "uid": "probe", "controller": True}
    container = {
        "name": "probe",
        "image": "registry.invalid/probe:1",
        "resources": {name: {"cpu": "1m", "memory": "1Mi"} for name in ("requests", "limits")},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "metadata": {
            "generateName": "spillway-probe-",
            "labels": {} if workload_class is None else {CLASS: workload_class},
            "ownerReferences": [owner],
        },
        "spec": {
            "containers": [container],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }


def check_answers(probe: Probe, pods: Sequence[Json]) -> Iterator[Finding]:
    """A finding where some of these pods came back without an answer."""
    answered = sum(PLACEMENT in ((pod.get("metadata") or {}).get("annotations") or {}) for pod in pods)
    if answered == len(pods):
        return
    none = answered == 0
    yield Finding(
        Severity.ERROR if none else Severity.WARNING,
        Check.WEBHOOKS,
        WEBHOOK,
        f"{'none' if none else f'only {answered}'} of {len(pods)} pods that were created in a dry run in namespace "
        f"{probe.namespace} (policy {probe.policy}, class {probe.workload_class}) got an answer of the webhook in time",
        "See the runbooks SpillwayWebhookFailing and SpillwayAdmissionLetGo: the API server cannot reach the webhook, "
        "does not trust it, does not call it for this namespace, or does not wait long enough.",
    )
