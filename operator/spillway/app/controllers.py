"""The controllers that the holder of the Lease runs, each with a writer of its own.

Contract: each writer has its own token bucket, so that many writes of one kind do not delay writes of another kind; all
writers share the fence.
"""

import zlib
from collections.abc import Callable, Sequence
from functools import partial

from spillway.app.settings import Settings
from spillway.controllers.balance.classes import ClassController
from spillway.controllers.balance.consolidation import ConsolidationController
from spillway.controllers.balance.consolidation_status import ConsolidationContributor
from spillway.controllers.balance.descheduling import Deschedulers
from spillway.controllers.balance.hot_nodes import HotNodesController
from spillway.controllers.balance.load import LoadController
from spillway.controllers.balance.node_pools import NodePools
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
from spillway.controllers.surge.moves import SurgeMovesController
from spillway.controllers.surge.scaler import SurgeScaler
from spillway.controllers.threshold.controller import MakePlan, ThresholdController
from spillway.controllers.threshold.process import plan_beside
from spillway.controllers.threshold.status import ThresholdContributor
from spillway.controllers.threshold.unread import UnreadThresholdController
from spillway.domain.balance.classes import ClassHistories
from spillway.domain.forecast.pace import Pace
from spillway.domain.headroom.manifests import Look
from spillway.domain.placement.job_retries import Retries
from spillway.domain.threshold.request import Plan
from spillway.kube.access import DelegatedAccess
from spillway.kube.autoscalers import AutoscalerWatch
from spillway.kube.client import KubeClient
from spillway.kube.overlay_trial import OverlayTrials
from spillway.kube.packed_store import LOAD_CLASSES, THRESHOLDS, PackedStore
from spillway.kube.pod_events import PodEvents
from spillway.kube.protocols import Recorder
from spillway.kube.writer import DEFAULT_TIMEOUT_SECONDS, Writer
from spillway.state.autoscalers import Autoscalers
from spillway.state.open_pools import OpenPools

STATUS_WRITES_PER_SECOND = 10.0
SURGE_WRITES_PER_SECOND = 5.0
PLAN_WRITES_PER_SECOND = 2.0
AUTOSCALER_WRITES_PER_SECOND = 10.0
HEADROOM_WRITES_PER_SECOND = 10.0


class Controllers:
    """The controllers of one leader. Nothing runs or is subscribed until each of `all` is run."""

    def __init__(
        self,
        settings: Settings,
        client: KubeClient,
        world: World,
        open_pools: OpenPools,
        events: Recorder,
        *,
        may_write: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._client = client
        self._world = world
        self._open_pools = open_pools
        self._events = events
        self._may_write = may_write
        nodes, unstarted, retries = PoolNodes(world), UnstartedPods(world), Retries()
        recommended = RecommendedReplacements(world)
        autoscalers, readings = Autoscalers(), Readings(world, client, settings.prometheus)
        # Those that contribute to a status are attributes.
        self._drains = DrainController(world, self._writer("drain", settings.evictions_per_second), client, retries)
        self._pools = PoolsController(world, nodes, unstarted, open_pools.usage, PodEvents(client))
        about_owners = PodEvents(client, about_pods=False)
        self._refused = RefusedPodsController(world, events, open_pools.usage, about_owners)
        self._overlays = OverlayController(world, OverlayTrials(client, settings.namespace).run)
        self._ledger = BudgetController(world, period_seconds=settings.status_seconds)
        self._thresholds = ThresholdController(
            world,
            PackedStore(
                client, self._writer("thresholds", PLAN_WRITES_PER_SECOND), settings.namespace, THRESHOLDS, Plan
            ),
            events,
            _planner(settings),
            period_seconds=settings.threshold_seconds,
            workload_series=settings.workload_series,
        )
        self._forecasts = ForecastController(
            world,
            events,
            _forecasting(settings),
            offset_seconds=zlib.crc32(settings.identity.encode()) % OFFSETS_SECONDS,
            workload_series=settings.workload_series,
            pace=Pace(settings.demand_speed, settings.demand_meets),
        )
        self._scaling = ScalingController(
            world,
            events,
            autoscalers,
            AutoscalerWatch(client, autoscalers),
            workload_series=settings.workload_series,
        )
        self._managed = ManagedAutoscalersController(
            world, self._writer("autoscalers", AUTOSCALER_WRITES_PER_SECOND), self._scaling, autoscalers
        )
        self._registration = RegistrationController(
            world, client, service=settings.webhook_service, namespace=settings.namespace
        )
        self._headroom = self._headroom_controller(autoscalers)
        self._hot = HotNodesController(world, self._writer("hot-nodes", settings.node_writes_per_second), events)
        kept = self._writer("load-classes", PLAN_WRITES_PER_SECOND)
        histories = PackedStore(client, kept, settings.namespace, LOAD_CLASSES, ClassHistories)
        self._classes = ClassController(world, readings, histories, events)
        scaler = SurgeScaler(world, self._writer("surge", SURGE_WRITES_PER_SECOND), client)
        moves = SurgeMovesController(world, scaler, ready_seconds=settings.surge_ready_seconds)
        deschedulers = Deschedulers(world, client, DelegatedAccess(client))
        evictions = self._writer("rebalance", settings.evictions_per_second)
        self._rebalance = RebalanceController(world, readings, evictions, events, moves, deschedulers=deschedulers)
        taints = self._writer("consolidation", settings.node_writes_per_second)
        self._consolidation = ConsolidationController(
            world, taints, events, moves, deschedulers=deschedulers, node_pools=NodePools(client)
        )
        self.all: Sequence[Controller] = (
            TaintController(world, self._writer("taints", settings.node_writes_per_second)),
            CordonController(world, self._writer("cordon", settings.node_writes_per_second)),
            self._drains,
            self._pools,
            self._refused,
            self._overlays,
            self._ledger,
            FailoverController(
                world, self._writer("failover", settings.failover_pods_per_second), events, nodes, recommended
            ),
            ReplaceUnstartedController(
                world,
                self._writer("replace-unstarted", settings.failover_pods_per_second),
                events,
                client,
                pools=self._pools,
                open_pools=open_pools,
                unstarted=unstarted,
                retries=retries,
                recommended=recommended,
            ),
            WithdrawnController(
                world,
                self._writer("withdrawn", settings.failover_pods_per_second),
                events,
                client,
                unstarted=unstarted,
                retries=retries,
            ),
            self._thresholds,
            self._forecasts,
            self._scaling,
            self._headroom,
            LoadController(world, readings),
            ZoneLoadController(world, readings),
            self._classes,
            self._hot,
            moves,
            self._rebalance,
            self._consolidation,
            self._managed,
            *([self._registration] if settings.external_metrics else ()),
            UnreadThresholdController(world, events, client),
            SpillController(
                world,
                self._writer("spill", settings.spills_per_second),
                client,
                events,
                open_pools,
                retries=retries,
            ),
            BringBackController(
                world,
                scaler,
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
            self._statuses(),
        )

    def _headroom_controller(self, autoscalers: Autoscalers) -> HeadroomController:
        settings, writer = self._settings, self._writer("headroom", HEADROOM_WRITES_PER_SECOND)
        look = Look(settings.headroom_image, settings.headroom_priority_class, settings.headroom_pull_secrets)
        return HeadroomController(
            self._world,
            writer,
            self._events,
            HeadroomObjects(self._client, writer, look, settings.namespace),
            autoscalers,
            namespace=settings.namespace,
            mechanism=settings.headroom_by,
            hold_seconds=settings.headroom_hold_seconds,
        )

    def _statuses(self) -> StatusController:
        world, counts, nodes = self._world, WorkloadCounts(self._world), NodeSummary(self._world)
        resources = ResourceContributor(world, counts, nodes)
        # The first contributor that observes Ready decides what it says.
        contributors = Contributors(
            policies=(
                resources,
                PolicyContributor(counts, nodes),
                ScaleDownContributor(counts, world.board),
                ThresholdContributor(counts, self._thresholds),
                ForecastContributor(self._forecasts, world.board),
                ScalingContributor(self._scaling, self._registration, self._managed),
                HeadroomContributor(self._headroom),
                ConsolidationContributor(self._consolidation),
            ),
            budgets=(
                resources,
                CordonContributor(nodes, self._drains),
                PoolContributor(nodes, self._pools),
                OverlayContributor(self._overlays),
                RefusedPodsContributor(self._open_pools.usage.refusals),
                BudgetContributor(counts, self._ledger),
            ),
            balances=(
                resources,
                BalanceContributor(world, counts, self._hot.hot, self._rebalance, self._classes.counts),
            ),
        )
        return StatusController(
            world,
            self._writer("status", STATUS_WRITES_PER_SECOND),
            self._events,
            contributors,
            counts=counts,
            nodes=nodes,
            period_seconds=self._settings.status_seconds,
            urgent=(self._pools.changed, self._refused.changed, self._overlays.changed),
            changes=(
                self._drains.progress_changed,
                self._ledger.status_due,
                self._thresholds.report_changed,
                self._forecasts.report_changed,
                self._scaling.report_changed,
                self._headroom.report_changed,
                self._hot.changed,
                self._rebalance.changed,
                self._consolidation.changed,
                world.board.loads_changed,
                world.board.readings_changed,
                world.board.load_classes_changed,
                self._registration.changed,
                self._managed.changed,
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
