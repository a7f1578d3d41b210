"""The start-up of a node, by the headroom or else by the class."""

import pytest

from spillway.api.headroom import Headroom
from spillway.api.scaling import Forecast
from spillway.domain.headroom.startup import node_startup_seconds


@pytest.mark.parametrize(
    ("headroom", "forecast", "seconds"),
    [
        pytest.param({"nodeStartup": "6m"}, {"startup": "20s"}, 360.0, id="given"),
        pytest.param({"nodeStartup": "6m"}, None, 360.0, id="given, without a forecast"),
        pytest.param({}, {"startup": "20s"}, 20.0, id="that of a replica"),
        pytest.param({}, {}, 180.0, id="that of a replica by default"),
        pytest.param({"nodeStartup": "0s"}, {"startup": "20s"}, 20.0, id="0s is left out"),
        pytest.param({}, {"startup": "0s"}, 180.0, id="a node takes some time in any case"),
        pytest.param({}, None, 180.0, id="nothing names one"),
        pytest.param({"nodeStartup": "3d"}, None, 86_400.0, id="a day at most"),
    ],
)
def test_the_start_up_of_a_node(headroom: dict[str, str], forecast: dict[str, str] | None, seconds: float) -> None:
    of_class = None if forecast is None else Forecast.model_validate(forecast)
    assert node_startup_seconds(Headroom.model_validate(headroom), of_class) == seconds
