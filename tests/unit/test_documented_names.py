"""The page about the architecture names only files and functions that exist, and each function in its file."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

PROJECT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = PROJECT / "operator" / "spillway"
PAGE: Final = PROJECT / "docs" / "explanation" / "architecture.md"
TEXT: Final = re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.DOTALL)
SPANS: Final = sorted(set(re.findall(r"`([^`\n]+)`", TEXT)))
PATHS: Final = [span for span in SPANS if re.fullmatch(r"[\w/]+(?:/|\.py)", span)]
FUNCTION: Final = re.compile(r"`([\w.]+)\(\)`")
FILE: Final = re.compile(r"`([\w/]+\.py)`")
STEPS: Final = [line for line in TEXT.splitlines() if line.startswith("|") and FUNCTION.search(line)]


@cache
def _functions(path: Path) -> frozenset[str]:
    """The functions of a module, and its methods as `Class.method`."""
    found = set[str]()
    for node in ast.parse(path.read_text()).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        found |= {
            prefix + member.name for member in members if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)
        }
    return frozenset(found)


def test_the_page_names_many() -> None:
    assert len(PATHS) > 40
    assert len(STEPS) > 20


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path: str) -> None:
    assert (SOURCE / path).exists() or (PROJECT / path).exists() or any(SOURCE.rglob(path))


@pytest.mark.parametrize("step", STEPS)
def test_a_function_is_in_a_file_of_its_row(step: str) -> None:
    here = {name for file in FILE.findall(step) if (SOURCE / file).exists() for name in _functions(SOURCE / file)}
    assert [name for name in FUNCTION.findall(step) if name not in here] == []
