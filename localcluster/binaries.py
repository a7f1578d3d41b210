"""Where the components' binaries are."""

import os
from pathlib import Path

from localcluster.errors import ClusterError

PROJECT = Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """``LOCALCLUSTER_CACHE``, or ``.cache/localcluster`` in the project."""
    return Path(os.environ.get("LOCALCLUSTER_CACHE") or PROJECT / ".cache" / "localcluster")


def find(name: str) -> Path:
    """The binary ``name``."""
    path = cache_dir() / "bin" / name
    if not path.exists():
        raise ClusterError(f"{name} is not built; run: python -m localcluster build {name}")
    return path
