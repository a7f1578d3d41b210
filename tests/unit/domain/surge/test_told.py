"""How the Event about a move by surge names the additional replica, and how that is read again."""

import pytest

from spillway.domain.surge.steps import Purpose
from spillway.domain.surge.told import told_asker, told_move


@pytest.mark.parametrize(
    ("off", "purpose", "asker", "resource"),
    [
        ("node n1 to make zones even", Purpose.REBALANCE, "even", "ZonalBalance/even"),
        ("node e1, which is being emptied", Purpose.CONSOLIDATE, "on.line", "ElasticPolicy/on.line"),
    ],
)
def test_the_resource_is_read_from_the_text_that_was_written(
    off: str, purpose: Purpose, asker: str, resource: str
) -> None:
    note = told_move(off, "web-5d8-x7k2p", purpose, asker)
    assert note.startswith(f"A pod was moved off {off}: the additional replica web-5d8-x7k2p was ready")
    assert told_asker(note, "web-5d8-x7k2p") == resource
    assert told_asker(note, "web-5d8-x7k2") is None


def test_a_move_of_which_the_additional_replica_is_not_known_names_no_pod() -> None:
    note = told_move("its node to make zones even", "", Purpose.REBALANCE, "even")
    assert note.startswith("A pod was moved off its node to make zones even: an additional replica was ready")
    assert told_asker(note, "") is None


@pytest.mark.parametrize("note", ["", "Evicted to make zones even: shop/web-1: n1 to n2.", "Deleted pod: web-1"])
def test_other_texts_name_no_resource(note: str) -> None:
    assert told_asker(note, "web-1") is None
