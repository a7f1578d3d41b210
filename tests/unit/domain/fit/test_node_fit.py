"""Which nodes a pod may run on, and which have room for it (selectors and taints each: `test_placement_*`)."""

from spillway.domain.fit.node_fit import Free, admits
from spillway.domain.model.records import Taint
from tests.builders import make_node

VIRTUAL = Taint("virtual-kubelet.io/provider", "NoSchedule", "eci")


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


def test_free_amounts() -> None:
    node = make_node("n1", cpu_millis=1000, memory_bytes=100, pods_allocatable=2)
    free = Free.of(node, pods=1, cpu_millis=400, memory_bytes=50)
    assert free.holds(600, 50)
    assert not free.holds(601, 50)
    assert not free.holds(600, 51)
    assert not free.less(1, 1).holds(1, 1), "no pod more than the node may run"
