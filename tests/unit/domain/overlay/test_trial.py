"""The pod on which an overlay is tried, and the field of the overlay that a fault is about."""

import pytest

from spillway.domain.overlay.trial import overlay_field, trial_pod
from tests.unit.domain.overlay.overlay_cases import FULL, overlay

POOL = "eci"
GIVEN = overlay(**FULL, volumes=[{"name": "scratch", "emptyDir": {}}])
POD = trial_pod("trial", GIVEN, pool=POOL)


def _index(kind: str, name: str) -> int:
    return next(index for index, one in enumerate(POD["spec"][kind]) if one["name"] == name)


def test_the_trial_pod_has_everything_that_the_overlay_adds() -> None:
    spec = POD["spec"]
    assert {"scratch", "spillway-core-dumps", "spillway-logs-data"} <= {one["name"] for one in spec["volumes"]}
    assert [one["name"] for one in spec["initContainers"]] == ["proxy", "spillway-logs"]
    assert POD["metadata"]["labels"] == {"compute": "serverless"}
    assert spec["dnsConfig"]["nameservers"] == ["10.0.0.2"]
    assert "REGION" in {one["name"] for one in spec["containers"][0]["env"]}


@pytest.mark.parametrize(
    ("pod_field", "expected"),
    [
        ("metadata.annotations", "annotations"),
        ("metadata.labels", "labels"),
        ("spec.dnsConfig.nameservers[0]", "dnsConfig.nameservers[0]"),
        ("spec.tolerations[1].operator", "tolerations[1].operator"),
        ("spec.containers[0].volumeMounts[3].mountPath", "coreDump.path"),
        (f"spec.initContainers[{_index('initContainers', 'proxy')}].image", "sidecars[0].image"),
        (f"spec.initContainers[{_index('initContainers', 'spillway-logs')}].image", "logs"),
        (f"spec.volumes[{_index('volumes', 'scratch')}]", "volumes[0]"),
        (f"spec.volumes[{_index('volumes', 'spillway-core-dumps')}].nfs.path", "coreDump.volume.nfs.path"),
        (f"spec.volumes[{_index('volumes', 'spillway-logs-data')}]", "logs"),
    ],
)
def test_a_fault_of_the_pod_is_one_of_the_overlay(pod_field: str, expected: str) -> None:
    assert overlay_field(pod_field, GIVEN, POD) == f"spec.podOverlay.{expected}"


def test_a_variable_is_found_by_its_name() -> None:
    names = [one["name"] for one in POD["spec"]["containers"][0]["env"]]
    found = overlay_field(f"spec.containers[0].env[{names.index('REGION')}].value", GIVEN, POD)
    index = [env.name for env in GIVEN.env].index("REGION")
    assert found == f"spec.podOverlay.env[{index}].value"


def test_what_is_not_clear_names_the_overlay() -> None:
    assert overlay_field("spec.hostname", GIVEN, POD) == "spec.podOverlay"
