"""A cluster ends with its owner, whatever ends the owner, and its command line keeps one until told otherwise."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from localcluster import DEFAULT_WAIT_SECONDS, Cluster, ClusterError, binaries, detached
from localcluster.rest import Rest

pytestmark = pytest.mark.cluster

OWNER = """
import sys, threading
from localcluster import Cluster

def own():
    cluster = Cluster()
    print(cluster.supervisor_pid, cluster.root, *[cluster.pid(name) for name in cluster.components()], flush=True)

# In a thread that ends: what dies with a thread rather than with its process would die here.
thread = threading.Thread(target=own)
thread.start()
thread.join()
sys.stdin.read()
"""


def _start_owner() -> tuple[subprocess.Popen[str], Path, list[psutil.Process]]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=binaries.PROJECT,
    )
    assert owner.stdout is not None
    supervisor, root, *components = owner.stdout.readline().split()
    assert len(components) == 5
    return owner, Path(root), [psutil.Process(int(pid)) for pid in [supervisor, *components]]


def test_everything_dies_when_the_owner_is_killed() -> None:
    owner, root, processes = _start_owner()
    assert all(process.is_running() for process in processes)

    owner.send_signal(signal.SIGKILL)
    owner.communicate()

    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
    assert not (root / "data").exists()
    assert (root / "logs" / "kube-apiserver.log").exists(), "the logs are kept for whoever asks why"
    shutil.rmtree(root)


def test_everything_dies_when_the_supervisor_is_killed_too() -> None:
    owner, root, processes = _start_owner()

    os.kill(processes[0].pid, signal.SIGKILL)

    _, alive = psutil.wait_procs(processes[1:], timeout=30)
    assert alive == []
    owner.kill()
    owner.communicate()
    shutil.rmtree(root)


def test_a_component_that_cannot_start_is_named_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "etcd"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 3.6.0 && exit\necho no such luck\nexit 3\n')
    broken.chmod(0o755)
    monkeypatch.setenv("SPILLWAY_BIN_ETCD", str(broken))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with pytest.raises(ClusterError, match=r"etcd ended with 3\n(.|\n)*no such luck"):
        Cluster()


def _command(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "localcluster", *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEFAULT_WAIT_SECONDS,
        cwd=binaries.PROJECT,
    )


def test_up_status_kubeconfig_down(tmp_path: Path) -> None:
    name = f"t-{tmp_path.name}"
    up = _command("up", "--name", name, "--nodes", "2", "--virtual-nodes", "1")
    try:
        assert up.returncode == 0, up.stderr
        path = _command("kubeconfig", "--name", name).stdout.strip()
        assert up.stdout.strip() == f"export KUBECONFIG={path}"
        rest = Rest(Path(path))
        labels = [item["metadata"]["labels"] for item in rest.items("/api/v1/nodes")]
        rest.close()
        assert sorted(label["pool"] for label in labels) == ["fixed", "fixed", "virtual"]
        assert name in _command("status").stdout
        again = _command("up", "--name", name)
        assert again.returncode == 1
        assert "is up already" in again.stderr
        held = detached.read(name)
        assert held is not None
        holder = held.holder()
        assert holder is not None
        processes = holder.children(recursive=True)
        assert len(processes) == 6
    finally:
        down = _command("down", "--name", name)
    assert down.returncode == 0, down.stderr
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []
    assert not detached.folder_of(name).exists()
    assert "not found" in _command("down", "--name", name).stderr
