"""Which start failures close a pool, and from when on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.model.names import NodeName, OwnerUid
from spillway.domain.model.owners import Owner
from spillway.domain.pools.health import FAILED_PODS
from spillway.domain.pools.start_failures import FOR_ALL, FOR_NAMESPACE, StartFailure, closed_from, counted_workload


def failure(due: float, workload: str = "shop/web", node: str = "v1") -> StartFailure:
    return StartFailure(due, workload.partition("/")[0], workload, NodeName(node))


@pytest.mark.parametrize(
    ("failures", "namespace", "everyone"),
    [
        pytest.param([failure(1), failure(2), failure(3)], None, None, id="one workload on one node"),
        pytest.param([failure(1), failure(2, "shop/api")], None, None, id="too few"),
        pytest.param([failure(1), failure(5), failure(3, "shop/api")], 5.0, None, id="two workloads"),
        pytest.param([failure(1), failure(2), failure(3, node="v2")], 3.0, None, id="two nodes"),
        pytest.param(
            [failure(1), failure(2), failure(3), failure(9, "shop/api")], 9.0, None, id="two, the second later"
        ),
        pytest.param([failure(1), failure(2), failure(3, "bank/web")], 3.0, 3.0, id="two namespaces"),
        pytest.param(
            [failure(n, f"shop/w{n}", f"v{n}") for n in range(50)],
            2.0,
            None,
            id="many of one namespace",
        ),
    ],
)
def test_what_closes_a_pool(failures: list[StartFailure], namespace: float | None, everyone: float | None) -> None:
    assert closed_from(failures, pods=3, namespaces=FOR_NAMESPACE) == namespace
    assert closed_from(failures, pods=3, namespaces=FOR_ALL) == everyone


@pytest.mark.parametrize(
    ("kind", "name", "counted"),
    [
        ("Deployment", "web", "Deployment/shop/web"),
        ("Job", "etl", "Job/shop/etl"),
        ("Job", "etl-29384756", "CronJob/shop/etl"),
        ("Pod", "debug", "Pod/shop/"),
    ],
)
def test_for_whom_a_pod_counts(kind: str, name: str, counted: str) -> None:
    assert counted_workload(Owner("", kind, "shop", name, OwnerUid("1"))) == counted


some = st.lists(
    st.builds(
        lambda due, space, name, node: failure(float(due), f"team-{space}/w{name}", f"v{node}"),
        st.integers(0, 50),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=12,
)


@given(some, some)
def test_more_failures_close_no_later_and_the_order_does_not_matter(
    failures: list[StartFailure], more: list[StartFailure]
) -> None:
    for namespaces in (FOR_NAMESPACE, FOR_ALL):
        before = closed_from(failures, pods=FAILED_PODS, namespaces=namespaces)
        assert closed_from(reversed(failures), pods=FAILED_PODS, namespaces=namespaces) == before
        after = closed_from([*failures, *more], pods=FAILED_PODS, namespaces=namespaces)
        assert before is None or (after is not None and after <= before)


@given(some)
def test_a_namespace_alone_closes_no_pool_for_others(failures: list[StartFailure]) -> None:
    alone = [one for one in failures if one.namespace == "team-0"]
    assert closed_from(alone, pods=1, namespaces=FOR_ALL) is None
