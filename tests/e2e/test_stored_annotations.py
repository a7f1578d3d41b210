"""Threshold annotations that were stored while no webhook was there to refuse them."""

from localcluster import ClusterApi
from tests.support.e2e import Start
from tests.support.stage import Stage


def test_an_annotation_without_effect_that_was_stored_before_is_told(cluster: ClusterApi, start: Start) -> None:
    stage = Stage(cluster, "stored")
    try:
        labels = {"app": "agent"}
        spec = {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {"stage": "nowhere"},
                    "containers": [{"name": "main", "image": "registry.invalid/main:1"}],
                },
            },
        }
        cluster.rest.create(
            f"/apis/apps/v1/namespaces/{stage.namespace}/daemonsets",
            {"metadata": {"name": "agent", "annotations": {"spillway.dev/threshold": "2"}}, "spec": spec},
        )
        start(1)
        stage.govern({"placement": {"virtual": "Always"}})

        def told() -> list[str]:
            return [note for about, note in stage.events("InvalidThreshold") if about == "DaemonSet/agent"]

        notes = cluster.wait_until(told, "the Event on the DaemonSet")
        assert "has no effect on a DaemonSet" in notes[0]
    finally:
        stage.close()
