"""Extended resources are summed as each resource by itself is, in one pass over the containers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.fit import requests
from spillway.domain.fit.requests import extended_requests, requested

NAMES = ("vendor.example/gpu", "vendor.example/nic", "hugepages-2Mi", "ephemeral-storage", "cpu")
amounts = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4).map(str), max_size=3)
resources = st.fixed_dictionaries({}, optional={"requests": amounts, "limits": amounts})
container = st.fixed_dictionaries(
    {}, optional={"resources": resources, "restartPolicy": st.sampled_from(["Always", None])}
)
specs = st.fixed_dictionaries(
    {"containers": st.lists(container, max_size=3)},
    optional={"initContainers": st.lists(container, max_size=4), "resources": resources, "overhead": amounts},
)


@given(specs)
def test_the_sum_of_each_resource_is_that_of_the_resource_alone(spec: dict[str, Any]) -> None:
    alone = {name: requested(spec, name) for name in sorted(NAMES) if name != "cpu"}
    found = extended_requests(spec)
    assert found == {name: amount for name, amount in alone.items() if amount}
    assert list(found) == sorted(found)


def test_thousands_of_containers_with_a_resource_each_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    before = requests.container_request

    def counted(one: Any, name: str) -> int:
        looks.append(name)
        return before(one, name)

    monkeypatch.setattr(requests, "container_request", counted)
    many = [{"resources": {"limits": {f"vendor.example/r{index:04}": "1"}}} for index in range(2000)]
    assert len(extended_requests({"containers": many, "initContainers": many})) == len(many)
    assert len(looks) == 2 * len(many)
