"""A resource of an aggregated API, as discovery and its callers name it.

Contract: pure, and light to import.
"""

from typing import NamedTuple


class ServedResource(NamedTuple):
    """A resource of which single objects are read."""

    plural: str
    kind: str
    namespaced: bool
