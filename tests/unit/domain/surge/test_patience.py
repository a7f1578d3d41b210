"""How long a surge waits: as long as the Deployment lets a replica take, within bounds."""

from typing import Any

import pytest

from spillway.domain.surge.patience import (
    DEFAULT_READY_SECONDS,
    LONGEST_AVAILABLE_SECONDS,
    LONGEST_READY_SECONDS,
    patience_seconds,
)

NEVER = 2**31 - 1
"""A Deployment with this `progressDeadlineSeconds` has no deadline."""


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        pytest.param({}, 300, id="a ReplicaSet without an owner has no deadline"),
        pytest.param({"progressDeadlineSeconds": None, "minReadySeconds": None}, 300, id="empty fields"),
        pytest.param(
            {"progressDeadlineSeconds": DEFAULT_READY_SECONDS}, 600, id="what the API server stores by default"
        ),
        pytest.param({"progressDeadlineSeconds": 60}, 300, id="a deadline shorter than the flag"),
        pytest.param({"progressDeadlineSeconds": 1200}, 1200, id="starts slowly"),
        pytest.param({"progressDeadlineSeconds": 7200}, LONGEST_READY_SECONDS, id="a huge deadline"),
        pytest.param({"progressDeadlineSeconds": NEVER}, LONGEST_READY_SECONDS, id="no deadline"),
        pytest.param({"minReadySeconds": 30}, 330, id="available later than ready"),
        pytest.param({"progressDeadlineSeconds": 600, "minReadySeconds": 30}, 630, id="both"),
        pytest.param(
            {"progressDeadlineSeconds": NEVER, "minReadySeconds": NEVER},
            LONGEST_READY_SECONDS + LONGEST_AVAILABLE_SECONDS,
            id="the most of both",
        ),
    ],
)
def test_the_patience_of_a_surge(spec: dict[str, Any], seconds: float) -> None:
    assert patience_seconds(spec, 300.0) == seconds


def test_a_longer_time_of_the_flag_is_not_bounded_by_that_of_deployments() -> None:
    assert patience_seconds({"progressDeadlineSeconds": 600}, 2 * LONGEST_READY_SECONDS) == 2 * LONGEST_READY_SECONDS
