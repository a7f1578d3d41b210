"""The metric registry of the process, and the functions that create a metric in it.

Contract: every metric is created in `spillway.telemetry`, in the module of its feature, by a function of this module.
Every name begins with `spillway_`, and a label has a bounded number of values (never the name of a pod or a node).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from spillway.telemetry import prerendered

CounterMetric = Counter
"""The type of a counter, for annotations outside this package."""
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
"""The media type of `exposition`."""

REGISTRY: Final = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def counter(name: str, description: str, labels: Sequence[str] = ()) -> Counter:
    """A registered counter; `_total` is appended to its name when it is exported."""
    return Counter(name, description, labels, registry=REGISTRY)


def gauge(name: str, description: str, labels: Sequence[str] = ()) -> Gauge:
    """A registered gauge."""
    return Gauge(name, description, labels, registry=REGISTRY)


def histogram(
    name: str, description: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS
) -> Histogram:
    """A registered histogram with these upper bounds."""
    return Histogram(name, description, labels, buckets=buckets, registry=REGISTRY)


class Description(NamedTuple):
    """A metric as it is exported."""

    name: str
    type: str
    labels: Sequence[str]
    meaning: str


def described(value: object) -> Description | None:
    """The description of a metric; None for everything else."""
    if isinstance(value, prerendered.PrerenderedGauge):
        return Description(value.name, "gauge", value.labels, value.description)
    if not isinstance(value, MetricWrapperBase):
        return None
    [family] = value.describe()
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Description(name, family.type, value._labelnames, family.documentation)  # noqa: SLF001  it is nowhere else


def exposition() -> bytes:
    """Every metric, including the gauges with one series for each workload, in the text format of Prometheus."""
    return generate_latest(REGISTRY) + prerendered.exposition()
