"""The API `external.metrics.k8s.io/v1beta1`: the recommended replicas as a metric for HorizontalPodAutoscalers.

Contract: the metric of a known workload is always answered, by any replica; the list is empty for a workload without
`scaling`, which an autoscaler reports as a metric that it cannot read. A value is a whole number of replicas.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from spillway.aggregated.documents import ApiGroup
from spillway.aggregated.selector import SelectorError, parse_selector
from spillway.aggregated.server import Handler, answered, refused
from spillway.api.scalars import rfc3339
from spillway.domain.model.owners import WorkloadKey
from spillway.domain.model.selectors import Selector
from spillway.domain.model.served_resource import ServedResource
from spillway.domain.scaling.autoscalers import METRIC, METRICS_GROUP, METRICS_VERSION
from spillway.domain.scaling.recommend import Numbers
from spillway.kube.access import Access, User
from spillway.telemetry import scaling as metrics

METRICS: Final = ApiGroup(
    METRICS_GROUP, METRICS_VERSION, (ServedResource(METRIC, "ExternalMetricValueList", namespaced=True),)
)


class MetricApi:
    """The API of the metric. `now` gives Unix seconds."""

    name = "external-metrics"
    group = METRICS

    def __init__(self, values: Numbers, *, now: Callable[[], float] = time.time) -> None:
        self._values = values
        self._now = now

    def routes(self) -> Mapping[str, Handler]:
        """Its paths below `group.root`."""
        return {"/namespaces/{namespace}/{metric}": self._metric}

    def access(self, request: web.Request) -> Access | None:
        """As kube-apiserver reads the path: a collection of a namespace is listed."""
        metric = request.match_info.get("metric")
        if not metric:
            return None
        namespace = request.match_info["namespace"]
        return Access("list", group=METRICS.name, version=METRICS.version, resource=metric, namespace=namespace)

    def count(self, verdict: str) -> None:
        """Count a request."""
        metrics.REQUESTS.labels(verdict).inc()

    async def _metric(self, request: web.Request, _: User) -> web.Response:
        namespace, metric = request.match_info["namespace"], request.match_info["metric"]
        if metric != METRIC:
            return refused(HTTPStatus.NOT_FOUND, f'the metric "{metric}" is not served; the only one is {METRIC}')
        try:
            selector = parse_selector(request.query.get("labelSelector", ""))
        except SelectorError as error:
            return refused(HTTPStatus.BAD_REQUEST, str(error))
        found = await self._values(namespace, lambda workload: _selected(workload, selector))
        items = sorted((workload, number.replicas) for workload, number in found.items())
        return answered(value_list(((_labels(workload), value) for workload, value in items), self._now()))


def value_list(values: Iterable[tuple[Mapping[str, str], int]], now: float) -> dict[str, Any]:
    """The values of the metric by their labels, at `now` in Unix seconds."""
    stamp = rfc3339(datetime.fromtimestamp(int(now), UTC))
    return {
        "kind": "ExternalMetricValueList",
        "apiVersion": METRICS.group_version,
        "metadata": {},
        "items": [
            {"metricName": METRIC, "metricLabels": dict(labels), "timestamp": stamp, "value": str(value)}
            for labels, value in values
        ],
    }


def _labels(workload: str) -> dict[str, str]:
    key = WorkloadKey.parse(workload)
    return {"kind": key.kind, "workload": key.name}


def _selected(workload: str, selector: Selector) -> bool:
    return selector.matches(_labels(workload))
