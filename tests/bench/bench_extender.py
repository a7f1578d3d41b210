"""How long kube-scheduler waits for the scheduler extender, at thousands of nodes.

`make bench-extender` → `build/bench/extender.json`. The operator's own server over TLS, in a process of its own, with
the state of so many nodes; a client with the certificate of kube-scheduler asks for one pod after the other, as the
scheduler does. Meanwhile there is a new reading of the load every two seconds, more often than a ZonalBalance reads it
by default, and pods are bound to nodes. Measured is the time from a request to its whole answer, and the CPU of the
server, its readings and pods included: once for all nodes, and once for a tenth of them, which is what the scheduler
asks for at 5,000 nodes unless it is told otherwise. `reading` is the CPU of one reading of the load of as many nodes as
the leader makes it: from the answer of metrics.k8s.io to the smoothed loads and the metrics of the ZonalBalance.
"""

import asyncio
import json
import multiprocessing
import random
import ssl
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import aiohttp
import msgspec
import psutil
import typer
import uvloop

from localcluster.certificates import Authority
from spillway.admission.authority import Lifetimes, begin
from spillway.admission.tls import ServingTls
from spillway.controllers.balance.load import LoadController
from spillway.controllers.balance.readings import Readings
from spillway.domain.balance.load import Weights
from spillway.domain.balance.node_scores import NodeLoads
from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.extender.server import PATH, SCHEDULER, ExtenderServer
from spillway.state.catalog import Kind
from spillway.state.cluster import ClusterState
from spillway.state.node_scores import NodeScores
from tests.bench.progress import progress
from tests.bench.ran_on import cpu_seconds, ran_on
from tests.builders import make_node, make_pod
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, resource

_say: Final = progress("bench-extender")
OUTPUT: Final = Path("build/bench/extender.json")
SERVED: Final = "spillway-webhook.spillway-system.svc"
GOAL_P99_MS: Final = 20.0
GOAL_READING_CPU_SECONDS: Final = 1.0
READINGS: Final = 10
READING_SECONDS: Final = 2.0
BINDS_PER_SECOND: Final = 50
WARM_UP: Final = 20
SEED: Final = 7


def names(count: int) -> list[NodeName]:
    """Names of nodes as cloud providers give them."""
    return [
        NodeName(f"ip-10-{number // 65536}-{number // 256 % 256}-{number % 256}.eu-central-1.compute.internal")
        for number in range(count)
    ]


def main(
    *,
    nodes: Annotated[int, typer.Option(help="Nodes.", min=10)] = 5000,
    requests: Annotated[int, typer.Option(help="Requests of a round.", min=100)] = 1000,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = OUTPUT,
) -> None:
    """Measure and write the figures."""
    machine = ran_on()
    reading = asyncio.run(readings(nodes))
    _say(f"a reading of {nodes} nodes: {reading}")
    clients = Authority("clients")
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=serve, args=(theirs, nodes, clients.pair.certificate.decode()), daemon=True)
    server.start()
    try:
        port, authority = ours.recv()
        with tempfile.TemporaryDirectory() as folder:
            clients.client(SCHEDULER).write(Path(folder), "client")
            calling = ssl.create_default_context(cadata=authority)
            calling.load_cert_chain(Path(folder) / "client.crt", Path(folder) / "client.key")
        figures = asyncio.run(_measure(port, calling, nodes, requests, psutil.Process(server.pid)))
    finally:
        server.terminate()
        server.join()
    load = {
        "nodes": nodes,
        "requests": requests,
        "reading_seconds": READING_SECONDS,
        "binds_per_second": BINDS_PER_SECOND,
        "seed": SEED,
    }
    goals = {"goal_p99_ms": GOAL_P99_MS, "goal_reading_cpu_seconds": GOAL_READING_CPU_SECONDS}
    found = {**figures, "reading": reading, **goals, "load": load, "ran_on": machine}
    text = json.dumps(found, indent=2)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text + "\n")
    print(text)  # noqa: T201 - what the command is for


class Answers:
    """An API server that has metrics.k8s.io alone, with an answer for each of the coming requests."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers

    async def request(self, *_: str, **__: object) -> bytes:
        return self._answers.pop()


def _node_metrics(known: list[NodeName], chance: random.Random) -> bytes:
    """What metrics-server reports of these nodes."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": now, "labels": {"kubernetes.io/hostname": name}},
            "timestamp": now,
            "window": "20.044s",
            "usage": {
                "cpu": f"{chance.randrange(10**9, 15 * 10**9)}n",
                "memory": f"{chance.randrange(10**6, 60 * 10**6)}Ki",
            },
        }
        for name in known
    ]
    return msgspec.json.encode({"kind": "NodeMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": items})


async def readings(nodes: int, count: int = READINGS) -> dict[str, Any]:
    """The CPU seconds of a reading of the load of so many nodes in three zones."""
    known, clock = names(nodes), FakeClock(time.time())
    records = [
        make_node(name, labels={ZONE_LABEL: f"zone-{index % 3}"}, cpu_millis=16_000, memory_bytes=64 << 30)
        for index, name in enumerate(known)
    ]
    world = make_world(records, [resource(Kind.ZONAL_BALANCE, "even", hotNodes={})], clock)
    chance = random.Random(SEED)
    answers = Answers([_node_metrics(known, chance) for _ in range(count)])
    controller = LoadController(world, Readings(world, answers, None))
    took = []
    for _ in range(count):
        began = time.process_time()
        await controller.reconcile("even")
        took.append(time.process_time() - began)
        clock.forward(30.0)
    if len(world.board.loads["even"].percent) != nodes:
        raise RuntimeError(f"not read: {world.board.loads['even'].problem}")
    return {"nodes": nodes, "cpu_seconds": round(median(took), 3), "cpu_seconds_max": round(max(took), 3)}


def serve(pipe: Connection, nodes: int, client_authority: str) -> None:
    """The process of the operator: it says where it listens and who vouches for it, and serves until it is ended."""
    with suppress(KeyboardInterrupt):
        uvloop.run(_serve(pipe, nodes, client_authority))


async def _serve(pipe: Connection, nodes: int, client_authority: str) -> None:
    state = ClusterState(clock=time.monotonic, now=time.time)
    known = names(nodes)
    for name in known:
        state.apply(make_node(name, cpu_millis=16_000, memory_bytes=64 << 30))
    scores = NodeScores(state, time.time, in_pool=lambda _: False)
    tls, serving = ServingTls(), begin([SERVED], Lifetimes(), datetime.now(UTC))
    tls.load(serving.serving_certificate, serving.serving_key)
    tls.trust_scheduler(client_authority)
    server = ExtenderServer(scores.of, tls=tls.scheduler_context, port=0, host="127.0.0.1")
    await server.start()
    pipe.send((server.port, serving.bundle.decode()))
    chance = random.Random(SEED)
    async with asyncio.TaskGroup() as group:
        group.create_task(_read(scores, known, chance))
        group.create_task(_bind(state, known, chance))


async def _read(scores: NodeScores, known: list[NodeName], chance: random.Random) -> None:
    """New readings of the load."""
    while True:
        loads = {name: chance.uniform(5, 95) for name in known}
        scores.use([NodeLoads(loads, time.time(), 180.0, 80.0, Weights())])
        await asyncio.sleep(READING_SECONDS)


async def _bind(state: ClusterState, known: list[NodeName], chance: random.Random) -> None:
    """Pods that come to nodes."""
    number = 0
    while True:
        waiting = make_pod(f"pod-{number}", node=NodeName(""), cpu_millis=500, created=time.time())
        state.apply(waiting)
        state.apply(msgspec.structs.replace(waiting, node=chance.choice(known)))
        number += 1
        await asyncio.sleep(1 / BINDS_PER_SECOND)


async def _measure(
    port: int, calling: ssl.SSLContext, nodes: int, requests: int, server: psutil.Process
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with aiohttp.ClientSession() as session:
        for name, count in (("all_nodes", nodes), ("tenth", nodes // 10)):
            for _ in range(WARM_UP):
                await _ask(session, port, calling, nodes, count)
            before = cpu_seconds(server)
            took = sorted([await _ask(session, port, calling, nodes, count) for _ in range(requests)])
            used = cpu_seconds(server) - before
            found[name] = {
                "nodes": count,
                "p50_ms": round(1000 * median(took), 2),
                "p99_ms": round(1000 * took[int(len(took) * 0.99)], 2),
                "max_ms": round(1000 * took[-1], 2),
                "server_cpu_ms": round(1000 * used / requests, 2),
            }
            _say(f"{count} nodes: {found[name]}")
    return found


async def _ask(session: aiohttp.ClientSession, port: int, calling: ssl.SSLContext, nodes: int, count: int) -> float:
    """The seconds that one request takes."""
    body = body_of(nodes, count)
    began = time.perf_counter()
    async with session.post(
        f"https://127.0.0.1:{port}{PATH}",
        data=body,
        headers={"Content-Type": "application/json"},
        ssl=calling,
        server_hostname=SERVED,
    ) as answer:
        raw = await answer.read()
    took = time.perf_counter() - began
    scores = {one["Score"] for one in msgspec.json.decode(raw)}
    if answer.status != 200 or len(scores) < 3:
        raise RuntimeError(f"not scored: {answer.status} {raw[:200]!r}")
    return took


_bodies: Final[dict[int, bytes]] = {}


def body_of(nodes: int, count: int) -> bytes:
    """The request of the scheduler for a pod of the usual size."""
    if count not in _bodies:
        env = [{"name": f"SETTING_{number}", "value": "x" * 40} for number in range(60)]
        pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "web", "env": env}]}}
        asked = random.Random(SEED).sample(names(nodes), count)
        _bodies[count] = msgspec.json.encode({"Pod": pod, "Nodes": None, "NodeNames": asked})
    return _bodies[count]


if __name__ == "__main__":
    typer.run(main)
