from localcluster import ClusterApi


def test_a_deployment_becomes_ready_and_scales_down(cluster: ClusterApi, namespace: str) -> None:
    nodes = cluster.add_nodes("lc-basic", 3)

    cluster.kubectl("create", "deployment", "web", "--image=x", "--replicas=6", "-n", namespace)
    pods = cluster.wait_pods_ready(namespace, 6)
    assert {pod["spec"]["nodeName"] for pod in pods} <= {
        item["metadata"]["name"] for item in cluster.rest.items("/api/v1/nodes")
    }

    cluster.kubectl("scale", "deployment", "web", "--replicas=2", "-n", namespace)
    cluster.wait_pods_ready(namespace, 2)
    cluster.delete_nodes(nodes)
