"""The load of nodes and of zones from a real Prometheus, by queries of the documentation and by others."""

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import yaml

from harness.prometheus import Labels, PushedPrometheus, prometheus_running
from spillway.controllers.balance.load import LoadController
from spillway.controllers.balance.readings import Readings
from spillway.controllers.balance.zone_loads import ZoneLoadController
from spillway.controllers.base import World
from spillway.domain.balance.load import Loads
from spillway.domain.balance.reading_state import Measure
from spillway.domain.model.names import ZONE_LABEL, NodeName
from spillway.sources.connection import Connection
from spillway.state.catalog import Kind
from tests.builders import make_node, make_pod, make_replicaset
from tests.support.fake_clock import FakeClock
from tests.support.world import make_world, resource

NOW: Final = 1_790_000_100.0
STALE_SECONDS: Final = 180.0
NODES: Final = ("a1", "a2", "b1", "b2", "c1")
GUIDES: Final = Path(__file__).resolve().parents[2] / "docs" / "how-to"
HERE: Final = {"cluster": "prod-1"}


def documented(page: str, section: str, which: int = 0) -> dict[str, Any]:
    """One of the YAML blocks of a page that begin with this section."""
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```", (GUIDES / page).read_text(), re.DOTALL | re.MULTILINE)
    found = [yaml.safe_load(textwrap.dedent(block)) for block in blocks]
    return dict([one for one in found if section in one][which][section])


def counter(rate: float, **labels: str) -> tuple[Labels, Any, Any]:
    """A counter that has risen by so much a second, scraped every 15 s."""
    times = np.arange(NOW - 300.0, NOW + 1.0, 15.0)
    return labels, times, (times - times[0]) * rate


def gauge(value: float, *, at: float = NOW, **labels: str) -> tuple[Labels, Any, Any]:
    return labels, np.array([at]), np.array([value])


@pytest.fixture(scope="module")
def server() -> Iterator[PushedPrometheus]:
    with prometheus_running() as running:
        yield running


def world_of(clock: FakeClock, **spec: Any) -> World:
    """Five nodes in three zones, and a workload with a replica on each node of two of them."""
    nodes = [make_node(name, labels={ZONE_LABEL: name[0]}) for name in NODES]
    pods = [make_pod(f"web-{name}", node=NodeName(name)) for name in NODES if name[0] in "ab"]
    return make_world([*nodes, make_replicaset("web"), *pods], [resource(Kind.ZONAL_BALANCE, "even", **spec)], clock)


class NoMetrics:
    """An API server that nothing is asked of."""

    async def request(self, method: str, path: str, **_: Any) -> bytes:
        raise AssertionError(f"{method} {path}")


def readings(world: World, url: str, matchers: dict[str, str] | None = None) -> Readings:
    return Readings(world, NoMetrics(), Connection(url=url, matchers=matchers or {}))


async def loads_of(url: str, load: dict[str, Any], clock: FakeClock | None = None) -> Loads:
    world = world_of(clock or FakeClock(NOW), load=load)
    await LoadController(world, readings(world, url)).reconcile("even")
    return world.board.loads["even"]


def by_node(node: str) -> Labels:
    """The labels of node-exporter's series where its scrape configuration adds that of the node."""
    return {"node": node}


def by_pod(node: str) -> Labels:
    """The labels of node-exporter's series as kube-prometheus-stack scrapes them."""
    return {"namespace": "monitoring", "pod": f"node-exporter-{node}", "instance": f"{node}:9100"}


@pytest.mark.parametrize(
    ("which", "labels_of", "nodes"),
    [
        pytest.param(0, by_node, NODES, id="series with the label node"),
        pytest.param(1, by_pod, NODES[::-1], id="series with the pod of node-exporter"),
    ],
)
async def test_the_queries_of_the_page_about_hot_nodes_give_the_load_of_nodes(
    server: PushedPrometheus, which: int, labels_of: Callable[[str], Labels], nodes: Sequence[str]
) -> None:
    series = []
    for index, node in enumerate(nodes):
        for cpu, more in (("0", 0.1), ("1", -0.1)):
            busy = 0.2 * (index + 1) - 0.15
            labels = {"__name__": "node_cpu_seconds_total", "cpu": cpu, **labels_of(node)}
            series += [counter(1 - busy + more, mode="idle", **labels), counter(busy - more, mode="user", **labels)]
        series += [
            gauge(60e9, at=NOW, __name__="node_memory_MemAvailable_bytes", **labels_of(node)),
            gauge(100e9, at=NOW, __name__="node_memory_MemTotal_bytes", **labels_of(node)),
        ]
        pod = {"namespace": "monitoring", "pod": f"node-exporter-{node}"}
        for metrics in ("ksm-1", "ksm-2"):
            series += [gauge(1, at=NOW, __name__="kube_pod_info", node=node, uid=node, instance=metrics, **pod)]
        series += [gauge(1, at=NOW, __name__="kube_pod_info", node="", uid=node, instance="ksm-1", **pod)]
    server.push(series)

    found = await loads_of(server.url, documented("hot-nodes.md", "load", which))

    assert found.problem is None
    wanted = {node: 0.7 * (20 * (index + 1) - 15) + 0.3 * 40 for index, node in enumerate(nodes)}
    assert found.percent == pytest.approx(wanted)


def of_case(case: str, cpu: Mapping[str, float], memory: Mapping[str, float]) -> list[tuple[Labels, Any, Any]]:
    return [
        gauge(value, __name__=name, node=node, case=case, instance=instance)
        for name, values in (("cpu_share", cpu), ("memory_share", memory))
        for node, value in values.items()
        for instance in ("x", "y")
    ]


HALF: Final = dict.fromkeys(NODES, 0.5)


@pytest.mark.parametrize(
    ("case", "cpu", "memory", "reason"),
    [
        pytest.param("good", HALF, HALF, "", id="good"),
        pytest.param("four", HALF | {"c1": float("nan")}, HALF, "", id="four of five"),
        pytest.param("nan", HALF | {"c1": float("nan"), "b1": float("nan")}, HALF, "AbsurdLoad", id="no numbers"),
        pytest.param("absurd", HALF, HALF | {"c1": 3.0, "b1": -0.1}, "AbsurdLoad", id="more than there is"),
        pytest.param("partial", HALF, {"a1": 0.5, "a2": 0.5, "b1": 0.5}, "PartialLoad", id="memory of three of five"),
        pytest.param("none", {}, {}, "PartialLoad", id="nothing"),
    ],
)
async def test_bad_values_of_more_than_a_fifth_of_the_nodes_are_no_load(
    server: PushedPrometheus, case: str, cpu: Mapping[str, float], memory: Mapping[str, float], reason: str
) -> None:
    server.push(of_case(case, cpu, memory))
    queries = {"cpu": f'cpu_share{{case="{case}"}}', "memory": f'memory_share{{case="{case}"}}'}

    found = await loads_of(server.url, {"source": "Prometheus", "queries": queries})

    assert ("" if found.problem is None else found.problem.reason) == reason
    assert len(found.percent) == (0 if reason else sum(value == value for value in cpu.values()))  # noqa: PLR0124
    assert set(found.percent.values()) <= {50.0}


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        pytest.param(STALE_SECONDS - 1.0, "", id="young enough"),
        pytest.param(STALE_SECONDS + 60.0, "PartialLoad", id="older than staleAfter, younger than five minutes"),
    ],
)
async def test_a_node_whose_last_sample_is_older_than_stale_after_has_no_value(
    server: PushedPrometheus, age: float, reason: str
) -> None:
    name = f"aged_{age:.0f}"
    server.push([gauge(0.5, at=NOW - age, __name__=name, node=node) for node in NODES])

    found = await loads_of(server.url, {"source": "Prometheus", "queries": {"cpu": name}, "staleAfter": "3m"})

    assert ("" if found.problem is None else found.problem.reason) == reason


async def test_of_several_values_of_a_node_the_highest_counts_and_without_a_query_for_memory_cpu_alone(
    server: PushedPrometheus,
) -> None:
    values = [(node, instance, share) for node in NODES for instance, share in (("x", 0.2), ("y", 0.6))]
    server.push([gauge(share, __name__="several", node=node, instance=one) for node, one, share in values])
    server.push([gauge(9.0, __name__="several", instance="of no node")])

    found = await loads_of(server.url, {"source": "Prometheus", "queries": {"cpu": "several"}})

    assert found.percent == dict.fromkeys(NODES, pytest.approx(60.0))


async def test_what_prometheus_does_not_answer_keeps_the_last_load_until_it_answers_again(
    server: PushedPrometheus,
) -> None:
    clock = FakeClock(NOW)
    server.push([gauge(0.4, at=NOW + later, __name__="steady", node=node) for later in (0, 240) for node in NODES])
    world = world_of(clock, load={"source": "Prometheus", "queries": {"cpu": "steady"}})
    controller = LoadController(world, readings(world, server.url))
    await controller.reconcile("even")
    assert len(world.board.loads["even"].current(clock.now(), STALE_SECONDS)) == len(NODES)

    server.end()
    try:
        await clock.advance(120.0)
        await controller.reconcile("even")
    finally:
        server.start()
    cut = world.board.loads["even"]
    assert cut.problem is not None
    assert cut.problem.reason == "PrometheusUnreachable"
    assert len(cut.current(clock.now(), STALE_SECONDS)) == len(NODES)
    assert not cut.current(clock.now() + STALE_SECONDS, STALE_SECONDS)

    await clock.advance(120.0)
    await controller.reconcile("even")
    again = world.board.loads["even"]
    assert again.problem is None
    assert len(again.current(clock.now(), STALE_SECONDS)) == len(NODES)


@pytest.mark.parametrize("query", ["cpu_share{", "sum(cpu_share)[5m]", "1"])
async def test_a_query_that_is_refused_is_told(server: PushedPrometheus, query: str) -> None:
    found = await loads_of(server.url, {"source": "Prometheus", "queries": {"cpu": query}})
    assert found.problem is not None
    assert found.problem.reason == "QueryRefused"


def requests(rate: float, zone: str, *, name: str, workload: str = "web") -> tuple[Labels, Any, Any]:
    return counter(rate, __name__=name, zone=zone, namespace="shop", workload=workload, pod=f"{workload}-1", **HERE)


async def zones_of(
    server: PushedPrometheus, query: str, *, stale_after: str = "3m", **preference: Any
) -> tuple[Mapping[str, Any], str]:
    """The preferred zones of each workload, and why the load by zone counts as not known."""
    clock = FakeClock(NOW)
    world = world_of(clock, zonePreference={"from": {"query": query}, **preference}, load={"staleAfter": stale_after})
    await ZoneLoadController(world, readings(world, server.url, HERE)).reconcile("even")
    state = world.board.readings["even", Measure.ZONE_LOAD]
    problem = state.unknown(clock.now() + 2 * STALE_SECONDS, STALE_SECONDS)
    reading = world.board.zone_readings.get("even")
    return {} if reading is None else reading.weights, "" if problem is None else problem.message


async def test_the_query_of_the_page_about_zones_prefers_the_busiest_zone(server: PushedPrometheus) -> None:
    name = "requests_total"
    server.push([requests(10, "a", name=name), requests(4, "b", name=name)])
    elsewhere = {"__name__": name, "namespace": "shop", "workload": "web", "cluster": "prod-2"}
    server.push([counter(1, zone="a", **elsewhere), counter(1000, zone="b", **elsewhere)])

    query = documented("zones.md", "zonePreference")["from"]["query"]

    assert await zones_of(server, query) == ({"shop/web": {"a": 100, "b": 0}}, "")
    assert await zones_of(server, query, whenDiffersByPercent=70) == ({}, "")


@pytest.mark.parametrize(
    ("rates", "preferred", "problem"),
    [
        pytest.param({"a": 1, "b": 2, "c": 9}, {"shop/web": {"a": 0, "b": 12, "c": 100}}, "", id="an empty zone"),
        pytest.param({"a": 1, "b": 2, "v": 9}, {"shop/web": {"a": 0, "b": 100}}, "", id="no physical node in a zone"),
        pytest.param({"a": 10, "c": 4}, {}, "shop/web has none in b", id="no value for one of its zones"),
        pytest.param({"zone-a": 10, "zone-b": 4}, {}, "shop/web has none in a", id="other names for the zones"),
        pytest.param({}, {}, "shop/web has none in a", id="no value at all"),
    ],
)
async def test_all_zones_are_equal_without_a_value_for_each_zone_with_replicas(
    server: PushedPrometheus, request: pytest.FixtureRequest, rates: dict[str, float], preferred: Any, problem: str
) -> None:
    name = "zones_" + re.sub(r"\W", "_", request.node.callspec.id)
    server.push([requests(rate, zone, name=name) for zone, rate in rates.items()])

    found, told = await zones_of(server, f"avg by (zone, namespace, workload) (rate({name}{{$(matchers)}}[2m]))")

    assert found == preferred
    assert told.endswith(problem)
    assert bool(told) is bool(problem)


async def test_a_load_by_zone_that_is_older_than_stale_after_is_none(server: PushedPrometheus) -> None:
    labels = {"__name__": "aged", "namespace": "shop", "workload": "web"}
    server.push([gauge(one, at=NOW - 240.0, zone=zone, **labels) for zone, one in (("a", 10.0), ("b", 4.0))])

    assert await zones_of(server, "aged", stale_after="5m") == ({"shop/web": {"a": 100, "b": 0}}, "")
    found, told = await zones_of(server, "aged", stale_after="3m")
    assert found == {}
    assert told.endswith("shop/web has none in a")


async def test_a_query_may_be_about_some_workloads_alone(server: PushedPrometheus) -> None:
    name = "some"
    server.push([requests(10, "a", name=name, workload="api"), requests(4, "b", name=name, workload="api")])
    clock = FakeClock(NOW)
    world = world_of(
        clock, zonePreference={"from": {"query": f"avg by (zone, namespace, workload) (rate({name}[2m]))"}}
    )
    api = make_replicaset("api")
    world.state.apply(api)
    for node in ("a1", "b1"):
        world.state.apply(make_pod(f"api-{node}", node=NodeName(node), owner_uid=api.uid))

    await ZoneLoadController(world, readings(world, server.url)).reconcile("even")

    assert world.board.zone_readings["even"].weights == {"shop/api": {"a": 100, "b": 0}}
    assert world.board.readings["even", Measure.ZONE_LOAD].problem is None
