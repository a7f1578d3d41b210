"""The rights that the operator cannot do without: what the chart grants, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from spillway.domain.doctor.rights import RIGHTS, Right, missing_rights

ROLES = Path(__file__).resolve().parents[4] / "charts/spillway/templates/rbac"


def granted(file: str) -> Iterator[tuple[str, str, str]]:
    """The (group, resource, verb) that a template grants, whatever its values are."""
    text = re.sub(r"^ *\{\{.*\}\}$", "", (ROLES / file).read_text(), flags=re.MULTILINE)
    text = re.sub(r"\{\{.*?\}\}", "", text)
    for document in yaml.safe_load_all(text):
        for rule in (document or {}).get("rules") or ():
            yield from (
                (group, resource, verb)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
            )


@pytest.mark.parametrize("right", RIGHTS, ids=str)
def test_the_chart_grants_it(right: Right) -> None:
    resource = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
    file = "role.yaml" if right.own_namespace else "clusterrole.yaml"

    assert (right.group, resource, right.verb) in set(granted(file))


def test_findings() -> None:
    assert list(missing_rights("a/b", [])) == []

    [found] = missing_rights("a/b", [Right("", "pods", "create", "eviction"), Right("apps", "replicasets", "patch")])
    assert found.message == "it may not create pods/eviction, patch replicasets.apps"
