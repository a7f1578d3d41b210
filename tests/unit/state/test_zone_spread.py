"""The template as it is admitted: planners see the same required spread that the webhook adds to the pod."""

from typing import Any

import pytest

from spillway.domain.fit.topology_spread import hard_constraints
from spillway.domain.model.documents import Json
from spillway.domain.model.names import ZONE_LABEL
from spillway.domain.policies.governance import Governance
from spillway.state.zone_spread import admitted_spec
from tests.builders import make_node, make_replicaset
from tests.support.json_patch import applied
from tests.support.placement import incoming, manual, placing
from tests.unit.webhooks.test_zones import PREFERENCE, SPREAD, TEAM_ZONE, governed, scene

LABELS = {"app": "web", "pod-template-hash": "abc"}
ADDED = {
    "topologyKey": ZONE_LABEL,
    "labelSelector": {"matchLabels": LABELS},
    "nodeTaintsPolicy": "Honor",
    "maxSkew": 2,
    "whenUnsatisfiable": "DoNotSchedule",
}
OWN: Json = {"maxSkew": 5, "topologyKey": ZONE_LABEL, "whenUnsatisfiable": "DoNotSchedule"}
RACKS: Json = {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
CLAIM: Json = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
ANYWAY: dict[str, Any] = {"maxSkew": 2, "zoneSpread": {"whenUnsatisfiable": "ScheduleAnyway"}}


@pytest.mark.parametrize(
    ("balance", "policy", "labels", "spec", "hard"),
    [
        pytest.param(SPREAD, None, {}, {}, [ADDED], id="no policy"),
        pytest.param(SPREAD, placing(manual(1)), {}, {}, [ADDED], id="placed on physical nodes"),
        pytest.param(SPREAD, placing(manual(1), mode="Recommend"), {}, {}, [], id="a policy in Recommend"),
        pytest.param(SPREAD | PREFERENCE, None, {}, {}, [ADDED], id="beside a preferred zone"),
        pytest.param(PREFERENCE, None, {}, {}, [], id="a preferred zone alone"),
        pytest.param(ANYWAY, None, {}, {}, [], id="ScheduleAnyway"),
        pytest.param(
            ANYWAY,
            None,
            {"spillway.dev/zone-spread": "DoNotSchedule"},
            {},
            [ADDED | {"labelSelector": {"matchLabels": LABELS | {"spillway.dev/zone-spread": "DoNotSchedule"}}}],
            id="required by the label",
        ),
        pytest.param(SPREAD, None, {"spillway.dev/zone-spread": "None"}, {}, [], id="None by the label"),
        pytest.param(SPREAD, None, {}, CLAIM, [], id="a volume that may be bound to a zone"),
        pytest.param(SPREAD, None, {}, {"topologySpreadConstraints": [OWN]}, [OWN], id="a constraint of its own"),
        pytest.param(SPREAD, None, {}, {"topologySpreadConstraints": [RACKS]}, [RACKS, ADDED], id="over racks as well"),
        pytest.param(SPREAD | {"zoneKey": TEAM_ZONE}, None, {}, {}, [], id="no node has the zone key"),
        pytest.param(SPREAD | {"match": {"kinds": ["StatefulSet"]}}, None, {}, {}, [], id="not selected"),
    ],
)
async def test_what_is_required_of_a_pod_is_what_the_webhook_adds_to_it(
    balance: dict[str, Any], policy: Governance | None, labels: dict[str, str], spec: Json, hard: list[Json]
) -> None:
    made = scene(balance, policy)
    made.state.apply(make_node("f3", labels={ZONE_LABEL: "b"}))
    owner = make_replicaset(replicas=100, labels=LABELS | labels)
    made.state.apply(owner)
    pod = incoming(**spec)
    pod["metadata"]["labels"] = LABELS | labels
    answer = await made.ask(pod)
    assert list(hard_constraints(applied(pod, answer.additions)["spec"])) == hard
    assert list(hard_constraints(admitted_spec(made.state, governed(balance, policy), owner, spec))) == hard
