"""The check of cluster-autoscaler: flags that keep elastic nodes from becoming empty, or empty ones from being removed.

Contract: pure; a Deployment is the JSON of the API server. A flag that is not given has its default
(`cluster-autoscaler/config/flags/flags.go`); one whose value is set elsewhere, such as `$(VARIABLE)`, is not judged.
Options that a provider or a node group sets for itself are in no Deployment and are not seen.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from spillway.domain.doctor.autoscaler import warning
from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.documents import Json
from spillway.domain.overview.attention import Severity

T = TypeVar("T")

NAME: Final = "cluster-autoscaler"
STATUS: Final = "cluster-autoscaler-status"
"""The ConfigMap in which it tells its state."""
NAMESPACE: Final = "kube-system"
"""Where it usually runs, and where the pods are for which it keeps nodes."""
SELECTORS: Final = (
    f"app={NAME}",
    f"k8s-app={NAME}",
    f"app.kubernetes.io/name in ({NAME}, aws-{NAME}, azure-{NAME}, clusterapi-{NAME}, gce-{NAME})",
)
"""The labels that the usual manifests and charts give its Deployment."""
SCALE_DOWN_DISABLED: Final = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
PLACEHOLDER_PRIORITY: Final = -10
_THRESHOLD: Final = "scale-down-utilization-threshold"
_UNNEEDED_SECONDS: Final = 600.0
_EMPTY_ONLY: Final = 0.05
"""Below this share of requests a node has hardly anything but pods of DaemonSets."""
_NAMED: Final = 3
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)", re.ASCII)
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_TRUTH: Final = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


@dataclass(frozen=True, slots=True)
class ElasticFacts:
    """What the cluster has that the flags matter for."""

    zones: int = 1
    """The zones of the elastic nodes."""
    kept: Mapping[str, str] | None = None
    """A pod of kube-system that no DaemonSet owns, by the elastic node that it is on."""
    used: Mapping[str, float] = field(default_factory=dict)
    """The share, from 0 to 1, that such pods of all namespaces request, by the elastic nodes that have any."""
    headroom: bool = False
    """Whether a policy has headroom, which placeholder pods may hold."""


def is_cluster_autoscaler(deployment: Json) -> bool:
    """Whether a Deployment runs it, by the image or the command of one of its containers."""
    return _container(deployment) is not None


def check_cluster_autoscaler(deployment: Json, nodes: ElasticFacts) -> Iterator[Finding]:
    """Findings about the flags of one cluster-autoscaler."""
    container = _container(deployment)
    if container is None:
        return
    metadata = deployment["metadata"]
    about, flags = f"Deployment/{metadata['namespace']}/{metadata['name']}", _flags(container)
    if _value(flags, "scale-down-enabled", _truth, default=True) is False:
        yield Finding(
            Severity.ERROR,
            Check.AUTOSCALER,
            about,
            "scale-down-enabled is false, so nodes that Spillway has emptied are never removed",
            "Set --scale-down-enabled=true, or leave it out.",
        )
        return
    threshold = _value(flags, _THRESHOLD, float, default=0.5)
    if threshold is not None:
        yield from _threshold(about, flags, threshold, nodes)
    unneeded = _value(flags, "scale-down-unneeded-time", _duration, default=_UNNEEDED_SECONDS)
    if unneeded is not None and unneeded > _UNNEEDED_SECONDS:
        yield warning(
            about,
            f"scale-down-unneeded-time is {flags['scale-down-unneeded-time']}, so an empty node is paid for that long",
            "Set --scale-down-unneeded-time to 10m, which is its default, or less.",
        )
    if nodes.kept:
        yield from _system_pods(about, flags, nodes.kept, drains=threshold is None or threshold > _EMPTY_ONLY)
    cutoff = _value(flags, "expendable-pods-priority-cutoff", int, default=PLACEHOLDER_PRIORITY)
    if nodes.headroom and cutoff is not None and cutoff > PLACEHOLDER_PRIORITY:
        yield warning(
            about,
            f"expendable-pods-priority-cutoff is {cutoff}, so placeholder pods, whose priority is "
            f"{PLACEHOLDER_PRIORITY}, add no nodes, and headroom cannot grow",
            f"Set --expendable-pods-priority-cutoff={PLACEHOLDER_PRIORITY}, which is its default, or lower.",
        )
    if nodes.zones > 1 and _value(flags, "balance-similar-node-groups", _truth, default=False) is False:
        yield Finding(
            Severity.INFO,
            Check.AUTOSCALER,
            about,
            f"balance-similar-node-groups is false, and elastic nodes are in {nodes.zones} zones: if each zone has a "
            "node group, all new nodes may come in one zone",
            "Set --balance-similar-node-groups=true if each zone has a node group of its own.",
        )


def _threshold(about: str, flags: Mapping[str, str], threshold: float, nodes: ElasticFacts) -> Iterator[Finding]:
    remedy = f"Set --{_THRESHOLD}=0.01 and --ignore-daemonsets-utilization=true: then only empty nodes are removed."
    if threshold <= 0:
        yield Finding(
            Severity.ERROR,
            Check.AUTOSCALER,
            about,
            f"{_THRESHOLD} is {flags[_THRESHOLD]}: an empty node is not below it, so most versions never remove one",
            remedy,
        )
        return
    if threshold > _EMPTY_ONLY:
        storage = _value(flags, "skip-nodes-with-local-storage", _truth, default=True)
        keeps = "; nodes that have pods with an emptyDir or hostPath volume stay (skip-nodes-with-local-storage)"
        yield warning(
            about,
            f"{_THRESHOLD} is {threshold:g}, so it drains nodes that have fewer requests than that, which evicts pods"
            + (keeps if storage else ""),
            f"{remedy} Scale-downs, and spec.consolidation of the ElasticPolicy, empty nodes without evictions.",
        )
        return
    if not _value(flags, "ignore-daemonsets-utilization", _truth, default=False):
        yield warning(
            about,
            f"{_THRESHOLD} is {threshold:g}, and the pods of DaemonSets count: where they request more, no empty node "
            "is removed",
            "Set --ignore-daemonsets-utilization=true.",
        )
    if hardly := sorted(name for name, share in nodes.used.items() if share < threshold):
        yield Finding(
            Severity.INFO,
            Check.AUTOSCALER,
            about,
            f"{_THRESHOLD} is {threshold:g}, and the pods on {len(hardly)} elastic nodes request less than that, so it "
            f"drains these nodes, which evicts the pods unless they forbid it: {', '.join(hardly[:_NAMED])}",
            'Give these pods requests, or the annotation cluster-autoscaler.kubernetes.io/safe-to-evict: "false".',
        )


def _system_pods(about: str, flags: Mapping[str, str], kept: Mapping[str, str], *, drains: bool) -> Iterator[Finding]:
    named = ", ".join(f"{pod} on {node}" for node, pod in sorted(kept.items())[:_NAMED])
    affinity = "Keep such pods off elastic nodes by a node affinity"
    if not drains:
        yield warning(
            about,
            f"{len(kept)} elastic nodes have pods of {NAMESPACE}, and it removes only nodes that are empty: {named}",
            f"{affinity}.",
        )
    elif _value(flags, "skip-nodes-with-system-pods", _truth, default=True):
        yield warning(
            about,
            f"skip-nodes-with-system-pods is true, and {len(kept)} elastic nodes have pods of {NAMESPACE} that may "
            f"keep them, unless a PodDisruptionBudget covers them or they carry safe-to-evict: {named}",
            f"{affinity}, or set --skip-nodes-with-system-pods=false.",
        )


def hidden() -> Finding:
    """The finding that it runs, but where its flags cannot be read: in a provider's control plane."""
    return Finding(
        Severity.INFO,
        Check.AUTOSCALER,
        f"ConfigMap/{NAMESPACE}/{STATUS}",
        f"not checked: cluster-autoscaler runs, but no Deployment of it was found in {NAMESPACE}, so its flags are "
        "unknown",
        "Compare the settings of your provider with those in the documentation of this check.",
    )


def _container(deployment: Json) -> Mapping[str, Any] | None:
    spec = ((deployment.get("spec") or {}).get("template") or {}).get("spec") or {}
    for container in spec.get("containers") or ():
        image = str(container.get("image") or "").rpartition("/")[2].partition("@")[0].partition(":")[0]
        command = next(iter(_words(container)), "").rpartition("/")[2]
        if NAME in (image, command) or image.startswith(f"{NAME}-"):
            found: Mapping[str, Any] = container
            return found
    return None


def _words(container: Mapping[str, Any]) -> Iterator[str]:
    """The words of the command and its arguments, also where a shell runs them."""
    for part in (*(container.get("command") or ()), *(container.get("args") or ())):
        try:
            words = shlex.split(str(part)) if " " in str(part) else [str(part)]
        except ValueError:
            continue
        yield from words


def _flags(container: Mapping[str, Any]) -> dict[str, str]:
    """The flags by their names; Go takes one dash for two, and a flag without a value for true."""
    flags: dict[str, str] = {}
    last = ""
    for word in _words(container):
        if word.startswith("-"):
            last, given, value = word.lstrip("-").partition("=")
            flags[last] = value if given else "true"
            last = "" if given else last
        elif last:
            flags[last], last = word, ""
    return flags


def _value(flags: Mapping[str, str], name: str, parse: Callable[[str], T], *, default: T) -> T | None:
    """The value of a flag; None where it cannot be read."""
    if name not in flags:
        return default
    try:
        return parse(flags[name])
    except ValueError:
        return None


def _truth(text: str) -> bool:
    found = _TRUTH.get(text.lower())
    if found is None:
        raise ValueError(f"{text} is neither true nor false")
    return found


def _duration(text: str) -> float:
    """The seconds of a duration as Go writes it: `1h30m`.

    Raises:
        ValueError: it is none.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text} is not a duration")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
