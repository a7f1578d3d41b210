"""The rules together: whether a pod may run on a node, and why it may not (each rule has a test of its own)."""

from collections.abc import Mapping, Sequence
from typing import Any

from spillway.domain.fit.node_fit import RULES, NodeFit, constraints, takes_pods
from spillway.domain.model.records import NodeRecord, Taint
from tests.builders import make_node

VIRTUAL = Taint("virtual-kubelet.io/provider", "NoSchedule", "eci")


def admits(node: NodeRecord, spec: Mapping[str, Any], extra: Sequence[Mapping[str, Any]] = ()) -> bool:
    return NodeFit(spec, extra).admits(node)


def test_selector_and_taints_both_count() -> None:
    node = make_node("n1", labels={"pool": "a"}, taints=(VIRTUAL,))
    provider = {"key": VIRTUAL.key, "operator": "Exists"}
    assert admits(node, {"nodeSelector": {"pool": "a"}, "tolerations": [provider]})
    assert admits(node, {"nodeSelector": None, "affinity": None, "tolerations": None}, extra=[provider])
    assert not admits(node, {"nodeSelector": {"pool": "a"}})
    assert not admits(node, {"nodeSelector": {"pool": "b"}, "tolerations": [provider]})


def test_every_taint_that_keeps_pods_away_needs_its_toleration() -> None:
    soft = make_node("n1", taints=(Taint("spillway.dev/elastic", "PreferNoSchedule", "online"),))
    hard = make_node("n1", taints=(VIRTUAL, Taint("dedicated", "NoExecute", "gpu")))
    provider = {"key": VIRTUAL.key, "operator": "Exists"}
    assert admits(soft, {})
    assert not admits(hard, {"tolerations": [provider]})
    assert admits(hard, {"tolerations": [provider]}, extra=[{"key": "dedicated", "operator": "Exists"}])


def test_a_node_without_a_label_to_spread_by_is_refused_as_the_scheduler_does() -> None:
    spec = {"topologySpreadConstraints": [{"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]}
    assert admits(make_node(labels={"rack": "r1"}), spec)
    assert "label rack" in NodeFit(spec).refusal(make_node())


def test_of_several_nodes_it_says_what_the_last_of_them_lacks() -> None:
    spec = {"nodeSelector": {"pool": "a"}}
    away, tainted = make_node("n1"), make_node("n2", labels={"pool": "a"}, taints=(VIRTUAL,))
    assert "selector" in NodeFit(spec).refusal_by_all([away])
    assert "taints" in NodeFit(spec).refusal_by_all([away, tainted])
    assert not NodeFit(spec).refusal_by_all([away, tainted, make_node("n3", labels={"pool": "a"})])
    assert NodeFit(spec).refusal_by_all([]) == "that is ready and open"


def test_the_key_of_a_pod_holds_all_that_the_rules_read() -> None:
    """Every field that a rule asks for changes the key, so an answer that is remembered by it is the pod's own."""
    fields: set[str] = set()

    class Asked(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            fields.add(key)
            return super().get(key, default)

    for rule in RULES:
        test = rule(Asked(nodeSelector={"a": "b"}))
        if test is not None:
            test(make_node())
    devices = {"requests": {"example.com/gpu": "1"}}
    values: dict[str, Any] = {
        "affinity": {"nodeAffinity": {"x": 1}},
        "containers": [{"resources": devices}],
        "initContainers": [{"resources": devices}],
        "resources": devices,
        "overhead": devices["requests"],
    }
    for field in fields:
        assert constraints({field: values.get(field, ["x"])}) != constraints({}), field


def test_a_node_that_takes_nobody() -> None:
    assert takes_pods(make_node())
    assert not takes_pods(make_node(ready=False))
    assert not takes_pods(make_node(unschedulable=True))
    assert not takes_pods(make_node(deleting=True))
