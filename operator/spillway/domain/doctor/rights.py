"""The rights that the operator cannot do without, and the finding about those that its ServiceAccount lacks.

Contract: pure. Rights for features that are off by default are not listed; a unit test compares the list with the
chart's roles, which grant them.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.overview.attention import Severity


class Right(NamedTuple):
    """One verb on one resource; `subresource` may be empty."""

    group: str
    resource: str
    verb: str
    subresource: str = ""
    own_namespace: bool = False
    """Only in the operator's namespace."""

    def __str__(self) -> str:
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {name}{f'.{self.group}' if self.group else ''}"


def _each(group: str, resource: str, verbs: str, subresource: str = "") -> tuple[Right, ...]:
    return tuple(Right(group, resource, verb, subresource) for verb in verbs.split())


RIGHTS: Final = (
    *_each("", "pods", "get list watch patch delete"),
    *_each("", "pods", "create", "eviction"),
    *_each("", "nodes", "get list watch patch"),
    *_each("", "namespaces", "get list watch"),
    *_each("", "replicationcontrollers", "get list watch patch"),
    *_each("", "events", "create patch"),
    *_each("apps", "replicasets", "get list watch patch"),
    *_each("apps", "statefulsets", "get list watch"),
    *_each("apps", "deployments", "get"),
    *_each("apps", "deployments", "get patch", "scale"),
    *_each("spillway.dev", "elasticpolicies", "get list watch"),
    *_each("spillway.dev", "virtualnodebudgets", "get list watch"),
    *_each("spillway.dev", "zonalbalances", "get list watch"),
    *_each("spillway.dev", "elasticpolicies", "patch", "status"),
    *_each("spillway.dev", "virtualnodebudgets", "patch", "status"),
    *_each("spillway.dev", "zonalbalances", "patch", "status"),
    Right("coordination.k8s.io", "leases", "create", own_namespace=True),
)
"""What the operator does in every installation."""


def missing_rights(account: str, missing: Sequence[Right]) -> Iterator[Finding]:
    """The finding about an account, namespace/name, that lacks these rights."""
    if missing:
        yield Finding(
            Severity.ERROR,
            Check.RIGHTS,
            f"ServiceAccount/{account}",
            f"it may not {', '.join(map(str, missing))}",
            "Upgrade the release of the chart, whose ClusterRole and Role grant this, and look for what changed them.",
        )
