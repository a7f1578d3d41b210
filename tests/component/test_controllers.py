"""The controllers against a real API server, with the chart's rights and no webhook to help them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness import Installation, install
from localcluster import ClusterApi
from localcluster.nodes import ENDLESS
from localcluster.rest import Object, RestError
from spillway.domain.model.names import CORDONED_BY, COST_WRITTEN, POD_DELETION_COST, POLICY, POOL, TIER
from tests.support.installed import (
    annotations,
    applied,
    audit_position,
    budget,
    closed,
    condition,
    deployment,
    elastic,
    eventually,
    marked,
    node,
    other_taints,
    our_taint,
    our_writes,
    policy,
    status,
    stays,
    wait_marked_only_in,
)

THEIRS = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
FLAGS = ("--lease-seconds=6", "--upkeep-seconds=1", "--status-seconds=0.5")


@pytest.fixture(scope="module")
def operator(cluster: ClusterApi) -> Iterator[Installation]:
    with install(cluster, {"webhook": {"enabled": False}}, replicas=1, flags=["--no-webhooks", *FLAGS]) as running:
        running.wait_leader()
        yield running
        running.uninstall()


@pytest.fixture
def leading(operator: Installation) -> Installation:
    """The operator, started again where a test has ended it."""
    if not operator.running:
        operator.start_one(0)
        operator.wait_ready(0)
        operator.wait_leader()
    return operator


def pods_of(cluster: ClusterApi, namespace: str) -> list[Object]:
    return cluster.pods(namespace)


def merge_spec(cluster: ClusterApi, plural: str, name: str, **spec: Any) -> None:
    cluster.rest.merge(f"/apis/spillway.dev/v1alpha1/{plural}/{name}", {"spec": spec})


# Taints


def test_the_elastic_taint_comes_and_goes(cluster: ClusterApi, leading: Installation) -> None:
    first, second = cluster.add_nodes("taint-a", 2, taints=[THEIRS])
    (fixed,) = cluster.add_nodes("taint-fixed", 1)
    with applied(cluster, policy("taints", elastic=elastic("taint-a"))):
        eventually(lambda: our_taint(node(cluster, first)) == "taints", "the taint of a node that was there")
        (late,) = cluster.add_nodes("taint-a", 1, wait=False)
        eventually(lambda: our_taint(node(cluster, late)) == "taints", "the taint of a new node")
        assert other_taints(node(cluster, first)) == [THEIRS]
        assert our_taint(node(cluster, fixed)) is None

        cluster.rest.merge(f"/api/v1/nodes/{second}", {"metadata": {"labels": {"pool": "taint-other"}}})
        eventually(lambda: our_taint(node(cluster, second)) is None, "no taint once it is not selected")

        merge_spec(cluster, "elasticpolicies", "taints", mode="Recommend")
        eventually(lambda: our_taint(node(cluster, first)) is None, "no taint once the policy recommends")
        merge_spec(cluster, "elasticpolicies", "taints", mode="Enforce")
        eventually(lambda: our_taint(node(cluster, first)) == "taints", "the taint again")
    eventually(lambda: our_taint(node(cluster, first)) is None, "no taint once the policy is gone")
    assert other_taints(node(cluster, first)) == [THEIRS]
    assert other_taints(node(cluster, late)) == []


def test_a_taint_is_swept_that_lost_its_policy_while_nobody_ran(cluster: ClusterApi, leading: Installation) -> None:
    (name,) = cluster.add_nodes("taint-orphan", 1)
    with applied(cluster, policy("orphaned", elastic=elastic("taint-orphan"))):
        eventually(lambda: our_taint(node(cluster, name)) == "orphaned", "the taint")
        leading.kill(0)
    assert our_taint(node(cluster, name)) == "orphaned"
    leading.start_one(0)
    eventually(lambda: our_taint(node(cluster, name)) is None, "no orphaned taint after the start")


# Cordons


def test_a_held_pool_closes_and_opens(cluster: ClusterApi, leading: Installation) -> None:
    names = cluster.add_virtual_nodes("hold", 6, provider="hold")
    theirs = names[0]
    cluster.rest.merge(f"/api/v1/nodes/{theirs}", {"spec": {"unschedulable": True}})
    with applied(cluster, budget("hold", "hold")):
        merge_spec(cluster, "virtualnodebudgets", "hold", cordon="Hold")
        eventually(lambda: closed(cluster, "hold") == set(names), "every node closed")
        assert CORDONED_BY not in annotations(node(cluster, theirs))
        assert annotations(node(cluster, names[1]))[CORDONED_BY] == "hold"
        eventually(
            lambda: condition(cluster, "virtualnodebudgets", "hold", "Accepting").get("reason") == "Held",
            "a status of Held",
        )
        assert status(cluster, "virtualnodebudgets", "hold")["cordoned"] == 5

        (late,) = cluster.add_virtual_nodes("hold", 1, provider="hold", wait=False)
        eventually(lambda: late in closed(cluster, "hold"), "a new node closed on arrival")

        merge_spec(cluster, "virtualnodebudgets", "hold", cordon="None")
        eventually(lambda: closed(cluster, "hold") == {theirs}, "open again but for what another client closed")
        eventually(
            lambda: condition(cluster, "virtualnodebudgets", "hold", "Accepting").get("reason") == "Open",
            "a status of Open",
        )
        assert CORDONED_BY not in annotations(node(cluster, names[1]))


def test_a_hold_ends_by_itself_and_with_its_budget(cluster: ClusterApi, leading: Installation) -> None:
    names = set(cluster.add_virtual_nodes("until", 2, provider="until"))
    with applied(cluster, budget("until", "until", cordon="Hold")):
        eventually(lambda: closed(cluster, "until") == names, "closed")
        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)
        merge_spec(cluster, "virtualnodebudgets", "until", cordonUntil=ends.strftime("%Y-%m-%dT%H:%M:%SZ"))
        # The look comes first: what is open although the time has not come was opened too early.
        stays(lambda: closed(cluster, "until") == names or datetime.now(UTC) >= ends, "closed until then", seconds=2)
        eventually(lambda: not closed(cluster, "until"), "open once the time has come")
        merge_spec(cluster, "virtualnodebudgets", "until", cordonUntil=None)
        eventually(lambda: closed(cluster, "until") == names, "closed again")
    eventually(lambda: not closed(cluster, "until"), "open once the budget is gone")


def test_200_nodes_close_although_the_operator_is_killed_in_between(cluster: ClusterApi, leading: Installation) -> None:
    names = set(cluster.add_virtual_nodes("wide", 200, provider="wide"))
    with applied(cluster, budget("wide", "wide")):
        eventually(lambda: status(cluster, "virtualnodebudgets", "wide").get("nodes") == 200, "the pool to be known")
        merge_spec(cluster, "virtualnodebudgets", "wide", cordon="Hold")
        eventually(lambda: closed(cluster, "wide"), "the first node")
        leading.kill(0)
        leading.start_one(0)
        eventually(lambda: closed(cluster, "wide") == names, "every node closed")
        merge_spec(cluster, "virtualnodebudgets", "wide", cordon="None")
        eventually(lambda: not closed(cluster, "wide"), "every node open")
    cluster.delete_nodes(names)


def test_a_drain_asks_and_disruption_budgets_decide(cluster: ClusterApi, leading: Installation, namespace: str) -> None:
    cluster.add_virtual_nodes("drained", 1, provider="drained")
    cluster.add_nodes("drain-target", 1)
    select = {"nodeSelector": {"pool": "drained"}}
    cluster.apply([deployment(namespace, "free", 3, **select), deployment(namespace, "kept", 3, **select)])
    cluster.wait_pods_ready(namespace, 6)
    cluster.apply(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "kept", "namespace": namespace},
            "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "kept"}}},
        }
    )
    eventually(lambda: pdb_allows(cluster, namespace, "kept") == 1, "the disruption budget to be counted")
    with applied(cluster, budget("drained", "drained", cordon="HoldAndDrain")):
        # Replacements cannot be placed: their pool is closed. So exactly one of `kept` goes.
        eventually(lambda: running(cluster, namespace, "free") == 0, "pods that nothing protects to be evicted")
        eventually(lambda: drain(cluster, "drained").get("remaining") == 2, "two pods to be left")
        stays(lambda: running(cluster, namespace, "kept") == 2, "the disruption budget holds", seconds=4)
        eventually(lambda: drain_counts(cluster, "drained", "blocked", "evicted") == (2, 4), "the counts of the drain")

        cluster.rest.delete(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/kept")
        eventually(lambda: running(cluster, namespace, "kept") == 0, "the rest to go once nothing protects it")
        eventually(
            lambda: condition(cluster, "virtualnodebudgets", "drained", "Accepting").get("reason") == "Drained",
            "Drained",
        )


def test_a_drain_spares_pods_without_an_owner_and_the_last_retry_of_a_job(
    cluster: ClusterApi, leading: Installation, namespace: str
) -> None:
    cluster.add_virtual_nodes("spared", 1, provider="spared")
    template = deployment(namespace, "bare", 1, nodeSelector={"pool": "spared"})["spec"]["template"]
    bare = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare", "namespace": namespace},
        "spec": template["spec"],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "etl", "namespace": namespace},
        "spec": {
            "parallelism": 3,
            "completions": 3,
            "backoffLimit": 2,
            "template": {
                "metadata": {"labels": {"app": "etl"}, "annotations": {ENDLESS: "true"}},
                "spec": {**template["spec"], "restartPolicy": "Never"},
            },
        },
    }
    cluster.apply([bare, job])
    cluster.wait_pods_ready(namespace, 4)
    with applied(cluster, budget("spared", "spared", cordon="HoldAndDrain")):
        eventually(
            lambda: condition(cluster, "virtualnodebudgets", "spared", "Accepting").get("reason") == "Drained",
            "Drained",
        )
        stays(lambda: running(cluster, namespace, "etl") == 2, "one of two retries is left", seconds=4)
        eventually(lambda: drain_counts(cluster, "spared", "evicted", "spared") == (1, 3), "the counts of the drain")
        assert f"{namespace}/bare" in drain(cluster, "spared")["sparedPods"]
        message = condition(cluster, "virtualnodebudgets", "spared", "Accepting")["message"]
        assert f"{namespace}/bare" in message
        names = {pod["metadata"]["name"] for pod in pods_of(cluster, namespace)}
        assert "bare" in names
        failed = cluster.rest.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/etl")["status"]
        assert not any(one["type"] == "Failed" and one["status"] == "True" for one in failed.get("conditions", []))


# Deletion costs


def test_pods_bound_without_the_webhook_get_their_cost_and_lose_it_with_the_policy(
    cluster: ClusterApi, leading: Installation
) -> None:
    cluster.add_nodes("cost-fixed", 3)
    cluster.add_virtual_nodes("cost-virtual", 1, provider="cost")
    with cluster.namespace(labels={"team": "cost"}) as namespace, applied(cluster, budget("cost", "cost-virtual")):
        cluster.apply(
            [
                deployment(namespace, "owned", 3, nodeSelector={"pool": "cost-fixed"}),
                deployment(namespace, "burst", 2, nodeSelector={"pool": "cost-virtual"}),
            ]
        )
        cluster.wait_pods_ready(namespace, 5)
        with applied(cluster, policy("costs", namespace_label="cost", virtual={"budgets": ["cost"]})):
            eventually(lambda: len(marked(pods_of(cluster, namespace))) == 5, "every pod stamped")
            for pod in pods_of(cluster, namespace):
                stamped = annotations(pod)
                virtual = pod["metadata"]["labels"]["app"] == "burst"
                assert stamped[POD_DELETION_COST] == stamped[COST_WRITTEN]
                assert stamped[POLICY] == "costs"
                assert (stamped[TIER], stamped.get(POOL)) == (("virtual", "cost") if virtual else ("fixed", None))
                assert (int(stamped[POD_DELETION_COST]) <= -2_000_000) is virtual
            eventually(
                lambda: (
                    status(cluster, "elasticpolicies", "costs")["workloads"]
                    == {"governed": 2, "onFixed": 3, "onElastic": 0, "onVirtual": 2}
                ),
                "the counts",
            )
            assert status(cluster, "elasticpolicies", "costs")["observedGeneration"] == 1

            wait_nothing_to_sweep(cluster, namespace)
            begun = audit_position(cluster)
            stays(lambda: our_writes(cluster, begun) == [], "no write at rest", seconds=4)
        eventually(lambda: marked(pods_of(cluster, namespace)) == [], "every mark gone with the policy")
        assert all(POD_DELETION_COST not in annotations(pod) for pod in pods_of(cluster, namespace))


def test_marks_are_swept_that_lost_their_policy_while_nobody_ran(cluster: ClusterApi, leading: Installation) -> None:
    cluster.add_nodes("sweep-fixed", 1)
    with cluster.namespace(labels={"team": "sweep"}) as namespace:
        cluster.apply(deployment(namespace, "web", 3, nodeSelector={"pool": "sweep-fixed"}))
        cluster.wait_pods_ready(namespace, 3)
        with applied(cluster, policy("swept", namespace_label="sweep")):
            eventually(lambda: len(marked(pods_of(cluster, namespace))) == 3, "every pod stamped")
            theirs = pods_of(cluster, namespace)[0]["metadata"]["name"]
            leading.kill(0)
            set_cost(cluster, namespace, theirs, "77")
        assert len(marked(pods_of(cluster, namespace))) == 3
        leading.start_one(0)
        eventually(lambda: marked(pods_of(cluster, namespace)) == [], "every mark swept after the start")
        costs = {
            pod["metadata"]["name"]: annotations(pod).get(POD_DELETION_COST) for pod in pods_of(cluster, namespace)
        }
        assert costs.pop(theirs) == "77"
        assert set(costs.values()) == {None}


def test_a_foreign_writer_is_told_and_left_alone(cluster: ClusterApi, leading: Installation) -> None:
    cluster.add_nodes("foreign-fixed", 1)
    with cluster.namespace(labels={"team": "foreign"}) as namespace:
        cluster.apply(
            [deployment(namespace, name, 2, nodeSelector={"pool": "foreign-fixed"}) for name in ("web", "quiet")]
        )
        cluster.wait_pods_ready(namespace, 4)
        with applied(cluster, policy("foreign", namespace_label="foreign")):
            eventually(lambda: len(marked(pods_of(cluster, namespace))) == 4, "every pod stamped")
            web = [pod["metadata"]["name"] for pod in cluster.pods(namespace, "app=web")]
            set_cost(cluster, namespace, web[0], "1000")
            found = eventually(
                lambda: condition(cluster, "elasticpolicies", "foreign", "ForeignWriter"), "the condition"
            )
            assert found["status"] == "True"
            assert f"Deployment/{namespace}/web" in found["message"]
            assert f"{namespace}/{web[0]}" in found["message"]
            assert "quiet" not in found["message"]
            eventually(lambda: "DeletionCostNotOurs" in events_of(cluster, "foreign"), "the Event")

            cluster.rest.merge(f"/apis/apps/v1/namespaces/{namespace}/deployments/web/scale", {"spec": {"replicas": 4}})
            cluster.wait_pods_ready(namespace, 4, "app=web")
            stays(lambda: len(marked(cluster.pods(namespace, "app=web"))) == 2, "left alone", seconds=4)
            fresh = next(pod for pod in cluster.pods(namespace, "app=web") if pod["metadata"]["name"] == web[0])
            assert annotations(fresh)[POD_DELETION_COST] == "1000"

            cluster.rest.delete(f"/api/v1/namespaces/{namespace}/pods/{web[0]}")
            eventually(
                lambda: condition(cluster, "elasticpolicies", "foreign", "ForeignWriter")["status"] == "False",
                "the end of it",
            )
            eventually(lambda: len(marked(cluster.pods(namespace, "app=web"))) == 4, "kept in order again")


def test_recommend_reports_and_writes_nothing(cluster: ClusterApi, leading: Installation) -> None:
    names = cluster.add_nodes("advice", 3)
    with cluster.namespace(labels={"team": "advice"}) as namespace:
        cluster.apply(deployment(namespace, "web", 4, nodeSelector={"pool": "advice"}))
        cluster.wait_pods_ready(namespace, 4)
        wait_nothing_to_sweep(cluster, namespace)
        begun = audit_position(cluster)
        with applied(cluster, policy("advice", mode="Recommend", namespace_label="advice", elastic=elastic("advice"))):
            eventually(
                lambda: status(cluster, "elasticpolicies", "advice").get("workloads", {}).get("onElastic") == 4,
                "the counts",
            )
            assert condition(cluster, "elasticpolicies", "advice", "Ready")["reason"] == "Recommending"
            eventually(
                lambda: leading.metrics(0).total("spillway_upkeep_recommended_total", policy="advice") > 0,
                "what it would write",
            )
            cluster.rest.merge(f"/apis/apps/v1/namespaces/{namespace}/deployments/web/scale", {"spec": {"replicas": 2}})
            cluster.wait_pods_ready(namespace, 2)
            stays(lambda: True, "time to act", seconds=2)
        written = {resource for _, resource, _ in our_writes(cluster, begun)}
        assert written <= {"elasticpolicies/status"}
        assert marked(pods_of(cluster, namespace)) == []
        assert all(our_taint(node(cluster, name)) is None for name in names)


# What a policy says about itself


def test_a_status_tells_what_is_wrong(cluster: ClusterApi, leading: Installation) -> None:
    with (
        cluster.namespace(labels={"team": "twice"}) as namespace,
        applied(cluster, policy("a-first", namespace_label="twice", virtual={"budgets": ["nowhere"]})),
    ):
        cluster.apply(deployment(namespace, "web", 1))
        eventually(
            lambda: condition(cluster, "elasticpolicies", "a-first", "Ready").get("reason") == "BudgetNotFound",
            "the missing budget",
        )
        second = policy("b-second", namespace_label="twice")
        second["spec"]["workloads"][0]["scaling"] = {"forecast": {"mode": "Active"}}
        with applied(cluster, second):
            eventually(
                lambda: condition(cluster, "elasticpolicies", "b-second", "Ready").get("status") == "False",
                "the conflict",
            )
            found = condition(cluster, "elasticpolicies", "b-second", "Ready")
            assert "a-first" in found["message"]
            unbuilt = condition(cluster, "elasticpolicies", "b-second", "NotImplemented")
            assert (unbuilt["status"], "scaling.forecast" in unbuilt["message"]) == ("True", True)


# Helpers


def wait_nothing_to_sweep(cluster: ClusterApi, namespace: str) -> None:
    """Wait until the operator has taken back what it wrote in earlier tests, except in this namespace."""
    wait_marked_only_in(cluster, namespace)
    nodes = "/api/v1/nodes"
    eventually(
        lambda: not any(our_taint(item) or CORDONED_BY in annotations(item) for item in cluster.rest.items(nodes)),
        "nodes of earlier tests to be as they were",
    )


def set_cost(cluster: ClusterApi, namespace: str, pod: str, cost: str) -> None:
    cluster.rest.merge(
        f"/api/v1/namespaces/{namespace}/pods/{pod}", {"metadata": {"annotations": {POD_DELETION_COST: cost}}}
    )


def running(cluster: ClusterApi, namespace: str, name: str) -> int:
    pods = cluster.pods(namespace, f"app={name}")
    return sum(bool(pod["spec"].get("nodeName")) for pod in pods)


def pdb_allows(cluster: ClusterApi, namespace: str, name: str) -> int:
    found = cluster.rest.get(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{name}")
    return int(found.get("status", {}).get("disruptionsAllowed", 0))


def drain(cluster: ClusterApi, name: str) -> dict[str, Any]:
    return dict(status(cluster, "virtualnodebudgets", name).get("drain") or {})


def drain_counts(cluster: ClusterApi, name: str, *fields: str) -> tuple[int, ...]:
    progress = drain(cluster, name)
    return tuple(progress[field] for field in fields)


def events_of(cluster: ClusterApi, name: str) -> set[str]:
    """Reasons of the Events about a resource of ours."""
    try:
        items = cluster.rest.items("/api/v1/events")
    except RestError:
        return set()
    return {item["reason"] for item in items if item["involvedObject"]["name"] == name}
