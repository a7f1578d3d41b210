from http import HTTPStatus

from spillway.aggregated.documents import refusal
from spillway.aggregated.metric import METRICS, value_list


def test_discovery_names_one_version_with_one_metric() -> None:
    assert METRICS.groups["groups"][0]["preferredVersion"]["groupVersion"] == "external.metrics.k8s.io/v1beta1"
    assert METRICS.one_group["kind"] == "APIGroup"
    assert [one["name"] for one in METRICS.resource_list["resources"]] == ["spillway-recommended-replicas"]
    assert METRICS.resource_list["resources"][0]["namespaced"] is True


def test_kube_apiserver_reads_aggregated_discovery_in_the_version_that_it_asks_for() -> None:
    def asking(*versions: str) -> str:
        types = (f"application/json;g=apidiscovery.k8s.io;v={one};as=APIGroupDiscoveryList" for one in versions)
        return ",".join((*types, "application/json"))

    for versions, answered in ((("v2", "v2beta1"), "v2"), (("v2beta1",), "v2beta1")):
        found = METRICS.discovery(asking(*versions))
        assert found is not None
        content_type, document = found
        assert content_type == f"application/json;g=apidiscovery.k8s.io;v={answered};as=APIGroupDiscoveryList"
        assert document["apiVersion"] == f"apidiscovery.k8s.io/{answered}"
        [resource] = document["items"][0]["versions"][0]["resources"]
        assert (resource["resource"], resource["scope"]) == ("spillway-recommended-replicas", "Namespaced")
    assert METRICS.discovery("application/json") is None


def test_a_value_is_what_an_autoscaler_reads() -> None:
    assert value_list([({"workload": "cart"}, 12)], 1_700_000_000.9) == {
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "metricName": "spillway-recommended-replicas",
                "metricLabels": {"workload": "cart"},
                "timestamp": "2023-11-14T22:13:20Z",
                "value": "12",
            }
        ],
    }


def test_a_refusal_is_a_status_that_kubectl_shows() -> None:
    found = refusal(HTTPStatus.NOT_FOUND, "no such metric")
    assert (found["kind"], found["reason"], found["code"], found["message"]) == (
        "Status",
        "NotFound",
        404,
        "no such metric",
    )
