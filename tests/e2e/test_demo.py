"""`python -m demo` as someone runs it who then presses Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from harness.chart import PROJECT

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.environ.get("CLUSTER", "local") != "local", reason="looks at processes of a local cluster"),
]

BEGINS_SECONDS = 420.0
"""About a minute where the machine has nothing else to do."""

START: Final = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "-m", "demo", *sys.argv[1:]])
"""
"""A shell starts what runs in its background with SIGINT ignored, and the tests may run there."""


class Run:
    """A demo in a process of its own; what it says is kept."""

    def __init__(self, output: Path) -> None:
        options = ["--seconds", "60", "--workloads", "2", "--output", str(output)]
        command = [sys.executable, "-c", START, *options]
        self.process = subprocess.Popen(
            command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.lines: list[str] = []
        self.lives = threading.Event()
        """The day has begun and was seen to go on, or the process has ended."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if re.match(r"\d\d:\d\d +plain: pods", line):
                self.lives.set()
        self.lives.set()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> str:
        """Wait for its end; what it said."""
        self.process.wait(timeout=90)
        self._reader.join(timeout=30)
        return "".join(self.lines)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    running = Run(tmp_path / "demo")
    yield running
    if running.process.poll() is None:
        running.process.kill()
    running.end()
    assert running.process.stdout is not None
    running.process.stdout.close()


def test_interrupted_in_the_middle_of_the_day_it_leaves_nothing_running(run: Run) -> None:
    assert run.lives.wait(BEGINS_SECONDS), "".join(run.lines)
    assert run.process.poll() is None, "".join(run.lines)
    family = run.family()
    names = {process.name() for process in family}
    assert {"etcd", "kube-apiserver", "kwok", "metrics-server", "prometheus"} <= names
    assert re.search(r"spillway: .*, forecast load \d", "".join(run.lines)), "the operator has forecasts at its begin"

    run.process.send_signal(signal.SIGINT)

    said = run.end()
    assert run.process.returncode == 130, said
    assert "interrupted, the cluster was stopped" in said
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
