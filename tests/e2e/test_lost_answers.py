"""The API server scales a workload for a surge and its answer is lost: no replica too many stays, none too few."""

from collections.abc import Iterator

import pytest

from harness import Installation
from localcluster import ClusterApi
from tests.support.e2e import QUICK_LEASE, Start
from tests.support.lost_answers import LostAnswers
from tests.support.tight import FLAGS, PODS_PER_NODE, TightStage

READY_SECONDS = 20
OPERATOR_FLAGS = (*FLAGS, QUICK_LEASE, f"--surge-ready-seconds={READY_SECONDS}")
BRING_BACK = {"threshold": {"mode": "Manual", "replicas": 100}, "placement": {"spillAfter": "1s"}}
REPLICAS = PODS_PER_NODE + 1


@pytest.fixture
def stage(cluster: ClusterApi) -> Iterator[TightStage]:
    """One owned node."""
    made = TightStage(cluster, 1)
    yield made
    made.close()


@pytest.mark.parametrize("silent", [False, True], ids=["connection broken", "no answer in time"])
@pytest.mark.parametrize(
    "lost",
    [
        pytest.param((1,), id="to add the replica"),
        pytest.param((2,), id="to remove it"),
        pytest.param((1, 2), id="to add and to remove it"),
    ],
)
def test_a_replica_comes_back_and_the_additional_one_is_removed(
    start: Start,  # it cleans up
    installation: Installation,
    stage: TightStage,
    cluster: ClusterApi,
    lost: tuple[int, ...],
    *,
    silent: bool,
) -> None:
    with LostAnswers.of(cluster.kubeconfig, *lost, silent=silent) as proxy:
        kubeconfig = installation.kubeconfig_through(proxy.port, scheme="http")
        installation.start_one(0, kubeconfig=kubeconfig, flags=OPERATOR_FLAGS)
        installation.wait_ready(0)
        installation.wait_leader()
        stage.govern(BRING_BACK)
        stage.half("web", REPLICAS)
        stage.wait_bound("web", REPLICAS)
        cluster.wait_pods_ready(stage.namespace, REPLICAS, "app=web")
        assert stage.bound_tiers("web")["virtual"] == 1

        stage.add_owned(1)

        def ended() -> bool:
            replicas = stage.deployment("web")["spec"]["replicas"]
            assert REPLICAS <= replicas <= REPLICAS + 1
            over = installation.total("spillway_bring_backs_total", policy=stage.id) > 0 and not stage.marks()
            assert not over or replicas == REPLICAS, "the additional replica stays, and no mark says whose it is"
            return over

        cluster.wait_until(ended, "the end of the surge")
        assert installation.total("spillway_bring_backs_total", policy=stage.id, outcome="BroughtBack") == 1
        home = {"physical": REPLICAS, "virtual": 0, "waiting": 0}
        cluster.wait_until(lambda: stage.bound_tiers("web") == home, "all of them on owned nodes")
        assert len(proxy.lost) == len(lost)
        assert set(proxy.lost) == {200}
        assert len(proxy.scaled) == 2, "one request to add the replica, and one to remove it"
