"""The check for other writers of deletion costs."""

from typing import Any

from spillway.domain.doctor.deletion_costs import foreign_writers, managers_of


def entry(manager: str, *annotations: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:metadata": {"f:annotations": {f"f:{one}": {} for one in annotations}}}
    return {"manager": manager, "fieldsV1": fields}


def test_who_wrote_the_cost() -> None:
    cost = "controller.kubernetes.io/pod-deletion-cost"
    pod = {"metadata": {"managedFields": [entry("karpenter", cost, "other"), entry("kubelet"), entry("argocd", "x")]}}

    assert managers_of(pod) == {"karpenter"}
    assert managers_of({"metadata": {}}) == frozenset()


def test_findings() -> None:
    [first, second] = foreign_writers({"Deployment/shop/web": (3, {"b", "a"}), "Deployment/shop/api": (1, set())})

    assert first.object == "Deployment/shop/api"
    assert "a client that is not recorded" in first.message
    assert second.message.startswith("a, b wrote the deletion cost of 3 of its pods")
