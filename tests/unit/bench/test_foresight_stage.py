"""What the foresight bench lays into a cluster: the contenders differ in what is compared, and in nothing else."""

from typing import Any

import pytest

from localcluster.karpenter import node_pool
from spillway.api.elasticpolicy import ElasticPolicy
from spillway.domain.doctor.autoscaler import check_node_pool
from tests.bench.foresight_stage import ELASTIC, METRIC, Foresight, autoscaler, deployment, elastic_taints, policy


def _same(found: dict[str, Any], contender: Foresight) -> str:
    return str(found).replace(f"'{contender.value}'", "it").replace(contender.namespace, "it")


def test_deployments_differ_in_names_alone() -> None:
    assert len({_same(deployment(one, "web", 3), one) for one in Foresight}) == 1


def test_only_those_that_foresee_read_the_recommended_replicas() -> None:
    read = {
        one: [metric["external"]["metric"]["name"] for metric in autoscaler(one, "web")["spec"]["metrics"][1:]]
        for one in Foresight
    }
    assert read == {Foresight.REACTIVE: [], Foresight.FLOOR: [METRIC], Foresight.SPILLWAY: [METRIC]}


def test_only_one_policy_enforces_and_has_headroom() -> None:
    floor, ours = (
        ElasticPolicy.model_validate(policy(one, startup="4m", window="10m", days=14))
        for one in (Foresight.FLOOR, Foresight.SPILLWAY)
    )
    assert (floor.spec.mode, floor.spec.headroom) == ("Recommend", None)
    assert ours.spec.mode == "Enforce"
    assert ours.spec.headroom is not None
    assert ours.spec.headroom.from_ == "Forecast"
    assert ours.spec.workloads[0].scaling == floor.spec.workloads[0].scaling


@pytest.mark.parametrize("contender", Foresight)
def test_the_doctor_has_nothing_to_say_of_the_node_pools(contender: Foresight) -> None:
    pool = node_pool(
        f"{contender.value}-elastic",
        zones=["zone-a"],
        labels={**contender.labels, ELASTIC: contender.value},
        taints=elastic_taints(contender),
        cpus=[4],
        consolidation="WhenEmpty",
        consolidate_after="30s",
        limit_cpu=None,
    )
    policies = [
        ElasticPolicy.model_validate(policy(one, startup="4m", window="10m", days=14))
        for one in Foresight
        if one.foresees
    ]
    assert list(check_node_pool(pool, policies)) == []
