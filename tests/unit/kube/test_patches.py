"""Patches are values: what they test and what they change."""

from typing import Any

import pytest

from spillway.domain.model.additions import Addition
from spillway.domain.model.records import Taint
from spillway.kube.patches import add_to, annotate, node_patch, scale
from tests.builders import make_node

OURS = Taint("spillway.dev/elastic", "PreferNoSchedule", "day")
THEIRS = Taint("gpu", "NoSchedule")
UID = {"op": "test", "path": "/metadata/uid", "value": "uid-n1"}
MARK = "/metadata/annotations/spillway.dev~1cordoned-by"


def test_a_merge_patch_names_the_object_it_means() -> None:
    assert annotate("u1", {"a": "1", "b": None}) == {"metadata": {"uid": "u1", "annotations": {"a": "1", "b": None}}}


def test_what_does_not_differ_makes_no_patch() -> None:
    node = make_node(taints=(OURS,), unschedulable=True, cordoned_by="vnb")
    assert (
        node_patch(
            node,
            annotations={"spillway.dev/cordoned-by": "vnb"},
            taints=(node.taints, node.taints),
            unschedulable=True,
        )
        == []
    )


@pytest.mark.parametrize(
    ("seen", "wanted", "operations"),
    [
        (
            (),
            (OURS,),
            [
                {"op": "test", "path": "/spec/taints", "value": None},
                {
                    "op": "add",
                    "path": "/spec/taints",
                    "value": [{"key": OURS.key, "effect": OURS.effect, "value": "day"}],
                },
            ],
        ),
        (
            (THEIRS,),
            (THEIRS, OURS),
            [
                {
                    "op": "add",
                    "path": "/spec/taints/-",
                    "value": {"key": OURS.key, "effect": OURS.effect, "value": "day"},
                }
            ],
        ),
        (
            (THEIRS, OURS, Taint("x", "NoSchedule"), Taint("y", "NoExecute")),
            (THEIRS, Taint("x", "NoSchedule")),
            [
                {"op": "test", "path": "/spec/taints/3/key", "value": "y"},
                {"op": "test", "path": "/spec/taints/3/effect", "value": "NoExecute"},
                {"op": "remove", "path": "/spec/taints/3"},
                {"op": "test", "path": "/spec/taints/1/key", "value": OURS.key},
                {"op": "test", "path": "/spec/taints/1/effect", "value": OURS.effect},
                {"op": "test", "path": "/spec/taints/1/value", "value": "day"},
                {"op": "remove", "path": "/spec/taints/1"},
            ],
        ),
    ],
)
def test_taints_are_changed_one_by_one(
    seen: tuple[Taint, ...], wanted: tuple[Taint, ...], operations: list[dict[str, Any]]
) -> None:
    assert node_patch(make_node(taints=seen), taints=(seen, wanted)) == [UID, *operations]


def test_a_cordon_and_its_mark_are_one_patch_that_holds_only_on_an_open_node() -> None:
    assert node_patch(make_node(), annotations={"spillway.dev/cordoned-by": "vnb"}, unschedulable=True) == [
        UID,
        {"op": "test", "path": MARK, "value": None},
        {"op": "add", "path": MARK, "value": "vnb"},
        {"op": "test", "path": "/spec/unschedulable", "value": None},
        {"op": "add", "path": "/spec/unschedulable", "value": True},
    ]


def test_opening_takes_away_our_own_mark_only() -> None:
    node = make_node(unschedulable=True, cordoned_by="vnb")
    assert node_patch(node, annotations={"spillway.dev/cordoned-by": None}, unschedulable=False) == [
        UID,
        {"op": "test", "path": MARK, "value": "vnb"},
        {"op": "remove", "path": MARK},
        {"op": "test", "path": "/spec/unschedulable", "value": True},
        {"op": "remove", "path": "/spec/unschedulable"},
    ]


def test_a_node_without_any_annotation_gets_the_map_first() -> None:
    assert node_patch(make_node(), annotations={"a/b~c": "1"}, annotated=False) == [
        UID,
        {"op": "test", "path": "/metadata/annotations", "value": None},
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/a~1b~0c", "value": "1"},
    ]


def test_additions_are_made_to_the_version_they_were_planned_from() -> None:
    toleration = {"key": "virtual-kubelet.io/provider", "operator": "Exists"}
    additions = [
        Addition(("spec", "tolerations", "-"), toleration),
        Addition(("metadata", "annotations", "spillway.dev/pools"), "eci~a"),
    ]
    assert add_to("u1", "77", additions) == [
        {"op": "test", "path": "/metadata/uid", "value": "u1"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "77"},
        {"op": "add", "path": "/spec/tolerations/-", "value": toleration},
        {"op": "add", "path": "/metadata/annotations/spillway.dev~1pools", "value": "eci~a"},
    ]
    assert add_to("u1", "77", []) == []


def test_a_scale_goes_from_the_number_seen() -> None:
    assert scale("u1", seen=5, wanted=6) == [
        {"op": "test", "path": "/metadata/uid", "value": "u1"},
        {"op": "test", "path": "/spec/replicas", "value": 5},
        {"op": "replace", "path": "/spec/replicas", "value": 6},
    ]
