"""Tools of the local cluster that run Kubernetes' own Go code: one line of JSON a question, one line an answer."""

import json
import shutil
import subprocess
from collections.abc import Iterable

import pytest

from localcluster import binaries, build
from localcluster.rest import Object


def needs_go(tool: str) -> pytest.MarkDecorator:
    """Skip a test where the tool is neither given nor can be built."""
    return pytest.mark.skipif(shutil.which("go") is None and binaries.given(tool) is None, reason="no Go toolchain")


def ask(tool: str, questions: Iterable[Object]) -> list[str]:
    """Build the tool if it is not there yet, and return the line that it answers to each question."""
    build.ensure_built([tool])
    done = subprocess.run(
        [str(binaries.find(tool))],
        input="".join(json.dumps(question) + "\n" for question in questions),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()
