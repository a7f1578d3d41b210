"""What the foresight bench lays into a cluster: the contenders differ in what is compared, and in nothing else."""

from typing import Any

from spillway.api.elasticpolicy import ElasticPolicy
from tests.bench.foresight_stage import METRIC, Foresight, autoscaler, deployment, policy


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
