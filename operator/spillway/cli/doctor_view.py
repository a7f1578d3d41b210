"""The tables of `spillway doctor`."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table

from spillway.cli.live import MESSAGE, cell, coloured, literal, table
from spillway.domain.doctor.findings import Finding, Report


def report_view(found: Report, /, *, wide: bool) -> Sequence[RenderableType]:
    """The findings, and a summary. The wide form has the remedies in the table, the other one below it."""
    head = f"cluster: {literal(found.cluster)}\nchecked: {', '.join(one.value for one in found.checks)}"
    if not found.findings:
        return [head, "No problem was found."]
    if wide:
        return [head, _table(found.findings), _summary(found)]
    return [head, *map(_finding, found.findings), _summary(found)]


def _finding(one: Finding) -> str:
    return (
        f"{coloured(one.severity.value)} {literal(one.object)} ({one.check.value})\n"
        f"  {literal(one.message)}\n"
        f"  remedy: {literal(one.remedy)}"
    )


def _table(findings: Sequence[Finding]) -> Table:
    made = table("severity", "check", "object", "found", MESSAGE)
    made.columns[-1].header = "REMEDY"
    for one in findings:
        made.add_row(coloured(one.severity.value), *map(cell, (one.check.value, one.object, one.message, one.remedy)))
    return made


def _summary(found: Report) -> str:
    errors = f"{found.errors} error{'' if found.errors == 1 else 's'}"
    warnings = f"{found.warnings} warning{'' if found.warnings == 1 else 's'}"
    return f"{coloured('error', errors) if found.errors else errors}, {warnings}"
