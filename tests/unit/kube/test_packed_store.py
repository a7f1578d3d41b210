"""Values that are kept for the next leader: what was written is read, and nothing that is not whole."""

import random
from typing import Any

import msgspec
import pytest

from spillway.kube.packed_store import LOAD_CLASSES, THRESHOLDS, DoesNotFitError, kept_paths, packed, unpacked

VALUE = {f"Deployment/shop/web-{index}": random.Random(index).random() for index in range(400)}
KIND = dict[str, float]


def cut(size: int = 2000) -> list[dict[str, Any]]:
    return packed(msgspec.json.encode(VALUE), LOAD_CLASSES, 1000.0, chunk_bytes=size)


def test_a_value_in_several_config_maps_is_read_again() -> None:
    parts = cut()
    assert [one["metadata"]["name"] for one in parts] == [
        f"spillway-load-classes-{index}" for index in range(len(parts))
    ]
    assert len(parts) > 1
    assert unpacked(parts, KIND) == VALUE


@pytest.mark.parametrize("broken", ["missing", "of another value", "cut off", "of another form", "none"])
def test_what_is_not_whole_is_ignored(broken: str) -> None:
    parts = cut()
    match broken:
        case "missing":
            parts.pop()
        case "of another value":
            parts[-1] = packed(msgspec.json.encode(VALUE), LOAD_CLASSES, 2000.0, chunk_bytes=2000)[-1]
        case "cut off":
            parts[0] = {**parts[0], "binaryData": {"plan.json.gz": "AAAA"}}
        case "none":
            parts = []
        case _:
            assert unpacked(parts, dict[str, list[int]]) is None
            return
    assert unpacked(parts, KIND) is None


def test_a_value_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(DoesNotFitError, match="spillway-load-classes"):
        cut(100)


def test_all_that_may_be_kept_is_known_to_an_uninstall() -> None:
    paths = kept_paths("spillway-system")
    assert len(paths) == len(set(paths)) == 16
    for prefix in (THRESHOLDS, LOAD_CLASSES):
        assert f"/api/v1/namespaces/spillway-system/configmaps/{prefix}7" in paths
