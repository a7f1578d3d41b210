"""Each file of examples/ as a reader applies it: alone, under the chart's webhooks, with the operator running."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from harness import Installation
from localcluster import ClusterApi
from localcluster.rest import Object
from tests.support.e2e import Start
from tests.support.installed import API, eventually

EXAMPLES = Path(__file__).parents[2] / "examples"
PLURALS = {
    "ElasticPolicy": "elasticpolicies",
    "VirtualNodeBudget": "virtualnodebudgets",
    "ZonalBalance": "zonalbalances",
}


def test_every_example_is_taken_and_gets_a_status_without_a_conflict(start: Start, cluster: ClusterApi) -> None:
    operator = start(1, "--status-seconds=0.5")
    paths = sorted(EXAMPLES.rglob("*.yaml"))
    assert paths
    eventually(lambda: validated(operator, cluster, paths[:1]) == 1, "the API server to ask the webhooks")
    for path in paths:
        said = validated(operator, cluster, [path])
        ours = [item for item in documents(path) if item["kind"] in PLURALS]
        assert ours, path.name
        assert said == len(ours), f"{path.name}: the webhooks were asked about each"
        text = path.read_text(encoding="utf-8")
        try:
            cluster.apply(text)
            for item in ours:
                found = eventually(partial(conditions, cluster, item), f"a status of {path.name}")
                reasons = {kind: one["reason"] for kind, one in found.items()}
                assert not [reason for reason in reasons.values() if "Conflict" in reason], (path.name, found)
        finally:
            cluster.delete(text)


def documents(path: Path) -> Iterator[Object]:
    return (item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item)


def validated(operator: Installation, cluster: ClusterApi, paths: list[Path]) -> float:
    """How often the webhooks are asked when these are applied, which they are not."""

    def asked() -> float:
        return sum(operator.total("spillway_admission_outcomes_total", webhook=plural) for plural in PLURALS.values())

    before = asked()
    for path in paths:
        cluster.apply(path.read_text(encoding="utf-8"), "--dry-run=server")
    return asked() - before


def conditions(cluster: ClusterApi, item: Object) -> Mapping[str, Mapping[str, Any]]:
    """By type, once there is a Ready for what was applied; else empty."""
    body = cluster.rest.get(f"{API}/{PLURALS[item['kind']]}/{item['metadata']['name']}")
    found = {one["type"]: one for one in body.get("status", {}).get("conditions") or []}
    current = found.get("Ready", {}).get("observedGeneration") == body["metadata"]["generation"]
    return found if current else {}
