from datetime import UTC, datetime

from spillway.api.virtualnodebudget import DrainProgress, VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.nodes.drain import DrainController
from spillway.controllers.nodes.status import CordonContributor
from spillway.controllers.status.node_summary import NodeSummary
from spillway.domain.placement.job_retries import Retries
from spillway.state.catalog import Kind
from tests.builders import make_node
from tests.support.fake_clock import FakeClock
from tests.support.fake_writer import FakeWriter
from tests.support.pools import jobs
from tests.support.world import make_world, resource

LABELS = {"pool": "virtual"}
SELECTOR = {"matchLabels": LABELS}


def drain_in_status(cordon: str) -> object:
    """What a leader that has drained nothing yet writes where the status shows a drain."""
    raw = resource(Kind.VIRTUAL_NODE_BUDGET, "eci", nodeSelector=SELECTOR, cordon=cordon)
    world = make_world([make_node("v1", labels=LABELS)], [raw], FakeClock())
    drains = DrainController(world, FakeWriter(), jobs(), Retries())
    current = VirtualNodeBudgetStatus.model_validate(
        {"drain": {"started": "2025-12-31T23:59:00Z", "evicted": 7, "remaining": 9, "blocked": 3}}
    )
    part = CordonContributor(NodeSummary(world), drains).part(
        VirtualNodeBudget.model_validate(raw), current, datetime(2026, 1, 1, tzinfo=UTC)
    )
    found = part.fields["drain"]
    return found.remaining if isinstance(found, DrainProgress) else found


def test_a_new_leader_keeps_the_progress_of_the_one_before_until_its_first_pass() -> None:
    assert drain_in_status("HoldAndDrain") == 9


def test_a_drain_that_is_over_leaves_the_status() -> None:
    assert drain_in_status("Hold") is None
