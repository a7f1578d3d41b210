"""Kubernetes objects as plain JSON documents, for what is read too rarely to deserve a record.

Contract: a document is never changed in place.
"""

from collections.abc import Mapping
from typing import Any, Final

Json = Mapping[str, Any]

PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
"""The field of an affinity with the terms that are weighed."""
HEAVIEST: Final = 100
"""Kubernetes allows weights from 1 to 100 for each preferred term, and adds those that hold for a node."""
REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
"""The field of an affinity with the terms that have to hold."""
