"""Gauges of one series a workload: rendered at once when they change, not at every scrape.

Contract: a gauge is replaced whole, so what is gone is gone here too, and a scrape costs nothing however many series
there are (prometheus-client renders 2,000 series in 11 ms, in which no admission request is answered; this takes 2 ms
once). Labels are bounded by the number of governed workloads.
"""

from collections.abc import Iterable, Mapping
from typing import Final

_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

WORKLOAD_LABELS: Final = ("namespace", "kind", "workload")
"""What a user calls a workload; the scrape has to honour labels, or `namespace` becomes `exported_namespace`."""


class BulkGauge:
    """One gauge with its labels."""

    def __init__(self, name: str, documentation: str, labels: tuple[str, ...]) -> None:
        self.name = name
        self._labels = labels
        self._head = f"# HELP {name} {documentation}\n# TYPE {name} gauge\n"
        self.text = self._head.encode()
        """As `/metrics` shows it."""
        ALL.append(self)

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Show these values, each by the values of its labels, and no others."""
        lines = [self._head]
        for labelled, value in values.items():
            pairs = [
                f'{label}="{text.translate(_ESCAPES)}"' for label, text in zip(self._labels, labelled, strict=True)
            ]
            lines.append(f"{self.name}{{{','.join(pairs)}}} {value:.10g}\n")
        self.text = "".join(lines).encode()


ALL: Final[list[BulkGauge]] = []
"""Every such gauge of the process."""

WORKLOAD_REPLICAS: Final = BulkGauge(
    "spillway_workload_replicas", "Replicas that a governed workload asks for.", WORKLOAD_LABELS
)


def labels_of(workload: str) -> tuple[str, str, str]:
    """The labels of a workload that is called Kind/namespace/name."""
    kind, namespace, name = workload.split("/", 2)
    return namespace, kind, name


def exposition(gauges: Iterable[BulkGauge] = ALL) -> bytes:
    """All of them in Prometheus' text format."""
    return b"".join(gauge.text for gauge in gauges)
