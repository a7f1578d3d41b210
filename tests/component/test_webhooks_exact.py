"""Both hot webhooks on a real control plane: pods get their cost when bound, and exactly the planned pods go."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec
import pytest
from prometheus_client import Counter as PrometheusCounter

from localcluster import DEFAULT_WAIT_SECONDS, ClusterApi
from spillway.domain.model.names import COST_WRITTEN, POD_DELETION_COST, POLICY, POOL, TIER, ZONE_LABEL, PodUid, Tier
from spillway.domain.model.records import PodRecord
from spillway.domain.policies.governance import Governance
from spillway.domain.scale_down.costs import BAND
from spillway.domain.scale_down.reasons import VictimReason
from spillway.telemetry import admission as metrics
from spillway.webhooks.plan_log import PlanEntry
from tests.support.admission_rig import AdmissionRig
from tests.support.policies import governance_of

pytestmark = pytest.mark.alone

ZONES = ("zone-a", "zone-b", "zone-c")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
MERGE = "application/merge-patch+json"


class Scene:
    """One namespace's workloads, as the rig's informer and the API server show them."""

    def __init__(self, rig: AdmissionRig, cluster: ClusterApi, namespace: str, pool: str) -> None:
        self.rig = rig
        self.cluster = cluster
        self.namespace = namespace
        self._pool = pool
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"

    def deploy(
        self, name: str, replicas: int, *, annotations: dict[str, str] | None = None, avoid: Sequence[str] = ()
    ) -> None:
        labels = {"app": name}
        elsewhere = {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": list(avoid)}
        spec = {
            # Only this module's nodes: the cluster is shared.
            "nodeSelector": {"scene": self._pool},
            "affinity": {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [elsewhere]}]}}}
            if avoid
            else None,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "10m"}}}],
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": ZONE_LABEL,
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": labels},
                    "matchLabelKeys": ["pod-template-hash"],
                },
                # Else the largest node takes nearly all.
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": labels},
                    "matchLabelKeys": ["pod-template-hash"],
                },
            ],
        }
        body = {
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels, "annotations": annotations or {}}, "spec": spec},
            },
        }
        self.cluster.rest.create(self._deployments, body)
        self.ready(name, replicas)

    def pods(self, name: str) -> list[PodRecord]:
        return [
            pod
            for pod in list(self.rig.state.pods.values())
            if pod.namespace == self.namespace and pod.owner_name.rsplit("-", 1)[0] == name
        ]

    def wanted(self, name: str) -> int:
        """The replicas that its ReplicaSets have in their specs."""
        return sum(
            one.replicas
            for one in list(self.rig.state.replicasets.values())
            if one.namespace == self.namespace and one.name.rsplit("-", 1)[0] == name
        )

    def replicaset(self, name: str) -> str:
        (owner,) = {pod.owner_name for pod in self.pods(name)}
        return owner

    def ready(self, name: str, replicas: int) -> None:
        def settled() -> bool:
            pods = self.pods(name)
            # On the way to a smaller number there may be so many as well.
            wanted = self.wanted(name) == replicas == len(pods)
            return wanted and all(pod.ready and pod.active for pod in pods)

        self.cluster.wait_until(settled, f"{replicas} ready pods of {name}")

    def scale(self, name: str, replicas: int) -> None:
        self.cluster.rest.request(
            "PATCH", f"{self._deployments}/{name}", body={"spec": {"replicas": replicas}}, content_type=MERGE
        )

    def plans(self) -> list[PlanEntry]:
        """The answered scale-downs, oldest first; one that another write overtook is asked for, and answered, again."""
        return [plan for plan in self.rig.admission.plans.entries if plan.namespace == self.namespace]

    def raw(self, path: str) -> Any:
        return self.cluster.rest.get(f"/api/v1/namespaces/{self.namespace}/{path}")

    def skew(self, name: str) -> int:
        zones = Counter(self.rig.state.nodes[pod.node].labels[ZONE_LABEL] for pod in self.pods(name))
        return max(zones.values()) - min(zones[zone] for zone in ZONES)

    def scale_and_compare(self, name: str, before: int, after: int, scale: Callable[[], object]) -> None:
        """Scale, and hold what went against what was planned."""
        stood = {pod.uid for pod in self.pods(name)}
        known = len(self.plans())
        scale()
        self.ready(name, after)
        gone = stood - {pod.uid for pod in self.pods(name)}
        planned = {victim.uid for plan in self.plans()[known:] for victim in plan.victims}
        assert gone == planned
        assert len(gone) == before - after


@pytest.fixture(scope="module")
def policy() -> Governance:
    return governance_of(
        mode="Enforce",
        elastic={"scene": "exact", "pool": "exact-elastic"},
        virtual={"scene": "exact", "type": "virtual-kubelet"},
    )


@pytest.fixture(scope="module")
def rig(cluster: ClusterApi, policy: Governance) -> Iterator[AdmissionRig]:
    labels = {"scene": "exact"}
    names = cluster.add_nodes("exact-fixed", 6, zones=ZONES, labels=labels)
    names += cluster.add_nodes("exact-elastic", 6, zones=ZONES, labels=labels)
    names += cluster.add_virtual_nodes("exact-virtual", 3, zones=ZONES, labels=labels, cpu="8", memory="32Gi")
    with AdmissionRig(cluster, policy) as rig:
        yield rig
    cluster.delete_nodes(names)


@pytest.fixture
def scene(rig: AdmissionRig, cluster: ClusterApi, policy: Governance) -> Iterator[Scene]:
    rig.governance = policy
    with cluster.namespace(labels=rig.labels) as namespace:
        # The API server's own view of a new namespace's labels takes a moment to reach its webhook matching.
        time.sleep(0.5)
        yield Scene(rig, cluster, namespace, "exact")


async def _first_bound(rig: AdmissionRig, namespace: str, count: int) -> dict[str, dict[str, str]]:
    """Annotations of each pod as of the first event that shows it on a node."""
    first: dict[str, dict[str, str]] = {}
    rest = b""
    path = f"/api/v1/namespaces/{namespace}/pods"
    async for chunk in rig.client.stream(path, {"watch": True}, silence_seconds=DEFAULT_WAIT_SECONDS):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):
            pod = msgspec.json.decode(line)["object"]
            if pod["spec"].get("nodeName"):
                first.setdefault(pod["metadata"]["name"], pod["metadata"].get("annotations", {}))
        if len(first) == count:
            break
    return first


def test_a_pod_is_seen_bound_for_the_first_time_with_its_cost(rig: AdmissionRig, scene: Scene) -> None:
    with ThreadPoolExecutor(1) as background:
        watching = background.submit(rig.run, _first_bound(rig, scene.namespace, 40))
        scene.deploy("web", 40)
        first = watching.result(DEFAULT_WAIT_SECONDS)
    indices = defaultdict(list)
    for name, annotations in first.items():
        assert annotations[POD_DELETION_COST] == annotations[COST_WRITTEN] == str(int(annotations[POD_DELETION_COST]))
        assert annotations[POLICY] == "online"
        pod = rig.state.pod(scene.namespace, name)
        assert pod is not None
        node = rig.state.nodes[pod.node]
        assert annotations[TIER] == _tier(node.labels)
        assert annotations.get(POOL, "") == ("pool-v" if annotations[TIER] == "virtual" else "")
        indices[annotations[TIER], node.labels[ZONE_LABEL]].append(annotations[POD_DELETION_COST])
    for costs in indices.values():
        assert len(set(costs)) == len(costs)


def _tier(labels: dict[str, str]) -> str:
    if labels.get("type") == "virtual-kubelet":
        return "virtual"
    return "elastic" if labels["pool"] == "exact-elastic" else "fixed"


def test_24_scale_downs_are_exact_whoever_scales(scene: Scene) -> None:
    scene.deploy("web", 40)
    for turn in range(8):
        for name, scale in _ways(scene).items():
            before, after = (40, 25) if turn % 2 else (40, 31)
            scene.scale_and_compare("web", before, after, partial(scale, after))
            assert scene.skew("web") <= 1, name
            scene.scale("web", 40)
            scene.ready("web", 40)


def _ways(scene: Scene) -> dict[str, Callable[[int], object]]:
    def by_deployment(replicas: int) -> None:
        scene.scale("web", replicas)

    def by_kubectl(replicas: int) -> None:
        scene.cluster.kubectl("-n", scene.namespace, "scale", "deployment/web", f"--replicas={replicas}")

    def by_scale(replicas: int) -> None:
        """As an HPA does."""
        scene.cluster.rest.request(
            "PATCH",
            f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/web/scale",
            body={"spec": {"replicas": replicas}},
            content_type=MERGE,
        )

    return {"deployment": by_deployment, "kubectl": by_kubectl, "scale": by_scale}


def test_virtual_goes_first_then_elastic(scene: Scene) -> None:
    scene.deploy("web", 45)
    tiers = Counter(pod.tier for pod in scene.pods("web"))
    assert set(tiers) == {"fixed", "elastic", "virtual"}
    scene.scale("web", 45 - tiers["virtual"])
    scene.ready("web", 45 - tiers["virtual"])
    left = Counter(pod.tier for pod in scene.pods("web"))
    assert left["virtual"] == 0
    assert left["fixed"] == tiers["fixed"]


def test_a_bare_replicaset_scaled_through_its_subresource(rig: AdmissionRig, scene: Scene) -> None:
    labels = {"app": "bare"}
    pod = {"nodeSelector": {"scene": "exact"}, "containers": [{"name": "c", "image": "x"}]}
    scene.cluster.rest.create(
        f"/apis/apps/v1/namespaces/{scene.namespace}/replicasets",
        {
            "metadata": {"name": "bare-rs"},
            "spec": {
                "replicas": 12,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    )
    scene.ready("bare", 12)
    scene.scale_and_compare(
        "bare",
        12,
        7,
        lambda: scene.cluster.kubectl("-n", scene.namespace, "scale", "replicaset/bare-rs", "--replicas=7"),
    )


def test_steps_in_quick_succession_go_on_with_one_plan(scene: Scene) -> None:
    scene.deploy("web", 40)
    for _ in range(3):
        stood = {pod.uid for pod in scene.pods("web")}
        known = len(scene.plans())
        replicaset = f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/web"
        for replicas in (36, 32, 28):
            scene.cluster.rest.request("PATCH", replicaset, body={"spec": {"replicas": replicas}}, content_type=MERGE)
        scene.ready("web", 28)
        planned = {victim.uid for plan in scene.plans()[known:] for victim in plan.victims}
        assert stood - {pod.uid for pod in scene.pods("web")} == planned
        assert len(planned) == 12
        assert scene.skew("web") <= 1
        scene.scale("web", 40)
        scene.ready("web", 40)


def test_raised_again_before_the_pods_went(scene: Scene) -> None:
    scene.deploy("web", 30)
    for replicas in (20, 30, 24):
        scene.scale("web", replicas)
    scene.ready("web", 24)
    assert scene.skew("web") <= 1


def test_several_replicasets_at_once(scene: Scene) -> None:
    names = [f"web{index}" for index in range(8)]
    for name in names:
        scene.deploy(name, 20)
    stood = {pod.uid for name in names for pod in scene.pods(name)}
    known = len(scene.plans())
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: scene.scale(name, 12), names))
    for name in names:
        scene.ready(name, 12)
    plans = scene.plans()[known:]
    planned = {victim.uid for plan in plans for victim in plan.victims}
    assert {plan.let_go for plan in plans} == {""}
    assert {plan.owner_name for plan in plans} == {*names}
    assert stood - {pod.uid for name in names for pod in scene.pods(name)} == planned


def test_a_rollout_frees_fixed_nodes_first_and_keeps_the_spread(scene: Scene) -> None:
    scene.deploy("web", 24)
    # Before the new ones are there: they come at once.
    old = scene.replicaset("web")
    known = len(scene.plans())
    template = {"metadata": {"annotations": {"version": "2"}}}
    scene.cluster.rest.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/web",
        body={"spec": {"template": template}},
        content_type=MERGE,
    )

    def done() -> bool:
        pods = scene.pods("web")
        return len(pods) == 24 and all(pod.ready and pod.owner_name != old for pod in pods)

    scene.cluster.wait_until(done, "the rollout")
    plans = [plan for plan in scene.plans()[known:] if plan.replicaset == old]
    assert plans
    assert all(plan.mirror for plan in plans)
    served = {*VictimReason} - {
        VictimReason.UNASSIGNED,
        VictimReason.PENDING,
        VictimReason.PHASE_UNKNOWN,
        VictimReason.NOT_READY,
    }
    tiers = [victim.tier for plan in plans for victim in plan.victims if victim.reason in served]
    assert "fixed" in tiers
    assert "virtual" not in tiers[: _last(tiers, "fixed")]
    assert scene.skew("web") <= 1


def _last(items: list[Tier], item: str) -> int:
    return len(items) - 1 - items[::-1].index(Tier(item))


def test_a_dry_run_changes_nothing(scene: Scene) -> None:
    scene.deploy("web", 20)
    replicaset = scene.replicaset("web")
    before = {pod["metadata"]["uid"]: pod["metadata"]["resourceVersion"] for pod in scene.raw("pods")["items"]}
    known = len(scene.plans())
    scene.cluster.rest.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{scene.namespace}/replicasets/{replicaset}",
        params={"dryRun": "All"},
        body={"spec": {"replicas": 5}},
        content_type=MERGE,
    )
    after = {pod["metadata"]["uid"]: pod["metadata"]["resourceVersion"] for pod in scene.raw("pods")["items"]}
    assert after == before
    assert len(scene.plans()) == known


def test_recommend_plans_and_writes_nothing(rig: AdmissionRig, scene: Scene) -> None:
    rig.governance = governance_of(mode="Recommend", elastic={"scene": "exact", "pool": "exact-elastic"})
    scene.deploy("web", 20)
    assert not any(_marks(pod) for pod in scene.raw("pods")["items"])
    scene.scale("web", 14)
    scene.ready("web", 14)
    assert {(plan.outcome, plan.planned, plan.writes) for plan in scene.plans()} == {("recommend", 6, 0)}
    assert not any(_marks(pod) for pod in scene.raw("pods")["items"])


def _marks(pod: dict[str, Any]) -> dict[str, str]:
    annotations = pod["metadata"].get("annotations", {})
    return {key: value for key, value in annotations.items() if "spillway.dev/" in key or key == POD_DELETION_COST}


def test_a_users_own_cost_is_left_alone(scene: Scene) -> None:
    scene.deploy("web", 10, annotations={POD_DELETION_COST: "7"})
    for pod in scene.pods("web"):
        assert (pod.deletion_cost, pod.cost_written, pod.policy) == (7, None, "online")
    scene.scale("web", 6)
    scene.ready("web", 6)
    assert all((pod.deletion_cost, pod.cost_written) == (7, None) for pod in scene.pods("web"))
    assert {plan.outcome for plan in scene.plans()} == {"foreign-cost"}


def test_a_job_is_marked_with_its_tier_and_no_cost(rig: AdmissionRig, scene: Scene) -> None:
    pod = {
        "restartPolicy": "Never",
        "nodeSelector": {"scene": "exact"},
        "containers": [{"name": "c", "image": "x"}],
    }
    scene.cluster.rest.create(
        f"/apis/batch/v1/namespaces/{scene.namespace}/jobs",
        {"metadata": {"name": "job"}, "spec": {"template": {"spec": pod}}},
    )

    def bound() -> bool:
        return any(pod["spec"].get("nodeName") for pod in scene.raw("pods")["items"])

    scene.cluster.wait_until(bound, "the job's pod on a node")
    marks = _marks(scene.raw("pods")["items"][0])
    assert marks[POLICY] == "online"
    assert marks[TIER] in {"fixed", "elastic"}
    assert POD_DELETION_COST not in marks


def test_500_victims_at_once_are_written_in_time_or_let_go_and_never_the_better_tier_goes(scene: Scene) -> None:
    # Most of them on fixed nodes, where victims and survivors have to be told apart.
    scene.deploy("web", 630, avoid=all_but_one(scene, "elastic", "virtual"))
    stood = make_ties(scene, "web")
    known, decided, let_go = len(scene.plans()), counted(metrics.OUTCOMES), counted(metrics.LET_GO)

    scene.scale("web", 130)
    scene.ready("web", 130)

    plans = scene.plans()[known:]
    decided, let_go = counted(metrics.OUTCOMES) - decided, counted(metrics.LET_GO) - let_go
    left = {pod.uid for pod in scene.pods("web")}
    # A request that was overtaken by another write of the ReplicaSet comes again: each is one or the other.
    assert decided.keys() <= {"written", "as-stored", "let-go"}
    assert decided.total() >= 1
    assert let_go.total() == decided["let-go"]
    assert Counter(plan.let_go for plan in plans if plan.let_go) <= let_go
    assert all(plan.planned == 500 for plan in plans)
    if not let_go:
        assert {victim.uid for victim in plans[-1].victims} == stood.keys() - left
        assert plans[0].writes > 300
    order = ["virtual", "elastic", "fixed"]
    assert {order.index(stood[uid]) for uid in left} == {order.index("fixed")}
    assert scene.skew("web") <= 1 or let_go


def all_but_one(scene: Scene, *tiers: str) -> list[str]:
    """Names of these tiers' nodes, the first of each left out."""
    nodes = sorted(node.name for node in scene.rig.state.nodes.values() if node.labels.get("scene") == "exact")
    of_tier = [[name for name in nodes if _tier(scene.rig.state.nodes[name].labels) == tier] for tier in tiers]
    return [name for names in of_tier for name in names[1:]]


def make_ties(scene: Scene, name: str) -> dict[PodUid, str]:
    """Give all pods of a tier one cost, its highest: many have to be written then. Returns the tier of each.

    A burst of so many new pods may be more than the machine can stamp in time: whoever has no cost gets it here.
    """
    highest = {"fixed": 0, "elastic": -BAND, "virtual": -2 * BAND}
    tiers = {pod.uid: _tier(scene.rig.state.nodes[pod.node].labels) for pod in scene.pods(name)}

    def tie(pod: PodRecord) -> None:
        cost = str(highest[tiers[pod.uid]])
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        scene.cluster.rest.merge(path, {"metadata": {"annotations": {POD_DELETION_COST: cost, COST_WRITTEN: cost}}})

    def tied() -> bool:
        return all(pod.deletion_cost == pod.cost_written == highest[tiers[pod.uid]] for pod in scene.pods(name))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tie, scene.pods(name)))
    scene.cluster.wait_until(tied, "the ties")
    return tiers


def counted(metric: PrometheusCounter) -> Counter[str]:
    """What a metric of the webhook of ReplicaSets has counted, by its other label."""
    found: Counter[str] = Counter()
    for family in metric.collect():
        for sample in family.samples:
            if sample.name.endswith("_total") and sample.labels.pop("webhook") == "replicasets":
                (label,) = sample.labels.values()
                found[label] = int(sample.value)
    return found
