"""Fixtures that give tests a real control plane, and the rules by which a test is skipped where the cluster lacks something.

``CLUSTER`` chooses it: unset for local processes, ``kind``, or ``external`` with ``KUBECONFIG``. A kubeconfig alone is not enough: tests write, and nobody's own cluster should
be written to because a variable was set.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest

from localcluster import Cluster, ClusterApi, FeatureMissing, Options, external

_CLUSTER_FIXTURES = {"cluster", "cluster_factory", "namespace"}
_FAILED = pytest.StashKey[bool]()
_RUNNING = pytest.StashKey[list[Cluster]]()

ClusterFactory = Callable[[Options], ClusterApi]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FAILED] = False
    config.stash[_RUNNING] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _CLUSTER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("cluster")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    with _missing_features_skip():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    with _missing_features_skip():
        yield


class _missing_features_skip:  # noqa: N801  reads as the statement it is
    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FeatureMissing):
            pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.config.stash[_FAILED] = True
        for cluster in item.config.stash[_RUNNING]:
            report.sections.append((f"cluster, logs kept in {cluster.logs_dir}", cluster.log_tails()))
    return report


def _stop(config: pytest.Config, cluster: Cluster) -> None:
    config.stash[_RUNNING].remove(cluster)
    cluster.stop(keep_logs=config.stash[_FAILED])


@pytest.fixture(scope="session")
def cluster_factory(request: pytest.FixtureRequest) -> Iterator[ClusterFactory]:
    """Start further clusters with options of their own (``cluster_factory(Options(karpenter=True))``).

    They end with the session; ``with`` ends one earlier. On an external cluster it gives that one, if it has the features, or skips.
    """
    config = request.config
    with ExitStack() as stack:

        def start(options: Options) -> ClusterApi:
            given = external.from_environment()
            if given is not None:
                given.require(*options.features)
                return given
            cluster = Cluster(options)
            config.stash[_RUNNING].append(cluster)
            stack.callback(_stop, config, cluster)
            return cluster

        yield start


@pytest.fixture(scope="session")
def cluster(cluster_factory: ClusterFactory) -> ClusterApi:
    """The session's shared cluster: the core without optional parts. Tests keep to namespaces and names of their own."""
    given = external.from_environment()
    return given if given is not None else cluster_factory(Options())


@pytest.fixture
def namespace(cluster: ClusterApi) -> Iterator[str]:
    """A namespace of this test's own, ready for pods."""
    with cluster.namespace() as name:
        yield name
