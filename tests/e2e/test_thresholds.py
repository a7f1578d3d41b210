"""Thresholds on the real control plane: planned from a real Prometheus, bounded, overridden, told and kept.

Contract: the scenarios follow each other on one stage. It begins with a past of a day and a half, from which nothing is
planned; then the past grows to three days. Everybody's replicas request a core, and the owned node has twenty.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import Installation
from harness.chart import PROJECT
from harness.prometheus import PushedPrometheus, prometheus_running
from localcluster import ClusterApi, ClusterError
from localcluster.prometheus import query, write_targets
from localcluster.rest import Object, RestError
from tests.e2e.conftest import LEASE_PATH
from tests.support.monitoring import (
    EXPORTED_BY,
    dashboard_queries,
    known_metrics,
    labels_of_matchers,
    named_metrics,
)
from tests.support.prometheus import replicas_series
from tests.support.stage import GROUP_PATH, Stage

OWNED = "owned-by-thresholds"
OWNED_CORES = 20
ANNOTATION = "spillway.dev/threshold"
DAY = 86_400.0
LOW, HIGH = 8, 24
PRICE = {"currency": "CNY", "cpuHour": "2", "memoryGiBHour": "0"}
FIXED = {"targetUtilization": 50, "price": {"currency": "CNY", "nodeHour": str(OWNED_CORES)}}

AUTO = {"mode": "Auto"}
MANUAL = {"mode": "Manual"}
CLASSES = {
    "capped": AUTO | {"max": 2},
    "most": MANUAL | {"replicas": 9, "max": 3},
    "least": MANUAL | {"replicas": 0, "min": 2},
}
"""Workloads that have a class of their own; all others are of mode Auto without bounds."""
REPLICAS = {"cart": 1, "young": 3, "capped": 1, "most": 4, "least": 3, "noted": 3}
"""At the beginning."""
CART = OWNED_CORES - 3 - 2 - 3 - 2 - 1
"""What is left of the owned node for the one that takes all that it can get."""


NOT_FOR_CERTAIN = {
    "spillway_admission_errors_total",
    "spillway_admission_let_go_total",
    "spillway_informer_reconnects_total",
    "spillway_listener_errors_total",
    "spillway_placement_forwards_total",
    "spillway_queue_handled_total",
    "spillway_upkeep_writes_total",
}
"""Metrics of which a query may find nothing here, because it asks for failures and other rare cases."""


@dataclass(frozen=True)
class Shop:
    """The stage and what runs beside it."""

    stage: Stage
    operator: Installation
    prometheus: PushedPrometheus
    targets: Path
    """The folder whose files name what Prometheus scrapes."""

    def name(self, workload: str) -> str:
        return f"Deployment/{self.stage.namespace}/{workload}"

    def give_past(self, days: float, *workloads: str) -> None:
        """A day of 8 replicas, 24 from 18:00 to 22:00 UTC, again and again until now."""
        now = time.time()
        times = np.arange(np.ceil((now - days * DAY) / 60) * 60, now, 60.0)
        hour = times % DAY / 3600
        replicas = np.where((hour > 18) & (hour <= 22), float(HIGH), float(LOW))
        self.prometheus.push([(replicas_series(self.name(one)), times, replicas) for one in workloads])

    @property
    def policy_path(self) -> str:
        return f"{GROUP_PATH}/elasticpolicies/{self.stage.id}"

    def status(self) -> Object:
        found: Object = self.stage.cluster.rest.get(self.policy_path).get("status") or {}
        return found

    def thresholds(self) -> dict[str, tuple[int | None, str]]:
        """What status says of each workload: the number, and why."""
        listed = self.status().get("thresholds") or []
        return {one["workload"].rpartition("/")[2]: (one.get("replicas"), one["reason"]) for one in listed}

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Status, reason and message; empty where there is no such condition."""
        conditions = self.status().get("conditions") or []
        found: Object = next((one for one in conditions if one["type"] == kind), {})
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    def wait_thresholds(self, **wanted: tuple[int | None, str]) -> None:
        def told() -> bool:
            return self.thresholds().items() >= wanted.items()

        self.stage.cluster.wait_until(told, f"thresholds of {wanted} in the status")

    def grown(self, workload: str, replicas: int) -> dict[str, int]:
        """Where the replicas are once there are so many."""
        self.stage.scale(workload, replicas)
        return self.stage.tiers(self.stage.wait_bound(workload, replicas))

    def plan(self, *flags: str) -> "subprocess.CompletedProcess[str]":
        """`spillway plan thresholds`, as someone runs it at a prompt."""
        return subprocess.run(
            [sys.executable, "-m", "spillway", "plan", "thresholds", f"--prometheus-url={self.prometheus.url}", *flags],
            env={**os.environ, "PYTHONPATH": str(PROJECT / "operator")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def planned(self, *flags: str) -> dict[str, Any]:
        done = self.plan(*flags, "-o", "json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)["plan"]
        return found

    @property
    def in_cluster(self) -> tuple[str, ...]:
        return (f"--policy={self.stage.id}", f"--kubeconfig={self.stage.cluster.kubeconfig}")


@pytest.fixture(scope="module")
def shop(installation: Installation, cluster: ClusterApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Governed, with a past that is too short."""
    cluster.rest.delete(LEASE_PATH)
    others = [
        item["metadata"]["name"]
        for item in cluster.rest.items("/api/v1/nodes")
        if not item["spec"].get("unschedulable")
    ]
    _cordon(cluster, others, closed=True)
    nodes = cluster.add_nodes(OWNED, 1, cpu=str(OWNED_CORES), pods=100, labels={"stage": OWNED})
    stage = Stage(cluster, OWNED)
    try:
        targets = tmp_path_factory.mktemp("targets")
        with prometheus_running(jobs=[_scrape(targets)]) as prometheus:
            installation.start_one(0, flags=[f"--prometheus-url={prometheus.url}"])
            made = Shop(stage, installation, prometheus, targets)
            made.give_past(1.5, "cart", "capped")
            installation.wait_ready(0)
            installation.wait_leader()
            own = [
                {"match": {"labels": {"matchLabels": {"app": name}}}, "threshold": threshold}
                for name, threshold in CLASSES.items()
            ]
            stage.govern(*own, {"match": {"kinds": ["Deployment"]}, "threshold": AUTO}, a={"price": PRICE})
            for name, replicas in REPLICAS.items():
                annotations = {ANNOTATION: "1"} if name == "noted" else None
                stage.deploy(name, replicas, cpu="1", annotations=annotations)
            for name, replicas in REPLICAS.items():
                stage.wait_bound(name, replicas)
            yield made
    finally:
        for index in installation.running:
            installation.kill(index)
        cluster.rest.delete(LEASE_PATH)
        stage.close()
        cluster.delete_nodes(nodes)
        _cordon(cluster, others, closed=None)


def _scrape(folder: Path) -> Object:
    """What is scraped does not count as the history of demand, which these scenarios write."""
    return {
        "job_name": "operator",
        "honor_labels": True,
        "file_sd_configs": [{"files": [f"{folder}/*.json"], "refresh_interval": "1s"}],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": "spillway_workload_replicas", "action": "drop"}
        ],
    }


def _cordon(cluster: ClusterApi, nodes: list[str], *, closed: bool | None) -> None:
    """Nodes that are not the stage's are to be no one's room: all that is owned and open is planned with."""
    for name in nodes:
        if cluster.exists(f"/api/v1/nodes/{name}"):
            cluster.rest.merge(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": closed}})


@pytest.fixture(scope="module")
def planned(shop: Shop) -> Shop:
    """The same with three days of history, planned again because the policy says more now."""
    shop.give_past(3, "cart", "capped")
    shop.stage.cluster.rest.merge(shop.policy_path, {"spec": {"tiers": {"fixed": FIXED}}})
    # The first plan may read the longer history as well, and gives the same numbers; amounts need the prices.
    shop.stage.cluster.wait_until(lambda: "saving" in shop.status(), "the plan with prices")
    shop.wait_thresholds(cart=(CART, "Auto"))
    return shop


def test_a_past_of_less_than_two_days_keeps_everything_physical_and_the_status_says_so(shop: Shop) -> None:
    shop.wait_thresholds(
        cart=(None, "LearningHistory"),
        young=(None, "LearningHistory"),
        capped=(None, "LearningHistory"),
        most=(3, "Manual"),
        least=(2, "Manual"),
        noted=(1, "Annotation"),
    )
    shop.stage.cluster.wait_until(lambda: shop.condition("Learning")[0] == "True", "the condition")
    _, reason, message = shop.condition("Learning")
    assert reason == "LearningHistory"
    assert f"{shop.name('cart')}, {shop.name('young')} have less than 2 days of history" in message

    assert shop.grown("capped", 4) == {"physical": 4}, "also beyond its max: there is no threshold yet"
    shop.grown("capped", 1)


def test_enough_of_it_gives_a_threshold_and_what_exceeds_that_goes_virtual(planned: Shop) -> None:
    planned.wait_thresholds(
        cart=(CART, "Auto"),
        young=(None, "LearningHistory"),
        capped=(2, "Auto"),
        most=(3, "Manual"),
        least=(2, "Manual"),
    )
    assert planned.grown("cart", CART + 3) == {"physical": CART, "virtual": 3}
    assert planned.grown("capped", 3) == {"physical": 2, "virtual": 1}

    def told() -> bool:
        events = planned.stage.cluster.rest.items("/apis/events.k8s.io/v1/namespaces/default/events")
        about = (planned.stage.id, "ThresholdsPlanned")
        notes = [one["note"] for one in events if (one["regarding"]["name"], one["reason"]) == about]
        return any("2 thresholds differ" in note for note in notes)

    planned.stage.cluster.wait_until(told, "the Event about 2 thresholds that differ")


def test_what_it_saves_and_how_many_nodes_to_own_are_told_in_status_and_metrics(planned: Shop) -> None:
    """An owned core costs 1 an hour, one of a virtual pod 2; four hours of the day are busy."""
    busy = 4 / 24
    peak = 2 * HIGH + 3 + 4 + 3 + 3
    valley = 2 * LOW + 3 + 4 + 3 + 3
    beyond = 2 * ((HIGH - CART) * busy + (LOW - 2) + (HIGH - LOW) * busy + 1 + 1 + 2)
    against_owned = peak - (OWNED_CORES + beyond)
    against_virtual = valley + 2 * 2 * (HIGH - LOW) * busy - (OWNED_CORES + beyond)

    status = planned.status()
    saving = status["saving"]
    assert float(saving["perHour"]) == pytest.approx(against_owned, abs=0.01)
    assert float(saving["perHourAgainstVirtual"]) == pytest.approx(against_virtual, abs=0.01)
    assert saving["currency"] == "CNY"
    assert status["ownedNodesAdvised"] == 1, "what a second would hold is needed for four hours, or bounded away"
    [cart] = [one for one in status["thresholds"] if one["workload"] == planned.name("cart")]
    assert cart["confidence"] > 0
    assert float(cart["savingPerHour"]) == pytest.approx((HIGH - CART) * (1 - 2 * busy), abs=0.01)

    shown = planned.operator.metrics(0)
    labels = {"namespace": planned.stage.namespace, "kind": "Deployment", "workload": "cart"}
    assert [one.value for one in shown.select("spillway_workload_threshold", **labels, reason="Auto")] == [CART]
    assert shown.total("spillway_workload_threshold_confidence_ratio", **labels) == cart["confidence"] / 100
    for against, field in (("owned", "savingPerHour"), ("virtual", "savingPerHourAgainstVirtual")):
        told = shown.total("spillway_workload_saving_per_hour", **labels, against=against)
        assert told == pytest.approx(float(cart[field]), abs=0.01)
    policy = {"policy": planned.stage.id}
    for against, amount in (("owned", against_owned), ("virtual", against_virtual)):
        told = shown.total("spillway_policy_saving_per_hour", **policy, against=against, currency="CNY")
        assert told == pytest.approx(amount, abs=0.01)
    assert shown.total("spillway_policy_owned_nodes_advised", **policy) == 1
    assert shown.total("spillway_policy_workloads_learning", **policy) == 1
    planned_cores = shown.total("spillway_threshold_owned_cores", what="planned")
    assert planned_cores <= shown.total("spillway_threshold_owned_cores", what="allowed") == OWNED_CORES / 2
    # The history that the next plan is made from carries the names by which it was asked for.
    [replicas] = shown.select("spillway_workload_replicas", **labels)
    assert {"__name__": replicas.name, **replicas.labels} == replicas_series(planned.name("cart"))


def test_the_command_line_plans_the_same_from_the_cluster(planned: Shop) -> None:
    found = planned.planned(*planned.in_cluster)

    status = planned.status()
    ours = {one["workload"].rpartition("/")[2]: one["threshold"] for one in found["workloads"]}
    assert {name: ours[name] for name in ("cart", "young", "capped")} == {"cart": CART, "young": None, "capped": 2}
    [policy] = found["policies"]
    assert f"{policy['savedVsOwned']:.2f}" == status["saving"]["perHour"]
    assert policy["ownedNodesAdvised"] == status["ownedNodesAdvised"]

    table = planned.plan(*planned.in_cluster).stdout
    assert planned.name("cart") in table
    assert "cheapest number of owned nodes: 1\n" in table

    unknown = planned.plan("--policy=absent", planned.in_cluster[1])
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("error: there is no ElasticPolicy absent; there are: ")


def test_the_command_line_plans_from_prometheus_alone(planned: Shop) -> None:
    found = planned.planned("--nodes=1", f"--node-cores={OWNED_CORES}", "--cpu=1", "--target-utilization=50")

    thresholds = {one["workload"]: one["threshold"] for one in found["workloads"]}
    assert set(thresholds) == {planned.name("cart"), planned.name("capped")}
    assert sum(thresholds.values()) == OWNED_CORES
    assert min(thresholds.values()) >= LOW, "what is always needed comes first"
    assert found["peakCores"] <= found["allowedCores"] == OWNED_CORES / 2


def test_no_more_large_pods_are_planned_than_find_a_node(planned: Shop) -> None:
    """Sixteen pods of 6 cores would fit into the sum of ten nodes of 10 cores."""
    for node_cores, places in ((10, 10), (5, 0)):
        flags = ("--nodes=10", f"--node-cores={node_cores}", "--cpu=6", "--target-utilization=100")
        found = planned.planned(*flags)
        assert sum(one["threshold"] for one in found["workloads"]) == places


def test_the_annotation_overrides_and_a_bad_one_is_refused(planned: Shop) -> None:
    cluster, stage = planned.stage.cluster, planned.stage

    def annotate(value: str) -> None:
        cluster.kubectl("annotate", "--overwrite", f"-n={stage.namespace}", "deployment/noted", f"{ANNOTATION}={value}")

    for bad in ("many", "-1", "1000001"):
        with pytest.raises(ClusterError, match=f"{ANNOTATION} must be a whole number from 0 to 1000000") as refused:
            annotate(bad)
        assert f"metadata.annotations[{ANNOTATION}]" in str(refused.value)
    with pytest.raises(ClusterError, match="remove it, or give a number"):
        annotate("")
    with pytest.raises(RestError, match="must be a whole number"):
        stage.deploy("new", 1, annotations={ANNOTATION: "half"})

    assert stage.tiers(stage.wait_bound("noted", 3)) == {"physical": 1, "virtual": 2}
    annotate("0")
    planned.wait_thresholds(noted=(0, "Annotation"))
    stage.roll_out("noted", "2")
    cluster.kubectl("rollout", "status", f"-n={stage.namespace}", "deployment/noted", "--timeout=180s")
    assert stage.tiers(stage.wait_bound("noted", 3)) == {"virtual": 3}


def test_every_query_of_the_dashboards_has_data(planned: Shop) -> None:
    """Of the operator, or, for features that are not in use here, of samples with the labels that they have.

    That an operator that uses them exports such samples is what other modules expect (`EXPORTED_BY`).
    """
    elsewhere = EXPORTED_BY.keys() | NOT_FOR_CERTAIN
    stage, prometheus = planned.stage, planned.prometheus
    limits = {"pods": 100, "cpu": "100", "memory": "1000Gi", "costPerHour": "1000", "costPerMonth": "100000"}
    stage.cluster.rest.merge(f"{GROUP_PATH}/virtualnodebudgets/{stage.pools['a']}", {"spec": {"limits": limits}})
    write_targets(planned.targets, "operator", [f"127.0.0.1:{planned.operator.metrics_port(0)}"], {})
    planned.grown("capped", 5)
    planned.grown("capped", 1)
    left = list(dashboard_queries())

    def missing() -> list[str]:
        left[:] = [one for one in left if not query(prometheus.port, one)]
        return [one for one in left if not named_metrics(one).keys() & elsewhere]

    with suppress(ClusterError):
        stage.cluster.wait_until(lambda: not missing(), "data for the dashboards")
    assert missing() == []

    times = np.arange(np.ceil(time.time()) - 120, time.time() + 1, 1.0)
    known = known_metrics()
    for expression in left:
        for metric, matchers in named_metrics(expression).items():
            equal = dict(re.findall(r'(\w+)="([^"]*)"', matchers))
            labels = {label: equal.get(label, "a") for label in known[metric] - {"le"} | labels_of_matchers(matchers)}
            prometheus.push([({"__name__": metric, **labels}, times, times - times[0] + 1)])
    assert [one for one in left if not query(prometheus.port, one)] == []


def test_without_prometheus_the_next_leader_goes_by_the_last_plan_and_says_that_it_is_old(planned: Shop) -> None:
    cluster, stage, operator = planned.stage.cluster, planned.stage, planned.operator
    stage.scale("cart", 1)
    stage.wait_bound("cart", 1)
    planned.prometheus.end()
    operator.kill(0)
    cluster.rest.delete(LEASE_PATH)
    operator.start_one(0, flags=[f"--prometheus-url={planned.prometheus.url}"])
    operator.wait_ready(0)
    operator.wait_leader()

    # The policy asks for something else now, so another plan is wanted.
    cluster.rest.merge(planned.policy_path, {"spec": {"tiers": {"fixed": {"targetUtilization": 60}}}})
    cluster.wait_until(lambda: planned.condition("StalePlan")[0] == "True", "the condition")
    _, reason, message = planned.condition("StalePlan")
    assert reason == "PrometheusUnreachable"
    assert "stays in force" in message
    assert planned.thresholds()["cart"] == (CART, "Auto")
    assert planned.grown("cart", CART + 2) == {"physical": CART, "virtual": 2}

    # It is tried again after a while by itself; another change is what we need not wait for.
    planned.prometheus.start()
    cluster.rest.merge(planned.policy_path, {"spec": {"tiers": {"fixed": FIXED}}})
    cluster.wait_until(lambda: planned.condition("StalePlan")[0] == "False", "the plan")


def test_a_workload_with_impossible_demand_fails_alone_and_says_so(planned: Shop) -> None:
    cluster, stage = planned.stage.cluster, planned.stage
    cluster.wait_until(lambda: planned.condition("StalePlan")[0] != "True", "a fresh plan")
    before = cluster.rest.get(planned.policy_path)["spec"]["workloads"]
    broken = {
        "name": "broken",
        "match": {"namespaces": {"matchLabels": stage.selects}, "labels": {"matchLabels": {"app": "broken"}}},
        "threshold": AUTO,
        "scaling": {"target": {"query": "vector(1e12)", "perReplica": "1"}},
    }
    cluster.rest.merge(planned.policy_path, {"spec": {"workloads": [broken, *before]}})
    stage.deploy("broken", 1, cpu="1")
    stage.wait_bound("broken", 1)
    # The next plan knows the new workload; a change of the policy asks for it.
    broken["scaling"] = {"target": {"query": "vector(1e12)", "perReplica": "0"}}
    cluster.rest.merge(planned.policy_path, {"spec": {"workloads": [broken, *before]}})

    unreadable = f"the history of {planned.name('broken')} cannot be read: perReplica is 0"
    # A plan with the first query may come in between.
    cluster.wait_until(lambda: unreadable in planned.condition("Learning")[2], "the condition")
    assert planned.condition("Learning")[1] == "InvalidDemand"
    planned.wait_thresholds(broken=(None, "LearningHistory"))
    number, reason = planned.thresholds()["cart"]
    assert reason == "Auto"
    assert number is not None
    assert number >= LOW
    assert planned.condition("StalePlan")[0] != "True", "the plan of the others is new"

    events = f"/apis/events.k8s.io/v1/namespaces/{stage.namespace}/events"

    def told() -> bool:
        about = ("broken", "DemandUnusable", "Warning")
        found = [
            one["note"]
            for one in cluster.rest.items(events)
            if (one["regarding"]["name"], one["reason"], one["type"]) == about
        ]
        return any("perReplica is 0" in note for note in found)

    cluster.wait_until(told, "the Event on the workload")
    shown = planned.operator.metrics(0)
    assert shown.total("spillway_policy_workloads_unusable", policy=stage.id) == 1


def test_a_policy_that_only_recommends_makes_no_room_for_others(planned: Shop) -> None:
    """Its six replicas stay where they are, so enforced policies have six cores less to plan with."""
    cluster, stage = planned.stage.cluster, planned.stage
    stage.scale("cart", 1)
    stage.wait_bound("cart", 1)
    namespace = cluster.create_namespace(labels={"watched": stage.id})
    path = f"{GROUP_PATH}/elasticpolicies/{stage.id}-watched"
    workload = {"name": "all", "match": {"namespaces": {"matchLabels": {"watched": stage.id}}}, "threshold": AUTO}
    spec = {"mode": "Recommend", "tiers": {"fixed": FIXED}, "workloads": [workload]}

    def capacity() -> float:
        return planned.operator.metrics(0).total("spillway_threshold_owned_cores", what="capacity")

    def listed() -> bool:
        status = cluster.rest.get(path).get("status") or {}
        return bool(status.get("thresholds"))

    try:
        template = stage.template("watched", "1")
        cluster.rest.create(
            f"/apis/apps/v1/namespaces/{namespace}/deployments",
            {
                "metadata": {"name": "watched"},
                "spec": {"replicas": 6, "selector": {"matchLabels": {"app": "watched"}}, "template": template},
            },
        )
        cluster.kubectl("rollout", "status", f"-n={namespace}", "deployment/watched", "--timeout=180s")
        cluster.rest.create(
            path.rpartition("/")[0],
            {
                "apiVersion": "spillway.dev/v1alpha1",
                "kind": "ElasticPolicy",
                "metadata": {"name": f"{stage.id}-watched"},
                "spec": spec,
            },
        )
        cluster.wait_until(lambda: capacity() == OWNED_CORES - 6, "a plan without its cores")
        cluster.wait_until(listed, "its own thresholds in its status")

        cluster.rest.merge(path, {"spec": {"mode": "Enforce"}})
        cluster.wait_until(lambda: capacity() == OWNED_CORES, "a plan in which it acts")
    finally:
        cluster.rest.delete(path)
        cluster.rest.delete(f"/api/v1/namespaces/{namespace}")


def test_once_prometheus_is_taken_away_the_plan_in_force_is_stale(planned: Shop) -> None:
    cluster, operator = planned.stage.cluster, planned.operator
    cluster.wait_until(lambda: planned.condition("StalePlan")[0] != "True", "a fresh plan")
    before = planned.thresholds()["cart"]
    operator.kill(0)
    cluster.rest.delete(LEASE_PATH)
    operator.start_one(0)
    operator.wait_ready(0)
    operator.wait_leader()

    cluster.wait_until(lambda: planned.condition("StalePlan")[0] == "True", "the condition")
    _, reason, message = planned.condition("StalePlan")
    assert reason == "NoPrometheus"
    assert "no Prometheus is configured (--prometheus-url); the plan of " in message
    assert "stays in force" in message
    assert planned.thresholds()["cart"] == before
