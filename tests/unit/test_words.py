"""Guards for words and names: phrases that are not understood, class names, log calls, where a unit test lies."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.xdist_group("words")

PROJECT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = PROJECT / "operator" / "spillway"
UNIT: Final = PROJECT / "tests" / "unit"
MODULES: Final = sorted(SOURCE.rglob("*.py"))
TEXTS: Final = sorted(
    path
    for pattern in (
        "README.md",
        "operator/**/*.py",
        "docs/**/*.md",
        "charts/**/*.yaml",
        "charts/**/*.tpl",
        "charts/**/*.txt",
        "crds/*.yaml",
        "examples/**/*.yaml",
        "tests/**/*.py",
    )
    for path in PROJECT.glob(pattern)
    if path != Path(__file__).resolve()
)

BANNED: Final = re.compile(
    r"""\banew\b
    | on[ ](?:their|its)[ ]way\b
    | \bBy[ ]the[ ]board's\b
    | \bBeing[ ]the[ ]one\b
    | \bWhat[ ]we[ ]tell\b
    | \bhears[ ]nobody\b
    | \bexactly[ ]also\b
    | \bnobody\b
    | \bsomebody\b
    | \bdearest\b
    | \bdearer\b
    | \bin[ ]vain[ ]for\b
    | \bborn\b
    | \bto[ ]and[ ]fro\b
    | \bbeyond[ ]the[ ]valley\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Idioms and riddles of earlier texts. Write what happens, in the terms of Kubernetes."""
FIRST_PERSON: Final = re.compile(r"\b(?:[Ww]e|[Oo]urs?|us)\b")
"""The documents for users name Spillway or the operator."""
JUDGES: Final = re.compile(r'"""(?:Acts|Judges|Asks|Tells|Says|Returns?)\b')
"""A docstring says what a thing is; one of a function that yields a value is a noun phrase."""

LOG_METHODS: Final = frozenset({"debug", "info", "warning", "error", "exception"})
NOT_KEYS: Final = frozenset({"object", "name", "pod_key", "node_key", "secret", "path", "lease", "workload"})
"""Names under which the object of a log line has stood; it is `key` everywhere."""

ELSEWHERE: Final = {
    "api/test_models.py": "the models of all kinds",
    "cli/test_exit_codes.py": "all commands that read something",
    "controllers/status/test_statuses.py": "the statuses of all features together",
    "kube/test_broken_connections.py": "everything that follows the API server",
    "simulate/test_models.py": "the models of the simulator together",
    "test_alerts.py": "the alerts of the chart and their runbooks",
    "test_dashboards.py": "the dashboards of the chart",
    "test_docstrings.py": "the docstrings of all modules",
    "test_documented_keys.py": "the documents, and what all commands write",
    "test_documented_names.py": "the documents",
    "test_project_files.py": "files outside the code",
    "test_words.py": "all modules and documents",
}
"""Unit tests of no single module, with what they are about."""
TOPICS: Final = {
    "controllers/balance/test_rebalance.py": ("bounds", "reasons"),
    "controllers/threshold/test_controller.py": ("status",),
    "webhooks/test_pods.py": ("owners",),
    "controllers/spill/test_bring_back.py": ("turns",),
    "controllers/spill/test_controller.py": ("jobs", "recall"),
    "domain/balance/test_moves.py": ("end", "large"),
    "domain/forecast/test_forecaster.py": ("properties", "spikes", "traces"),
    "domain/scale_down/test_costs.py": ("properties",),
    "domain/scale_down/test_ranking.py": ("properties",),
    "domain/threshold/test_allocation.py": ("properties", "traces"),
    "kube/test_decode.py": ("failed", "pending"),
}
"""The subjects of the further files of a module whose tests do not fit in one, by its first file."""
ROOTS: Final = {
    "bench": PROJECT / "tests" / "bench",
    "demo": PROJECT / "demo",
    "harness": PROJECT / "harness",
    "release": PROJECT / "release",
    "localcluster": PROJECT / "localcluster",
}
"""Where the modules are that a folder of unit tests mirrors; the others mirror the operator's."""


def _id(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text that stands as a statement: docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    """Every module of the operator, parsed once."""
    return {path: ast.parse(path.read_text()) for path in MODULES}


def test_no_docstring_and_no_comment_says_we(trees: Mapping[Path, ast.Module]) -> None:
    found = list[str]()
    for path, tree in trees.items():
        source = path.read_text()
        texts = [text for _, text in _docstrings(tree)] if FIRST_PERSON.search(source) else []
        texts += re.findall(r"^\s*# .*$", source, re.MULTILINE)
        found += [f"{_id(path)}: {text}" for text in texts if FIRST_PERSON.search(text)]
    assert found == []


def test_no_two_public_classes_have_one_name(trees: Mapping[Path, ast.Module]) -> None:
    found = defaultdict[str, list[str]](list)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(_id(path))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_no_phrase_that_readers_do_not_understand() -> None:
    found = list[str]()
    for path in TEXTS:
        text = path.read_text()
        phrases = [BANNED, JUDGES]
        if path.suffix == ".md" and "designs" not in path.parts:  # for users
            phrases.append(FIRST_PERSON)
        present = [phrase for phrase in phrases if phrase.search(text)]
        found += [
            f"{_id(path)}:{number}: {line.strip()}"
            for number, line in enumerate(text.splitlines() if present else (), 1)
            if any(phrase.search(line) for phrase in present)
        ]
    assert found == []


def _log_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOG_METHODS:
            owner = node.func.value
            if "log" in (getattr(owner, "id", ""), getattr(owner, "attr", "")):
                yield node


def _events(call: ast.Call) -> Iterator[str]:
    """The constant texts that may be the event of a log line."""
    for node in ast.walk(call.args[0]) if call.args else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_log_events_are_sentences_and_name_their_object_by_key(trees: Mapping[Path, ast.Module]) -> None:
    for path, call in ((path, call) for path, tree in trees.items() for call in _log_calls(tree)):
        where = f"{_id(path)}:{call.lineno}"
        names = {keyword.arg for keyword in call.keywords}
        assert not names & NOT_KEYS, f"{where}: the object of a log line stands in `key`"
        for event in _events(call):
            assert "_" not in event, f"{where}: {event}"
            assert event[:1] == event[:1].lower() or event.startswith(("API ", "caBundle")), f"{where}: {event}"


def _mirrors(path: Path) -> bool:
    """Whether the file is `<package>/test_<module>.py` of a module, `<package>/test_<package>.py`, or in TOPICS."""
    parts = path.parent.relative_to(UNIT).parts
    package = ROOTS[parts[0]].joinpath(*parts[1:]) if parts and parts[0] in ROOTS else SOURCE.joinpath(*parts)
    name = path.stem.removeprefix("test_")
    module, _, topic = name.rpartition("_")
    split = topic in TOPICS.get(path.relative_to(UNIT).with_name(f"test_{module}.py").as_posix(), ())
    return name == package.name or (package / f"{module if split else name}.py").exists()


def test_a_unit_test_mirrors_a_module() -> None:
    others = [path for path in sorted(UNIT.rglob("test_*.py")) if not _mirrors(path)]
    assert [_id(path) for path in others if path.relative_to(UNIT).as_posix() not in ELSEWHERE] == []


def test_every_exception_is_needed() -> None:
    assert [name for name in ELSEWHERE if not (UNIT / name).exists() or _mirrors(UNIT / name)] == []
    further = [name.replace(".py", f"_{topic}.py") for name, topics in TOPICS.items() for topic in topics]
    assert [name for name in further if not (UNIT / name).exists()] == []
