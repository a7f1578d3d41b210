"""The supervisor: it holds the processes of one cluster and ends right after its owner.

Contract: started by the owner as a plain script (standard library only) with pipes for stdin and stdout. Each line on
stdin is one JSON command, each is answered by one JSON line. When stdin ends, or the parent is another process than at
the start, everything is killed, the folder named on the command line is removed, and the supervisor exits. Children
also get SIGKILL from the kernel if the supervisor itself is killed; that signal is tied to the *thread* that forked,
so this process has one thread only, which the owner could not promise.

Commands: ``start`` (name, argv, env, log), ``signal`` (name, signal), ``list``, ``stop`` (kills all).
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

PARENT_POLL_SECONDS = 0.5
KILL_WAIT_SECONDS = 10.0
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_supervisor() -> None:
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Supervisor:
    """The table of children; commands are methods that return the JSON answer."""

    def __init__(self) -> None:
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: list[str], env: dict[str, str], log: str) -> dict[str, Any]:
        """Start ``argv`` with its output appended to ``log``; refused while a child of that name runs."""
        old = self.children.get(name)
        if old is not None and old.poll() is None:
            return {"error": f"{name} is running already"}
        with open(log, "ab") as output:  # noqa: PTH123  pathlib costs a third of this script's start
            try:
                child = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **env},
                    preexec_fn=_die_with_supervisor,  # noqa: PLW1509  one thread only, so this is safe here
                )
            except OSError as error:
                return {"error": f"{name}: {error}"}
        self.children[name] = child
        return {"pid": child.pid}

    def signal(self, name: str, number: int) -> dict[str, Any]:
        """Send a signal; a child that is gone already is no error."""
        child = self.children.get(name)
        if child is None:
            return {"error": f"{name} was never started"}
        child.send_signal(number)
        return {}

    def list(self) -> dict[str, Any]:
        """Every child with its pid and, once it ended, its return code."""
        return {"children": {name: [child.pid, child.poll()] for name, child in self.children.items()}}

    def stop(self) -> dict[str, Any]:
        """Kill all and wait until they are gone. A stopped (SIGSTOP) process dies of SIGKILL as well."""
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
        deadline = time.monotonic() + KILL_WAIT_SECONDS
        for child in self.children.values():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return {"error": f"process {child.pid} does not die"}
        return {}

    def answer(self, line: bytes) -> dict[str, Any]:
        command: dict[str, Any] = json.loads(line)
        operation = command.pop("op")
        if operation not in {"start", "signal", "list", "stop"}:
            return {"error": f"unknown command {operation}"}
        result: dict[str, Any] = getattr(self, operation)(**command)
        return result

    def serve(self) -> None:
        """Answer commands until the owner is gone."""
        parent = os.getppid()
        buffered = b""
        while os.getppid() == parent:
            readable, _, _ = select.select([0], [], [], PARENT_POLL_SECONDS)
            for child in self.children.values():
                child.poll()  # reaps
            if not readable:
                continue
            chunk = os.read(0, 1 << 16)
            if not chunk:
                return
            buffered += chunk
            while b"\n" in buffered:
                line, _, buffered = buffered.partition(b"\n")
                os.write(1, json.dumps(self.answer(line)).encode() + b"\n")


def main() -> None:
    # Ctrl-C in a terminal and a polite TERM to the group are for the owner to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor = Supervisor()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        supervisor.serve()
    finally:
        supervisor.stop()
        for folder in sys.argv[1:]:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
