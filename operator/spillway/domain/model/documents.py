"""Kubernetes objects as plain JSON documents, for what is read too rarely to deserve a record.

Contract: a document is never changed in place.
"""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
