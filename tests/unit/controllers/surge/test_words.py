"""The lines of a status about workloads, of which anybody can give the kind and the name."""

import pytest

from spillway.api.consolidation import ConsolidationStatus
from spillway.api.elasticpolicy import WorkloadThreshold
from spillway.api.forecast import WorkloadForecast
from spillway.api.virtualnodebudget import WorkloadUse
from spillway.api.zonalbalance import Moves
from spillway.controllers.surge.words import left_lines
from spillway.domain.model.owners import workload_key
from spillway.domain.surge.hindrance import Left
from spillway.domain.surge.steps import SurgeOutcome
from tests.unit.kube.test_decode import record

OWNER = {"apiVersion": "v1", "kind": "K" * 63, "name": "n" * 253, "uid": "u", "controller": True}


@pytest.mark.parametrize("reason", [*Left, *SurgeOutcome])
def test_the_longest_key_of_a_workload_fits_into_each_status(reason: Left | SurgeOutcome) -> None:
    pod = record(metadata={"namespace": "s" * 63, "ownerReferences": [OWNER]})
    key = workload_key(pod.owner_kind, pod.namespace, pod.owner_name)
    assert len(key) == 63 + 63 + 253 + 2
    lines = left_lines({key: reason})
    assert ConsolidationStatus(left=lines).left == Moves(left=lines).left == lines
    assert WorkloadUse(workload=key).workload == WorkloadThreshold(workload=key).workload == key
    assert WorkloadForecast(workload=key, present="1", highest="1").workload == key
