"""The moves that proposed ZonalBalances would plan, with answers of metrics.k8s.io and of the API server."""

from typing import Any, cast

import msgspec
import pytest

from spillway.app.proposal.moves import ProposedMovesPlanner
from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.domain.proposal.answers import ProposedMoves
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError
from spillway.state.catalog import Kind
from spillway.state.world import World
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.fake_reader import Lists
from tests.support.world import make_world, resource

NODES = ("busy", "idle", "other")
APPS = ("web", "api", "cart")
CPU_OF_NODES = {"busy": "9500m", "idle": "2", "other": "6"}


class Server(Lists):
    """An API server with the workloads, and with metrics.k8s.io where that is not refused."""

    def __init__(self, refused: str = "", replicas_at_most: int = 9) -> None:
        self._refused = refused
        self._most = replicas_at_most
        self.written: list[str] = []

    async def request(self, method: str, path: str, **__: Any) -> bytes:
        if method != "GET":
            self.written.append(f"{method} {path}")
        what = path.rpartition("/")[2]
        if what == self._refused:
            raise ApiError(404, "NotFound", f"{what} of metrics.k8s.io")
        if what == "nodes":
            items: list[dict[str, Any]] = [
                {"metadata": {"name": name}, "timestamp": "1970-01-01T02:46:40Z", "usage": {"cpu": cpu, "memory": "0"}}
                for name, cpu in CPU_OF_NODES.items()
            ]
        else:
            usage = {"cpu": "2", "memory": "0"}
            names = [f"{app}-{index}" for app in APPS for index in (1, 2)]
            items = [{"metadata": {"name": name}, "containers": [{"usage": usage}]} for name in names]
        return msgspec.json.encode({"items": items})

    async def get_json(self, path: str, **__: Any) -> Any:
        for kind, prefix in (("/deployments/", "deploy"), ("/replicasets/", "rs")):
            _, _, name = path.partition(kind)
            if name:
                status = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), 2)
                return {
                    "metadata": {"name": name, "uid": f"{prefix}-{name}", "generation": 1},
                    "spec": {"replicas": 2, "template": {"spec": {}}},
                    "status": {**status, "observedGeneration": 1},
                }
        if "horizontalpodautoscalers" in path:
            return {"items": [self._autoscaler(app) for app in APPS]}
        return {"items": []}

    def _autoscaler(self, app: str) -> dict[str, Any]:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": app}
        return {"metadata": {"name": app}, "spec": {"scaleTargetRef": target, "maxReplicas": self._most}}


def world_of(**spec: Any) -> World:
    """Three workloads with a replica each on a busy node and on another one."""
    nodes = [make_node(name, labels={ZONE_LABEL: "a"}, cpu_millis=10_000) for name in NODES]
    owners = [make_replicaset(app, replicas=2) for app in APPS]
    pods = [
        make_pod(f"{app}-{index}", node=NodeName(node), owner_uid=make_replicaset(app).uid, ready_since=0.0)
        for app in APPS
        for index, node in ((1, "busy"), (2, "other"))
    ]
    load = {"load": {"weights": {"cpu": 100, "memory": 0}}}
    balances = [
        resource(Kind.ZONAL_BALANCE, "even", **{**load, "rebalance": {"mode": "DryRun"}, **spec}),
        resource(Kind.ZONAL_BALANCE, "other", version=2, rebalance={"mode": "DryRun"}),
        resource(Kind.ZONAL_BALANCE, "none", version=3),
    ]
    return make_world([*nodes, *owners, *pods], balances, FakeClock(10_000.0))


async def planned(world: World, server: Server, *balances: str) -> tuple[ProposedMoves, ...]:
    return await ProposedMovesPlanner(cast("KubeClient", server), world, None).plans(balances or ("even", "none"))


async def test_the_moves_are_those_that_the_operator_would_plan_and_nothing_is_written() -> None:
    server = Server()

    [found] = await planned(world_of(), server)

    assert (found.balance, found.reason, found.problem) == ("even", "Load", None)
    assert found.imbalance_percent == 75
    assert found.expected_imbalance_percent == 5
    assert found.planned == len(found.next) == 2
    assert all(": busy (" in line and line.endswith(" to idle") for line in found.next)
    assert server.written == []


async def test_workloads_that_would_be_left_are_named() -> None:
    [found] = await planned(world_of(), Server(replicas_at_most=2))

    assert (found.planned, found.next, found.reason) == (0, (), None)
    assert found.left == tuple(f"Deployment/shop/{app}: AutoscalerAtMaximum" for app in sorted(APPS))


@pytest.mark.parametrize(
    ("spec", "refused", "imbalance", "problem"),
    [
        pytest.param({}, "nodes", None, "metrics.k8s.io: 404 NotFound: nodes of metrics.k8s.io", id="nodes"),
        pytest.param({}, "pods", 75, "metrics.k8s.io: 404 NotFound: pods of metrics.k8s.io", id="pods"),
        pytest.param(
            {"load": {"source": "Prometheus", "queries": {"cpu": "cpu"}}},
            "",
            None,
            "the operator has no Prometheus (--prometheus-url)",
            id="no Prometheus",
        ),
    ],
)
async def test_what_cannot_be_read_is_said(
    spec: dict[str, Any], refused: str, imbalance: int | None, problem: str
) -> None:
    [found] = await planned(world_of(**spec), Server(refused))
    assert (found.planned, found.imbalance_percent, found.problem) == (0, imbalance, problem)
