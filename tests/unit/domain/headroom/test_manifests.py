"""The objects that hold headroom."""

import re
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.common import LabelSelector
from spillway.domain.fit.taint_toleration import tolerates
from spillway.domain.headroom.manifests import Held, Look, balloons, capacity_buffer, name_of, pod_template, quantities
from spillway.domain.headroom.shape import Shape
from spillway.domain.model.names import APPLIED, ELASTIC_TAINT, EMPTYING_TAINT, HEADROOM, HEADROOM_PREFIX, POLICY, Zone
from spillway.domain.model.owners import is_balloon
from spillway.domain.model.records import Taint
from spillway.domain.nodes.taints import SOFT
from tests.builders import make_pod

LOOK = Look("pause", "spillway-headroom", ("registry",))
ELASTIC = LabelSelector.model_validate(
    {"matchLabels": {"pool": "elastic"}, "matchExpressions": [{"key": "arm", "operator": "DoesNotExist"}]}
)
HELD = Held("online", "uid", Zone("a"), 3, Shape(1500, 4 << 30), ELASTIC, (Taint("dedicated", "NoSchedule", "x"),))


def _pod(held: Held = HELD) -> dict[str, Any]:
    template: dict[str, Any] = balloons(held, LOOK, "system")["spec"]["template"]
    return template


def test_a_balloon_is_restricted_ends_at_once_and_gives_way() -> None:
    spec = _pod()["spec"]
    assert spec["priorityClassName"] == "spillway-headroom"
    assert spec["terminationGracePeriodSeconds"] == 0
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = spec["containers"]
    assert container["resources"] == {"requests": {"cpu": "1500m", "memory": "4096Mi"}}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert spec["imagePullSecrets"] == [{"name": "registry"}]


def test_nothing_on_a_balloon_keeps_its_node() -> None:
    annotations = _pod()["metadata"]["annotations"]
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "true"
    assert int(annotations["controller.kubernetes.io/pod-deletion-cost"]) < 0
    assert "karpenter.sh/do-not-disrupt" not in annotations


def test_a_balloon_runs_on_elastic_nodes_of_its_zone_and_never_on_virtual_ones() -> None:
    affinity = _pod()["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    [term] = affinity["nodeSelectorTerms"]
    assert term["matchExpressions"] == [
        {"key": "pool", "operator": "In", "values": ["elastic"]},
        {"key": "arm", "operator": "DoesNotExist"},
        {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]},
        {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]},
    ]
    tolerations = _pod()["spec"]["tolerations"]
    assert {"key": "dedicated", "operator": "Equal", "value": "x", "effect": "NoSchedule"} in tolerations
    anywhere = _pod(Held("online", "uid", Zone(""), 3, Shape(1, 1), ELASTIC))
    assert "topology.kubernetes.io/zone" not in str(anywhere["spec"]["affinity"]["nodeAffinity"])


def test_the_soft_taint_of_elastic_nodes_keeps_no_unit_of_a_buffer_off() -> None:
    """Karpenter takes a soft taint that no NodePool declares for a hard one."""
    tolerations = pod_template(HELD, LOOK, "system")["template"]["spec"]["tolerations"]
    for taint, tolerated in (
        (Taint(ELASTIC_TAINT, SOFT, "online"), True),
        (Taint(ELASTIC_TAINT, "NoSchedule", "online"), False),
        # Room on a node that is being emptied is no headroom, and units would keep the node.
        (Taint(EMPTYING_TAINT, SOFT, "online"), False),
    ):
        assert any(tolerates(one, taint) for one in tolerations) is tolerated


def test_every_object_is_marked_owned_and_named_alike() -> None:
    for item in (balloons(HELD, LOOK, "system"), pod_template(HELD, LOOK, "system"), capacity_buffer(HELD, "system")):
        metadata = item["metadata"]
        assert (metadata["name"], metadata["namespace"]) == (HELD.name, "system")
        assert metadata["labels"][HEADROOM] == HELD.name
        assert metadata["annotations"][POLICY] == "online"
        [owner] = metadata["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("ElasticPolicy", "online", "uid")


def test_a_buffer_asks_for_its_units_by_its_template() -> None:
    spec = capacity_buffer(HELD, "system")["spec"]
    assert spec == {
        "provisioningStrategy": "buffer.x-k8s.io/active-capacity",
        "podTemplateRef": {"name": HELD.name},
        "replicas": 3,
    }


def test_the_digest_tells_what_changed() -> None:
    def digest(held: Held) -> str:
        return str(balloons(held, LOOK, "system")["metadata"]["annotations"][APPLIED])

    assert digest(HELD) == digest(HELD)
    other = Held("online", "uid", Zone("a"), 3, Shape(1600, 4 << 30), ELASTIC)
    assert digest(HELD) != digest(other)
    # A policy of the same name that was created again is another owner.
    assert digest(HELD) != digest(replace(HELD, policy_uid="another"))


def test_a_resource_that_is_not_requested_is_left_out() -> None:
    assert quantities(Shape(0, 1 << 20)) == {"memory": "1Mi"}
    assert quantities(Shape(2000, 0)) == {"cpu": "2"}


@given(st.text("abz09.-", min_size=1, max_size=253), st.text("abz09.-AZ_", max_size=63))
def test_names_are_valid_and_tell_balloons_from_other_pods(policy: str, zone: str) -> None:
    name = name_of(policy, Zone(zone))
    assert len(name) <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert name.startswith(HEADROOM_PREFIX)
    assert is_balloon(make_pod(owner_name=f"{name}-5d8f"))
    assert name_of(policy, Zone(zone + "x")) != name
    assert not is_balloon(msgspec.structs.replace(make_pod(), owner_name="web-1"))
