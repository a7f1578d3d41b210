"""The command line as a user calls it, on a cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from localcluster import ClusterApi

_SOURCE: Final = Path(__file__).resolve().parents[2] / "operator"
_SECONDS: Final = 120


def explain(cluster: ClusterApi, *words: str) -> subprocess.CompletedProcess[str]:
    """Call `spillway explain` with these words; the answer, if there is one, is JSON."""
    return subprocess.run(
        [sys.executable, "-m", "spillway", "explain", *words, f"--kubeconfig={cluster.kubeconfig}", "-o", "json"],
        env={**os.environ, "PYTHONPATH": str(_SOURCE)},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def explained(cluster: ClusterApi, namespace: str, what: str, name: str) -> dict[str, Any]:
    """The answer of `spillway explain` about something in a namespace."""
    done = explain(cluster, what, name, f"--namespace={namespace}")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
