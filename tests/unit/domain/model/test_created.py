"""The metadata of the objects that Spillway creates."""

from dataclasses import replace

from spillway.domain.model.created import Created
from spillway.domain.model.documents import Json
from spillway.domain.model.names import APPLIED

ONE = Created("shop", "spillway-cart", "online", "uid-online", {"example.com/of": "cart"})
SPEC = {"spec": {"replicas": 3, "selector": {}}}


def _digest(one: Created, body: Json) -> str:
    return str(one.manifest("apps/v1", "Deployment", body)["metadata"]["annotations"][APPLIED])


def test_an_object_names_its_policy_as_its_owner_and_who_manages_it() -> None:
    found = ONE.manifest("apps/v1", "Deployment", SPEC)
    annotations = found["metadata"].pop("annotations")
    assert found == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "spillway-cart",
            "namespace": "shop",
            "labels": {"example.com/of": "cart", "app.kubernetes.io/managed-by": "spillway"},
            "ownerReferences": [
                {"apiVersion": "spillway.dev/v1alpha1", "kind": "ElasticPolicy", "name": "online", "uid": "uid-online"}
            ],
        },
        **SPEC,
    }
    assert annotations["spillway.dev/policy"] == "online"


def test_the_digest_tells_another_body_and_another_owner() -> None:
    assert _digest(ONE, SPEC) == _digest(ONE, {"spec": {"selector": {}, "replicas": 3}})
    assert _digest(ONE, SPEC) != _digest(ONE, {"spec": {"replicas": 4, "selector": {}}})
    assert _digest(ONE, SPEC) != _digest(replace(ONE, policy_uid="another"), SPEC)
