"""The objects of Karpenter in a local cluster."""

from localcluster.karpenter import node_class


def test_machines_join_as_long_after_their_order_as_is_asked() -> None:
    assert "spec" not in node_class()
    assert node_class(startup_seconds=180)["spec"] == {"nodeRegistrationDelay": "180s"}
