"""The selectors of queries."""

from spillway.sources.connection import Connection
from spillway.sources.selectors import filled_in, selector, with_matchers

SHARED = Connection(url="http://prometheus:9090", matchers={"cluster": "prod-1"})
ALONE = Connection(url="http://prometheus:9090")


def test_a_selector_of_several_workloads_in_one_cluster() -> None:
    found = selector(SHARED, "kube_deployment_spec_replicas", "deployment", ["pay.v2", "cart", "cart"])

    assert found == 'kube_deployment_spec_replicas{deployment=~"cart|pay\\\\.v2",cluster="prod-1"}'
    assert selector(SHARED, "up") == 'up{cluster="prod-1"}'


def test_a_users_query_names_the_matchers_itself() -> None:
    query = 'sum(rps{$(matchers),namespace="$(namespace)",app="$(workload)"}) + sum(other)'

    mine = filled_in(query, "Deployment/shop/cart")

    assert with_matchers(mine, SHARED) == 'sum(rps{cluster="prod-1",namespace="shop",app="cart"}) + sum(other)'
    assert with_matchers(mine, ALONE) == 'sum(rps{job=~".*",namespace="shop",app="cart"}) + sum(other)'
