"""The catalog: what arrives late, twice or broken."""

from typing import Any

import pytest

from spillway.domain.policies.governance import Governance
from spillway.state.catalog import Catalog, Kind

POLICY = Kind.ELASTIC_POLICY


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


def raw(name: str = "online", *, version: int = 10, generation: int = 1, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "ElasticPolicy",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "generation": generation,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"mode": "Enforce", "tiers": {}, "workloads": [{"name": "default"}], **spec},
    }


def names(catalog: Catalog) -> set[str]:
    return set(catalog.governance.policies)


def test_loaded_only_when_every_kind_was_listed(catalog: Catalog) -> None:
    for kind in Kind:
        assert not catalog.loaded
        catalog.replace(kind, [], 5)
    assert catalog.loaded


def test_an_event_and_a_list_meet(catalog: Catalog) -> None:
    catalog.upsert(POLICY, raw("a"))
    catalog.replace(POLICY, [raw("a"), raw("b")], 11)
    assert names(catalog) == {"a", "b"}


def test_a_list_takes_away_what_it_lacks(catalog: Catalog) -> None:
    catalog.upsert(POLICY, raw("a", version=10))
    catalog.replace(POLICY, [], 11)
    assert names(catalog) == set()


def test_an_old_list_takes_nothing_away_that_is_newer(catalog: Catalog) -> None:
    catalog.upsert(POLICY, raw("a", version=12))
    catalog.replace(POLICY, [], 11)
    assert names(catalog) == {"a"}


def test_an_old_list_brings_nothing_back(catalog: Catalog) -> None:
    catalog.upsert(POLICY, raw("a", version=10))
    catalog.delete(POLICY, "a", 12)
    catalog.replace(POLICY, [raw("a", version=10)], 11)
    assert names(catalog) == set()
    catalog.replace(POLICY, [raw("a", version=13)], 13)
    assert names(catalog) == {"a"}


def test_a_late_deletion_of_a_namesake_is_ignored(catalog: Catalog) -> None:
    catalog.upsert(POLICY, raw("a", version=20))
    catalog.delete(POLICY, "a", 15)
    assert names(catalog) == {"a"}


def test_a_late_event_is_ignored(catalog: Catalog) -> None:
    catalog.upsert(POLICY, raw("a", version=20, generation=3, mode="Enforce"))
    catalog.upsert(POLICY, raw("a", version=19, generation=2, mode="Recommend"))
    assert catalog.governance.policies["a"].spec.mode == "Enforce"


def test_subscribers_hear_of_specs_and_not_of_statuses(catalog: Catalog) -> None:
    heard: list[set[str]] = []
    unsubscribe = catalog.subscribe(lambda: heard.append(names(catalog)))
    catalog.upsert(POLICY, raw("a", version=1))
    catalog.upsert(POLICY, {**raw("a", version=2), "status": {"observedGeneration": 1}})
    assert heard == [{"a"}]
    assert catalog.entries(POLICY)["a"].status == {"observedGeneration": 1}
    catalog.upsert(POLICY, raw("a", version=3, generation=2))
    assert len(heard) == 2
    unsubscribe()
    catalog.delete(POLICY, "a")
    assert len(heard) == 2


def test_the_same_list_again_is_no_change(catalog: Catalog) -> None:
    catalog.replace(POLICY, [raw("a")], 11)
    compiled = catalog.governance
    catalog.replace(POLICY, [raw("a")], 12)
    assert catalog.governance is compiled


def test_what_does_not_parse_keeps_its_last_good_form(catalog: Catalog) -> None:
    catalog.upsert(POLICY, raw("a", version=1, mode="Enforce"))
    catalog.upsert(POLICY, raw("a", version=2, generation=2, mode="Perhaps"))
    catalog.upsert(POLICY, raw("b", version=3))
    assert catalog.governance.policies["a"].spec.mode == "Enforce"
    assert "spec.mode" in catalog.entries(POLICY)["a"].error
    assert names(catalog) == {"a", "b"}
    catalog.upsert(POLICY, raw("a", version=4, generation=3, mode="Recommend"))
    assert catalog.entries(POLICY)["a"].error == ""


def test_the_governance_is_compiled_once_for_many_changes() -> None:
    compiled: list[int] = []

    def compile_governance(*kinds: Any) -> Governance:
        compiled.append(len(kinds[0]))
        return Governance.compile(*kinds)

    catalog = Catalog(compile_governance)
    for number in range(20):
        catalog.upsert(POLICY, raw(f"p{number}"))
    assert len(names(catalog)) == 20
    assert compiled == [20]
