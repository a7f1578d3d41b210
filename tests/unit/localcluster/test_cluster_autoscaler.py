"""The objects of cluster-autoscaler in a local cluster."""

import json

from localcluster.cluster_autoscaler import objects
from localcluster.nodes import NodeGroup


def test_the_machine_of_a_group_has_what_all_machines_of_it_share() -> None:
    [(path, maps)] = objects([NodeGroup("small", "zone-a", cpu=2, labels={"tier": "elastic"}, most=5)]).items()
    assert path == "/api/v1/namespaces/kube-system/configmaps"
    [templates] = [json.loads(one["data"]["templates"]) for one in maps if "templates" in one["data"]]
    [machine] = templates["items"]

    assert machine["metadata"]["labels"].items() >= {"pool": "small", "tier": "elastic"}.items()
    assert machine["metadata"]["labels"]["topology.kubernetes.io/zone"] == "zone-a"
    assert machine["status"]["capacity"]["cpu"] == "2"
    assert machine["status"]["allocatable"]["cpu"] == "1900m"
    of_one_machine = {"kubernetes.io/hostname", "metrics.k8s.io/resource-metrics-path"}
    assert of_one_machine.isdisjoint({**machine["metadata"]["labels"], **machine["metadata"]["annotations"]})
    bounds = {key.rpartition("/")[2]: value for key, value in machine["metadata"]["annotations"].items()}
    assert bounds.items() >= {"name": "small", "min-count": "0", "max-count": "5"}.items()
