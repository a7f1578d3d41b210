"""Guards for docstrings: every module has one, none is one word, those of modules and classes are noun phrases."""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.xdist_group("docstrings")

PROJECT: Final = Path(__file__).resolve().parents[2]
MODULES: Final = sorted((PROJECT / "operator" / "spillway").rglob("*.py"))

LINK: Final = re.compile(
    "about|after|and|as|at|before|behind|beside|between|by|for|from|if|in|into|of|on|or|over|per|than|that|to|under|"
    "until|what|when|where|which|who|whose|with|without"
)
"""A word that may follow the noun with which a docstring begins; a verb is followed by its object."""
AFTER_NOUNS: Final = re.compile("and|as|by|for|of|or|that|which|whose")
"""The links that follow no verb. The others do: "Decides on the tier", "Writes at most so many"."""
DETERMINER: Final = re.compile(
    "a|all|an|any|each|every|her|him|his|it|its|no|none|one|some|the|their|them|these|this|those|whether"
)
"""A word that begins an object, or is one: no noun is followed by it."""
OPENING: Final = re.compile(f"{LINK.pattern}|{DETERMINER.pattern}|everything|how|why|Kubernetes|Prometheus")
"""A word that is no verb and with which a noun phrase may begin."""


def _id(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@pytest.fixture(scope="module")
def texts() -> dict[Path, list[ast.AST]]:
    """The nodes of every module that are texts, or may have a docstring."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.Expr
    return {
        path: [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)] for path in MODULES
    }


def _verbs(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """The verbs with which docstrings of functions begin."""
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    texts = [text.split() for node in functions if (text := ast.get_docstring(node))]
    return frozenset(
        first.lower()
        for first, *rest in texts
        if rest and DETERMINER.fullmatch(rest[0]) and not OPENING.fullmatch(first.lower())
    )


def _begins_with_a_verb(docstring: str, verbs: frozenset[str]) -> bool:
    """Whether a docstring begins with a verb and its object instead of a noun.

    `verbs` are known ones, in their base form: with an -s they are verbs before a preposition too.
    """
    first, *rest = docstring.split()
    if OPENING.fullmatch(first) or OPENING.fullmatch(first.lower()) or first[0] == "`" or first[-1] in ":,":
        return False
    while len(rest) > 1 and rest[0] in {"and", "or"}:
        if rest[1][-1] in ":,." or DETERMINER.fullmatch(rest[1]):
            return False
        rest = rest[2:]
    following = rest[0].strip("`:,.") if rest else ""
    link = LINK.fullmatch(following)
    if first.endswith("s") and not first.endswith(("'s", "ss")):
        base = first.lower().removesuffix("s")
        return not link or (base in verbs and not AFTER_NOUNS.fullmatch(following))
    return first == "There" or bool(DETERMINER.fullmatch(following)) or (first.endswith("ed") and bool(link))


def test_every_module_says_what_it_is(texts: Mapping[Path, Sequence[ast.AST]]) -> None:
    modules = [(path, node) for path, nodes in texts.items() for node in nodes if isinstance(node, ast.Module)]
    assert len(modules) == len(MODULES)
    assert [_id(path) for path, module in modules if ast.get_docstring(module) is None] == []


def test_no_docstring_is_one_word(texts: Mapping[Path, Sequence[ast.AST]]) -> None:
    """Docstrings of attributes too."""
    found = [
        (f"{_id(path)}:{node.lineno}", node.value.value.split())
        for path, nodes in texts.items()
        for node in nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    assert [f"{where}: {words}" for where, words in found if len(words) < 2] == []


@pytest.mark.parametrize(
    "docstring",
    [
        "Writes at most `rate` times a second.",
        "Decides on which tier replicas run.",
        "Reads single objects.",
        "Reads and writes them.",
        "Serves `webhooks` until stopped.",
        "Keep the heap in one piece.",
        "Raised by a handler that cannot do its work.",
        "There is no answer.",
        "Pods are classified by what they use.",
    ],
)
def test_a_verb_is_recognised(docstring: str) -> None:
    assert _begins_with_a_verb(docstring, frozenset({"write", "decide"}))


@pytest.mark.parametrize(
    "docstring",
    [
        "Writes of pods, and what they cost.",
        "Spill and bring-back: waiting pods change sides.",
        "Millicores and bytes, each times the seconds.",
        "Nodes and the pods on them.",
        "Label selectors with the semantics of Kubernetes.",
        "Alerts on limits of a pool.",
        "Nodes, pods and their owners.",
        "What a pod requests.",
        "Kubernetes quantities as exact numbers.",
        "`spillway plan`: a plan without the operator.",
        "The server of `webhooks`.",
    ],
)
def test_a_noun_is_recognised(docstring: str) -> None:
    assert not _begins_with_a_verb(docstring, frozenset({"write", "decide"}))


def test_modules_and_classes_are_described_by_noun_phrases(texts: Mapping[Path, Sequence[ast.AST]]) -> None:
    verbs = _verbs(node for nodes in texts.values() for node in nodes)
    described = [
        (path, ast.get_docstring(node) or "The")
        for path, nodes in texts.items()
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef)
    ]
    assert [f"{_id(path)}: {text}" for path, text in described if _begins_with_a_verb(text, verbs)] == []
