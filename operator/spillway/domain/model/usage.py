"""A number of pods and what they request or cost together."""

from typing import NamedTuple


class Usage(NamedTuple):
    """How many pods, and what they request together."""

    pods: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0
