import pytest

from spillway.domain.scaling.autoscalers import METRIC, AutoscalerRecord
from spillway.domain.scaling.recommend import Autoscaler


@pytest.mark.parametrize(
    ("metrics", "others"),
    [
        (("cpu",), True),
        (("cpu", METRIC), True),
        ((METRIC,), False),
        (("s0-spillway-recommended-replicas",), False),
        (("spillway_scaling_recommended_replicas",), False),
    ],
)
def test_it_is_known_whether_another_metric_scales_the_workload(metrics: tuple[str, ...], *, others: bool) -> None:
    record = AutoscalerRecord("u", "shop", "cart", "Deployment", "cart", 2, 10, metrics)
    assert record.summary == Autoscaler("cart", 2, 10, other_metrics=others)
    assert (record.workload, record.key) == ("Deployment/shop/cart", "shop/cart")
