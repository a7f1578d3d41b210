"""A world for controllers without an API server: the real state, catalog and governance, filled by hand."""

from collections.abc import Iterable, Mapping
from typing import Any

from spillway.controllers.base import World
from spillway.state.board import Board
from spillway.state.catalog import Catalog, Kind
from spillway.state.cluster import ClusterState, Record
from spillway.state.mark_proof import MarkProof
from spillway.state.node_places import NodePlaces
from spillway.state.pool_membership import PoolMembership
from tests.builders import make_namespace
from tests.support.fake_clock import FakeClock

__all__ = ["ELASTIC", "Record", "make_world", "policy_resource", "resource"]


def resource(kind: Kind, name: str, *, version: int = 1, **spec: Any) -> dict[str, Any]:
    """One of our resources as the API server gives it; the version stands for its age as well."""
    return {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": str(kind),
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "generation": version,
            "resourceVersion": str(version),
            "creationTimestamp": f"2026-01-01T00:{version // 60:02}:{version % 60:02}Z",
        },
        "spec": spec,
    }


def policy_resource(name: str = "online", *, mode: str = "Enforce", version: int = 1, **tiers: Any) -> dict[str, Any]:
    """An ElasticPolicy that governs every workload."""
    return resource(Kind.ELASTIC_POLICY, name, version=version, mode=mode, tiers=tiers, workloads=[{"name": "default"}])


def team_policy(mode: str = "Enforce") -> dict[str, Any]:
    """An ElasticPolicy that governs the workloads of namespaces with the label `team: a`."""
    raw = policy_resource(mode=mode)
    raw["spec"]["workloads"] = [{"name": "default", "match": {"namespaces": {"matchLabels": {"team": "a"}}}}]
    return raw


ELASTIC = {"nodeSelector": {"matchLabels": {"pool": "elastic"}}}


EVENING = {"name": "evening", "start": "0 18 * * *", "duration": "5h", "replicas": 4}
EXACT = {"scheduleOnly": True, "minReplicas": 2, "schedules": [EVENING]}
"""`scaling` of a class whose workloads have exactly the replicas of their schedules."""


def exact(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The policy, with `scheduleOnly` in its first class."""
    first, *others = policy["spec"]["workloads"]
    return {**policy, "spec": {**policy["spec"], "workloads": [{**first, "scaling": EXACT}, *others]}}


def make_world(
    records: Iterable[Record],
    resources: Iterable[Mapping[str, Any]],
    clock: FakeClock,
    *,
    proof: MarkProof | None = None,
) -> World:
    """A world that is whole and fresh."""
    state = ClusterState(clock=clock.now, now=clock.now)
    for record in (make_namespace("shop"), *records):
        state.apply(record)
    state.mark_synced()
    catalog = Catalog()
    for kind in Kind:
        catalog.replace(kind, [one for one in resources if one["kind"] == kind], 50)
    places = NodePlaces(state, lambda: catalog.governance, clock.now, now=clock.now)
    membership = PoolMembership(state, lambda: catalog.governance, proof=proof)
    return World(state, catalog, places, clock.now, Board(clock.now), membership)
