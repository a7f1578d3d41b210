"""The assembly of the webhooks that `spillway run`, the tests and the benches serve.

Contract: the paths and names here are those of the chart's webhook configurations. Writes of a held scale-down go
through a writer of their own that every replica may use, leader or not: the API server asks whichever it reaches.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spillway.admission.deadline import LONGEST_TIMEOUT_SECONDS, Clock
from spillway.admission.peers import Forwarder
from spillway.admission.server import Handler, Webhook
from spillway.domain.model.records import PodRecord
from spillway.domain.policies.governance import Governance
from spillway.kube.client import KubeClient
from spillway.kube.events import EventRecorder
from spillway.kube.overlay_trial import OverlayTrials
from spillway.kube.writer import Writer
from spillway.state.board import Board
from spillway.state.cluster import ClusterState
from spillway.state.node_places import NodePlaces
from spillway.state.pool_membership import PoolMembership
from spillway.state.reservations import Reservations
from spillway.state.usage import LiveUsage
from spillway.webhooks import pods, replicasets
from spillway.webhooks import scale_down_outcomes as outcomes
from spillway.webhooks.bindings import BindingWebhook
from spillway.webhooks.cache_wait import CacheWait
from spillway.webhooks.initial_costs import InitialCosts
from spillway.webhooks.limit_ranges import LimitRanges
from spillway.webhooks.lookup import Lookup
from spillway.webhooks.nodes import NodeWebhook
from spillway.webhooks.overlay_validation import OverlayValidationWebhook
from spillway.webhooks.placer import Placer
from spillway.webhooks.plan_log import PlanLog
from spillway.webhooks.pods import PodWebhook
from spillway.webhooks.replicasets import ReplicaSetWebhook
from spillway.webhooks.scale_down_events import announcer
from spillway.webhooks.scale_down_outcomes import Outcomes
from spillway.webhooks.threshold_annotation import ThresholdAnnotationWebhook
from spillway.webhooks.validation import PLACES, ValidationWebhook
from spillway.webhooks.workloads import Workloads

POD_SECONDS: Final = 1.5
BINDING_SECONDS: Final = 0.5
REPLICASET_SECONDS: Final = 1.4
NODE_SECONDS: Final = 0.5
VALIDATION_SECONDS: Final = 1.0

WRITE_RATE: Final = 1000.0
WRITE_BURST: Final = 1000
"""The limit for held scale-downs: their concurrency is limited, not their rate."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Everything that answers requests, and the parts that other parts use."""

    webhooks: tuple[Webhook, ...]
    """The webhooks that the API server calls."""
    peers: tuple[Webhook, ...]
    """The paths that other replicas call."""
    plans: PlanLog
    places: NodePlaces
    events: EventRecorder
    """The recorder of plans; its `run` has to run."""
    usage: LiveUsage
    """The live counts by owner and by pool, reservations included; shared with the controllers."""
    outcomes: Outcomes
    """The outcomes of planned scale-downs; its `run` has to run where other replicas lead."""
    close: Callable[[], None]
    """Stop following the state."""


def build_admission(
    state: ClusterState,
    governance: Callable[[], Governance],
    client: KubeClient,
    *,
    writer: Writer | None = None,
    places: NodePlaces | None = None,
    plans: PlanLog | None = None,
    board: Board | None = None,
    membership: PoolMembership | None = None,
    forward_pods: Forwarder | None = None,
    forward_plans: Forwarder | None = None,
    forward_replicasets: Forwarder | None = None,
    clock: Clock = time.monotonic,
    now: Callable[[], float] = time.time,
    namespace: str = "",
) -> Admission:
    """All webhooks over one state. `places` may be shared with the controllers, so that answers cannot differ.

    Without a board no replica leads, and pods are created as their users wrote them. Without the operator's own
    `namespace` overlays are not tried.
    """
    writer = writer or Writer(client, rate=WRITE_RATE, burst=WRITE_BURST, name="admission", tries=2, timeout=1.0)
    places = places or NodePlaces(state, governance, clock, now=now)
    plans = plans or PlanLog()
    events = EventRecorder(client, instance="spillway-admission")
    stop_announcing = plans.subscribe(announcer(events))
    lookup = Lookup(state, client)
    cache_wait = CacheWait(state, clock)
    workloads = Workloads(state, lookup, governance)
    binding = BindingWebhook(places, lookup, workloads, InitialCosts(clock))
    board = board or Board(now)
    followed = Outcomes(state, board, policies=lambda: governance().policies, forward=forward_plans, clock=clock)
    replicaset = ReplicaSetWebhook(
        places,
        lookup,
        writer,
        cache_wait,
        board=board,
        plans=plans,
        follow=followed.follow,
        forward=forward_replicasets,
        clock=clock,
        now=now,
    )
    reservations = Reservations(clock, known_until=lambda: clock() - state.watched_age(PodRecord))
    pools = membership or PoolMembership(state, governance)
    usage = LiveUsage(state, pools, reservations)
    placer = Placer(usage, board, governance)
    limit_ranges = LimitRanges(lookup, clock)
    creation = PodWebhook(
        places, workloads, placer, board, limit_ranges=limit_ranges, events=events, forward=forward_pods
    )
    validations: dict[str, Handler] = {plural: ValidationWebhook(plural) for plural in PLACES}
    validations["virtualnodebudgets"] = OverlayValidationWebhook(
        OverlayTrials(client, namespace) if namespace else None
    )
    webhooks = (
        Webhook("pods", "/mutate/pods", creation, POD_SECONDS),
        Webhook("bindings", "/mutate/bindings", binding, BINDING_SECONDS),
        Webhook("replicasets", "/mutate/replicasets", replicaset, REPLICASET_SECONDS),
        Webhook("nodes", "/mutate/nodes", NodeWebhook(places, now), NODE_SECONDS),
        Webhook("thresholds", "/validate/thresholds", ThresholdAnnotationWebhook(), VALIDATION_SECONDS),
        *(Webhook(plural, f"/validate/{plural}", validations[plural], VALIDATION_SECONDS) for plural in PLACES),
    )
    peers = (
        Webhook("forwarded-pods", pods.FORWARDED, creation.forwarded, LONGEST_TIMEOUT_SECONDS),
        Webhook("forwarded-replicasets", replicasets.FORWARDED, replicaset.forwarded, LONGEST_TIMEOUT_SECONDS),
        Webhook("forwarded-plans", outcomes.FORWARDED, followed.reported, LONGEST_TIMEOUT_SECONDS),
    )

    def close() -> None:
        stop_announcing()
        followed.close()
        usage.close()
        if pools is not membership:
            pools.close()
        cache_wait.close()
        lookup.close()
        places.close()

    return Admission(webhooks, peers, plans, places, events, usage, followed, close)
