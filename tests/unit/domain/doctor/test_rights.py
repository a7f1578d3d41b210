"""The rights that the operator cannot do without: what the chart grants, and what features need beside."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Final

import pytest
import yaml

from spillway.domain.doctor.rights import Right, certificate_rights, missing_rights, needed_rights, rights_to_report

PROJECT = Path(__file__).resolve().parents[4]
ROLES = PROJECT / "charts/spillway/templates/rbac"
OVERLAYS = PROJECT / "gitops/kustomize/overlays"


def granted(file: str) -> Iterator[tuple[str, str, str]]:
    """The (group, resource, verb) that a template grants, whatever its values are."""
    text = re.sub(r"^ *\{\{.*\}\}$", "", (ROLES / file).read_text(), flags=re.MULTILINE)
    text = re.sub(r"\{\{.*?\}\}", "", text)
    for document in yaml.safe_load_all(text):
        yield from of_rules((document or {}).get("rules") or ())


def of_rules(rules: Iterable[Mapping[str, Sequence[str]]]) -> Iterator[tuple[str, str, str]]:
    """The (group, resource, verb) of the rules of a role."""
    for rule in rules:
        yield from product(rule["apiGroups"], rule["resources"], rule["verbs"])


NEEDED: Final = (
    *needed_rights("spillway"),
    *certificate_rights(
        "tls", [("mutatingwebhookconfigurations", "spillway"), ("validatingwebhookconfigurations", "spillway")]
    ),
)
OPTIONAL: Final[Mapping[str, Collection[tuple[str, str, str]]]] = {
    "a class that places pods": {
        ("", "events", "list"),
        ("", "events", "watch"),
        ("", "persistentvolumeclaims", "get"),
        ("", "persistentvolumes", "get"),
        ("apps", "daemonsets", "list"),
        ("batch", "cronjobs", "list"),
        ("batch", "jobs", "get"),
        ("batch", "jobs", "list"),
        ("storage.k8s.io", "storageclasses", "get"),
    },
    "podOverlay": {("", "limitranges", "list"), ("", "pods", "create")},
    "scaling": {("autoscaling", "horizontalpodautoscalers", verb) for verb in ("watch", "create", "patch", "delete")},
    "headroom": {
        (group, resource, verb)
        for group, resource in (
            ("apps", "deployments"),
            ("", "podtemplates"),
            ("autoscaling.x-k8s.io", "capacitybuffers"),
        )
        for verb in ("list", "create", "patch", "delete")
    },
    "ZonalBalance": {("metrics.k8s.io", "nodes", "list"), ("metrics.k8s.io", "pods", "list")},
    "consolidation": {("karpenter.sh", "nodepools", "list")},
    "externalMetrics and explainApi": {
        ("apiregistration.k8s.io", "apiservices", "get"),
        ("apiregistration.k8s.io", "apiservices", "patch"),
    },
    "reads that the operator does in another way": {
        ("apiextensions.k8s.io", "customresourcedefinitions", "get"),
        ("spillway.dev", "elasticpolicies/status", "get"),
        ("spillway.dev", "virtualnodebudgets/status", "get"),
        ("spillway.dev", "zonalbalances/status", "get"),
    },
}
"""What the roles grant beside, by the feature that needs it."""


def asked(right: Right) -> tuple[str, str, str]:
    """The (group, resource, verb) of a right."""
    return right.group, f"{right.resource}/{right.subresource}" if right.subresource else right.resource, right.verb


@pytest.mark.parametrize("right", NEEDED, ids=str)
def test_the_chart_grants_it(right: Right) -> None:
    assert asked(right) in set(granted("role.yaml" if right.own_namespace else "clusterrole.yaml"))


def test_what_the_chart_grants_is_needed_always_or_by_a_feature() -> None:
    known = {*map(asked, NEEDED)}.union(*OPTIONAL.values())
    assert {*granted("role.yaml"), *granted("clusterrole.yaml")} == known


def test_recommend_only_grants_what_is_needed_to_report_and_no_more() -> None:
    overlay = yaml.safe_load((OVERLAYS / "recommend-only" / "kustomization.yaml").read_text())
    rules = {one["target"]["kind"]: yaml.safe_load(one["patch"])[0]["value"] for one in overlay["patches"]}
    granted_there = {*of_rules(rules["ClusterRole"]), *of_rules(rules["Role"])}
    assert [one for one in NEEDED if asked(one) in granted_there] == list(rights_to_report(NEEDED))


def test_the_lease_is_asked_for_by_its_name() -> None:
    leases = [str(one) for one in needed_rights("other") if one.resource == "leases"]
    assert leases == [
        "create leases.coordination.k8s.io",
        *(f"{verb} leases.coordination.k8s.io other" for verb in ("get", "update", "patch")),
    ]


def test_without_configurations_to_patch_no_certificate_is_made() -> None:
    assert certificate_rights("tls", []) == ()


def test_findings() -> None:
    assert list(missing_rights("a/b", [])) == []

    [found] = missing_rights("a/b", [Right("", "pods", "create", "eviction"), Right("apps", "replicasets", "patch")])
    assert found.message == "it may not create pods/eviction, patch replicasets.apps"
