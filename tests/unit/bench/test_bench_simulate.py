"""What `bench_simulate` writes, from a day of four workloads: its keys, and that moves cost no eviction and no dip."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.bench_simulate import main, ratios


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = tmp_path_factory.mktemp("bench") / "folder" / "simulate.json"
    main(days=1, seeds=1, workloads=4, output=output)
    found: dict[str, Any] = json.loads(Path(output).read_text())
    return found


def test_each_contender_is_a_top_level_key(figures: dict[str, Any]) -> None:
    contenders = {"plain", "flat", "spillway", "plain_drain", "spillway_moves", "clairvoyant"}
    assert set(figures) == contenders | {"moves_ratios", "ratios", "ran"}
    assert all(figures[name]["elastic_node_hours"] > 0 for name in contenders)
    for name in ("plain", "flat", "spillway"):
        assert {"drain", "karpenter_when_empty"} <= set(figures[name])
    assert set(figures["ratios"]) == {"no_drain", "drain", "karpenter_when_empty"}


def test_moves_empty_nodes_without_an_eviction_and_without_a_dip(figures: dict[str, Any]) -> None:
    moves = figures["spillway_moves"]
    assert moves["moves"] > 0
    assert (moves["evictions"], moves["dips"], moves["by_seed"]["evictions"]) == (0, 0, [0])
    assert figures["plain_drain"]["evictions"] > 0, "the autoscaler of this contender drains"


def test_moves_need_fewer_nodes_than_no_moves_and_no_fewer_than_is_possible(figures: dict[str, Any]) -> None:
    hours = {name: figures[name]["elastic_node_hours"] for name in ("plain", "spillway", "spillway_moves")}
    possible = figures["clairvoyant"]["elastic_node_hours"]
    assert possible <= hours["spillway_moves"] < hours["spillway"] < hours["plain"]
    assert figures["moves_ratios"]["elastic_node_hours_vs_clairvoyant"] == round(hours["spillway_moves"] / possible, 3)


def test_there_is_no_ratio_to_a_contender_that_used_nothing() -> None:
    def used(nodes: float, virtual: list[float]) -> dict[str, Any]:
        total = {"elastic_node_hours": 2 * nodes, "virtual_pod_hours": sum(virtual)}
        return total | {"by_seed": {"elastic_node_hours": [nodes, nodes], "virtual_pod_hours": virtual}}

    ours, plain, flat = used(3.0, [2.0, 1.0]), used(4.0, [0.0, 4.0]), used(4.0, [0.0, 0.0])
    found = ratios({"spillway": ours, "plain": plain, "flat": flat})
    assert found["elastic_node_hours_vs_plain"] == {"all": 0.75, "by_seed": [0.75, 0.75], "mean": 0.75, "stdev": 0.0}
    assert found["virtual_pod_hours_vs_plain"] == {"all": 0.75, "by_seed": [None, 0.25], "mean": 0.25, "stdev": 0.0}
    assert found["virtual_pod_hours_vs_flat"] == {"all": None, "by_seed": [None, None], "mean": None, "stdev": 0.0}
