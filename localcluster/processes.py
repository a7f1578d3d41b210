"""The owner's side of the supervisor: start, signal and watch the processes of one cluster."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcluster.errors import ClusterError

_SCRIPT = Path(__file__).with_name("supervisor.py")
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Process:
    """How one component is started; kept so that a restart repeats it with the same ports and data."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


class Processes:
    """A set of named processes that die with this one, also when it is killed. Safe to call from several threads."""

    def __init__(self, logs_dir: Path, *, remove_when_orphaned: Sequence[Path] = ()) -> None:
        self._logs_dir = logs_dir
        self._known: dict[str, Process] = {}
        self._lock = threading.Lock()
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", str(_SCRIPT), *(str(folder) for folder in remove_when_orphaned)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def supervisor_pid(self) -> int:
        return self._supervisor.pid

    def _ask(self, operation: str, **arguments: object) -> dict[str, Any]:
        line = json.dumps({"op": operation, **arguments}).encode() + b"\n"
        pipes = self._supervisor
        if pipes.stdin is None or pipes.stdout is None:  # pragma: no cover  (both are pipes by construction)
            raise ClusterError("the supervisor has no pipes")
        with self._lock:
            try:
                pipes.stdin.write(line)
                pipes.stdin.flush()
                answer = pipes.stdout.readline()
            except (BrokenPipeError, ValueError) as error:
                raise ClusterError("the supervisor of this cluster is gone") from error
        if not answer:
            raise ClusterError("the supervisor of this cluster is gone")
        result: dict[str, Any] = json.loads(answer)
        if "error" in result:
            raise ClusterError(result["error"])
        return result

    def log(self, name: str) -> Path:
        return self._logs_dir / f"{name}.log"

    def start(self, process: Process) -> int:
        """Start it and return its pid."""
        self._known[process.name] = process
        answer = self._ask(
            "start",
            name=process.name,
            argv=list(process.argv),
            env=dict(process.env),
            log=str(self.log(process.name)),
        )
        return int(answer["pid"])

    def names(self) -> tuple[str, ...]:
        return tuple(self._known)

    def pid(self, name: str) -> int | None:
        """The pid while it runs."""
        entry = self._ask("list")["children"].get(name)
        return int(entry[0]) if entry is not None and entry[1] is None else None

    def return_code(self, name: str) -> int | None:
        """The return code once it ended; None while it runs."""
        entry = self._ask("list")["children"].get(name)
        if entry is None:
            raise ClusterError(f"{name} was never started")
        return None if entry[1] is None else int(entry[1])

    def send(self, name: str, number: signal.Signals) -> None:
        self._ask("signal", name=name, number=int(number))

    def end(self, name: str, *, kill: bool = False, timeout_seconds: float = 20.0) -> None:
        """End one process: at once, or by SIGTERM with SIGKILL after the timeout."""
        self.send(name, signal.SIGKILL if kill else signal.SIGTERM)
        deadline = time.monotonic() + timeout_seconds
        while self.return_code(name) is None:
            if time.monotonic() > deadline:
                self.send(name, signal.SIGKILL)
                deadline += timeout_seconds
            time.sleep(_POLL_SECONDS)

    def restart(self, name: str, *, kill: bool = False) -> int:
        """End and start again with the same arguments; returns the new pid."""
        process = self._known.get(name)
        if process is None:
            raise ClusterError(f"this cluster has no {name}; it has {', '.join(sorted(self._known))}")
        if self.pid(name) is not None:
            self.end(name, kill=kill)
        return self.start(process)

    def close(self) -> None:
        """Kill everything and wait until it is gone."""
        if self._supervisor.stdin is not None and not self._supervisor.stdin.closed:
            self._supervisor.stdin.close()
        self._supervisor.wait()
        if self._supervisor.stdout is not None:
            self._supervisor.stdout.close()
