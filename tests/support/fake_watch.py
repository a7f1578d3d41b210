"""The watch of unit tests: what is wanted of it, and Events that a test emits."""

from spillway.kube.pod_events import PodEvent
from spillway.state.signal import Signal, Unsubscribe


class FakeWatch:
    """A `Watch` and an `EventWatch` without an API server."""

    def __init__(self) -> None:
        self.wanted = ""
        """What is followed, once it has started."""
        self.running = False
        self.found: Signal[PodEvent] = Signal("PodEvent")

    def want(self, what: str) -> None:
        """As `WantedWatch.want`."""
        self.wanted = what

    def start(self) -> Unsubscribe:
        """As `WantedWatch.start`."""
        self.running = True
        return self._stop

    def _stop(self) -> None:
        self.running = False
