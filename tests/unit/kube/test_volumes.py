"""What is read of a claim, its volume and its class."""

from collections.abc import Mapping
from typing import Any

import pytest

from spillway.domain.fit.volume_reach import VolumeReach
from spillway.kube.paths import ObjectKey
from spillway.kube.volumes import reach_of_claim

CLAIM = "/api/v1/namespaces/shop/persistentvolumeclaims/data"
VOLUME = "/api/v1/persistentvolumes/pv-1"
CLASS = "/apis/storage.k8s.io/v1/storageclasses/disk"
BOUND: dict[str, Any] = {"spec": {"volumeName": "pv-1", "storageClassName": "disk"}}
OF_CLASS: dict[str, Any] = {"spec": {"storageClassName": "disk"}}
STATIC = {"volumeBindingMode": "WaitForFirstConsumer", "provisioner": "kubernetes.io/no-provisioner"}
ANYWHERE = VolumeReach("data")


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param({}, None, id="no claim"),
        pytest.param({CLAIM: {}}, ANYWHERE, id="unbound, without a class"),
        pytest.param({CLAIM: {"spec": {"volumeName": ""}}}, ANYWHERE, id="an empty name"),
        pytest.param({CLAIM: OF_CLASS}, ANYWHERE, id="no such class"),
        pytest.param({CLAIM: OF_CLASS, CLASS: STATIC}, VolumeReach("data", local=True), id="by its class"),
        pytest.param({CLAIM: BOUND, CLASS: STATIC}, None, id="no volume"),
        pytest.param(
            {CLAIM: BOUND, VOLUME: {"spec": {"local": {"path": "/disk"}}}},
            VolumeReach("data", bound=True, local=True),
            id="local",
        ),
        pytest.param(
            {CLAIM: BOUND, CLASS: STATIC, VOLUME: {"spec": {"csi": {"driver": "disk"}}}},
            VolumeReach("data", bound=True),
            id="once bound the volume says it",
        ),
    ],
)
async def test_what_is_read_of_a_claim(objects: Mapping[str, Any], expected: VolumeReach | None) -> None:
    async def get(wanted: ObjectKey) -> Any:
        return objects.get(wanted.path)

    assert await reach_of_claim("shop", "data", get) == expected
