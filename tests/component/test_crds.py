"""The CRDs on a real API server: what it refuses and how it says so, what it takes, what kubectl shows."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcluster import ClusterApi, ClusterError
from spillway.api import KINDS, ElasticPolicy, Resource, VirtualNodeBudget, ZonalBalance
from spillway.api.crd import definition

EXAMPLES = Path(__file__).parents[2] / "examples"
MODELS = {kind.__name__: kind for kind in KINDS}

EVENING = {"name": "evening", "start": "0 18 * * *", "duration": "5h", "replicas": 40}

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def server(cluster: ClusterApi) -> Iterator[ClusterApi]:
    """The shared cluster with our CRDs; what the tests made there is gone afterwards."""
    cluster.apply((definition(kind) for kind in KINDS), "--server-side", "--force-conflicts")
    cluster.wait_established(f"{kind.plural}.spillway.dev" for kind in KINDS)
    yield cluster
    for kind in KINDS:
        cluster.kubectl("delete", kind.plural, "--selector=spillway-test=crds", "--wait=true")


def policy(**spec: Any) -> dict[str, Any]:
    return _object("ElasticPolicy", {"workloads": [{"name": "default"}]} | spec)


def workload(**fields: Any) -> dict[str, Any]:
    return policy(workloads=[{"name": "default"} | fields])


def budget(**spec: Any) -> dict[str, Any]:
    return _object("VirtualNodeBudget", {"nodeSelector": {"matchLabels": {"type": "virtual-kubelet"}}} | spec)


def balance(**spec: Any) -> dict[str, Any]:
    return _object("ZonalBalance", spec)


def _object(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "table", "labels": {"spillway-test": "crds"}},
        "spec": spec,
    }


def named(name: str, raw: dict[str, Any]) -> dict[str, Any]:
    return {**raw, "metadata": {**raw["metadata"], "name": name}}


def price(**changes: Any) -> dict[str, Any]:
    return {"currency": "CNY", "cpuHour": "0.35", "memoryGiBHour": "0.044"} | changes


def schedule(**changes: Any) -> dict[str, Any]:
    return workload(scaling={"schedules": [EVENING | changes]})


SIZE = {"cpu": "2", "memory": "4Gi"}
SIGN = {"reason": "NoStock"}

# What is written, the field that the refusal must name, and what it must say is allowed.
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "a policy whose name no taint can hold": (
        named("p" * 64, policy()),
        "metadata.name",
        "at most 63 characters, for example online-services",
    ),
    "a budget whose name no policy can list": (
        named("b" * 64, budget()),
        "metadata.name",
        "at most 63 characters, for example online-services",
    ),
    "an unknown mode": (policy(mode="On"), "spec.mode", '"Recommend", "Enforce"'),
    "no workloads": (policy(workloads=[]), "spec.workloads", "should have at least 1 items"),
    "two classes of one name": (
        policy(workloads=[{"name": "a"}, {"name": "a"}]),
        "spec.workloads[1]",
        "Duplicate value",
    ),
    "a history of which nothing could be learned": (
        workload(threshold={"history": "1d"}),
        "spec.workloads[0].threshold.history",
        "at least two days",
    ),
    "a history of some hours": (
        workload(threshold={"history": "47h59m"}),
        "spec.workloads[0].threshold.history",
        "for example 2d, 72h or 14d",
    ),
    "a class that no label can name": (
        policy(workloads=[{"name": "Latency Critical"}]),
        "spec.workloads[0].name",
        "for example latency-critical",
    ),
    "a pod that may take no time to start": (
        budget(failover={"startAfter": "0s"}),
        "spec.failover.startAfter",
        "at least 30s, for example 2m",
    ),
    "a pod that may take half a minute less a second": (
        budget(failover={"startAfter": "0h0m29s"}),
        "spec.failover.startAfter",
        "at least 30s, for example 2m",
    ),
    "a time to start that is no duration": (
        budget(failover={"startAfter": "two minutes"}),
        "spec.failover.startAfter",
        "for example 60s, 5m, 1h30m or 14d",
    ),
    "an elastic tier that is every node": (
        policy(tiers={"elastic": {"nodeSelector": {}}}),
        "spec.tiers.elastic.nodeSelector",
        "for example {matchLabels: {pool: elastic}}",
    ),
    "an elastic tier without selector": (
        policy(tiers={"elastic": {"softTaint": True}}),
        "spec.tiers.elastic.nodeSelector",
        "Required value",
    ),
    "a soft taint that is no truth value": (
        policy(tiers={"elastic": {"nodeSelector": {"matchLabels": {"pool": "elastic"}}, "softTaint": "yes"}}),
        "spec.tiers.elastic.softTaint",
        "must be of type boolean",
    ),
    "a selector that lists nothing": (
        policy(tiers={"elastic": {"nodeSelector": {"matchExpressions": [{"key": "pool", "operator": "In"}]}}}),
        "spec.tiers.elastic.nodeSelector.matchExpressions[0].values",
        "for example {key: pool, operator: In, values: [elastic]}",
    ),
    "a selector with values that mean nothing": (
        policy(
            tiers={
                "elastic": {
                    "nodeSelector": {"matchExpressions": [{"key": "pool", "operator": "Exists", "values": ["a"]}]}
                }
            }
        ),
        "spec.tiers.elastic.nodeSelector.matchExpressions[0].values",
        "none with Exists and DoesNotExist",
    ),
    "a selector operator of another kind": (
        balance(nodeSelector={"matchExpressions": [{"key": "pool", "operator": "Gt", "values": ["1"]}]}),
        "spec.nodeSelector.matchExpressions[0].operator",
        '"In", "NotIn", "Exists", "DoesNotExist"',
    ),
    "the same budget twice": (
        policy(tiers={"virtual": {"budgets": ["eci-a", "eci-a"]}}),
        "spec.tiers.virtual.budgets",
        "for example [eci-a, tke-b]",
    ),
    "no budgets": (policy(tiers={"virtual": {"budgets": []}}), "spec.tiers.virtual.budgets", "at least 1 items"),
    "a price below nothing": (
        policy(tiers={"fixed": {"price": {"nodeHour": "-1"}}}),
        "spec.tiers.fixed.price.nodeHour",
        'for example "0.35"',
    ),
    "a price without quotes": (
        policy(tiers={"fixed": {"price": {"nodeHour": 1.5}}}),
        "spec.tiers.fixed.price.nodeHour",
        "must be of type string",
    ),
    "a target beyond everything": (
        policy(tiers={"fixed": {"targetUtilization": 130}}),
        "spec.tiers.fixed.targetUtilization",
        "less than or equal to 100",
    ),
    "a kind as kubectl writes it": (
        workload(match={"kinds": ["deployments"]}),
        "spec.workloads[0].match.kinds",
        "for example [Deployment, Job]",
    ),
    "manual without a number": (
        workload(threshold={"mode": "Manual"}),
        "spec.workloads[0].threshold.replicas",
        "for example {mode: Manual, replicas: 12}",
    ),
    "a number without manual": (
        workload(threshold={"replicas": 12}),
        "spec.workloads[0].threshold.replicas",
        "goes with mode Manual",
    ),
    "bounds the wrong way round": (
        workload(threshold={"min": 9, "max": 3}),
        "spec.workloads[0].threshold.max",
        "for example {min: 2, max: 50}",
    ),
    "a negative bound": (
        workload(threshold={"min": -1}),
        "spec.workloads[0].threshold.min",
        "greater than or equal to 0",
    ),
    "an unknown placement": (
        workload(placement={"virtual": "Sometimes"}),
        "spec.workloads[0].placement.virtual",
        '"Never", "Overflow", "Always"',
    ),
    "a duration without unit": (
        workload(placement={"spillAfter": "60"}),
        "spec.workloads[0].placement.spillAfter",
        "for example 60s, 5m, 1h30m or 14d",
    ),
    "two targets at once": (
        workload(scaling={"target": {"metric": "cpu", "utilization": 60, "query": "up"}}),
        "spec.workloads[0].scaling.target",
        "either {metric: cpu, utilization: 60} or",
    ),
    "half a target": (
        workload(scaling={"target": {"query": "up"}}),
        "spec.workloads[0].scaling.target",
        'perReplica: "200"',
    ),
    "a time of day as people say it": (
        schedule(start="every evening"),
        "spec.workloads[0].scaling.schedules[0].start",
        'for example "0 18 * * *"',
    ),
    "a schedule without replicas": (
        schedule(replicas=None),
        "spec.workloads[0].scaling.schedules[0].replicas",
        "Required value",
    ),
    "scaling that ends below its beginning": (
        workload(scaling={"minReplicas": 9, "maxReplicas": 5}),
        "spec.workloads[0].scaling.maxReplicas",
        "for example {minReplicas: 2, maxReplicas: 50}",
    ),
    "nothing but schedules, without any": (
        workload(scaling={"scheduleOnly": True, "minReplicas": 2}),
        "spec.workloads[0].scaling.scheduleOnly",
        "needs schedules, and minReplicas",
    ),
    "nothing but schedules, and a forecast": (
        workload(scaling={"scheduleOnly": True, "minReplicas": 2, "schedules": [EVENING], "forecast": {}}),
        "spec.workloads[0].scaling.forecast.mode",
        "for example {scheduleOnly: true, forecast: {mode: Preview}}",
    ),
    "a shortage that costs nothing": (
        workload(scaling={"target": {"metric": "cpu", "utilization": 60}, "forecast": {"price": "0.0"}}),
        "spec.workloads[0].scaling.forecast.price",
        'must be a number above 0, in quotes, for example "10" or "0.5"',
    ),
    "nothing but schedules, and a bound on scalings": (
        workload(scaling={"scheduleOnly": True, "minReplicas": 2, "schedules": [EVENING], "maxScalingsPerHour": 2}),
        "spec.workloads[0].scaling.maxScalingsPerHour",
        "must be left out with scheduleOnly",
    ),
    "a managed autoscaler for a query": (
        workload(scaling={"hpa": "Managed", "maxReplicas": 9, "target": {"query": "up", "perReplica": "2"}}),
        "spec.workloads[0].scaling.hpa",
        "for example {hpa: Managed, maxReplicas: 50, target: {metric: cpu, utilization: 60}}",
    ),
    "a managed autoscaler to zero": (
        workload(
            scaling={
                "hpa": "Managed",
                "minReplicas": 0,
                "maxReplicas": 9,
                "target": {"metric": "cpu", "utilization": 60},
            }
        ),
        "spec.workloads[0].scaling.minReplicas",
        "must be at least 1",
    ),
    "no scaling at all in an hour": (
        workload(scaling={"maxScalingsPerHour": 0}),
        "spec.workloads[0].scaling.maxScalingsPerHour",
        "greater than or equal to 1",
    ),
    "consolidation without elastic nodes": (
        policy(consolidation={"mode": "DryRun"}),
        "spec.consolidation",
        "needs an elastic tier, for example tiers: {elastic:",
    ),
    "headroom in two units": (
        policy(headroom={"min": {"pods": 1, "nodes": 1}}),
        "spec.headroom.min",
        "for example {pods: 10} or {nodes: 5}",
    ),
    "headroom that ends below its beginning": (
        policy(headroom={"min": {"nodes": 9}, "max": {"nodes": 5}}),
        "spec.headroom.max",
        "for example {min: {nodes: 1}, max: {nodes: 5}}",
    ),
    "scheduled headroom of nothing": (
        policy(headroom={"schedules": [{"name": "evening", "start": "30 17 * * *", "duration": "1h"}]}),
        "spec.headroom.schedules[0]",
        "either in pods or in nodes",
    ),
    "a pool that is every node": (
        budget(nodeSelector={}),
        "spec.nodeSelector",
        "for example {matchLabels: {type: virtual-kubelet}}",
    ),
    "a pool without selector": (_object("VirtualNodeBudget", {}), "spec.nodeSelector", "Required value"),
    "a cordon like kubectl's": (budget(cordon="true"), "spec.cordon", '"None", "Hold", "HoldAndDrain"'),
    "a time that is none": (budget(cordonUntil="tomorrow"), "spec.cordonUntil", "date-time"),
    "negative pods": (budget(limits={"pods": -1}), "spec.limits.pods", "greater than or equal to 0"),
    "negative cores": (budget(limits={"cpu": -5}), "spec.limits.cpu", 'for example "500m", 2 or "10000"'),
    "cores that are no quantity": (
        budget(limits={"cpu": "ten"}),
        "spec.limits.cpu",
        'for example "500m", 2 or "10000"',
    ),
    "cores that Kubernetes cannot count": (
        budget(limits={"cpu": "1e100"}),
        "spec.limits.cpu",
        'at most 1P that is not negative, for example "500m"',
    ),
    "cores that are too many, as a number": (budget(limits={"cpu": 2**53}), "spec.limits.cpu", "at most 1P"),
    "memory that is too much": (budget(limits={"memory": "2E"}), "spec.limits.memory", "at most 1E"),
    "a quantity of many digits": (budget(limits={"memory": "1" + "0" * 60 + "m"}), "spec.limits.memory", "at most 1E"),
    "a label without a value": (
        policy(workloads=[{"name": "all", "match": {"namespaces": {"matchLabels": {"team": None}}}}]),
        "spec.workloads[0].match.namespaces.matchLabels",
        "a key without a value is dropped",
    ),
    "a budget with a name that none can have": (
        policy(tiers={"virtual": {"budgets": ["../eci"]}}),
        "spec.tiers.virtual.budgets[0]",
        "for example eci-a",
    ),
    "memory in words": (budget(limits={"memory": "40 TB"}), "spec.limits.memory", 'for example "512Mi", "4Gi"'),
    "a cost below nothing": (budget(limits={"costPerHour": "-350"}), "spec.limits.costPerHour", '"90000"'),
    "a currency in words": (
        budget(price=price(currency="yuan")),
        "spec.price.currency",
        "than 3",
    ),
    "a currency in small letters": (
        budget(price=price(currency="cny")),
        "spec.price.currency",
        "for example CNY or USD",
    ),
    "half a price": (
        budget(price={"currency": "CNY", "cpuHour": "0.35"}),
        "spec.price.memoryGiBHour",
        "Required value",
    ),
    "an empty ladder": (
        budget(stockOut={"detect": [SIGN], "ladder": []}),
        "spec.stockOut.ladder",
        "at least 1 items",
    ),
    "a sign of nothing": (
        budget(stockOut={"detect": [{}], "ladder": [SIZE]}),
        "spec.stockOut.detect[0]",
        "for example {reason: ProviderCreateFailed",
    ),
    "a size format without size": (
        budget(stockOut={"detect": [SIGN], "ladder": [SIZE], "annotation": {"key": "a/b", "format": "2-4Gi"}}),
        "spec.stockOut.annotation.format",
        '"{cpu}-{memoryGiB}Gi"',
    ),
    "a variable without value": (
        budget(podOverlay={"env": [{"name": "TIER"}]}),
        "spec.podOverlay.env[0]",
        "for example {name: TIER, fromLanding: tier}",
    ),
    "a variable's name with a space": (
        budget(podOverlay={"env": [{"name": "MY TIER", "value": "x"}]}),
        "spec.podOverlay.env[0].name",
        "for example OTEL_SERVICE_NAME",
    ),
    "a landing that does not exist": (
        budget(podOverlay={"env": [{"name": "TIER", "fromLanding": "rack"}]}),
        "spec.podOverlay.env[0].fromLanding",
        '"tier", "pool", "zone", "node"',
    ),
    "a landed variable that is known before": (
        budget(podOverlay={"env": [{"name": "TIER", "fromLanding": "tier", "landed": True}]}),
        "spec.podOverlay.env[0].landed",
        "goes with value",
    ),
    "a landed variable whose name is no key's": (
        budget(podOverlay={"env": [{"name": "TIER_", "value": "x", "landed": True}]}),
        "spec.podOverlay.env[0].name",
        "for example JAEGER_ENDPOINT",
    ),
    "core dumps that no one keeps": (
        budget(podOverlay={"coreDump": {"path": "/data/dump"}}),
        "spec.podOverlay.coreDump",
        "annotation: k8s.aliyun.com/eci-core-pattern",
    ),
    "an annotation for core dumps that is no key": (
        budget(podOverlay={"coreDump": {"path": "/data", "annotation": "my key"}}),
        "spec.podOverlay.coreDump.annotation",
        "for example example.com/name",
    ),
    "an annotation for sizes that is no key": (
        budget(
            stockOut={
                "detect": [{"reason": "NoStock"}],
                "ladder": [{"cpu": "2", "memory": "4Gi"}],
                "annotation": {"key": "my key"},
            }
        ),
        "spec.stockOut.annotation.key",
        "for example example.com/name",
    ),
    "a folder in a core dump's name": (
        budget(podOverlay={"coreDump": {"path": "/data", "file": "a/b", "annotation": "x"}}),
        "spec.podOverlay.coreDump.file",
        "for example core-%h-%p-%t",
    ),
    "name servers replaced by none": (
        budget(podOverlay={"dnsConfig": {"replace": True}}),
        "spec.podOverlay.dnsConfig.replace",
        "nameservers: [10.0.0.2]",
    ),
    "a sidecar without image": (
        budget(podOverlay={"sidecars": [{"name": "logs"}]}),
        "spec.podOverlay.sidecars[0].image",
        "Required value",
    ),
    "a log path that is relative": (
        budget(
            podOverlay={"logs": {"image": "vector", "paths": ["log"], "kafka": {"brokers": ["k:9092"], "topic": "t"}}}
        ),
        "spec.podOverlay.logs.paths[0]",
        "for example /var/log/app",
    ),
    "no skew at all": (balance(maxSkew=0), "spec.maxSkew", "greater than or equal to 1"),
    "a zone key that is no label": (
        balance(zoneKey="the zone"),
        "spec.zoneKey",
        "for example example.com/name",
    ),
    "a selector of elastic nodes whose key is no label": (
        policy(tiers={"elastic": {"nodeSelector": {"matchLabels": {"my pool": "a"}}}}),
        "spec.tiers.elastic.nodeSelector.matchLabels",
        "must have keys of an optional prefix (a DNS subdomain and a slash)",
    ),
    "a selector of a pool whose key is no label": (
        budget(nodeSelector={"matchLabels": {"-bad-": "a"}}),
        "spec.nodeSelector.matchLabels",
        "for example example.com/name",
    ),
    "a selector of balanced nodes whose key has no name": (
        balance(nodeSelector={"matchLabels": {"example.com/": "a"}}),
        "spec.nodeSelector.matchLabels",
        "for example example.com/name",
    ),
    "a requirement on what is no label": (
        budget(nodeSelector={"matchExpressions": [{"key": "a..b/c", "operator": "Exists"}]}),
        "spec.nodeSelector.matchExpressions[0].key",
        "for example example.com/name",
    ),
    "a class by a label of namespaces that is none": (
        workload(match={"namespaces": {"matchExpressions": [{"key": "my team", "operator": "Exists"}]}}),
        "spec.workloads[0].match.namespaces.matchExpressions[0].key",
        "for example example.com/name",
    ),
    "a class by a label of pods that is none": (
        workload(match={"labels": {"matchLabels": {"a/b/c": "x"}}}),
        "spec.workloads[0].match.labels.matchLabels",
        "for example example.com/name",
    ),
    "a balance of workloads by what is no label": (
        balance(match={"labels": {"matchLabels": {"über": "x"}}}),
        "spec.match.labels.matchLabels",
        "for example example.com/name",
    ),
    "a value that no label has": (
        budget(nodeSelector={"matchLabels": {"pool": "my pool"}}),
        "spec.nodeSelector.matchLabels[pool]",
        "for example elastic-1",
    ),
    "a requirement of a value that no label has": (
        budget(nodeSelector={"matchExpressions": [{"key": "pool", "operator": "In", "values": ["a", "-b"]}]}),
        "spec.nodeSelector.matchExpressions[0].values[1]",
        "for example elastic-1",
    ),
    "a toleration of what is no taint": (
        budget(podOverlay={"tolerations": [{"key": "my taint", "operator": "Exists"}]}),
        "spec.podOverlay.tolerations[0].key",
        "for example example.com/name",
    ),
    "Prometheus without queries": (
        balance(load={"source": "Prometheus"}),
        "spec.load.queries",
        "goes with source Prometheus",
    ),
    "weights of nothing": (
        balance(load={"weights": {"cpu": 0, "memory": 0}}),
        "spec.load.weights",
        "for example {cpu: 70, memory: 30}",
    ),
    "an imbalance of nothing": (
        balance(target={"maxImbalancePercent": 0}),
        "spec.target.maxImbalancePercent",
        "greater than or equal to 1",
    ),
    "a rebalance that is switched on": (
        balance(rebalance={"mode": "On"}),
        "spec.rebalance.mode",
        '"Disabled", "DryRun", "Active"',
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_the_field_and_what_is_allowed(server: ClusterApi, name: str) -> None:
    raw, field, allowed = BAD[name]
    said = refusal(server, raw)
    assert re.search(rf"(?<![\w.]){re.escape(field)}(?![\w.\[])", said), said
    assert allowed in said


def test_an_unknown_field_is_refused_by_name(server: ClusterApi) -> None:
    assert 'unknown field "spec.teirs"' in refusal(server, policy(teirs={}))


def test_the_smallest_objects_are_accepted_and_get_their_defaults(server: ClusterApi) -> None:
    assert created(server, policy())["spec"]["mode"] == "Recommend"
    assert created(server, budget())["spec"]["cordon"] == "None"
    assert created(server, balance())["spec"] == {"maxSkew": 1, "zoneKey": "topology.kubernetes.io/zone"}


@pytest.mark.parametrize("history", ["2d", "14d", "1000d", "48h", "0d72h", "336h30m", "2d1h"])
def test_a_history_of_two_days_is_enough(server: ClusterApi, history: str) -> None:
    assert created(server, workload(threshold={"history": history}))


def test_a_field_whose_behaviour_is_missing_is_never_filled_in(server: ClusterApi) -> None:
    spec = created(server, policy(tiers={"fixed": {"price": {"nodeHour": "1.00"}}}))["spec"]
    assert spec["tiers"] == {"fixed": {"price": {"nodeHour": "1.00"}}}
    assert set(created(server, budget(price=price()))["spec"]) == {"nodeSelector", "cordon", "price"}


@pytest.mark.parametrize("name", ["p" * 63, "online.shop"])
def test_a_name_that_a_taint_can_hold_is_accepted(server: ClusterApi, name: str) -> None:
    assert created(server, named(name, policy()))["metadata"]["name"] == name


def test_cordon_until_may_be_null(server: ClusterApi) -> None:
    assert created(server, budget(cordonUntil=None))["spec"].get("cordonUntil") is None


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_accepted_and_round_trips(server: ClusterApi, path: Path) -> None:
    for raw in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if raw["kind"] not in MODELS:
            continue  # An object of Kubernetes' own beside them.
        model = MODELS[raw["kind"]]
        stored = model.model_validate(created(server, raw))
        mine = model.strict({**raw, "metadata": {"name": raw["metadata"]["name"]}})
        assert stored.spec == mine.spec, "the server's defaults are the models' defaults"
        again = {**raw, "spec": stored.wire()["spec"]}
        assert model.model_validate(created(server, again)).spec == stored.spec


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_kubectl_explains_every_field(server: ClusterApi, kind: type[Resource]) -> None:
    for part in ("spec", "status"):
        text = server.kubectl("explain", f"{kind.short_name}.{part}", "--recursive=false")
        assert "<no description>" not in text
        assert "DESCRIPTION:" in text
    assert server.kubectl("get", "spillway", "-A", "-o", "name") is not None


def test_explain_tells_units_and_examples(server: ClusterApi) -> None:
    explained = server.kubectl("explain", "elp.spec.workloads.placement.spillAfter")
    assert "for example 60s" in " ".join(explained.split())
    assert "evicted" in server.kubectl("explain", "vnb.status.drain")


COLUMNS: dict[type[Resource], dict[str, Any]] = {
    ElasticPolicy: {
        "workloads": {"governed": 7, "onFixed": 41, "onElastic": 23, "onVirtual": 5},
        "saving": {"perHour": "12.40", "currency": "CNY"},
    },
    VirtualNodeBudget: {
        "nodes": 20,
        "cordoned": 20,
        "used": {"pods": 311, "costPerHour": "97.20", "costThisMonth": "4123.00"},
    },
    ZonalBalance: {"workloads": 9, "unevenWorkloads": 2, "imbalancePercent": 18, "moves": {"done": 77}},
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_columns_answer_is_it_working_and_is_it_saving(server: ClusterApi, kind: type[Resource]) -> None:
    raw = {"ElasticPolicy": policy, "VirtualNodeBudget": budget, "ZonalBalance": balance}[kind.__name__]()
    raw["metadata"]["name"] = f"columns-{kind.short_name}"
    server.apply([raw])
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "AsWanted",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-11T00:00:00Z",
    }
    status = {"status": {"observedGeneration": 1, "conditions": [ready]} | COLUMNS[kind]}
    name = f"{kind.plural}/{raw['metadata']['name']}"
    server.kubectl("patch", name, "--subresource=status", "--type=merge", "-p", json.dumps(status))
    server.kubectl("wait", name, "--for=condition=Ready", "--timeout=10s")
    header, row = server.kubectl("get", name).splitlines()
    shown = {title: row[header.index(title) :].split()[0] for title in header.split()}
    assert shown["READY"] == "True"
    for field in COLUMNS[kind].values():
        for value in field.values() if isinstance(field, dict) else [field]:
            assert str(value) in row.split() or value == "CNY"


SECTIONS: list[Any] = [
    pytest.param(lambda value: workload(placement=value), {"virtual": "Overflow"}, id="placement"),
    pytest.param(lambda value: workload(threshold=value), {"mode": "Auto"}, id="threshold"),
    pytest.param(lambda value: workload(scaling={"forecast": value}), {"window": "30m"}, id="scaling.forecast"),
    pytest.param(lambda value: budget(failover=value), {"retryAfter": "5m"}, id="failover"),
]


@pytest.mark.parametrize(("with_section", "one_field"), SECTIONS)
def test_a_section_with_one_field_survives_client_side_and_then_server_side_apply(
    server: ClusterApi, with_section: Callable[[Any], dict[str, Any]], one_field: dict[str, Any]
) -> None:
    """An empty one does not: Kubernetes removes its defaults one by one and is left with null (kubernetes#135841)."""
    name = f"table-{uuid.uuid4().hex[:8]}"
    written = named(name, with_section(one_field))
    path = f"/apis/spillway.dev/v1alpha1/{MODELS[written['kind']].plural}/{name}"
    server.apply(written)
    spec = server.rest.get(path)["spec"]
    # The first migrates the ownership of fields, the next ones go by it.
    for _ in range(3):
        server.apply(written, "--server-side")
        assert server.rest.get(path)["spec"] == spec
    server.delete(written)


@pytest.mark.parametrize("with_section", [one.values[0] for one in SECTIONS], ids=[one.id for one in SECTIONS])
def test_an_empty_section_survives_server_side_apply_from_the_start(
    server: ClusterApi, with_section: Callable[[Any], dict[str, Any]]
) -> None:
    name = f"table-{uuid.uuid4().hex[:8]}"
    empty = named(name, with_section({}))
    path = f"/apis/spillway.dev/v1alpha1/{MODELS[empty['kind']].plural}/{name}"
    server.apply(empty, "--server-side")
    spec = server.rest.get(path)["spec"]
    for _ in range(2):
        server.apply(empty, "--server-side")
        assert server.rest.get(path)["spec"] == spec
    server.delete(empty)


def test_status_is_a_subresource(server: ClusterApi) -> None:
    raw = policy() | {"status": {"observedGeneration": 9}}
    assert "observedGeneration" not in created(server, raw).get("status", {})


def created(server: ClusterApi, raw: dict[str, Any]) -> dict[str, Any]:
    """The object as the real API server would store it."""
    args = ("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
    stored: dict[str, Any] = json.loads(server.kubectl(*args, stdin=json.dumps(raw)))
    return stored


def refusal(server: ClusterApi, raw: dict[str, Any]) -> str:
    """What the real API server says against the object."""
    with pytest.raises(ClusterError) as error:
        created(server, raw)
    return str(error.value)
