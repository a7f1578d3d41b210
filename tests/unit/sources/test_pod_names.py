"""Which pods are a workload's, by the names that Kubernetes makes."""

import random
import re

import pytest
import yaml

from harness.chart import CHART
from spillway.domain.forecast.refresh import DemandSource
from spillway.sources.pod_names import pod_names
from spillway.sources.prometheus_use import CONTAINERS, USED

RULES = CHART / "files" / "monitoring" / "rules.yaml"

SAFE = "bcdfghjklmnpqrstvwxz2456789"


def belongs(workload: str, pod: str) -> bool:
    names = pod_names(workload)
    return re.fullmatch(re.escape(names.stem) + names.suffix, pod) is not None


def generated(base: str, dice: random.Random) -> str:
    """As `k8s.io/apiserver/pkg/storage/names` does it."""
    return base[:58] + "".join(dice.choice(SAFE) for _ in range(5))


def hashed(dice: random.Random) -> str:
    """As `k8s.io/apimachinery/pkg/util/rand.SafeEncodeString` does it with the digits of a number of 32 bits."""
    return "".join(SAFE[ord(digit) % len(SAFE)] for digit in str(dice.randrange(2**32)))


@pytest.mark.parametrize("length", [1, 3, 30, 45, 46, 47, 50, 57, 58, 63])
def test_the_pods_of_a_deployment_also_of_one_with_a_long_name(length: int) -> None:
    dice = random.Random(length)
    name = "w" * length
    for _ in range(200):
        replicaset = f"{name}-{hashed(dice)}"
        pod = generated(f"{replicaset}-", dice)
        assert belongs(f"Deployment/shop/{name}", pod)
        assert belongs(f"Rollout/shop/{name}", pod)
        assert belongs(f"ReplicaSet/shop/{replicaset}", pod)
        assert not belongs(f"Deployment/shop/v{name}", pod)


@pytest.mark.parametrize(
    ("workload", "pod", "its"),
    [
        ("StatefulSet/shop/db", "db-0", True),
        ("StatefulSet/shop/db", "db-12", True),
        ("StatefulSet/shop/db", "db-a-0", False),
        ("StatefulSet/shop/db", "db-7d4b9c6f5d-2xk8p", False),
        ("ReplicationController/shop/legacy", "legacy-2xk8p", True),
        ("ReplicationController/shop/legacy", "legacy-7d4b9c6f5d-2xk8p", False),
        ("DeploymentConfig/shop/front", "front-3-2xk8p", True),
        ("DeploymentConfig/shop/front", "front-3-deploy", False),
        ("Deployment/shop/web", "web-api-7d4b9c6f5d-2xk8p", False),
        ("Deployment/shop/web", "web-0", False),
        ("Deployment/shop/web", "web-2xk8p", False),
        ("Deployment/shop/web.v2", "web-v2-7d4b9c6f5d-2xk8p", False),
    ],
)
def test_whose_pod_it_is(workload: str, pod: str, its: bool) -> None:  # noqa: FBT001
    assert belongs(workload, pod) is its


@pytest.mark.parametrize("source", [DemandSource.CPU, DemandSource.MEMORY])
def test_the_rules_of_the_chart_name_workloads_as_the_operator_asks_for_them(source: DemandSource) -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}
    expression = rules[USED[source].rule]

    metric = USED[source].containers.replace("{}", "{" + CONTAINERS.replace(",", ", ") + "}")
    assert f"max by (cluster, namespace, pod, container) ({metric})" in expression
    named = re.findall(r'"workload", "(\w+)/\$1", "pod", "\(\.\+\)([^"]+)"', expression)
    # A later replacement wins, so the most specific pattern is the last.
    assert named == [
        (pod_names(f"{kind}/shop/x").rule.partition("/")[0], pod_names(f"{kind}/shop/x").suffix)
        for kind in ("ReplicaSet", "StatefulSet", "DeploymentConfig", "Deployment")
    ]
