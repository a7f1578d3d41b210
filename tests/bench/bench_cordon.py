"""How fast a pool of 200 nodes closes and opens, and how long a new elastic node stands without its taint.

`make bench-cordon` → `build/bench/cordon.json`. A real control plane with kwok's nodes, and the operator under the
chart's rights, without webhooks: what is timed is the controllers' path, which also mends what a webhook missed. Times
run from the moment before the patch of the VirtualNodeBudget is sent (for a taint: from the event that shows the node)
until the bench's own watch shows the write, and are those of each node and of the last one in a round.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer

from harness.operator import install
from localcluster import Cluster, Options
from spillway.domain.model.records import NodeRecord
from spillway.domain.nodes.taints import is_elastic
from spillway.kube.client import MERGE_PATCH, KubeClient
from spillway.kube.informer import Informers
from spillway.state.cluster import ClusterState
from tests.bench.admission_load import quantile
from tests.bench.progress import progress
from tests.bench.ran_on import ran_on
from tests.support.installed import budget, elastic, policy

_say: Final = progress("bench-cordon")
OUTPUT: Final = Path("build/bench/cordon.json")
VIRTUAL: Final = "bench-virtual"
ELASTIC: Final = "bench-elastic"
BUDGET: Final = f"/apis/spillway.dev/v1alpha1/virtualnodebudgets/{VIRTUAL}"
REPLICAS: Final = 2
PATIENCE_SECONDS: Final = 120.0
_QUIET_SECONDS: Final = 1.0
"""Between rounds, so that none is charged for the end of the last."""


class Arrivals:
    """When the watch showed what of which node, in monotonic seconds."""

    def __init__(self, state: ClusterState) -> None:
        self.appeared: dict[str, float] = {}
        self.tainted: dict[str, float] = {}
        self.turned: dict[str, float] = {}
        """Since `begin`: when it became unschedulable, or schedulable again."""
        state.subscribe(NodeRecord, self._changed)

    def begin(self) -> float:
        """Forget the last round; returns the time."""
        self.turned.clear()
        return time.monotonic()

    def _changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        if new is None:
            return
        now = time.monotonic()
        if old is None:
            self.appeared[new.name] = now
        elif old.unschedulable != new.unschedulable:
            self.turned[new.name] = now
        if any(is_elastic(taint) for taint in new.taints):
            self.tainted.setdefault(new.name, now)


def main(
    *,
    nodes: Annotated[int, typer.Option(help="Of the pool that closes.", min=1)] = 200,
    rounds: Annotated[int, typer.Option(help="How often it closes and opens.", min=1)] = 10,
    joining: Annotated[int, typer.Option(help="Elastic nodes that join in a round.", min=1)] = 10,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Measure and write the figures."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    machine = ran_on()
    with Cluster(Options()) as cluster:
        _say(f"adding {nodes} virtual nodes")
        cluster.add_virtual_nodes(VIRTUAL, nodes, provider=VIRTUAL)
        without = {"webhook": {"enabled": False}}
        with install(cluster, without, replicas=REPLICAS, flags=["--no-webhooks"]) as operator:
            operator.wait_leader()
            cluster.apply([budget(VIRTUAL, VIRTUAL), policy("bench", elastic=elastic(ELASTIC))])
            cluster.kubectl("wait", "--for=condition=Ready", f"vnb/{VIRTUAL}", "elp/bench", "--timeout=60s")
            figures = asyncio.run(_measure(cluster, nodes=nodes, rounds=rounds, joining=joining))
    load = {"nodes": nodes, "rounds": rounds, "joining_in_a_round": joining, "operator_replicas": REPLICAS}
    text = json.dumps(figures | {"load": load, "ran_on": machine}, indent=2)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text + "\n")
    print(text)  # noqa: T201 - what the command is for


async def _measure(cluster: Cluster, *, nodes: int, rounds: int, joining: int) -> dict[str, Any]:
    state = ClusterState(clock=time.monotonic, now=time.time)
    seconds: dict[str, list[list[float]]] = {"closing": [], "opening": [], "taint_of_a_new_node": []}
    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        watching = asyncio.create_task(Informers(client, state).run())
        try:
            await state.wait_synced(PATIENCE_SECONDS)
            arrivals = Arrivals(state)
            for number in range(rounds):
                _say(f"round {number + 1} of {rounds}")
                for name, cordon in (("closing", "Hold"), ("opening", "None")):
                    seconds[name].append(await _turn(client, arrivals, cordon, nodes))
                    await asyncio.sleep(_QUIET_SECONDS)
                seconds["taint_of_a_new_node"].append(await _join(cluster, arrivals, joining))
                await asyncio.sleep(_QUIET_SECONDS)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return {name: summary(found) for name, found in seconds.items()}


async def _turn(client: KubeClient, arrivals: Arrivals, cordon: str, nodes: int) -> list[float]:
    """Ask for it; seconds until each node has followed."""
    began = arrivals.begin()
    await client.request("PATCH", BUDGET, body={"spec": {"cordon": cordon}}, content_type=MERGE_PATCH)
    await _until(lambda: len(arrivals.turned) == nodes, f"{nodes} nodes to follow {cordon}")
    return [at - began for at in arrivals.turned.values()]


async def _join(cluster: Cluster, arrivals: Arrivals, count: int) -> list[float]:
    """Add elastic nodes; seconds that each stood without its taint."""
    names = await asyncio.to_thread(lambda: cluster.add_nodes(ELASTIC, count, wait=False))
    await _until(lambda: all(name in arrivals.tainted for name in names), "the taints of new nodes")
    return [arrivals.tainted[name] - arrivals.appeared[name] for name in names]


async def _until(check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {PATIENCE_SECONDS:g} s without success for {what}")
        await asyncio.sleep(0.02)


def summary(rounds: list[list[float]]) -> dict[str, dict[str, float]]:
    """Milliseconds of every node, and of the last node in each round."""
    return {
        "each_node_ms": _quantiles(seconds for one in rounds for seconds in one),
        "last_node_of_a_round_ms": _quantiles(max(one) for one in rounds),
    }


def _quantiles(seconds: Iterable[float]) -> dict[str, float]:
    millis = [1000 * one for one in seconds]
    return {"p50": quantile(millis, 0.5), "p99": quantile(millis, 0.99), "max": round(max(millis), 2)}


if __name__ == "__main__":
    typer.run(main)
