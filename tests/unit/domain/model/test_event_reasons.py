"""The reference lists every reason of Spillway's own Events."""

from pathlib import Path

from spillway.domain.model import event_reasons

REFERENCE = Path(__file__).parents[4] / "docs/reference/observability.md"


def test_every_reason_is_in_the_reference() -> None:
    events = REFERENCE.read_text(encoding="utf-8").split("## Events", 1)[1].split("## Conditions", 1)[0]
    reasons = [value for name, value in vars(event_reasons).items() if name.isupper()]
    assert len(reasons) > 10
    assert [reason for reason in reasons if f"`{reason}`" not in events] == []
