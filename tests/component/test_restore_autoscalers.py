"""`spillway restore` deletes the autoscalers that Spillway created, and no other."""

from localcluster import ClusterApi
from localcluster.rest import Object
from spillway.app.restore import Restore
from spillway.domain.model.names import POLICY
from spillway.kube.client import KubeClient


def _autoscaler(namespace: str, name: str, **annotations: str) -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2,
            "maxReplicas": 9,
        },
    }


async def test_only_those_that_spillway_created_go(cluster: ClusterApi, namespace: str) -> None:
    cluster.apply(
        [
            _autoscaler(namespace, "spillway-deployment-web", **{POLICY: "online"}),
            _autoscaler(namespace, "copy", **{POLICY: "online"}),
            _autoscaler(namespace, "theirs"),
        ]
    )
    async with await KubeClient.connect(str(cluster.kubeconfig)) as client:
        planned = await Restore(client, say=lambda _: None, dry_run=True).run()
        done = await Restore(client, say=lambda _: None).run()

    assert (planned.autoscalers, done.autoscalers, done.clean) == (1, 1, True)
    left = cluster.rest.items(f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers")
    assert sorted(one["metadata"]["name"] for one in left) == ["copy", "theirs"]
