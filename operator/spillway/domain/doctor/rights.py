"""The rights that the operator cannot do without, and the finding about those that its ServiceAccount lacks.

Contract: pure. Rights for features that are off by default are not listed; a unit test compares the list with the
chart's roles, which grant them, in both directions.
"""

from collections.abc import Iterable, Iterator, Sequence
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
    name: str = ""
    """Only on the object of this name; empty: on every object."""

    def __str__(self) -> str:
        kind = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        of_group = f".{self.group}" if self.group else ""
        return f"{self.verb} {kind}{of_group}{f' {self.name}' if self.name else ''}"


def _each(
    group: str, resource: str, verbs: str, subresource: str = "", *, own_namespace: bool = False, name: str = ""
) -> tuple[Right, ...]:
    return tuple(Right(group, resource, verb, subresource, own_namespace, name) for verb in verbs.split())


_ALWAYS: Final = (
    *_each("", "pods", "get list watch patch delete"),
    *_each("", "pods", "create", "eviction"),
    *_each("", "nodes", "get list watch patch"),
    *_each("", "namespaces", "get list watch"),
    *_each("", "replicationcontrollers", "get list watch patch"),
    *_each("", "replicationcontrollers", "get patch", "scale"),
    *_each("", "resourcequotas", "list"),
    *_each("apps", "replicasets", "get list watch patch"),
    *_each("apps", "replicasets", "get patch", "scale"),
    *_each("apps", "statefulsets", "get list watch"),
    *_each("apps", "deployments", "get"),
    *_each("apps", "deployments", "get patch", "scale"),
    *_each("autoscaling", "horizontalpodautoscalers", "list"),
    *_each("events.k8s.io", "events", "create patch"),
    *_each("spillway.dev", "elasticpolicies", "get list watch"),
    *_each("spillway.dev", "virtualnodebudgets", "get list watch"),
    *_each("spillway.dev", "zonalbalances", "get list watch"),
    *_each("spillway.dev", "elasticpolicies", "patch", "status"),
    *_each("spillway.dev", "virtualnodebudgets", "patch", "status"),
    *_each("spillway.dev", "zonalbalances", "patch", "status"),
    *_each("apiextensions.k8s.io", "customresourcedefinitions", "list watch"),
    *_each("authentication.k8s.io", "tokenreviews", "create"),
    *_each("authorization.k8s.io", "subjectaccessreviews", "create"),
    *_each("", "configmaps", "create", own_namespace=True),
    *_each("", "configmaps", "get patch delete", own_namespace=True, name="spillway-thresholds-0"),
    *_each("coordination.k8s.io", "leases", "create", own_namespace=True),
)


PATCH_PODS: Final = Right("", "pods", "patch")
_READS: Final = frozenset({"get", "list", "watch"})
_OWN_GROUPS: Final = frozenset({"spillway.dev", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io"})
"""Groups in which it writes only what is its own, or asks."""


def needed_rights(lease: str) -> tuple[Right, ...]:
    """What the operator does in every installation; `lease` is the name of the Lease of its leader."""
    return (*_ALWAYS, *_each("coordination.k8s.io", "leases", "get update patch", own_namespace=True, name=lease))


def rights_to_report(needed: Iterable[Right]) -> tuple[Right, ...]:
    """Those of these rights that an operator needs that only reports: it writes nothing but Spillway's own objects."""
    return tuple(
        one for one in needed if one.verb in _READS or one.own_namespace or one.name or one.group in _OWN_GROUPS
    )


def certificate_rights(secret: str, configurations: Iterable[tuple[str, str]]) -> tuple[Right, ...]:
    """What it needs to make its own certificate, and to make these webhook configurations trust it.

    Each configuration is the plural of its kind and its name. Without any, nothing is needed.
    """
    trusting = [
        right
        for plural, name in sorted(configurations)
        for right in _each("admissionregistration.k8s.io", plural, "get patch", name=name)
    ]
    if not trusting:
        return ()
    return (*_each("", "secrets", "get update patch", own_namespace=True, name=secret), *trusting)


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
