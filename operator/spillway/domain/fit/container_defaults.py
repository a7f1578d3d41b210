"""The requests that a namespace's LimitRanges give to containers that set none.

Contract: pure (`mergePodResourceRequirements` of k8s.io/kubernetes/plugin/pkg/admission/limitranger). What a user's
containers lack is filled in before a webhook sees the pod; what a webhook adds is filled in afterwards, so it has to be
expected. Of several LimitRanges that differ Kubernetes takes any; here the largest counts.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from spillway.domain.fit.requests import amount_of
from spillway.domain.model.documents import Json

Defaults = Mapping[str, str]
"""The request for each resource, as a quantity."""
NO_DEFAULTS: Final[Defaults] = MappingProxyType({})


def defaults_of(limit_ranges: Iterable[Json]) -> Defaults:
    """The defaults that these LimitRanges give together."""
    found: dict[str, str] = {}
    for limit_range in limit_ranges:
        for resource, amount in _requests_of(limit_range).items():
            if resource not in found or amount_of(found, resource) < amount_of({resource: amount}, resource):
                found[resource] = amount
    return found or NO_DEFAULTS


def with_defaults(pod: Json, defaults: Defaults) -> Json:
    """The pod as it is once the API server has filled in the defaults; the given one is not changed."""
    spec = pod.get("spec") or {}
    lists = {key: spec[key] for key in ("containers", "initContainers") if spec.get(key)} if defaults else {}
    filled = {key: [_filled(one, defaults) for one in containers] for key, containers in lists.items()}
    return {**pod, "spec": {**spec, **filled}} if filled else pod


def _requests_of(limit_range: Json) -> dict[str, str]:
    items = (limit_range.get("spec") or {}).get("limits") or ()
    given = [item.get("defaultRequest") or {} for item in items if item.get("type") == "Container"]
    return {resource: str(amount) for requests in given for resource, amount in requests.items()}


def _filled(container: Json, defaults: Defaults) -> Json:
    resources = container.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    # Where only a limit is given, the limit is the request.
    missing = {key: amount for key, amount in defaults.items() if key not in requests and key not in limits}
    return {**container, "resources": {**resources, "requests": {**requests, **missing}}} if missing else container
