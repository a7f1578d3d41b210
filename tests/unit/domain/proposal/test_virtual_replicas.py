"""How many replicas a proposal has for virtual nodes."""

from typing import Any

import pytest

from spillway.api.elasticpolicy import Placement
from spillway.domain.proposal.virtual_replicas import replicas_for_virtual


@pytest.mark.parametrize(
    ("placement", "threshold", "more", "found"),
    [
        pytest.param({}, 6, {}, 4, id="those beyond the threshold"),
        pytest.param({}, 12, {"present": 0}, 0, id="none below it"),
        pytest.param({}, None, {"present": 0}, 0, id="none without a threshold"),
        pytest.param({"virtual": "Always"}, 6, {}, 10, id="always"),
        pytest.param({"virtual": "Never", "bringBack": True}, 0, {}, 0, id="never"),
        pytest.param({"bringBack": True}, 0, {"suitable": False}, 0, id="pods that may not run there"),
        pytest.param({}, 6, {"pool_open": False}, 2, id="no pool takes more"),
        pytest.param({"bringBack": True}, 9, {}, 1, id="others are brought back"),
        pytest.param({"bringBack": False}, 9, {}, 2, id="nothing is brought back"),
    ],
)
def test_the_replicas_for_virtual_nodes(
    placement: dict[str, Any], threshold: int | None, more: dict[str, Any], found: int
) -> None:
    given: dict[str, Any] = {"present": 2, "suitable": True, "pool_open": True, **more}
    assert replicas_for_virtual(Placement.model_validate(placement), 10, threshold, **given) == found
