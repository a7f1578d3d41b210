import pytest

from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.records import NodeRecord, Phase, PodRecord
from spillway.domain.pools.failover import dead_nodes, lost, mostly_dead
from tests.builders import make_node, make_pod

UP, DOWN = make_node("up"), make_node("down", ready=False)


def test_only_nodes_that_are_down_for_long_are_dead() -> None:
    nodes = [UP, DOWN, make_node("just", ready=False), make_node("unseen", ready=False)]
    since = {NodeName("up"): 1.0, NodeName("down"): 40.0, NodeName("just"): 41.0}
    assert dead_nodes(nodes, since, 60.0, 100.0) == (DOWN,)


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param(make_pod(ready=False), True, id="not ready"),
        pytest.param(make_pod(), False, id="still ready"),
        pytest.param(make_pod(ready=False, terminating=True), False, id="terminating already"),
        pytest.param(make_pod(ready=False, phase=Phase.SUCCEEDED), False, id="finished"),
        pytest.param(make_pod(ready=False, owner_uid=OwnerUid(""), owner_kind=""), False, id="without a controller"),
        pytest.param(make_pod(ready=False, owner_kind="StatefulSet"), False, id="its name is taken"),
        pytest.param(make_pod(ready=False, owner_kind="DaemonSet"), False, id="belongs to its node"),
        pytest.param(make_pod(ready=False, owner_kind="Job"), False, id="counts against the Job"),
        pytest.param(make_pod(ready=False, owner_kind="CloneSet"), True, id="another controller's"),
    ],
)
def test_a_pod_is_lost_when_it_is_down_and_has_a_successor(pod: PodRecord, *, expected: bool) -> None:
    assert lost(pod) is expected


def pools(**counts: tuple[int, int]) -> list[tuple[str | None, NodeRecord]]:
    """Ready and not ready nodes by pool; `owned` are in none."""
    return [
        (None if pool == "owned" else pool, node)
        for pool, (ready, down) in counts.items()
        for node in [UP] * ready + [DOWN] * down
    ]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param(pools(a=(0, 5), owned=(3, 0)), False, id="a pool larger than all the rest is down"),
        pytest.param(pools(a=(0, 1), owned=(0, 30)), True, id="everything is"),
        pytest.param(pools(a=(0, 1), owned=(45, 54)), False, id="below the threshold"),
        pytest.param(pools(a=(0, 1), owned=(45, 55)), True, id="at the threshold"),
        pytest.param(pools(a=(0, 1), b=(0, 9), owned=(2, 0)), False, id="two pools are down, the owned nodes vouch"),
        pytest.param(pools(a=(0, 1), b=(1, 0)), False, id="without owned nodes the other pools do"),
        pytest.param(pools(a=(0, 1), b=(0, 1)), True, id="and they are down too"),
        pytest.param(pools(a=(0, 3)), True, id="there is nothing else"),
    ],
)
def test_nothing_goes_while_most_of_everything_else_looks_dead(
    nodes: list[tuple[str | None, NodeRecord]], *, expected: bool
) -> None:
    assert mostly_dead("a", nodes) is expected
