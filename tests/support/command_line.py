"""The command line as a user calls it, on a cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from localcluster import ClusterApi
from localcluster.rest import Object

_SOURCE: Final = Path(__file__).resolve().parents[2] / "operator"
_SECONDS: Final = 120


def explain(cluster: ClusterApi, *words: str) -> subprocess.CompletedProcess[str]:
    """Call `spillway explain` with these words; the answer, if there is one, is JSON."""
    return _called(cluster, "explain", *words)


def simulated(cluster: ClusterApi, *resources: Object) -> dict[str, Any]:
    """The answer of `spillway simulate` about these resources."""
    done = _called(cluster, "simulate", "-f", "-", text=yaml.safe_dump_all(resources))
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _called(cluster: ClusterApi, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spillway", *words, f"--kubeconfig={cluster.kubeconfig}", "-o", "json"],
        input=text,
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


def doctor_findings(cluster: ClusterApi, *checks: str) -> list[tuple[str, str, str]]:
    """What `spillway doctor` finds in these checks: severity, object and message; each finding has a remedy."""
    done = _called(cluster, "doctor")
    assert done.returncode in {0, 1}, done.stderr
    found = [one for one in json.loads(done.stdout)["findings"] if one["check"] in checks]
    assert all(one["remedy"] for one in found)
    return [(one["severity"], one["object"], one["message"]) for one in found]
