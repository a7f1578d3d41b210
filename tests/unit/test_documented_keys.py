"""The documents name every key of what the commands write with `-o json` and `-o yaml`, and no other one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import typer
from msgspec import inspect

from spillway.cli.backtest_output import Backtest
from spillway.cli.commands import application
from spillway.domain.doctor.findings import Report
from spillway.domain.explain.answers import GonePodAnswer, NodeAnswer, PodAnswer, PoolAnswer, WorkloadAnswer
from spillway.domain.overview.plans import HeadroomPlan, MovesPlan, ScalingPlan
from spillway.domain.overview.status import Overview
from spillway.domain.overview.thresholds import ThresholdsPlan
from spillway.domain.proposal.answers import Proposal

pytestmark = pytest.mark.xdist_group("documented-names")

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
PAGE: Final = (DOCS / "reference" / "kubectl-spillway.md").read_text()
Document = type[msgspec.Struct]

DOCUMENTS: Final[Mapping[str, tuple[Document, ...]]] = {
    "backtest": (Backtest,),
    "doctor": (Report,),
    "explain node": (NodeAnswer,),
    "explain pod": (PodAnswer, GonePodAnswer),
    "explain pool": (PoolAnswer,),
    "explain workload": (WorkloadAnswer,),
    "plan headroom": (HeadroomPlan,),
    "plan moves": (MovesPlan,),
    "plan scaling": (ScalingPlan,),
    "plan thresholds": (ThresholdsPlan,),
    "simulate": (Proposal,),
    "status": (Overview,),
}
"""What each command writes."""


def _section(name: str) -> Sequence[str]:
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0].splitlines()


def _beginning(lines: Sequence[str], *begins: str) -> list[str]:
    return [line for line in lines if line.startswith(begins)]


def _table(lines: Sequence[str]) -> list[str]:
    """The rows of the table of keys."""
    start = lines.index("| key | content |") + 2
    end = next((index for index in range(start, len(lines)) if not lines[index].startswith("|")), len(lines))
    return list(lines[start:end])


def _lines(command: str, document: Document) -> list[str]:
    """The lines that describe a document."""
    if command == "backtest":
        return _table((DOCS / "how-to" / "backtest.md").read_text().splitlines())
    if command == "doctor":
        return _beginning(_section("doctor"), "The keys of the output are")
    group, _, _ = command.partition(" ")
    if group == "explain":
        others = () if document is GonePodAnswer else ("| all but `GonePod` |",)
        return _beginning(_section(group), "| all |", *others, f"| `{document.__struct_config__.tag}` |")
    if group == "plan":
        return [line.rpartition(" | ")[2] for line in _beginning(_section(group), f"| `{command}` |")]
    return _table(_section(command))


def _named(text: str) -> set[str]:
    """The keys that a text names; a link is none."""
    without_links = re.sub(r"\[[^]]*]\([^)]*\)", "", text)
    return {one.removesuffix("[]") for one in re.findall(r"`([a-z]\w*(?:\[])?)`", without_links)} - {"null"}


def _fields(kind: inspect.Type) -> Iterator[tuple[str, inspect.Type]]:
    """The keys of an object, and of those in it, each with its type."""
    if isinstance(kind, inspect.StructType):
        if kind.tag_field:
            yield kind.tag_field, inspect.StrType()
        for field in kind.fields:
            yield field.encode_name, field.type
            yield from _fields(field.type)
    elif isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _fields(one)
    elif isinstance(kind, inspect.VarTupleType):
        yield from _fields(kind.item_type)
    elif isinstance(kind, inspect.DictType):
        yield from _fields(kind.value_type)


PAIRS: Final = [(command, one) for command, documents in DOCUMENTS.items() for one in documents]


def test_every_command_with_an_output_is_listed() -> None:
    found = set[str]()
    for name, one in typer.main.get_command(application()).commands.items():  # type: ignore[attr-defined]
        inner: dict[str, Any] = {f"{name} {sub}": command for sub, command in getattr(one, "commands", {}).items()}
        for key, command in (inner or {name: one}).items():
            if any(param.name == "output" for param in command.params):
                found.add(key)
    assert found == set(DOCUMENTS)


@pytest.mark.parametrize(("command", "document"), PAIRS, ids=lambda one: getattr(one, "__name__", one))
def test_every_key_is_documented_and_every_documented_key_is_there(command: str, document: Document) -> None:
    written = {key for key, _ in _fields(inspect.type_info(document))}

    assert len(written) > 3
    assert _named("\n".join(_lines(command, document))) == written


@pytest.mark.parametrize("command", ["backtest", "simulate", "status"])
def test_a_row_has_the_keys_of_what_it_describes(command: str) -> None:
    [document] = DOCUMENTS[command]
    root = inspect.type_info(document)
    assert isinstance(root, inspect.StructType)
    described = set[str]()
    for line in _lines(command, document):
        own = _named(line.split(" | ")[0])
        described |= own
        kinds = [field.type for field in root.fields if field.encode_name in own]
        assert own <= {field.encode_name for field in root.fields}
        assert {key for kind in kinds for key, _ in _fields(kind)} <= _named(line), line
    assert described == {field.encode_name for field in root.fields}
