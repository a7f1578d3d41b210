"""Gauges with one series for each workload, of which only the series that changed are rendered again.

Contract: the values of a gauge are replaced as a whole, so the series of a deleted workload disappears, and a scrape
only joins lines (prometheus-client renders 2,000 series in 11 ms, during which no admission request is answered). The
number of series is bounded by the number of governed workloads.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from spillway.domain.model.owners import WorkloadKey

_LABELS_KEPT: Final = 8192
"""Workloads whose label values are kept."""
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
        self._lines: dict[tuple[str, ...], tuple[float, str]] = {}
        """The value of each series and its line, by the values of its labels."""
        PRERENDERED.append(self)

    @property
    def text(self) -> bytes:
        """The part of `/metrics` that belongs to this gauge."""
        return "".join((self._head, *(line for _, line in self._lines.values()))).encode()

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Replace all series by these values, each keyed by the values of its labels."""
        before = self._lines
        self._lines = {}
        for labelled, value in values.items():
            kept = before.get(labelled)
            if kept is None or kept[0] != value:
                kept = value, self._rendered(labelled, value)
            self._lines[labelled] = kept

    def _rendered(self, labelled: tuple[str, ...], value: float) -> str:
        pairs = [f'{label}="{text.translate(_ESCAPES)}"' for label, text in zip(self.labels, labelled, strict=True)]
        return f"{self.name}{{{','.join(pairs)}}} {value:.10g}\n"


PRERENDERED: Final[list[PrerenderedGauge]] = []
"""Every gauge of this kind in the process."""


@lru_cache(maxsize=_LABELS_KEPT)
def workload_labels(workload: str) -> tuple[str, str, str]:
    """The label values of a workload, given as Kind/namespace/name."""
    key = WorkloadKey.parse(workload)
    return key.namespace, key.kind, key.name


def exposition(gauges: Iterable[PrerenderedGauge] = PRERENDERED) -> bytes:
    """The series of all these gauges in the text format of Prometheus."""
    return b"".join(gauge.text for gauge in gauges)
