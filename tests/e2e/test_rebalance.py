"""Moves with the real scheduler, metrics-server and Eviction API: a busy node loses a pod, a protected one stays."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness import Installation
from localcluster import Cluster
from localcluster.nodes import USAGE_CPU, USAGE_MEMORY
from localcluster.rest import Object
from tests.support.command_line import explained, simulated
from tests.support.installed import (
    added_nodes,
    applied,
    condition,
    deployment,
    eventually,
    node,
    policy,
    status,
    stays,
    without_metrics,
)
from tests.support.monitoring import expect_samples
from tests.support.moving import (
    POOL,
    ReadyWatch,
    balance,
    node_of,
    on,
    only_on,
    pinned,
    steady_autoscaler,
    surging,
    using,
    wait_at_rest,
)

pytestmark = [pytest.mark.xdist_group("balance")]

APPS = ("a", "b", "c")
APART = (("alone", 1), ("full", 3), ("more", 3))
"""Workloads of which each has a pod on the busy node; a plan moves two of these."""
FULL = ("full", "more")
SLOW = ("slow", "late")


@pytest.fixture
def nodes(measured: Cluster) -> Iterator[list[str]]:
    """Three nodes of one zone for one scenario."""
    with added_nodes(measured, "moved", 3, cpu="8", zones=["zone-a"]) as names:
        yield names


@pytest.mark.usefixtures("nodes")
def test_a_busy_node_loses_a_pod_and_a_disruption_budget_holds(
    measured: Cluster, measuring: Installation, measured_namespace: str
) -> None:
    for app in APPS:
        measured.apply(deployment(measured_namespace, app, 3, nodeSelector=POOL))
    pods = measured.wait_pods_ready(measured_namespace, 9)
    protected = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "a", "namespace": measured_namespace},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "a"}}},
    }
    measured.apply(protected)
    busy = pods[0]["spec"]["nodeName"]
    before = on(measured, measured_namespace, busy)
    assert set(before.values()) == set(APPS)
    measured.set_usage(measured_namespace, before, cpu="2200m")

    [proposed] = eventually(lambda: moves_simulated(measured, balance(mode="DryRun")), "moves in a simulation")
    assert proposed["reason"] == "Load"
    assert all(f": {busy} (" in line for line in proposed["next"])

    with applied(measured, balance(mode="DryRun")):
        shown = eventually(
            lambda: (status(measured, "zonalbalances", "moved").get("moves") or {}).get("next"), "moves in the status"
        )
        assert all(f": {busy} (" in line for line in shown or ())
        assert measuring.total("spillway_balance_moves_planned", balance="moved") >= 1
        assert on(measured, measured_namespace, busy) == before

        measured.apply(balance(mode="Active", by="Evict", settle="5s"))
        eventually(
            lambda: measuring.total("spillway_balance_moves_total", balance="moved", result="evicted") >= 1,
            "a pod to be evicted",
        )
        expect_samples(
            measuring,
            "spillway_balance_hot_nodes",
            "spillway_balance_moves_total",
            "spillway_balance_node_imbalance_ratio",
        )
        # A hot node: the new pods are on the others. More pods may be moved at any time.
        measured.wait_pods_ready(measured_namespace, 9)
        left = on(measured, measured_namespace, busy)
        assert left.items() < before.items()
        assert "a" in left.values()

        def told_of_all() -> bool:
            gone = before.keys() - on(measured, measured_namespace, busy)
            told = {name for name, _ in moved_notes(measured, measured_namespace)}
            return told == {before[name] for name in gone}

        eventually(told_of_all, "an Event about each pod that was moved")


def moves_simulated(cluster: Cluster, proposed: Object) -> list[dict[str, Any]]:
    """What `simulate` says of the moves of a ZonalBalance, where there are any."""
    return [one for one in simulated(cluster, proposed)["moves"] if one["planned"]]


def counted(measuring: Installation, result: str) -> float:
    return measuring.total("spillway_balance_moves_total", balance="moved", result=result)


@pytest.mark.parametrize("governed", [False, True], ids=["no policy", "governed"])
def test_the_only_replica_moves_without_a_gap_and_a_workload_at_its_maximum_is_left(
    measured: Cluster, measuring: Installation, measured_namespace: str, nodes: list[str], *, governed: bool
) -> None:
    measured.apply([deployment(measured_namespace, app, replicas, nodeSelector=POOL) for app, replicas in APART])
    measured.apply([steady_autoscaler(measured_namespace, app, 3, maximum=3) for app in FULL])
    pods = measured.wait_pods_ready(measured_namespace, 7)
    busy = next(pod["spec"]["nodeName"] for pod in pods if pod["metadata"]["labels"]["app"] == "alone")
    before = on(measured, measured_namespace, busy)
    assert set(before.values()) == {app for app, _ in APART}
    measured.set_usage(measured_namespace, before, cpu="2")
    evicted, watch = counted(measuring, "evicted"), ReadyWatch(measured, measured_namespace)
    measured.rest.merge(f"/api/v1/namespaces/{measured_namespace}", {"metadata": {"labels": {"team": "moved"}}})
    policies = [policy("moved", namespace_label="moved")] if governed else []

    def away() -> bool:
        watch.look()
        return "alone" not in on(measured, measured_namespace, busy).values()

    def left() -> bool:
        watch.look()
        lines = (status(measured, "zonalbalances", "moved").get("moves") or {}).get("left") or []
        wanted = {f"Deployment/{measured_namespace}/{app}: AutoscalerAtMaximum" for app in FULL}
        return bool(wanted & set(lines))

    with applied(measured, *policies, balance(mode="Active", by="Surge", maxMovesPerMinute=10)):
        eventually(away, "the only replica of a workload to leave the busy node")
        eventually(left, "the workload at its maximum to be left")
        wait_at_rest(measured, measured_namespace, 7)
        watch.look()

    assert watch.least == dict(APART)
    assert counted(measuring, "evicted") == evicted
    assert {pod["spec"]["nodeName"] for pod in measured.pods(measured_namespace)} <= set(nodes)


@pytest.mark.usefixtures("nodes")
def test_an_autoscaler_that_scales_in_between_takes_precedence_and_no_replica_is_missing(
    measured: Cluster, measuring: Installation, measured_namespace: str
) -> None:
    for app in SLOW:
        slow = deployment(measured_namespace, app, 3, nodeSelector=POOL)
        # The surge waits until its replica is available, and the autoscaler looks every 15 seconds.
        slow["spec"]["minReadySeconds"] = 60
        measured.apply([slow, steady_autoscaler(measured_namespace, app, 3, maximum=9)])
    pods = measured.wait_pods_ready(measured_namespace, 6)
    busy = on(measured, measured_namespace, pods[0]["spec"]["nodeName"])
    assert set(busy.values()) == set(SLOW)
    measured.set_usage(measured_namespace, busy, cpu="3")
    overtaken, watch = counted(measuring, "Overtaken"), ReadyWatch(measured, measured_namespace)

    def seen() -> bool:
        watch.look()
        return counted(measuring, "Overtaken") > overtaken

    with applied(measured, balance(mode="Active", by="Surge")):
        eventually(seen, "the autoscaler to scale during a surge", seconds=180)
        wait_at_rest(measured, measured_namespace, 6)
        watch.look()

    assert watch.least == dict.fromkeys(SLOW, 3)


@pytest.mark.parametrize("governed", [False, True], ids=["no policy", "placed by a policy"])
def test_the_replacement_lands_on_the_planned_node_where_the_scheduler_would_choose_another(
    measured: Cluster, measuring: Installation, measured_namespace: str, nodes: list[str], *, governed: bool
) -> None:
    busy, requested, cold = nodes
    # By real load `cold` is the best node; by requests, which are all that the scheduler knows, the worst.
    measured.apply(
        [pinned(measured_namespace, "full", cold, "6"), pinned(measured_namespace, "low", requested, "100m")]
    )
    measured.wait_pods_ready(measured_namespace, 2)
    for name in (requested, cold):
        measured.kubectl("cordon", name)
    measured.apply([deployment(measured_namespace, app, 1, nodeSelector=POOL) for app in ("moves", "stays")])
    pods = measured.wait_pods_ready(measured_namespace, 4)
    for name in (requested, cold):
        measured.kubectl("uncordon", name)
    use = {"full": "100m", "low": "3", "moves": "2400m", "stays": "3"}
    for pod in pods:
        measured.set_usage(measured_namespace, [pod["metadata"]["name"]], cpu=use[pod["metadata"]["labels"]["app"]])
    measured.rest.merge(f"/api/v1/namespaces/{measured_namespace}", {"metadata": {"labels": {"team": "moved"}}})
    placed = policy("moved", namespace_label="moved")
    placed["spec"]["workloads"][0]["placement"] = {"virtual": "Never"}

    def planned() -> list[str]:
        lines = (status(measured, "zonalbalances", "moved").get("moves") or {}).get("next") or []
        return [line.rpartition(" to ")[2] for line in lines if "/moves-" in line or len(lines) > 1]

    with applied(measured, *([placed] if governed else []), balance(mode="DryRun")):
        eventually(lambda: planned() == [cold], "the plan to have one move, to the coldest node")
        eventually(
            lambda: any("hot" in one["key"] for one in node(measured, busy)["spec"].get("taints") or ()), "the taint"
        )
        measured.apply(deployment(measured_namespace, "new", 1, nodeSelector=POOL))
        measured.wait_pods_ready(measured_namespace, 5)
        assert node_of(measured, measured_namespace, "new") == {requested}, "where the scheduler sends a new pod"

        measured.apply(balance(mode="Active", by="Surge"))
        eventually(lambda: node_of(measured, measured_namespace, "moves") == {cold}, "the planned node")
        wait_at_rest(measured, measured_namespace, 5)
        [pod] = [pod for pod in measured.pods(measured_namespace) if pod["metadata"]["labels"]["app"] == "moves"]
        name, move = pod["metadata"]["name"], {"node": cold, "resource": "ZonalBalance/moved"}
        eventually(
            lambda: explained(measured, measured_namespace, "pod", name)["move"] == move, "the Event about the move"
        )
        [other] = [one for one in measured.pods(measured_namespace) if one["metadata"]["labels"]["app"] == "stays"]
        assert explained(measured, measured_namespace, "pod", other["metadata"]["name"])["move"] is None
    [term] = pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["preference"]["matchFields"][0]["values"] == [cold]


def lines_of(cluster: Cluster) -> list[str]:
    found: list[str] = (status(cluster, "zonalbalances", "moved").get("moves") or {}).get("next") or []
    return found


def two_lines(cluster: Cluster) -> list[str]:
    """The moves in the status once there are two: a plan from before all pods were measured has fewer."""
    found = lines_of(cluster)
    return found if len(found) == 2 else []


def moved_notes(cluster: Cluster, namespace: str) -> list[tuple[str, str]]:
    """Of which workload each Event about a move is, and what it says."""
    events = cluster.rest.items(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    return [(one["regarding"]["name"], one["note"]) for one in events if one["reason"] == "PodMoved"]


def done(measuring: Installation, reason: str) -> float:
    return measuring.total("spillway_balance_moves_total", balance="moved", reason=reason, result="moved")


def test_room_is_made_on_an_idle_node_of_which_everything_is_requested_so_that_pods_of_a_busy_node_fit(
    measured: Cluster, measuring: Installation, measured_namespace: str, nodes: list[str]
) -> None:
    idle, busy, other = nodes
    filler, mid = pinned(measured_namespace, "filler", idle, "2500m"), pinned(measured_namespace, "mid", other, "100m")
    measured.apply([using(filler, USAGE_CPU, "100m"), using(mid, USAGE_CPU, "4")])
    wide = using(deployment(measured_namespace, "wide", 1, nodeSelector=POOL), USAGE_CPU, "100m")
    wide["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "5"
    only_on(measured, measured_namespace, idle, [busy, other], wide)
    hot = [deployment(measured_namespace, name, 1, nodeSelector=POOL) for name in ("hot", "warm")]
    for one in hot:
        one["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "600m"
    only_on(measured, measured_namespace, busy, [idle, other], *(using(one, USAGE_CPU, "3") for one in hot))
    measured.wait_pods_ready(measured_namespace, 5)
    moved, evicted, watch = (
        done(measuring, "Requests"),
        counted(measuring, "evicted"),
        ReadyWatch(measured, measured_namespace),
    )

    def away() -> bool:
        watch.look()
        return node_of(measured, measured_namespace, "wide") == {other}

    with applied(measured, balance(mode="DryRun")):
        [line] = eventually(lambda: lines_of(measured), "a move in the status")
        assert line.startswith(f"{measured_namespace}/wide-")
        assert line.endswith(f": {idle} (requests 94 % to 31 %) to {other}")

        measured.apply(balance(mode="Active", by="Surge"))
        eventually(away, "the pod that requests much to be on the node that has room")
        wait_at_rest(measured, measured_namespace, 5)
        watch.look()
        # Now a pod of the busy node fits there.
        eventually(
            lambda: any(f": {busy} (7" in line and line.endswith(f" to {idle}") for line in lines_of(measured)),
            "a move from the busy node to the one with room",
        )

    assert watch.least == dict.fromkeys(("filler", "mid", "wide", "hot", "warm"), 1)
    assert (done(measuring, "Requests"), counted(measuring, "evicted")) == (moved + 1, evicted)
    # The move from the busy node may have been made as well by now.
    [note] = [note for name, note in moved_notes(measured, measured_namespace) if name == "wide"]
    assert f"off node {idle} to free requests on a node with little load" in note


def test_pods_of_a_load_class_that_crowd_one_node_are_spread_over_the_nodes_of_the_zone(
    measured: Cluster, measuring: Installation, measured_namespace: str, nodes: list[str]
) -> None:
    crowded, *others = nodes
    # Of a node without pods, metrics-server knows nothing here.
    measured.apply([pinned(measured_namespace, f"low-{name}", name, "100m") for name in others])
    large = [using(deployment(measured_namespace, app, 1, nodeSelector=POOL), USAGE_MEMORY, "6Gi") for app in APPS]
    only_on(measured, measured_namespace, crowded, others, *large)
    measured.wait_pods_ready(measured_namespace, 5)
    moved, evicted, watch = (
        done(measuring, "Classes"),
        counted(measuring, "evicted"),
        ReadyWatch(measured, measured_namespace),
    )
    classes = {"classes": {"history": "10s"}}

    def spread() -> bool:
        watch.look()
        found = [node_of(measured, measured_namespace, app) for app in APPS]
        return all(len(one) == 1 for one in found) and set().union(*found) == set(nodes)

    with applied(measured, balance(classes, mode="DryRun")):
        lines = eventually(lambda: two_lines(measured), "two moves in the status")
        assert [line.split(": ")[1].rpartition(" to ")[0] for line in lines] == [
            f"{crowded} (memory-bound 56 % to 38 %)",
            f"{crowded} (memory-bound 38 % to 19 %)",
        ]
        assert {line.rpartition(" to ")[2] for line in lines} == set(others)
        assert measuring.total("spillway_balance_moves_planned", balance="moved", reason="Classes") == 2

        measured.apply(balance(classes, mode="Active", by="Surge"))
        eventually(spread, "each node to have one pod of the class")
        wait_at_rest(measured, measured_namespace, 5)
        watch.look()
        eventually(lambda: not lines_of(measured), "no further move")

    assert {app: least for app, least in watch.least.items() if app in APPS} == dict.fromkeys(APPS, 1)
    assert (done(measuring, "Classes"), counted(measuring, "evicted")) == (moved + 2, evicted)


def test_no_move_begins_while_the_metrics_are_cut_and_moves_begin_again_afterwards(
    measured: Cluster, measuring: Installation, measured_namespace: str
) -> None:
    apps = ("a", "b", "c", "d")
    fresh = {"load": {"refresh": "5s", "staleAfter": "30s", "weights": {"cpu": 100, "memory": 0}}}
    # Moves for zones wait for no effect on the load, so only `maxMovesPerMinute` delays the next ones.
    rule = balance(fresh, mode="Active", by="Surge", maxMovesPerMinute=1)
    with added_nodes(measured, "moved", 2, cpu="8", zones=["zone-a", "zone-b"]) as (full, other):
        measured.apply(pinned(measured_namespace, "low", other, "100m"))
        uneven = [using(deployment(measured_namespace, app, 2, nodeSelector=POOL), USAGE_CPU, "100m") for app in apps]
        only_on(measured, measured_namespace, full, [other], *uneven)
        measured.wait_pods_ready(measured_namespace, 9)
        before = done(measuring, "Zones")

        def moved() -> float:
            return done(measuring, "Zones") - before

        with applied(measured, rule):
            eventually(lambda: moved() >= 1, "the first move")
            with without_metrics(measured):
                eventually(
                    lambda: condition(measured, "zonalbalances", "moved", "LoadDataStale").get("status") == "True",
                    "the condition LoadDataStale",
                )
                # A move that has begun ends.
                wait_at_rest(measured, measured_namespace, 9)
                found = moved()
                assert found < len(apps) - 1, "more are to come"
                stays(
                    lambda: not surging(measured, measured_namespace) and moved() == found,
                    "no further move begins",
                    seconds=75,
                )
                shown = status(measured, "zonalbalances", "moved").get("moves") or {}
                assert (shown.get("planned", 0), shown.get("next") or []) == (0, [])
            eventually(lambda: moved() > found, "moves to begin again")
