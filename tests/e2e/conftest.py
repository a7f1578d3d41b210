"""The operator in a cluster that these tests share: installed once from the chart, restarted for each scenario."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import pytest

from harness import Installation
from harness.scene import Scene
from localcluster import Cluster, ClusterApi, ClusterFactory, Options
from tests.support.e2e import PATIENT, Start, two_replicas
from tests.support.preemption import synchronous
from tests.support.stage import OwnedNodes, Stage
from tests.support.tight import MakeStage, TightStage

LEASE_PATH = "/apis/coordination.k8s.io/v1/namespaces/spillway-system/leases/spillway"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "installation" in getattr(item, "fixturenames", ()):
            item.add_marker("e2e")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fixtures = getattr(item, "funcargs", {})
    installation, stage = fixtures.get("installation"), fixtures.get("stage")
    if report.failed and isinstance(stage, Stage):
        report.sections.insert(0, ("pods", stage.summary()))
    if report.failed and isinstance(installation, Installation):
        report.sections.append(("operator processes", installation.log_tails()))
    return report


@pytest.fixture(scope="package")
def cluster(cluster_factory: ClusterFactory) -> Iterator[ClusterApi]:
    """The cluster of most scenarios, the core only. They keep to namespaces and names of their own."""
    with cluster_factory(Options(scheduler_args=synchronous())) as made:
        yield made


@pytest.fixture(scope="package")
def installation(cluster: ClusterApi) -> Iterator[Installation]:
    """The chart's objects in the cluster, and the rights of its ServiceAccount; no process runs yet."""
    with Installation(cluster, PATIENT, flags=["--status-seconds=2"]) as installed:
        installed.apply()
        yield installed


@pytest.fixture(scope="package")
def measured(cluster_factory: ClusterFactory) -> Iterator[Cluster]:
    """The cluster of the scenarios about real load: metrics-server measures what pods pretend to use.

    An autoscaler keeps a higher number of replicas for longer than two of its looks may be apart on a busy machine.
    """
    with cluster_factory(Options(metrics_server=True, hpa_downscale_stabilization_seconds=20.0)) as made:
        assert isinstance(made, Cluster)
        yield made


@pytest.fixture(scope="package")
def measuring(measured: Cluster) -> Iterator[Installation]:
    """Two replicas in the cluster of the scenarios about real load."""
    with two_replicas(measured, {}) as installed:
        yield installed


@pytest.fixture
def measured_namespace(measured: Cluster) -> Iterator[str]:
    """A namespace in that cluster."""
    with measured.namespace() as name:
        yield name


@pytest.fixture(scope="package")
def elastic(cluster_factory: ClusterFactory) -> Iterator[Cluster]:
    """A cluster all of whose nodes come from Karpenter, which removes only those that are empty."""
    with cluster_factory(Options(karpenter=True, scheduler_args=synchronous())) as made:
        assert isinstance(made, Cluster)
        for zone in ("a", "b"):
            made.add_karpenter_pool(
                f"elastic-{zone}", zones=[f"zone-{zone}"], labels={"tier": "elastic"}, consolidate_after="1s"
            )
        yield made


@pytest.fixture(scope="package")
def installed(elastic: Cluster) -> Iterator[Installation]:
    """The chart's objects in that cluster; no process runs yet."""
    with Installation(elastic, PATIENT, flags=["--status-seconds=1"]) as installation:
        installation.apply()
        yield installation


@contextmanager
def _processes(request: pytest.FixtureRequest, installation: Installation, cluster: ClusterApi) -> Iterator[Start]:
    """Starts operator processes; at the end all that run are killed, and their Lease is deleted with them.

    They have the `OPERATOR_FLAGS` of the module.
    """
    of_module = getattr(request.module, "OPERATOR_FLAGS", ())

    def begin(count: int = 2, *flags: str) -> Installation:
        for index in range(count):
            installation.start_one(index, flags=[*of_module, *flags])
        installation.wait_ready(*range(count))
        installation.wait_leader()
        return installation

    cluster.rest.delete(LEASE_PATH)
    try:
        yield begin
    finally:
        for index in installation.running:
            installation.kill(index)
        cluster.rest.delete(LEASE_PATH)


@pytest.fixture
def start(request: pytest.FixtureRequest, installation: Installation, cluster: ClusterApi) -> Iterator[Start]:
    """Processes of this scenario's own."""
    with _processes(request, installation, cluster) as begin:
        yield begin


@pytest.fixture(scope="module")
def operators(
    request: pytest.FixtureRequest, installation: Installation, cluster: ClusterApi
) -> Iterator[Installation]:
    """Two replicas for all scenarios of a module, one of which leads."""
    with _processes(request, installation, cluster) as begin:
        yield begin(2)


@pytest.fixture(scope="module")
def owned(request: pytest.FixtureRequest, cluster: ClusterApi) -> Iterator[str]:
    """The owned nodes of a module, as its constant `OWNED` says; returns their label `stage`."""
    nodes: OwnedNodes = request.module.OWNED
    names = cluster.add_nodes(nodes.label, nodes.count, cpu=nodes.cpu, pods=nodes.pods, labels={"stage": nodes.label})
    yield nodes.label
    cluster.delete_nodes(names)


@pytest.fixture
def stage(operators: Installation, owned: str, cluster: ClusterApi) -> Iterator[Stage]:
    """A scenario on the module's owned nodes, with two pools of its own."""
    made = Stage(cluster, owned)
    yield made
    made.close()


@pytest.fixture
def make_stage(operators: Installation, cluster: ClusterApi) -> Iterator[MakeStage]:
    """Stages with owned nodes of their own; they are taken down at the scenario's end."""
    stages: list[TightStage] = []

    def make(nodes: int) -> TightStage:
        stages.append(TightStage(cluster, nodes))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def operator(start: Start) -> Installation:
    """Two replicas, ready."""
    return start()


@pytest.fixture
def make_scene(cluster: ClusterApi) -> Iterator[Callable[..., Scene]]:
    """Scenes of a scenario; they are taken down at its end."""
    scenes: list[Scene] = []

    def make(*, nodes_per_zone: int = 1, virtual_nodes: int = 3) -> Scene:
        scenes.append(Scene(cluster, nodes_per_zone=nodes_per_zone, virtual_nodes=virtual_nodes))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()


@pytest.fixture
def scene(make_scene: Callable[..., Scene]) -> Scene:
    """One node a tier and zone, a budget, no policy."""
    made = make_scene()
    made.add_budget()
    return made
