"""What a status says about namespaces whose pods a pool does not take, and when that is an Event."""

import pytest

from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.controllers.pools.memory import PoolMemory
from spillway.controllers.pools.status import pool_part
from spillway.controllers.status.node_summary import PoolCount
from spillway.controllers.status.part import ObservedCondition
from spillway.domain.pools.health import Health, HealthReason, State
from tests.support.pools import budget

FAILED = Health(State.FAILED, 1, 1000.0, 1300.0, HealthReason.PODS_NOT_STARTING)
COUNT = PoolCount(nodes=1, ready=1)


def keeping_out(*namespaces: str, health: Health = Health()) -> PoolMemory:  # noqa: B008  # frozen
    return PoolMemory(health, namespaces=dict.fromkeys(namespaces, FAILED))


def healthy(memory: PoolMemory, before: PoolMemory) -> ObservedCondition:
    current = VirtualNodeBudgetStatus.model_validate(before.status())
    part = pool_part(VirtualNodeBudget.model_validate(budget("a")), COUNT, memory, current)
    return next(one for one in part.conditions if one.type == "Healthy")


@pytest.mark.parametrize(
    ("namespaces", "named"),
    [
        (("shop",), "Pods of shop did"),
        (("shop", "bank"), "Pods of bank, shop did"),
        (("a", "b", "c", "d", "e"), "Pods of a, b, c and 2 more did"),
    ],
)
def test_the_message_names_some(namespaces: tuple[str, ...], named: str) -> None:
    found = healthy(keeping_out(*namespaces), keeping_out())
    assert (found.holds, found.reason) == (True, "NamespacesKeptOut")
    assert found.message.startswith(named)
    assert "1970-01-01T00:21:40Z" in found.message


@pytest.mark.parametrize(
    ("memory", "before", "event"),
    [
        pytest.param(keeping_out("shop"), keeping_out(), True, id="the first"),
        pytest.param(keeping_out("shop"), keeping_out("shop"), False, id="as before"),
        pytest.param(keeping_out("shop", "bank"), keeping_out("shop"), True, id="another"),
        pytest.param(keeping_out("shop"), keeping_out("shop", "bank"), False, id="one less"),
        pytest.param(keeping_out("shop", health=FAILED), keeping_out(health=FAILED), False, id="the pool has failed"),
    ],
)
def test_another_namespace_that_is_kept_out_is_an_event(memory: PoolMemory, before: PoolMemory, *, event: bool) -> None:
    assert healthy(memory, before).announce is event


def test_the_status_lists_twenty_and_those_that_are_kept_out_first() -> None:
    retrying = {f"a-{number:02}": Health(State.RETRYING, 1, 1000.0) for number in range(30)}
    memory = PoolMemory(namespaces={**retrying, "shop": FAILED})
    listed = memory.status()["namespace_health"]
    assert len(listed) == 20
    assert (listed[0].namespace, listed[0].state) == ("shop", "Failed")
