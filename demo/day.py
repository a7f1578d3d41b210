"""One run: start a cluster, create the scene, play the day, measure. The demo and the scale-down bench use it.

Contract: `open_scene` gives a scene whose cluster, operator and watches end with the block, also when it is cancelled
(Ctrl-C). `live_day` plays the load in real time and calls `tick` about once a second.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from demo import foresight, manifests, stage
from demo.audit import AuditLog
from demo.contenders import Contender
from demo.driver import LoadDriver
from demo.foresight import Foresight
from demo.measure import Writes
from demo.observe import Observer
from demo.past import PAST_DAYS
from demo.plans import Plans
from demo.scaledowns import ScaleDown
from demo.scenario import Day
from demo.thresholds import thresholds
from harness.chart import HELM
from harness.operator import NAME, NAMESPACE, Installation, install
from harness.prometheus import prometheus_running
from harness.tasks import cancelled, uninterrupted
from localcluster import Cluster, ClusterApi, ClusterError, Options
from localcluster.external import BESIDE, CHOICE, from_environment
from spillway.kube.client import KubeClient
from spillway.kube.informer import Informers
from spillway.state.cluster import ClusterState

DRIVE_EVERY_SECONDS: Final = 1.0
TICK_SECONDS: Final = 1.0
OPERATOR_USER: Final = f"system:serviceaccount:{NAMESPACE}:{NAME}"
OPERATOR_REPLICAS: Final = 2
"""The same as in the chart."""
REST_SECONDS: Final = 45.0
"""Longer than the slowest reaction to a change: the window of an HPA, the second check of Karpenter."""
_PATIENCE_SECONDS: Final = 120.0

OPTIONS: Final = Options(
    metrics_server=True,
    karpenter=True,
    hpa_sync_seconds=3.0,
    karpenter_env={"BATCH_IDLE_DURATION": "500ms", "BATCH_MAX_DURATION": "2s", "LOG_LEVEL": "error"},
)

T = TypeVar("T")
Say = Callable[[str], None]
Tick = Callable[[float, list[ScaleDown]], None]
"""Called about once a second: seconds since the day began, and the scale-downs that ended since the last call."""


@dataclass(slots=True)
class Scene:
    """The cluster of a run with everything in it, before, during and after the day."""

    cluster: ClusterApi
    client: KubeClient
    day: Day
    contenders: tuple[Contender, ...]
    observer: Observer
    audit: AuditLog | None
    operator: Installation | None
    began: float = 0.0
    """Monotonic time at which the day began."""
    epoch: float = 0.0
    """The same as Unix time."""
    wall_seconds: float = 0.0
    writes: Mapping[Contender, Writes] = field(default_factory=dict)
    """The operator's writes of the day for each contender."""
    plans: Plans = field(default_factory=Plans)
    foresight: Foresight | None = None
    """Without it Spillway's HPAs go by CPU alone, and no headroom is kept."""

    def elapsed(self) -> float:
        """The seconds since the day began."""
        return time.monotonic() - self.began

    def begin(self) -> None:
        """Start the day now."""
        self.began, self.epoch = time.monotonic(), time.time()

    async def read_plans(self) -> None:
        """Read the plans of every replica of the operator."""
        if self.operator is not None:
            for index in self.operator.running:
                await asyncio.to_thread(
                    self.plans.fetch, self.operator.url(index, "/debug/plans"), self.operator.reader_token
                )

    async def read_foresight(self) -> None:
        """Read what the operator foresees for each of its contenders."""
        if self.operator is None or self.foresight is None:
            return
        for contender in self.contenders:
            if contender.operated:
                policy = manifests.POLICIES[contender]
                self.observer.foreseen[contender] = await asyncio.to_thread(
                    foresight.foreseen, self.operator, contender.namespace, policy
                )

    def held_to_plans(self, downs: Iterable[ScaleDown]) -> list[ScaleDown]:
        """The same scale-downs, Spillway's compared with the plans that its operator has reported so far."""
        return [self.plans.verdict(down, self.epoch).down if down.contender.operated else down for down in downs]

    def operator_writes(self) -> dict[Contender, Writes]:
        """What the operator has written so far for each contender; what serves all counts for each of its own."""
        if self.audit is None or self.operator is None:
            return {contender: Writes() for contender in self.contenders}
        self.audit.read()
        return {
            contender: self.audit.writes(OPERATOR_USER, contender) if contender.operated else Writes()
            for contender in self.contenders
        }

    def writes_since(self, earlier: Mapping[Contender, Writes]) -> dict[Contender, Writes]:
        """What the operator has written since `operator_writes` gave this."""
        return {contender: writes.since(earlier[contender]) for contender, writes in self.operator_writes().items()}


def programs(*, foresees: bool = False) -> list[str]:
    """The programs that a run starts on this machine; on another cluster only those that are needed beside it."""
    local = os.environ.get(CHOICE, "local") == "local"
    return [*(OPTIONS.programs if local else BESIDE), HELM, *(["prometheus"] if foresees else [])]


@contextmanager
def chosen_cluster() -> Iterator[ClusterApi]:
    """Give the cluster that the environment names (`CLUSTER`, `KUBECONFIG`), else one of local processes."""
    with from_environment() as given:
        if given is not None:
            given.require("kwok", "karpenter", "metrics-server")
            yield given
        else:
            cluster = Cluster(OPTIONS)
            try:
                yield cluster
            finally:
                cluster.stop()


@asynccontextmanager
async def open_scene(
    day: Day,
    contenders: Sequence[Contender],
    say: Say,
    *,
    placement: bool = False,
    moves: Collection[Contender] = (Contender.SPILLWAY_MOVES,),
    foresees: bool = False,
) -> AsyncIterator[Scene]:
    """Give a scene in which every contender's workloads run at the level of the first hour and HPAs see their load.

    With `placement` Spillway decides which of its pods go to virtual nodes. For the contenders in `moves` it also
    empties elastic nodes. If it `foresees`, its HPAs also go by the recommended replicas, headroom is kept, and the
    day begins once the operator has read the demand of the days before.
    """
    async with AsyncExitStack() as stack:
        say("starting etcd, API server, scheduler, controllers, kwok, metrics-server and Karpenter")
        cluster = await _entered(stack, chosen_cluster())
        say(f"laying nodes and pools in {len(manifests.ZONES)} zones for {', '.join(contenders)}")
        await asyncio.to_thread(stage.lay_ground, cluster, contenders)
        audit = AuditLog(cluster.audit_log) if isinstance(cluster, Cluster) else None
        if audit is not None:
            stack.callback(audit.close)
        operator, ahead = None, None
        operated = [contender for contender in contenders if contender.operated]
        if operated and foresees:
            say("starting Prometheus")
            server = await _entered(stack, prometheus_running())
            ahead = Foresight(day, server)
        if operated:
            say("installing the operator from its chart, under the chart's rights")
            operator = await uninterrupted(lambda: _install(cluster, ahead), Installation.close)
            stack.callback(operator.close)
            for contender in operated:
                made = manifests.spillway_resources(contender, placement=placement, moves=contender in moves)
                await asyncio.to_thread(cluster.apply, made)
                await asyncio.to_thread(_wait_policy, cluster, contender)
        client = await stack.enter_async_context(await KubeClient.connect(str(cluster.kubeconfig)))
        state = ClusterState(clock=time.monotonic, now=time.time)
        observer = Observer(state, contenders, audit)
        watching = asyncio.create_task(Informers(client, state).run())
        stack.push_async_callback(cancelled, watching)
        await state.wait_synced(_PATIENCE_SECONDS)
        scene = Scene(cluster, client, day, tuple(contenders), observer, audit, operator, foresight=ahead)
        await _start_workloads(scene, say, thresholds(day) if placement else {})
        if operator is not None and ahead is not None:
            say(f"writing the demand of the last {PAST_DAYS} days, and waiting for the forecasts")
            await asyncio.to_thread(ahead.push_past)
            await stack.enter_async_context(ahead.recording())
            for contender in operated:
                made = manifests.spillway_resources(
                    contender,
                    placement=placement,
                    moves=contender in moves,
                    scaling=ahead.scaling(),
                    headroom=foresight.headroom(),
                )
                await asyncio.to_thread(cluster.apply, made)
            if not await ahead.wait_begin(operator, len(operated) * len(day.workloads)):
                say("the machine is busy: the day begins before the operator has read the whole history")
        yield scene


async def _entered(stack: AsyncExitStack, context: AbstractContextManager[T]) -> T:
    """Enter a context that starts processes, in a thread."""
    entered = await uninterrupted(context.__enter__, lambda _: context.__exit__(None, None, None))
    stack.push(context.__exit__)
    return entered


def _install(cluster: ClusterApi, ahead: Foresight | None) -> Installation:
    if ahead is None:
        return install(cluster, replicas=OPERATOR_REPLICAS)
    return install(cluster, foresight.VALUES, replicas=OPERATOR_REPLICAS, flags=ahead.flags)


def _wait_policy(cluster: ClusterApi, contender: Contender) -> None:
    policy = f"elasticpolicies.spillway.dev/{manifests.POLICIES[contender]}"
    cluster.kubectl("wait", "--for=condition=Ready", policy, "--timeout=45s")


async def _start_workloads(scene: Scene, say: Say, kept: Mapping[str, int]) -> None:
    say(f"starting {len(scene.day.workloads)} workloads with an HPA for each of {len(scene.contenders)} contenders")
    pods = 0
    for contender in scene.contenders:
        ours = kept if contender.operated else {}
        foresees = contender.operated and scene.foresight is not None
        pods += await asyncio.to_thread(
            stage.lay_workloads, scene.cluster, contender, scene.day, ours, foresees=foresees
        )

    async def all_ready() -> bool:
        ready = [scene.observer.ready_replicas(contender).values() for contender in scene.contenders]
        return sum(len(members) for by_workload in ready for members in by_workload) >= pods

    await _until(all_ready, f"{pods} pods to be ready")
    # Without a share of the load they use next to nothing, and the HPAs scale down as soon as they see that.
    await LoadDriver(scene.client, scene.observer, scene.contenders, scene.day).play(scene.day.hour_at(0))
    say(f"{pods} pods run; waiting for metrics-server to see their load")
    await _until(
        lambda: asyncio.to_thread(stage.metrics_flow, scene.cluster, scene.contenders, pods), "metrics of the pods"
    )


async def live_day(scene: Scene, tick: Tick) -> None:
    """Play the day in real time."""
    scene.begin()
    driver = LoadDriver(scene.client, scene.observer, scene.contenders, scene.day)
    before = scene.operator_writes()

    async def drive() -> None:
        while True:
            await driver.play(scene.day.hour_at(scene.elapsed()))
            await asyncio.sleep(DRIVE_EVERY_SECONDS)

    async with asyncio.TaskGroup() as group:
        driving = group.create_task(drive())
        while scene.elapsed() < scene.day.seconds:
            await _observe(scene, tick)
        driving.cancel()
    scene.wall_seconds = scene.elapsed()
    while scene.observer.tracker.open:
        await _observe(scene, tick)
    scene.writes = scene.writes_since(before)


async def _observe(scene: Scene, tick: Tick) -> None:
    # A scale-down ends some time after it was planned, so its plans are known before it is evaluated.
    await scene.read_plans()
    await scene.read_foresight()
    elapsed = scene.elapsed()
    tick(elapsed, scene.observer.tick(elapsed, scene.day))
    await asyncio.sleep(TICK_SECONDS - scene.elapsed() % TICK_SECONDS)


async def idle(scene: Scene, seconds: float, tick: Tick) -> dict[Contender, Writes]:
    """Leave the load as it is until nothing moves, then count the operator's writes in `seconds` for each contender."""
    await _rest(scene, tick)
    before = scene.operator_writes()
    began = scene.elapsed()
    while scene.elapsed() - began < seconds:
        await _observe(scene, tick)
    return scene.writes_since(before)


async def _rest(scene: Scene, tick: Tick) -> None:
    """Wait until no replica and no elastic node came or went for a while."""
    quiet_since, last = time.monotonic(), ""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        await _observe(scene, tick)
        samples = [scene.observer.samples[contender][-1] for contender in scene.contenders]
        now = repr([(sample.pods, sample.elastic_nodes) for sample in samples])
        if now != last:
            quiet_since, last = time.monotonic(), now
        if time.monotonic() - quiet_since > REST_SECONDS:
            return


async def _until(check: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with suppress(ClusterError, OSError):
            if await check():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {_PATIENCE_SECONDS:g} s without success for {what}")
        await asyncio.sleep(0.3)
