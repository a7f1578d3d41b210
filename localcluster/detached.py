"""Clusters that outlive the command that started them: each is owned by a process of its own, its holder."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import TypeAdapter

from localcluster import binaries
from localcluster.api import ClusterApi
from localcluster.cluster import Cluster
from localcluster.errors import ClusterError
from localcluster.options import Options

_POLL_SECONDS = 0.1
_DOWN_SECONDS = 30.0


@dataclass(frozen=True)
class Held:
    """One cluster on the disk; ``started`` tells its holder ``pid`` from a later process of that number."""

    name: str
    folder: Path
    pid: int
    started: float
    server: str
    kubeconfig: str

    def holder(self) -> psutil.Process | None:
        """The holder while it runs."""
        try:
            process = psutil.Process(self.pid)
            return process if abs(process.create_time() - self.started) < 1 else None
        except psutil.NoSuchProcess:
            return None

    def processes(self) -> dict[str, float]:
        """The cluster's programs that run, with their memory in MiB."""
        holder = self.holder()
        children = holder.children(recursive=True) if holder else []
        found: dict[str, float] = {}
        for child in children:
            try:
                found[child.name()] = child.memory_info().rss / (1 << 20)
            except psutil.NoSuchProcess:
                continue
        return {name: size for name, size in found.items() if not name.startswith("python")}


def folder_of(name: str) -> Path:
    return binaries.cache_dir() / "clusters" / name


def _state_file(name: str) -> Path:
    return folder_of(name).with_suffix(".json")


def _log_file(name: str) -> Path:
    return folder_of(name).with_suffix(".log")


def read(name: str) -> Held | None:
    """The cluster of this name, whether its holder still runs or not."""
    try:
        state = json.loads(_state_file(name).read_text())
    except FileNotFoundError:
        return None
    return Held(**{**state, "folder": Path(state["folder"])})


def names() -> list[str]:
    return sorted(file.stem for file in (binaries.cache_dir() / "clusters").glob("*.json"))


def up(name: str, options: Options) -> Held:
    """Start a cluster and leave it running; raises ``ClusterError`` if one of that name runs already."""
    if (old := read(name)) is not None:
        if old.holder() is not None:
            raise ClusterError(f"cluster {name} is up already; its kubeconfig: {old.kubeconfig}")
        _forget(name)
    folder_of(name).parent.mkdir(parents=True, exist_ok=True)
    arguments = json.dumps(dataclasses.asdict(options))
    with _log_file(name).open("wb") as log:
        holder = subprocess.Popen(
            [sys.executable, "-m", "localcluster", "hold", name, arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=binaries.PROJECT,
        )
    while True:
        # The holder writes its state when the cluster is up; it gives up by itself after the options' time.
        if (held := read(name)) is not None:
            holder.returncode = 0  # it goes on without us
            return held
        if holder.poll() is not None:
            raise ClusterError(_log_file(name).read_text().strip())
        time.sleep(_POLL_SECONDS)


def attach(held: Held, options: Options) -> ClusterApi:
    """Work with a held cluster from another process, without what only its owner can do (restarts)."""
    features = options.features - {"restart", "audit"}
    return ClusterApi(Path(held.kubeconfig), features=features, kubectl=binaries.find("kubectl"))


def hold(name: str, arguments: str) -> None:
    """The holder: own the cluster until a TERM."""
    options = TypeAdapter(Options).validate_json(arguments)
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with Cluster(options, root=folder_of(name)) as cluster:
        held = Held(
            name=name,
            folder=cluster.root,
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            server=cluster.layout.server,
            kubeconfig=str(cluster.kubeconfig),
        )
        new = _state_file(name).with_suffix(".new")
        new.write_text(json.dumps(dataclasses.asdict(held), default=str))
        new.rename(_state_file(name))
        signal.sigwait(stop)
    _forget(name)


def down(name: str) -> bool:
    """Take it down and wait until it is gone; False if there was none."""
    held = read(name)
    if held is None:
        return False
    holder = held.holder()
    if holder is not None:
        holder.terminate()
        try:
            holder.wait(_DOWN_SECONDS)
        except psutil.TimeoutExpired:
            holder.kill()  # its supervisor sees to the rest
    _forget(name)
    return True


def _forget(name: str) -> None:
    shutil.rmtree(folder_of(name), ignore_errors=True)
    _state_file(name).unlink(missing_ok=True)
    _log_file(name).unlink(missing_ok=True)
