from collections.abc import Mapping
from typing import Any

import pytest

from spillway.kube.paths import ObjectKey
from spillway.kube.volumes import ClaimVolume, volume_of_claim

CLAIM = "/api/v1/namespaces/shop/persistentvolumeclaims/data"
VOLUME = "/api/v1/persistentvolumes/pv-1"
BOUND: dict[str, Any] = {"spec": {"volumeName": "pv-1"}}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ({}, ClaimVolume.UNKNOWN),
        ({CLAIM: {}}, ClaimVolume.UNBOUND),
        ({CLAIM: {"spec": {"volumeName": ""}}}, ClaimVolume.UNBOUND),
        ({CLAIM: BOUND}, ClaimVolume.UNKNOWN),
        ({CLAIM: BOUND, VOLUME: {"spec": {"local": {"path": "/disk"}}}}, ClaimVolume.LOCAL),
        ({CLAIM: BOUND, VOLUME: {"spec": {"hostPath": {"path": "/disk"}}}}, ClaimVolume.LOCAL),
        ({CLAIM: BOUND, VOLUME: {"spec": {"csi": {"driver": "disk"}}}}, ClaimVolume.SHARED),
    ],
)
async def test_what_a_claim_says_of_its_volume(objects: Mapping[str, Any], expected: ClaimVolume) -> None:
    async def get(wanted: ObjectKey) -> Any:
        return objects.get(wanted.path)

    assert await volume_of_claim("shop", "data", get) is expected
