"""Fixtures that give tests a real control plane, and skip a test where the cluster lacks what it needs.

``CLUSTER`` chooses it: unset for local processes, ``kind``, or ``external`` with ``KUBECONFIG``. A kubeconfig alone is
not enough: tests write, and no one's own cluster should be written to because a variable was set.
"""

import fcntl
import gc
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from localcluster import Cluster, ClusterApi, ClusterFactory, FeatureMissing, Options, binaries, build, external

_TESTS = Path(__file__).parent
_CLUSTER_FIXTURES = {"cluster", "cluster_factory", "namespace"}
_SHARING = ("component", "e2e")
"""Directories whose tests share a cluster, and must come one after the other therefore."""
_LATE = "test_p"
"""From here on by name the e2e tests are a group of their own, so that no worker idles while the other has them all."""
_DOOR, _ROOM = _TESTS / "conftest.py", _TESTS.parent / "pyproject.toml"
"""Files to lock; what is in them does not matter."""
_FAILED = pytest.StashKey[bool]()
_RUNNING = pytest.StashKey[list[Cluster]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FAILED] = False
    config.stash[_RUNNING] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _CLUSTER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("cluster")
        directory = item.path.relative_to(_TESTS).parts[0]
        if directory in _SHARING and item.get_closest_marker("xdist_group") is None:
            late = directory == "e2e" and item.path.name >= _LATE
            item.add_marker(pytest.mark.xdist_group(f"{directory}-late" if late else directory))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test, outside of every test's time limit; nothing happens if all is built."""
    wanted = any(item.get_closest_marker("cluster") for item in session.items)
    if wanted and not session.config.option.collectonly:
        build.ensure_built(binaries.USUAL)
    # What was imported and collected stays until the end: no full collection of a later test has to walk through it.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test marked `alone` waits until no other runs, and all that come after it wait for its end."""
    with ExitStack() as held:
        with _locked(_DOOR, fcntl.LOCK_EX):
            held.enter_context(_locked(_ROOM, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH))
        return (yield)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    with path.open() as file:
        fcntl.flock(file, how)
        yield


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
    if cluster in config.stash[_RUNNING]:
        config.stash[_RUNNING].remove(cluster)
    cluster.stop(keep_logs=config.stash[_FAILED])


@pytest.fixture(scope="session")
def cluster_factory(request: pytest.FixtureRequest) -> Iterator[ClusterFactory]:
    """Start clusters with options of their own: ``cluster_factory(Options(karpenter=True))``.

    They end with the session; ``with`` ends one earlier. On an external cluster it gives that one, if it has the
    features, or skips.
    """
    config = request.config
    with external.from_environment() as given, ExitStack() as stack:

        def start(options: Options) -> ClusterApi:
            if given is not None:
                # What only tunes the core, as the plain default does, every cluster is taken to have.
                given.require(*(options.features - Options().features))
                return given
            cluster = Cluster(options)
            config.stash[_RUNNING].append(cluster)
            stack.callback(_stop, config, cluster)
            return cluster

        yield start


@pytest.fixture(scope="session")
def cluster(cluster_factory: ClusterFactory) -> ClusterApi:
    """The session's shared cluster, the core only. Tests keep to namespaces and names of their own."""
    return cluster_factory(Options())


@pytest.fixture
def namespace(cluster: ClusterApi) -> Iterator[str]:
    """A namespace of this test's own, ready for pods."""
    with cluster.namespace() as name:
        yield name
