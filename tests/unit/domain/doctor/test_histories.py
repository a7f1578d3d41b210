"""The check of the series that policies and balances read."""

from typing import Any

import pytest

from spillway.api import ElasticPolicy, ZonalBalance
from spillway.domain.doctor.histories import KnownSeries, check_series, needed
from spillway.state.catalog import Kind
from tests.support.world import policy_resource, resource

QUERY = "sum(queue_length)"


def policy(**workload: Any) -> ElasticPolicy:
    found = policy_resource()
    found["spec"]["workloads"] = [{"name": "default", **workload}]
    return ElasticPolicy.model_validate(found)


def scaling(**target: Any) -> dict[str, Any]:
    return {"scaling": {"target": target, "forecast": {}}}


@pytest.mark.parametrize(
    ("workload", "series"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"threshold": {"mode": "Manual", "replicas": 2}}, [], id="a threshold of the user's"),
        pytest.param({"threshold": {"mode": "Auto"}}, [KnownSeries.REPLICAS], id="Auto"),
        pytest.param(scaling(metric="cpu", utilization=60), [KnownSeries.CPU], id="CPU"),
        pytest.param(scaling(metric="memory", utilization=60), [KnownSeries.MEMORY], id="memory"),
        pytest.param(scaling(query=QUERY, perReplica="10"), [QUERY], id="a query"),
        pytest.param(scaling(query="q{app='$(workload)'}", perReplica="10"), [], id="a query by workload"),
        pytest.param(
            {"scaling": {"target": {"metric": "cpu", "utilization": 60}, "forecast": {"mode": "Disabled"}}},
            [],
            id="no forecast",
        ),
    ],
)
def test_what_policies_read(workload: dict[str, Any], series: list[KnownSeries | str]) -> None:
    assert [one.series for one in needed([policy(**workload)], [])] == series


LOAD: dict[str, Any] = {"source": "Prometheus", "queries": {"cpu": "cpu_share"}}


@pytest.mark.parametrize(
    ("spec", "read"),
    [
        pytest.param({"zonePreference": {}, "hotNodes": {}}, [], id="metrics.k8s.io"),
        pytest.param({"load": LOAD}, [("load.queries.cpu", "cpu_share")], id="CPU of nodes"),
        pytest.param(
            {"load": {**LOAD, "queries": {"cpu": "cpu_share", "memory": "memory_share"}}, "hotNodes": {}},
            [("load.queries.cpu", "cpu_share"), ("load.queries.memory", "memory_share")],
            id="memory as well",
        ),
        pytest.param(
            {"zonePreference": {"from": {"query": "requests"}}},
            [("zonePreference.from.query", "requests")],
            id="workloads by zone",
        ),
    ],
)
def test_what_balances_read(spec: dict[str, Any], read: list[tuple[str, str]]) -> None:
    balance = ZonalBalance.model_validate(resource(Kind.ZONAL_BALANCE, "even", **spec))
    needs = list(needed([], [balance]))
    assert [(one.part, one.series) for one in needs] == read
    problems: dict[KnownSeries | str, str] = {series: "the query has no value now" for _, series in read}
    for (part, _), finding in zip(read, check_series(needs, problems), strict=True):
        assert finding.object == "ZonalBalance/even"
        assert finding.message.startswith(f"{part}: ")
        assert finding.message.endswith(": the query has no value now")


def test_what_is_missing_is_said_of_the_class_that_needs_it() -> None:
    needs = tuple(needed([policy(threshold={"mode": "Auto"}), policy(**scaling(query=QUERY, perReplica="10"))], []))
    assert list(check_series(needs, {})) == []
    [operator] = check_series(needs, {KnownSeries.OPERATOR: "there is no spillway_build_info"})
    assert (operator.object, "serviceMonitor" in operator.remedy) == ("Prometheus", True)
    replicas, query = check_series(needs, {KnownSeries.REPLICAS: "there is none", QUERY: "it has no value"})
    assert (replicas.object, replicas.message) == (
        "ElasticPolicy/online",
        "class default: no threshold is planned: there is none",
    )
    assert query.message == "class default: no demand is forecast: it has no value"
    assert "correct it in the resource" in query.remedy
