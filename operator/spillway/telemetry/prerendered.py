"""Gauges with one series for each workload, rendered when their values change instead of at every scrape.

Contract: the values of a gauge are replaced as a whole, so the series of a deleted workload disappears, and a scrape
costs nothing however many series there are (prometheus-client renders 2,000 series in 11 ms, during which no admission
request is answered; this takes 2 ms once). The number of series is bounded by the number of governed workloads.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from spillway.domain.model.owners import WorkloadKey

_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

WORKLOAD_LABELS: Final = ("namespace", "kind", "workload")
"""The labels that identify a workload. The scrape has to honour labels, or `namespace` becomes `exported_namespace`."""


class PrerenderedGauge:
    """One gauge with its labels."""

    def __init__(self, name: str, description: str, labels: tuple[str, ...]) -> None:
        self.name = name
        self.labels = labels
        self.description = description
        self._head = f"# HELP {name} {description}\n# TYPE {name} gauge\n"
        self.text = self._head.encode()
        """The part of `/metrics` that belongs to this gauge."""
        PRERENDERED.append(self)

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Replace all series by these values, each keyed by the values of its labels."""
        lines = [self._head]
        for labelled, value in values.items():
            pairs = [f'{label}="{text.translate(_ESCAPES)}"' for label, text in zip(self.labels, labelled, strict=True)]
            lines.append(f"{self.name}{{{','.join(pairs)}}} {value:.10g}\n")
        self.text = "".join(lines).encode()


PRERENDERED: Final[list[PrerenderedGauge]] = []
"""Every gauge of this kind in the process."""


def workload_labels(workload: str) -> tuple[str, str, str]:
    """The label values of a workload, given as Kind/namespace/name."""
    key = WorkloadKey.parse(workload)
    return key.namespace, key.kind, key.name


def exposition(gauges: Iterable[PrerenderedGauge] = PRERENDERED) -> bytes:
    """The series of all these gauges in the text format of Prometheus."""
    return b"".join(gauge.text for gauge in gauges)
