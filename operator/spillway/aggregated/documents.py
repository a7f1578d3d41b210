"""The documents of the aggregated API: what kube-apiserver, kubectl and the HPA controller read.

Contract: pure. Discovery names one resource, the metric. A value is a whole number of replicas.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from spillway.api.scalars import rfc3339
from spillway.domain.scaling.autoscalers import METRIC

GROUP: Final = "external.metrics.k8s.io"
VERSION: Final = "v1beta1"
GROUP_VERSION: Final = f"{GROUP}/{VERSION}"
ROOT: Final = f"/apis/{GROUP_VERSION}"
API_SERVICE: Final = f"{VERSION}.{GROUP}"
"""The name of the APIService."""

_VERSION_ENTRY: Final = {"groupVersion": GROUP_VERSION, "version": VERSION}
_GROUP: Final[Mapping[str, Any]] = {"name": GROUP, "versions": [_VERSION_ENTRY], "preferredVersion": _VERSION_ENTRY}

GROUPS: Final[Mapping[str, Any]] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_GROUP]}
"""The document at `/apis`."""
ONE_GROUP: Final[Mapping[str, Any]] = {"kind": "APIGroup", "apiVersion": "v1", **_GROUP}
"""The document at `/apis/external.metrics.k8s.io`."""
RESOURCES: Final[Mapping[str, Any]] = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": GROUP_VERSION,
    "resources": [
        {
            "name": METRIC,
            "singularName": "",
            "namespaced": True,
            "kind": "ExternalMetricValueList",
            "verbs": ["get"],
        }
    ],
}
"""The document at `/apis/external.metrics.k8s.io/v1beta1`."""


def discovery(accept: str) -> tuple[str, Mapping[str, Any]] | None:
    """The content type and the document of aggregated discovery, by which kube-apiserver reads `/apis`.

    None if the header `Accept` asks for none of its versions: then `GROUPS` is the answer.
    """
    asked = accept.replace(" ", "")
    version = next((one for one in ("v2", "v2beta1") if f"g=apidiscovery.k8s.io;v={one};" in asked), None)
    if version is None:
        return None
    kind = "APIGroupDiscoveryList"
    resource = {
        "resource": METRIC,
        "responseKind": {"group": GROUP, "version": VERSION, "kind": "ExternalMetricValueList"},
        "scope": "Namespaced",
        "singularResource": "",
        "verbs": ["get"],
    }
    item = {
        "metadata": {"name": GROUP},
        "versions": [{"version": VERSION, "freshness": "Current", "resources": [resource]}],
    }
    return (
        f"application/json;g=apidiscovery.k8s.io;v={version};as={kind}",
        {"kind": kind, "apiVersion": f"apidiscovery.k8s.io/{version}", "metadata": {}, "items": [item]},
    )


def value_list(values: Iterable[tuple[Mapping[str, str], int]], now: float) -> dict[str, Any]:
    """The values of the metric by their labels, at `now` in Unix seconds."""
    stamp = rfc3339(datetime.fromtimestamp(int(now), UTC))
    return {
        "kind": "ExternalMetricValueList",
        "apiVersion": GROUP_VERSION,
        "metadata": {},
        "items": [
            {"metricName": METRIC, "metricLabels": dict(labels), "timestamp": stamp, "value": str(value)}
            for labels, value in values
        ],
    }


def refusal(status: HTTPStatus, message: str) -> dict[str, Any]:
    """The Status of a request that is not answered."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": status.phrase.title().replace(" ", ""),
        "code": status.value,
    }
