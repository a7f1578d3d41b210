"""Fixtures that give tests a real control plane, and skip a test where the cluster lacks what it needs.

``CLUSTER`` chooses it: unset for local processes, ``kind``, or ``external`` with ``KUBECONFIG``. A kubeconfig alone is
not enough: tests write, and no one's own cluster should be written to because a variable was set.
"""

import fcntl
import gc
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from localcluster import Cluster, ClusterApi, ClusterFactory, FeatureMissing, Options, binaries, build, external
from tests.support.before import NoHistoryError, checked_out_before

_TESTS = Path(__file__).parent
_CLUSTER_FIXTURES = {"cluster", "cluster_factory", "namespace"}
_SECONDS = {"e2e": 20.0, "component": 2.0}
"""What a test takes, roughly, by its directory, in the order in which these run; in the others next to nothing."""
_ALONE = "alone"
"""The mark of tests beside which no other runs, and their group."""
_DOOR, _ROOM = _TESTS / "conftest.py", _TESTS.parent / "pyproject.toml"
"""Files to lock; what is in them does not matter."""
_FAILED = pytest.StashKey[bool]()
_RUNNING = pytest.StashKey[list[Cluster]]()
_TURN = pytest.StashKey[ExitStack]()
"""The locks of the test that runs, or of several marked `alone` that follow each other."""
_GROUP = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FAILED] = False
    config.stash[_RUNNING] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every test its marks; pytest-xdist reads the group's in the same hook, so it comes later."""
    for item in items:
        if _CLUSTER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("cluster")
    _group(items)
    if hasattr(config, "workerinput"):
        _order_for_workers(items)


def _directory(item: pytest.Item) -> str:
    return item.path.relative_to(_TESTS).parts[0]


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker(_ALONE) is not None


def _group(items: list[pytest.Item]) -> None:
    """Name each item's group, all of which runs in one worker: that of its mark, `alone`, else its module."""
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is not None:
            group = str(mark.args[0])
        elif _is_alone(item):
            group = _ALONE
        else:
            group = str(item.path.relative_to(_TESTS))
        item.stash[_GROUP] = group
        if mark is None:
            item.add_marker(pytest.mark.xdist_group(group))


def _order_for_workers(items: list[pytest.Item]) -> None:
    """Order the groups as the workers take them: the longest of each kind first, so that all workers end together.

    Those that share a cluster come one after the other, because a worker that leaves a directory ends its cluster. The
    tests marked `alone` wait for what the other workers run, so they come when only short tests are left.
    """
    seconds = defaultdict[str, float](float)
    for item in items:
        seconds[item.stash[_GROUP]] += _SECONDS.get(_directory(item), 0.0)

    def place(item: pytest.Item) -> tuple[int, float, str]:
        group = item.stash[_GROUP]
        kinds = [*_SECONDS, _ALONE]
        kind = _ALONE if group == _ALONE else _directory(item)
        return kinds.index(kind) if kind in kinds else len(kinds), -seconds[group], group

    items.sort(key=place)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test, outside of every test's time limit; nothing happens if all is built."""
    grouped = getattr(session.config.option, "loadgroup", False)
    if grouped and not all(item.nodeid.endswith(f"@{item.stash[_GROUP]}") for item in session.items):
        raise pytest.UsageError(
            "pytest-xdist does not know the groups of the tests, so one module would run in several workers."
        )
    wanted = any(item.get_closest_marker("cluster") for item in session.items)
    if wanted and not session.config.option.collectonly:
        build.ensure_built(dict.fromkeys([*binaries.USUAL, *Options().programs]))
    # What was imported and collected stays until the end: no full collection of a later test has to walk through it.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """A test marked `alone` waits until no other runs, and all others wait until it and those that follow it ended."""
    turn = item.config.stash.get(_TURN, None)
    if turn is None:
        turn = item.config.stash[_TURN] = ExitStack()
        with _locked(_DOOR, fcntl.LOCK_EX):
            turn.enter_context(_locked(_ROOM, fcntl.LOCK_EX if _is_alone(item) else fcntl.LOCK_SH))
    try:
        return (yield)
    finally:
        if nextitem is None or not (_is_alone(item) and _is_alone(nextitem)):
            del item.config.stash[_TURN]
            turn.close()


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


@pytest.fixture(scope="session")
def cluster_factory(request: pytest.FixtureRequest) -> Iterator[ClusterFactory]:
    """Clusters with options of their own: ``with cluster_factory(Options(karpenter=True)) as cluster``.

    Each ends with its block. On an external cluster it gives that one, if it has the features, or skips.
    """
    config = request.config
    with external.from_environment() as given:

        @contextmanager
        def running(options: Options) -> Iterator[ClusterApi]:
            if given is not None:
                # What only tunes the core, as the plain default does, every cluster is taken to have.
                given.require(*(options.features - Options().features))
                yield given
                return
            cluster = Cluster(options)
            config.stash[_RUNNING].append(cluster)
            try:
                yield cluster
            finally:
                config.stash[_RUNNING].remove(cluster)
                cluster.stop(keep_logs=config.stash[_FAILED])

        yield running


@pytest.fixture
def namespace(cluster: ClusterApi) -> Iterator[str]:
    """A namespace of this test's own, ready for pods."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def version_before(tmp_path: Path) -> Path:
    """The folder with the chart and the operator of the version before; skips where git does not have it."""
    folder = tmp_path / "before"
    folder.mkdir()
    try:
        return checked_out_before(folder)
    except NoHistoryError as error:
        pytest.skip(str(error))
