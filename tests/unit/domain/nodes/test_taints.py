"""Which taints a node should carry, as a table."""

import pytest

from spillway.api.elasticpolicy import PolicyMode
from spillway.domain.balance.hot_nodes import hot_taint
from spillway.domain.model.names import ELASTIC_TAINT, HOT_TAINT
from spillway.domain.model.records import Taint
from spillway.domain.nodes.taints import plan_taint, taints_with
from spillway.domain.policies.governance import ElasticOwner
from tests.builders import make_node

OURS = Taint(ELASTIC_TAINT, "PreferNoSchedule", "online")
STALE = Taint(ELASTIC_TAINT, "PreferNoSchedule", "gone")
HARD = Taint(ELASTIC_TAINT, "NoSchedule", "online")
THEIRS = Taint("dedicated", "NoSchedule", "gpu")
LAST = Taint("node.kubernetes.io/not-ready", "NoExecute")
HOT = hot_taint("even")

ENFORCED = ElasticOwner("online", PolicyMode.ENFORCE, soft_taint=True)
RECOMMENDED = ElasticOwner("online", PolicyMode.RECOMMEND, soft_taint=True)
UNTAINTED = ElasticOwner("online", PolicyMode.ENFORCE, soft_taint=False)
TOO_LONG = ElasticOwner("a" * 64, PolicyMode.ENFORCE, soft_taint=True)
LONGEST = ElasticOwner("a." * 31 + "a", PolicyMode.ENFORCE, soft_taint=True)


@pytest.mark.parametrize(
    ("present", "owner", "wanted"),
    [
        pytest.param((), ENFORCED, (OURS,), id="a new elastic node gets it"),
        pytest.param((THEIRS, LAST), ENFORCED, (THEIRS, LAST, OURS), id="beside others' taints"),
        pytest.param((OURS,), ENFORCED, None, id="already there"),
        pytest.param((THEIRS, OURS, LAST), ENFORCED, None, id="its place does not matter"),
        pytest.param((STALE, THEIRS), ENFORCED, (THEIRS, OURS), id="another policy's value is replaced"),
        pytest.param((HARD, OURS), ENFORCED, (OURS,), id="another effect under our key goes"),
        pytest.param((OURS, THEIRS), None, (THEIRS,), id="policy gone or node no longer selected"),
        pytest.param((OURS,), RECOMMENDED, (), id="policy left Enforce"),
        pytest.param((OURS,), UNTAINTED, (), id="soft taint switched off"),
        pytest.param(
            (),
            RECOMMENDED,
            None,
            id="a recommending policy taints nothing",
        ),
        pytest.param((THEIRS,), None, None, id="others' taints alone"),
        pytest.param(
            (),
            TOO_LONG,
            None,
            id="a name that no taint can hold refuses no node",
        ),
        pytest.param((), LONGEST, (Taint(ELASTIC_TAINT, "PreferNoSchedule", LONGEST[0]),), id="dots are fine"),
    ],
)
def test_wanted_taints(
    present: tuple[Taint, ...], owner: ElasticOwner | None, wanted: tuple[Taint, ...] | None
) -> None:
    plan = plan_taint(make_node(taints=present), owner)
    assert (plan.wanted if plan else None) == wanted


def test_a_node_being_deleted_is_left() -> None:
    assert plan_taint(make_node(deleting=True), ENFORCED) is None


def test_plans_converge() -> None:
    """Applying a plan leaves nothing to plan."""
    plan = plan_taint(make_node(), ENFORCED)
    assert plan is not None
    assert plan.added
    assert plan_taint(make_node(taints=plan.wanted), ENFORCED) is None


@pytest.mark.parametrize(
    ("taints", "wanted", "result"),
    [
        pytest.param((THEIRS, OURS), HOT, (THEIRS, OURS, HOT), id="added"),
        pytest.param((THEIRS, HOT), HOT, None, id="there already"),
        pytest.param((HOT, THEIRS), None, (THEIRS,), id="removed"),
        pytest.param((hot_taint("other"),), HOT, (HOT,), id="of another resource"),
        pytest.param((THEIRS,), None, None, id="nothing to do"),
    ],
)
def test_the_taints_with_one_key(
    taints: tuple[Taint, ...], wanted: Taint | None, result: tuple[Taint, ...] | None
) -> None:
    assert taints_with(make_node(taints=taints), HOT_TAINT, wanted) == result


def test_a_node_that_is_being_deleted_gets_no_taint() -> None:
    assert taints_with(make_node(deleting=True), HOT_TAINT, HOT) is None
