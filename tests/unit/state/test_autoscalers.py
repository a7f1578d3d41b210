from typing import Any

import msgspec

from spillway.domain.scaling.autoscalers import AutoscalerRecord
from spillway.state.autoscalers import Autoscalers


def autoscaler(name: str = "cart", **changes: Any) -> AutoscalerRecord:
    record = AutoscalerRecord(f"uid-{name}", "shop", name, "Deployment", "cart", 2, 10, ("cpu",))
    return msgspec.structs.replace(record, **changes)


def test_they_are_found_by_the_workload_that_they_scale() -> None:
    found = Autoscalers()
    found.apply(autoscaler("b"))
    found.apply(autoscaler("a"))
    found.apply(autoscaler("other", target_name="other"))
    first = found.of("Deployment/shop/cart")
    assert first is not None
    assert first.name == "a"
    found.remove("uid-a")
    found.apply(autoscaler("b", target_name="moved"))
    assert found.of("Deployment/shop/cart") is None
    assert found.of("Deployment/shop/moved") == autoscaler("b", target_name="moved")


def test_it_is_known_whether_some_were_created_by_spillway() -> None:
    found = Autoscalers()
    # A copy under another name is the user's.
    found.apply(autoscaler("copy", policy="online"))
    assert not found.some_are_ours
    found.apply(autoscaler("spillway-deployment-cart", policy="online"))
    assert found.some_are_ours


def test_changes_are_told_and_nothing_else() -> None:
    found, told = Autoscalers(), []
    found.changed.subscribe(lambda: told.append(len(found.all)))
    found.apply(autoscaler())
    found.apply(autoscaler())
    assert told == [1]
    found.apply(autoscaler(maximum=20))
    found.remove("uid-unknown")
    assert told == [1, 1]


def test_a_complete_list_removes_what_is_gone() -> None:
    found = Autoscalers()
    found.apply(autoscaler("a"))
    found.apply(autoscaler("b"))
    assert not found.known
    found.keep(["uid-b"])
    assert found.known
    assert [one.name for one in found.all.values()] == ["b"]
    found.clear()
    assert (found.known, dict(found.all), found.of("Deployment/shop/cart")) == (False, {}, None)
