"""The archive and the manifest of the kubectl plugin for krew.

`python -m release.krew --program FILE --url URL --output FOLDER` packs the zipapp FILE, which the Makefile builds with
pex, and writes the manifest that names the archive at URL. Contract: the same program gives the same archive, byte for
byte. The zipapp has compiled libraries, so it runs on the operating system, the processor and the minor version of
Python on which it was built; the name of the archive and the manifest say which.
"""

import argparse
import gzip
import hashlib
import io
import platform
import sys
import tarfile
from pathlib import Path
from typing import Any, Final

import yaml

from spillway import __version__

PROJECT: Final = Path(__file__).resolve().parents[1]
COMPLETE: Final = "kubectl_complete-spillway"
"""kubectl runs this program to complete `kubectl spillway …`."""
_PROGRAM: Final = "kubectl-spillway"
_COMPLETE_SCRIPT: Final = f'#!/bin/sh\nSPILLWAY_COMPLETES_FOR_KUBECTL=1 exec {_PROGRAM} "$@"\n'
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "AMD64": "amd64"}


def target() -> tuple[str, str, str]:
    """The operating system and the processor as krew names them, and the minor version of Python."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return sys.platform, _MACHINES[platform.machine()], python


def archive_name() -> str:
    """The name of the archive for this machine."""
    system, processor, python = target()
    return f"kubectl-spillway-v{__version__}-{system}-{processor}-python{python}.tar.gz"


def archive(program: bytes) -> bytes:
    """The compressed archive with the program, the program that completes, and the license."""
    files = {
        _PROGRAM: (program, 0o755),
        COMPLETE: (_COMPLETE_SCRIPT.encode(), 0o755),
        "LICENSE": ((PROJECT / "LICENSE").read_bytes(), 0o644),
    }
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0, compresslevel=1) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, (content, mode) in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def manifest(url: str, sha256: str) -> dict[str, Any]:
    """The manifest of the plugin, whose archive is at this URL."""
    system, processor, python = target()
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "spillway"},
        "spec": {
            "version": f"v{__version__}",
            "homepage": url.rpartition("/")[0],
            "shortDescription": "See, explain and simulate what Spillway does",
            "description": (
                "Shows what the Spillway operator does in a cluster: the state of its policies, pools and zones\n"
                "(status), why a pod, workload, node or pool is where it is (explain), what it plans next (plan),\n"
                "what a policy would change before it is applied (simulate), what is wrong (doctor), and what it\n"
                "saved (report). Also closes and opens pools of virtual nodes (cordon, uncordon).\n"
            ),
            "caveats": (
                f"Needs Python {python} as python{python} in the PATH. The first call unpacks the libraries into\n"
                "~/.cache/pex and takes some seconds.\n"
                f"For completion, link {COMPLETE} from the plugin's folder into your PATH.\n"
            ),
            "platforms": [
                {
                    "selector": {"matchLabels": {"os": system, "arch": processor}},
                    "uri": url,
                    "sha256": sha256,
                    "bin": _PROGRAM,
                    "files": [{"from": name, "to": "."} for name in (_PROGRAM, COMPLETE, "LICENSE")],
                }
            ],
        },
    }


def main() -> None:
    """Write the archive and the manifest."""
    parser = argparse.ArgumentParser(description="Pack the kubectl plugin for krew.")
    parser.add_argument("--program", type=Path, required=True, help="The zipapp.")
    parser.add_argument("--url", required=True, help="The https URL of the folder in which the archive will be.")
    parser.add_argument("--output", type=Path, required=True, help="The folder to write to.")
    given = parser.parse_args()
    if not given.url.startswith("https://"):
        parser.error("--url: must begin with https://, because krew downloads from nowhere else")
    name, packed = archive_name(), archive(given.program.read_bytes())
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / name).write_bytes(packed)
    found = manifest(f"{given.url.rstrip('/')}/{name}", hashlib.sha256(packed).hexdigest())
    (given.output / "spillway.yaml").write_text(yaml.safe_dump(found, sort_keys=False, width=120))
    sys.stdout.write(f"{given.output / name}\n{given.output / 'spillway.yaml'}\n")


if __name__ == "__main__":
    main()
