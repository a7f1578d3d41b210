"""The Event recorder of unit tests."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Said(NamedTuple):
    """An Event: about what (`Deployment/web`), its type and reason (`Warning KeptPhysical`), and its message."""

    about: str
    what: str
    message: str


class FakeRecorder:
    """A `Recorder` that keeps what was recorded."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.api_versions: list[str] = []
        """Of the objects, in the same order."""

    def record(self, involved: Mapping[str, Any], event_type: str, reason: str, message: str) -> None:
        self.said.append(Said(f"{involved['kind']}/{involved['name']}", f"{event_type} {reason}", message))
        self.api_versions.append(involved.get("apiVersion", ""))
