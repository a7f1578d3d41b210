"""The work behind `spillway plan thresholds`: builds a request, reads the history and plans as the operator does.

Contract: the functions write nothing. The plan has no previous plan, so it may differ from the operator's, which holds
on to parts of its last one.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spillway.app.errors import NotFoundError, no_such
from spillway.app.history import read_from_history
from spillway.cli.reading import read_world
from spillway.controllers.base import World
from spillway.controllers.threshold.controller import fingerprint_of
from spillway.controllers.threshold.observe import elastic_now, observe, request_of
from spillway.controllers.threshold.planner import pasts_of
from spillway.domain.overview.thresholds import ThresholdsPlan, thresholds_plan
from spillway.domain.threshold.node_groups import NodeGroup
from spillway.domain.threshold.past import Past, past_of
from spillway.domain.threshold.request import Plan, PlanRequest, PolicyNeed, Stance, WorkloadNeed
from spillway.domain.threshold.solve import solve
from spillway.kube.client import KubeClient
from spillway.sources.api_client import ApiClient
from spillway.sources.connection import Connection, prometheus_url
from spillway.sources.csv_history import csv_file
from spillway.sources.prometheus import Prometheus
from spillway.sources.prometheus_workloads import known_workloads

_NAME: Final = "-"
"""Name of the policy that stands for the flags."""


@dataclass(frozen=True, slots=True)
class Source:
    """The source of the history of demand: Prometheus or a file."""

    prometheus: Connection | None
    csv: Path | None

    def __str__(self) -> str:
        return str(self.csv) if self.prometheus is None else str(prometheus_url(self.prometheus.url).with_user(None))


@dataclass(frozen=True, slots=True)
class Alone:
    """The values of the flags that replace a cluster."""

    nodes: int
    node_cores: float
    node_gib: float
    target: float
    request_cores: float
    request_gib: float
    load: float
    node_hour: float | None
    virtual_core_hour: float | None
    virtual_gib_hour: float | None
    currency: str
    history_seconds: float


async def plan_of_cluster(client: KubeClient, namespace: str, policy: str, source: Source) -> ThresholdsPlan:
    """The plan of all policies of a cluster, of which one is shown.

    Raises:
        RequestError: the API server refuses a list, or cannot be reached.
        NotFoundError: there is no such policy, or it governs no workload that is planned.
        UnreadableError: the history cannot be read.
    """
    world = await read_world(client, own_namespace=namespace)
    known = world.governance.policies
    if policy not in known:
        raise no_such(f"ElasticPolicy {policy}", known)
    request = await present_request(world)
    if not any(one.policy == policy for one in request.workloads):
        raise NotFoundError(f"the ElasticPolicy {policy} governs no workload with ReplicaSets")
    with read_from_history("the history"):
        return thresholds_plan(policy, await planned(request, source))


async def plan_alone(alone: Alone, source: Source) -> ThresholdsPlan:
    """The plan of all workloads in the source, for nodes and replicas as the flags describe them.

    Raises:
        NotFoundError: there is no workload in the source.
        UnreadableError: the source cannot be read.
    """
    now = time.time()
    with read_from_history():
        if source.prometheus is not None:
            async with ApiClient(source.prometheus) as prometheus:
                names = await known_workloads(prometheus, now)
        else:
            names = sorted(_from_csv(source.csv))
    if not names:
        raise NotFoundError(f"no workload found in {source}")
    policy = PolicyNeed(
        name=_NAME,
        target=alone.target,
        fixed_node_hour=alone.node_hour,
        virtual_core_hour=alone.virtual_core_hour,
        virtual_gib_hour=alone.virtual_gib_hour,
        currency=alone.currency,
    )
    request = PlanRequest(
        now=now,
        capacity_cores=alone.nodes * alone.node_cores,
        node_cores=alone.node_cores,
        capacity_gib=alone.nodes * alone.node_gib,
        node_gib=alone.node_gib,
        nodes=(NodeGroup(count=alone.nodes, cores=alone.node_cores, gib=alone.node_gib),),
        policies=(policy,),
        workloads=tuple(
            WorkloadNeed(
                workload=name,
                policy=_NAME,
                stance=Stance.AUTO,
                replicas=0,
                request_cores=alone.request_cores,
                request_gib=alone.request_gib,
                load=alone.load,
                history_seconds=alone.history_seconds,
            )
            for name in names
        ),
    )
    with read_from_history():
        return thresholds_plan(_NAME, await planned(request, source))


async def present_request(world: World) -> PlanRequest:
    """What the operator would plan now."""
    observed = await observe(world)
    return await request_of(world, observed, elastic_cores=elastic_now(world), fingerprint=fingerprint_of(world))


async def planned(request: PlanRequest, source: Source) -> Plan:
    """The plan of a request with the history of a source.

    Raises:
        CsvError: the file cannot be read.
        PrometheusError: Prometheus does not answer.
    """
    if source.prometheus is not None:
        async with Prometheus(source.prometheus) as prometheus:
            pasts: Mapping[str, Past] = await pasts_of(request, prometheus)
    else:
        pasts = _from_csv(source.csv)
    return await asyncio.to_thread(solve, request, pasts)


def _from_csv(path: Path | None) -> Mapping[str, Past]:
    if path is None:
        return {}
    now = time.time()
    return {one.workload: past_of(one, now=now) for one in csv_file(path, now=now)}
