"""The archive and the manifest of the kubectl plugin."""

import hashlib
import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from release.krew import COMPLETE, archive, archive_name, manifest, target
from spillway import __version__

PROGRAM = b"#!/bin/sh\necho hello\n"
URL = "https://example.com/releases/v1"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """What the module writes for a small program."""
    program = tmp_path / "program"
    program.write_bytes(PROGRAM)
    command = ["-m", "release.krew", f"--program={program}", f"--url={URL}", f"--output={tmp_path / 'krew'}"]
    subprocess.run([sys.executable, *command], check=True, timeout=60, capture_output=True)
    return tmp_path / "krew"


def test_the_manifest_names_the_archive_that_is_written(written: Path) -> None:
    found = yaml.safe_load((written / "spillway.yaml").read_text())
    [one] = found["spec"]["platforms"]
    packed = (written / archive_name()).read_bytes()
    assert one["sha256"] == hashlib.sha256(packed).hexdigest()
    assert one["uri"] == f"{URL}/{archive_name()}"
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert sorted(tar.getnames()) == sorted(file["from"] for file in one["files"])
        for name in (one["bin"], COMPLETE):
            assert tar.getmember(name).mode & 0o111
        program = tar.extractfile(one["bin"])
        assert program is not None
        assert program.read() == PROGRAM


def test_the_manifest_has_what_krew_requires() -> None:
    """By krew's own validation (`internal/index/validation`)."""
    found = manifest(f"{URL}/{archive_name()}", "0" * 64)
    assert found["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2"
    assert found["kind"] == "Plugin"
    assert re.fullmatch(r"[\w-]+", found["metadata"]["name"])
    spec = found["spec"]
    assert spec["version"] == f"v{__version__}"
    assert re.fullmatch(r"v\d+\.\d+\.\d+", spec["version"])
    assert "\n" not in spec["shortDescription"]
    assert 0 < len(spec["shortDescription"]) <= 50
    for one in spec["platforms"]:
        assert set(one) == {"selector", "uri", "sha256", "bin", "files"}
        assert set(one["selector"]) == {"matchLabels"}
        assert set(one["selector"]["matchLabels"]) == {"os", "arch"}
        assert re.fullmatch(r"[0-9a-f]{64}", one["sha256"])
        assert not [file for file in one["files"] if file["to"] != "."]
    assert f"Python {target()[2]}" in spec["caveats"]


def test_the_same_program_gives_the_same_archive() -> None:
    assert archive(PROGRAM) == archive(PROGRAM)


def test_a_url_that_krew_refuses(tmp_path: Path) -> None:
    command = ["-m", "release.krew", f"--program={tmp_path}", "--url=http://x", f"--output={tmp_path}"]
    done = subprocess.run([sys.executable, *command], check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--url: must begin with https://" in done.stderr
