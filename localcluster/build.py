"""The build of the components from their pinned Go modules."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from localcluster import binaries
from localcluster.errors import ClusterError

_TAIL_LINES = 30


def missing(names: Iterable[str]) -> list[str]:
    """Those that neither the environment nor the cache has."""
    return [name for name in names if binaries.given(name) is None and not binaries.is_built(name)]


def ensure_built(names: Iterable[str]) -> None:
    """Build what is missing, telling on stderr what it does; returns at once if nothing is."""
    wanted = tuple(names)
    if not missing(wanted):
        return
    if shutil.which("go") is None:
        raise ClusterError(
            "a Go toolchain is needed once, to build the control plane (https://go.dev/doc/install); "
            "or point SPILLWAY_BIN_DIR to a folder that has etcd, kube-apiserver and the others"
        )
    console = Console(file=sys.stderr)
    with _lock(console):
        todo = missing(wanted)  # another session may have built them meanwhile
        for number, name in enumerate(todo, 1):
            _build(console, name, f"[{number}/{len(todo)}] {name}")


@contextmanager
def _lock(console: Console) -> Iterator[None]:
    folder = binaries.cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "build.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("waiting for another build of the local cluster", highlight=False)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(console: Console, name: str, title: str) -> None:
    tool = binaries.tool(name)
    started = time.monotonic()
    console.print(f"{title}: building {tool.package}", markup=False, highlight=False)
    output = binaries.bin_dir() / f"{name}.new"
    output.parent.mkdir(parents=True, exist_ok=True)
    argv = ["go", "build", "-v", "-o", str(output), *tool.build_args()]
    lines: list[str] = []
    with (
        subprocess.Popen(
            argv, cwd=tool.folder, env=os.environ | binaries.BUILD_ENVIRONMENT, stderr=subprocess.PIPE, text=True
        ) as process,
        console.status(title) as status,
    ):
        for line in process.stderr or ():
            lines.append(line.rstrip())
            seconds = time.monotonic() - started
            status.update(f"{title}: {len(lines)} packages, {seconds:.0f} s, {lines[-1][:60]}")
    if process.returncode:
        raise ClusterError("\n".join([f"go build of {name} failed", *lines[-_TAIL_LINES:]]))
    _copy_data(name)
    output.rename(binaries.bin_dir() / name)
    stamp = binaries.stamp_file(name)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(tool.stamp())
    console.print(f"{title}: done in {time.monotonic() - started:.0f} s", markup=False, highlight=False)


def _copy_data(name: str) -> None:
    tool = binaries.tool(name)
    for module, pattern in tool.data:
        done = subprocess.run(
            ["go", "list", "-m", "-f", "{{.Dir}}", module],  # noqa: S607  the user's go
            cwd=tool.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        target = binaries.share_dir(name)
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(Path(done.stdout.strip()).glob(pattern)):
            # The module cache is read-only, and so would be a copy that keeps the mode.
            (target / file.name).write_bytes(file.read_bytes())
