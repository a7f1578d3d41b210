"""Our selectors against the API server's own: the same objects are selected."""

import random
from typing import Any

import pytest

from localcluster import ClusterApi
from spillway.api.common import LabelSelector
from spillway.domain.model.selectors import selects

pytestmark = pytest.mark.cluster

WRITTEN = {"In": "{key} in ({values})", "NotIn": "{key} notin ({values})", "Exists": "{key}", "DoesNotExist": "!{key}"}


def test_the_server_selects_the_same_objects(cluster: ClusterApi, namespace: str) -> None:
    chance = random.Random(20261111)
    labels = {
        f"object-{number}": {key: chance.choice(["", "1", "2"]) for key in "abc" if chance.random() < 0.6}
        for number in range(40)
    }
    cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, "labels": found}}
        for name, found in labels.items()
    )
    for _ in range(25):
        asked = [_requirement(chance) for _ in range(chance.randint(1, 3))]
        text = ",".join(
            WRITTEN[one["operator"]].format(key=one["key"], values=",".join(one.get("values", ()))) for one in asked
        )
        answer = cluster.kubectl("-n", namespace, "get", "configmaps", "-l", text, "-o", "name")
        selected = {line.removeprefix("configmap/") for line in answer.split()} & set(labels)
        ours = LabelSelector.model_validate({"matchExpressions": asked})
        assert selected == {name for name, found in labels.items() if selects(ours, found)}, text


def _requirement(chance: random.Random) -> dict[str, Any]:
    operator = chance.choice(list(WRITTEN))
    values = {"values": chance.sample(["1", "2", "3"], chance.randint(1, 2))} if operator.endswith("In") else {}
    return {"key": chance.choice("abc"), "operator": operator, **values}
