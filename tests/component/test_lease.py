"""Two contenders on a real API server: one leads, another takes over, and never may both write."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from localcluster import DEFAULT_WAIT_SECONDS, ClusterApi
from spillway.kube.auth import Credentials
from spillway.kube.lease import Leadership

ROOT = Path(__file__).parents[2]
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"


class Contender:
    """A process that tells all the time whether it may write."""

    def __init__(self, kubeconfig: Path, namespace: str, identity: str) -> None:
        self.output = tempfile.NamedTemporaryFile("w+", suffix=f"-{identity}")  # noqa: SIM115 - closed by `end`
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/support/lease_contender.py"), str(kubeconfig), namespace, identity],
            stdout=self.output,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
        )

    def samples(self) -> list[tuple[float, bool]]:
        lines = Path(self.output.name).read_text().split("\n")[:-1]
        return [(float(at), state == "1") for at, state in (line.split() for line in lines)]

    @property
    def may_write(self) -> bool:
        samples = self.samples()
        return bool(samples) and samples[-1][1]

    def terms(self) -> list[tuple[float, float]]:
        """From the first to the last sample of each unbroken run of "may write"."""
        found = []
        for may, run in itertools.groupby(self.samples(), key=lambda sample: sample[1]):
            times = [at for at, _ in run]
            if may:
                found.append((times[0], times[-1]))
        return found

    def wait(self, condition: Callable[["Contender"], bool], what: str) -> None:
        deadline = time.monotonic() + DEFAULT_WAIT_SECONDS
        while not condition(self):
            assert time.monotonic() < deadline, what
            time.sleep(0.02)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.send_signal(signal.SIGCONT)
        self.process.wait(DEFAULT_WAIT_SECONDS)
        self.output.close()


@pytest.fixture
def contend(cluster: ClusterApi, namespace: str) -> Iterator[Callable[[str], Contender]]:
    contenders: list[Contender] = []

    def start(identity: str) -> Contender:
        contenders.append(Contender(cluster.kubeconfig, namespace, identity))
        return contenders[-1]

    yield start
    for contender in contenders:
        contender.end()


def assert_never_both(one: Contender, other: Contender) -> None:
    for (start_a, end_a), (start_b, end_b) in itertools.product(one.terms(), other.terms()):
        assert end_a < start_b or end_b < start_a, f"{one.terms()} and {other.terms()} overlap"


def test_a_killed_leader_is_followed_by_the_other(contend: Callable[[str], Contender]) -> None:
    first = contend("first")
    first.wait(lambda it: it.may_write, "the first to lead")
    second = contend("second")
    second.wait(lambda it: len(it.samples()) > 100, "the second to stand by")
    assert not second.may_write
    first.process.kill()
    second.wait(lambda it: it.may_write, "the second to lead")
    assert_never_both(first, second)


def test_a_frozen_leader_finds_its_fence_closed_when_it_wakes(contend: Callable[[str], Contender]) -> None:
    first = contend("first")
    first.wait(lambda it: it.may_write, "the first to lead")
    second = contend("second")
    first.process.send_signal(signal.SIGSTOP)
    second.wait(lambda it: it.may_write, "the second to lead")
    first.process.send_signal(signal.SIGCONT)
    first.wait(lambda it: it.process.poll() is not None, "the loser to end")
    assert not first.may_write
    assert second.may_write
    assert_never_both(first, second)


def test_a_leader_that_stops_gives_the_lease_back(
    cluster: ClusterApi, namespace: str, contend: Callable[[str], Contender]
) -> None:
    first = contend("first")
    first.wait(lambda it: it.may_write, "the first to lead")
    second = contend("second")
    second.wait(lambda it: len(it.samples()) > 200, "the second to stand by")
    first.process.terminate()
    first.wait(lambda it: it.process.poll() is not None, "the first to end")
    lease = cluster.rest.get(f"{LEASES.format(namespace)}/contended")
    assert lease["spec"].get("holderIdentity") != "first", "it need not expire"
    second.wait(lambda it: it.may_write, "the second to lead")
    assert_never_both(first, second)


def test_leaders_come_and_go_and_one_may_write_at_a_time(contend: Callable[[str], Contender]) -> None:
    contenders = [contend(f"c{index}") for index in range(3)]
    for stop in (signal.SIGKILL, signal.SIGTERM):
        leader = _leader(contenders)
        leader.process.send_signal(stop)
        contenders[contenders.index(leader)].wait(lambda it: it.process.poll() is not None, "its end")
    _leader(contenders)
    for one, other in itertools.combinations(contenders, 2):
        assert_never_both(one, other)


def _leader(contenders: list[Contender]) -> Contender:
    deadline = time.monotonic() + DEFAULT_WAIT_SECONDS
    while time.monotonic() < deadline:
        for contender in contenders:
            if contender.process.poll() is None and contender.may_write:
                return contender
        time.sleep(0.05)
    raise AssertionError("no one leads")


Lead = Callable[..., Leadership]


@pytest.fixture
async def lead(cluster: ClusterApi, namespace: str) -> AsyncIterator[Lead]:
    credentials = await Credentials.load(str(cluster.kubeconfig))
    yield partial(
        Leadership, credentials, namespace, "spillway", "me", lease_seconds=4, renew_deadline_seconds=2.5,
        retry_seconds=1.0, margin_seconds=1.0,
    )  # fmt: skip
    await credentials.close()


@pytest.fixture
def leadership(lead: Lead) -> Leadership:
    return lead()


async def test_what_the_work_raises_ends_the_run_and_closes_the_fence(leadership: Leadership) -> None:
    async def work() -> None:
        assert leadership.may_write()
        raise RuntimeError("defect")

    assert not leadership.may_write()
    with pytest.raises(RuntimeError, match="defect"):
        await asyncio.wait_for(leadership.run(work), DEFAULT_WAIT_SECONDS)
    assert not leadership.may_write()


async def test_work_that_is_done_ends_the_run(leadership: Leadership) -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    await asyncio.wait_for(leadership.run(work), DEFAULT_WAIT_SECONDS)
    assert leadership.fence_seconds == 0


@pytest.mark.parametrize("way", ["another name in it", "deleted and made by another"])
async def test_a_lease_that_is_taken_before_its_time_closes_the_fence(
    cluster: ClusterApi, namespace: str, lead: Lead, way: str
) -> None:
    """A user forces a change of leader so, and the other one writes at once.

    The clock stands still, so that the last renewal never ends; nor has the election ended, or the work would be.
    """
    leading, fenced = asyncio.Event(), asyncio.Event()
    now = time.monotonic()
    leadership = lead(clock=lambda: now)
    leases = LEASES.format(namespace)

    async def work() -> None:
        leading.set()
        while leadership.may_write():  # noqa: ASYNC110  # as a writer asks
            await asyncio.sleep(0.01)
        fenced.set()
        await asyncio.sleep(3600)

    def take() -> None:
        spec = cluster.rest.get(f"{leases}/spillway")["spec"] | {"holderIdentity": "other"}
        if way == "another name in it":
            cluster.rest.merge(f"{leases}/spillway", {"spec": spec})
        else:
            cluster.rest.delete(f"{leases}/spillway")
            cluster.rest.create(leases, {"metadata": {"name": "spillway"}, "spec": spec})

    running = asyncio.create_task(leadership.run(work))
    await asyncio.wait_for(leading.wait(), DEFAULT_WAIT_SECONDS)
    # In the leader's own thread, so that it renews nothing in between.
    take()
    assert leadership.may_write(), "it has not heard of it"
    await asyncio.wait_for(running, DEFAULT_WAIT_SECONDS)
    assert fenced.is_set(), "at the next renewal"


async def test_the_fence_closes_before_the_work_hears_of_it_when_the_server_is_away(
    cluster: ClusterApi, leadership: Leadership
) -> None:
    cluster.require("restart")
    leading, fence_at_end = asyncio.Event(), []

    async def work() -> None:
        leading.set()
        try:
            await asyncio.sleep(3600)
        finally:
            fence_at_end.append(leadership.fence_seconds)

    running = asyncio.create_task(leadership.run(work))
    await asyncio.wait_for(leading.wait(), DEFAULT_WAIT_SECONDS)
    assert leadership.may_write()
    await asyncio.to_thread(cluster.end, "kube-apiserver")  # type: ignore[attr-defined]
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(running, DEFAULT_WAIT_SECONDS)
        assert running.done()
        assert not leadership.may_write()
        assert fence_at_end == [0.0]
    finally:
        await asyncio.to_thread(cluster.restart, "kube-apiserver")  # type: ignore[attr-defined]
