"""The controllers that the holder of the Lease runs, each with a writer of its own.

Contract: each writer has its own token bucket, so that many writes of one kind do not delay writes of another kind; all
writers share the fence. `run` returns after `stopping` is set and the writes in flight are answered, or raises the
error that ended a controller.
"""

import asyncio
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial

from spillway.app.settings import Settings
from spillway.controllers.balance.hot_nodes import HotNodesController
from spillway.controllers.balance.load import LoadController
from spillway.controllers.balance.readings import Readings
from spillway.controllers.balance.rebalance import RebalanceController
from spillway.controllers.balance.status import BalanceContributor
from spillway.controllers.balance.zone_loads import ZoneLoadController
from spillway.controllers.base import Controller, World
from spillway.controllers.budget.controller import BudgetController
from spillway.controllers.budget.status import BudgetContributor
from spillway.controllers.forecast.controller import OFFSETS_SECONDS, ForecastController, Forecasting
from spillway.controllers.forecast.process import ForecastProcess
from spillway.controllers.forecast.status import ForecastContributor
from spillway.controllers.headroom.controller import HeadroomController
from spillway.controllers.headroom.objects import HeadroomObjects
from spillway.controllers.headroom.status import HeadroomContributor
from spillway.controllers.nodes.cordon import CordonController
from spillway.controllers.nodes.drain import DrainController
from spillway.controllers.nodes.status import CordonContributor
from spillway.controllers.nodes.sweep import SweepController
from spillway.controllers.nodes.taints import TaintController
from spillway.controllers.overlay.controller import OverlayController
from spillway.controllers.overlay.status import OverlayContributor
from spillway.controllers.placement.refused_pods import RefusedPodsController
from spillway.controllers.placement.status import RefusedPodsContributor
from spillway.controllers.policies.status import PolicyContributor, ResourceContributor
from spillway.controllers.pools.controller import PoolsController
from spillway.controllers.pools.failover import FailoverController
from spillway.controllers.pools.nodes import PoolNodes
from spillway.controllers.pools.recommended import RecommendedReplacements
from spillway.controllers.pools.replace_unstarted import ReplaceUnstartedController
from spillway.controllers.pools.status import PoolContributor
from spillway.controllers.pools.unstarted import UnstartedPods
from spillway.controllers.pools.withdrawn import WithdrawnController
from spillway.controllers.scale_down.deletion_cost import DeletionCostController
from spillway.controllers.scale_down.status import ScaleDownContributor
from spillway.controllers.scaling.controller import ScalingController
from spillway.controllers.scaling.managed import ManagedAutoscalersController
from spillway.controllers.scaling.registration import RegistrationController
from spillway.controllers.scaling.status import ScalingContributor
from spillway.controllers.spill.bring_back import BringBackController
from spillway.controllers.spill.controller import SpillController
from spillway.controllers.status.controller import StatusController
from spillway.controllers.status.node_summary import NodeSummary
from spillway.controllers.status.part import Contributors
from spillway.controllers.status.workload_counts import WorkloadCounts
from spillway.controllers.threshold.controller import MakePlan, ThresholdController
from spillway.controllers.threshold.process import plan_beside
from spillway.controllers.threshold.status import ThresholdContributor
from spillway.controllers.threshold.store import PlanStore
from spillway.controllers.threshold.unread import UnreadThresholdController
from spillway.domain.headroom.manifests import Look
from spillway.domain.placement.job_retries import Retries
from spillway.kube.autoscalers import AutoscalerWatch
from spillway.kube.client import KubeClient
from spillway.kube.events import EventRecorder
from spillway.kube.overlay_trial import OverlayTrials
from spillway.kube.pod_events import PodEvents
from spillway.kube.protocols import Recorder
from spillway.kube.writer import DEFAULT_TIMEOUT_SECONDS, Writer
from spillway.state.autoscalers import Autoscalers
from spillway.state.board import Board
from spillway.state.catalog import Catalog
from spillway.state.cluster import ClusterState
from spillway.state.node_places import NodePlaces
from spillway.state.open_pools import OpenPools
from spillway.state.pool_membership import PoolMembership

STATUS_WRITES_PER_SECOND = 10.0
SURGE_WRITES_PER_SECOND = 5.0
PLAN_WRITES_PER_SECOND = 2.0
AUTOSCALER_WRITES_PER_SECOND = 10.0
HEADROOM_WRITES_PER_SECOND = 10.0


class Leader:
    """The controllers of one replica."""

    def __init__(
        self,
        settings: Settings,
        client: KubeClient,
        state: ClusterState,
        catalog: Catalog,
        places: NodePlaces,
        *,
        board: Board,
        membership: PoolMembership,
        open_pools: OpenPools,
        may_write: Callable[[], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._client = client
        self._may_write = may_write
        self._open_pools = open_pools
        self._world = World(state=state, catalog=catalog, places=places, now=now, board=board, membership=membership)

    async def run(self, stopping: asyncio.Event) -> None:
        """Run every controller until asked to stop."""
        events = EventRecorder(self._client, may_write=self._may_write)
        controllers = self._controllers(events)
        async with asyncio.TaskGroup() as group:
            recorder = group.create_task(events.run(), name="events")
            tasks = [group.create_task(controller.run(), name=controller.name) for controller in controllers]
            await stopping.wait()
            for controller in controllers:
                controller.queue.close()
            _, late = await asyncio.wait(tasks, timeout=self._settings.stop_seconds / 2)
            for task in (*late, recorder):
                task.cancel()

    def _controllers(self, events: Recorder) -> Sequence[Controller]:
        settings, world = self._settings, self._world
        nodes, unstarted, retries = PoolNodes(world), UnstartedPods(world), Retries()
        recommended = RecommendedReplacements(world)
        drains = DrainController(world, self._writer("drain", settings.evictions_per_second), self._client, retries)
        pools = PoolsController(world, nodes, unstarted, self._open_pools.usage, PodEvents(self._client))
        about_owners = PodEvents(self._client, about_pods=False)
        refused = RefusedPodsController(world, events, self._open_pools.usage, about_owners)
        overlays = OverlayController(world, OverlayTrials(self._client, settings.namespace))
        ledger = BudgetController(world, period_seconds=settings.status_seconds)
        thresholds = ThresholdController(
            world,
            PlanStore(self._client, self._writer("thresholds", PLAN_WRITES_PER_SECOND), settings.namespace),
            events,
            _planner(settings),
            period_seconds=settings.threshold_seconds,
            workload_series=settings.workload_series,
        )
        forecasts = ForecastController(
            world,
            events,
            _forecasting(settings),
            offset_seconds=zlib.crc32(settings.identity.encode()) % OFFSETS_SECONDS,
            workload_series=settings.workload_series,
        )
        autoscalers = Autoscalers()
        scaling = ScalingController(
            world,
            events,
            autoscalers,
            AutoscalerWatch(self._client, autoscalers),
            workload_series=settings.workload_series,
        )
        headroom = self._headroom(events, autoscalers)
        hot = HotNodesController(world, self._writer("hot-nodes", settings.node_writes_per_second), events)
        readings = Readings(world, self._client, settings.prometheus)
        moves = self._writer("rebalance", settings.evictions_per_second)
        rebalance = RebalanceController(world, readings, moves, events)
        managed = ManagedAutoscalersController(
            world, self._writer("autoscalers", AUTOSCALER_WRITES_PER_SECOND), scaling, autoscalers
        )
        registration = RegistrationController(
            world, self._client, service=settings.webhook_service, namespace=settings.namespace
        )
        spill = SpillController(
            world,
            self._writer("spill", settings.spills_per_second),
            self._client,
            events,
            self._open_pools,
            retries=retries,
        )
        return (
            TaintController(world, self._writer("taints", settings.node_writes_per_second)),
            CordonController(world, self._writer("cordon", settings.node_writes_per_second)),
            drains,
            pools,
            refused,
            overlays,
            ledger,
            FailoverController(
                world, self._writer("failover", settings.failover_pods_per_second), events, nodes, recommended
            ),
            ReplaceUnstartedController(
                world,
                self._writer("replace-unstarted", settings.failover_pods_per_second),
                events,
                self._client,
                pools=pools,
                open_pools=self._open_pools,
                unstarted=unstarted,
                retries=retries,
                recommended=recommended,
            ),
            WithdrawnController(
                world,
                self._writer("withdrawn", settings.failover_pods_per_second),
                events,
                self._client,
                unstarted=unstarted,
                retries=retries,
            ),
            thresholds,
            forecasts,
            scaling,
            headroom,
            LoadController(world, readings),
            ZoneLoadController(world, readings),
            hot,
            rebalance,
            managed,
            *([registration] if settings.external_metrics else ()),
            UnreadThresholdController(world, events, self._client),
            spill,
            BringBackController(
                world,
                self._writer("bring-back", SURGE_WRITES_PER_SECOND),
                self._client,
                events,
                hold_seconds=settings.bring_back_seconds,
                at_once=settings.bring_backs_at_once,
                ready_seconds=settings.surge_ready_seconds,
            ),
            SweepController(world, self._writer("sweep", settings.pod_writes_per_second)),
            DeletionCostController(
                world,
                self._writer("deletion-cost", settings.pod_writes_per_second),
                settle_seconds=settings.upkeep_seconds,
            ),
            self._statuses(
                events,
                drains,
                pools,
                ledger,
                thresholds,
                forecasts=forecasts,
                scaling=scaling,
                registration=registration,
                managed=managed,
                headroom=headroom,
                hot=hot,
                rebalance=rebalance,
                refused=refused,
                overlays=overlays,
            ),
        )

    def _headroom(self, events: Recorder, autoscalers: Autoscalers) -> HeadroomController:
        settings, writer = self._settings, self._writer("headroom", HEADROOM_WRITES_PER_SECOND)
        look = Look(settings.headroom_image, settings.headroom_priority_class, settings.headroom_pull_secrets)
        return HeadroomController(
            self._world,
            writer,
            events,
            HeadroomObjects(self._client, writer, look, settings.namespace),
            autoscalers,
            namespace=settings.namespace,
            mechanism=settings.headroom_by,
            hold_seconds=settings.headroom_hold_seconds,
        )

    def _statuses(
        self,
        events: Recorder,
        drains: DrainController,
        pools: PoolsController,
        ledger: BudgetController,
        thresholds: ThresholdController,
        *,
        forecasts: ForecastController,
        scaling: ScalingController,
        headroom: HeadroomController,
        hot: HotNodesController,
        rebalance: RebalanceController,
        registration: RegistrationController,
        managed: ManagedAutoscalersController,
        refused: RefusedPodsController,
        overlays: OverlayController,
    ) -> StatusController:
        world, counts, nodes = self._world, WorkloadCounts(self._world), NodeSummary(self._world)
        resources = ResourceContributor(world, counts, nodes)
        # The first contributor that observes Ready decides what it says.
        contributors = Contributors(
            policies=(
                resources,
                PolicyContributor(counts, nodes),
                ScaleDownContributor(counts, world.board),
                ThresholdContributor(counts, thresholds),
                ForecastContributor(forecasts, world.board),
                ScalingContributor(scaling, registration, managed),
                HeadroomContributor(headroom),
            ),
            budgets=(
                resources,
                CordonContributor(nodes, drains),
                PoolContributor(nodes, pools),
                OverlayContributor(overlays),
                RefusedPodsContributor(self._open_pools.usage.refusals),
                BudgetContributor(counts, ledger),
            ),
            balances=(resources, BalanceContributor(world, counts, hot.hot, rebalance.moves)),
        )
        return StatusController(
            world,
            self._writer("status", STATUS_WRITES_PER_SECOND),
            events,
            contributors,
            counts=counts,
            nodes=nodes,
            period_seconds=self._settings.status_seconds,
            urgent=(pools.changed, refused.changed, overlays.changed),
            changes=(
                drains.progress_changed,
                ledger.status_due,
                thresholds.report_changed,
                forecasts.report_changed,
                scaling.report_changed,
                headroom.report_changed,
                hot.changed,
                rebalance.changed,
                world.board.loads_changed,
                registration.changed,
                managed.changed,
                world.board.scale_downs_counted,
            ),
        )

    def _writer(self, name: str, rate: float) -> Writer:
        # A write that is in flight when the fence closes is answered or abandoned before another replica may write.
        timeout = min(DEFAULT_TIMEOUT_SECONDS, 0.8 * self._settings.margin_seconds)
        return Writer(
            self._client, rate=rate, burst=max(1, int(rate)), may_write=self._may_write, name=name, timeout=timeout
        )


def _planner(settings: Settings) -> MakePlan | None:
    """The planner of thresholds, which reads demand from Prometheus; None without a Prometheus."""
    connection = settings.prometheus
    return partial(plan_beside, connection=connection) if connection is not None else None


def _forecasting(settings: Settings) -> Forecasting | None:
    """The forecasting process, which is not started yet; None without a Prometheus."""
    connection = settings.prometheus
    return ForecastProcess(connection) if connection is not None else None
