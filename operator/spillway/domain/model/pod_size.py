"""The CPU and memory of one whole pod, in millicores and bytes."""

from typing import NamedTuple


class PodSize(NamedTuple):
    """What one pod requests, or has room for."""

    cpu_millis: int
    memory_bytes: int

    def covers(self, other: "PodSize") -> bool:
        """Whether a pod of the other size fits into this one."""
        return self.cpu_millis >= other.cpu_millis and self.memory_bytes >= other.memory_bytes
