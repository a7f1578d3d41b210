"""What an overlay adds to a pod, what it leaves, and what it says about that."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.api.podoverlay import PodOverlay
from spillway.domain.overlay.draft import Draft
from spillway.domain.overlay.plan import add_landing_variables, add_overlay
from tests.support.json_patch import applied
from tests.unit.domain.overlay.overlay_cases import FULL, Json, container, env_of, overlay, overlays, pod, pods

POOL = "pool-v"


def both(body: Mapping[str, Any], wanted: PodOverlay) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The pod and the conflicts after both, in the order in which they belong."""
    draft = overlaid(body, wanted)
    add_landing_variables(draft, [(POOL, wanted)])
    return draft.pod, draft.conflicts


def overlaid(body: Mapping[str, Any], wanted: PodOverlay) -> Draft:
    """The pod with the overlay, but for landing variables."""
    draft = Draft(body)
    add_overlay(draft, wanted, pool=POOL)
    return draft


def landed(body: Mapping[str, Any], overlays_by_pool: list[tuple[str, PodOverlay]]) -> Draft:
    """The pod with landing variables alone."""
    draft = Draft(body)
    add_landing_variables(draft, overlays_by_pool)
    return draft


def test_a_pod_gets_everything() -> None:
    result, conflicts = both(pod(), overlay(**FULL))
    spec = result["spec"]
    assert conflicts == ()
    assert result["metadata"]["labels"] == {"compute": "serverless"}
    assert (
        result["metadata"]["annotations"].items()
        >= {
            "provider.example.com/cache": "true",
            "provider.example.com/core": "/data/dump/core-%h-%p-%t",
        }.items()
    )
    assert [one["name"] for one in spec["initContainers"]] == ["proxy", "spillway-logs"]
    assert {one["restartPolicy"] for one in spec["initContainers"]} == {"Always"}
    assert {"name": "spillway-core-dumps", "mountPath": "/data/dump"} in spec["containers"][0]["volumeMounts"]
    assert (spec["dnsPolicy"], spec["dnsConfig"]["nameservers"]) == ("None", ["10.0.0.2"])
    assert env_of(result)["main"] == {
        "REGION": "b",
        "TIER": "metadata.annotations['spillway.dev/tier']",
        "ZONE": "metadata.annotations['landing.spillway.dev/zone']",
        "COLLECTOR": "metadata.annotations['landing.spillway.dev/env.COLLECTOR']",
    }


def test_a_pod_that_stays_physical_gets_the_landing_variables_alone() -> None:
    draft = landed(pod(), [(POOL, overlay(**FULL))])
    assert [addition.path for addition in draft.additions] == [
        ("spec", "containers", "0", "env"),
        ("spec", "containers", "0", "env", "-"),
        ("spec", "containers", "0", "env", "-"),
    ]


def test_every_container_gets_the_variables_also_init_containers_and_sidecars() -> None:
    body = pod(container("main"), container("helper"), init=(container("setup"),))
    result, _ = both(body, overlay(env=FULL["env"], sidecars=FULL["sidecars"]))
    assert set(env_of(result)) == {"setup", "proxy", "main", "helper"}
    for name, env in env_of(result).items():
        assert set(env) == {"TIER", "ZONE", "COLLECTOR", "REGION"}, name


def test_the_users_init_containers_stay_first() -> None:
    result, _ = both(pod(init=(container("setup"),)), overlay(sidecars=FULL["sidecars"]))
    assert [one["name"] for one in result["spec"]["initContainers"]] == ["setup", "proxy"]


def test_the_users_variables_keep_their_place_and_come_first() -> None:
    mine = [{"name": "MINE", "value": "$(REGION)"}]
    result, _ = both(pod(container(env=mine)), overlay(env=FULL["env"]))
    assert result["spec"]["containers"][0]["env"][0] == mine[0]


CONFLICTS: dict[str, tuple[Json, Json, str]] = {
    "an annotation": (
        pod(metadata={"annotations": {"a": "mine"}}),
        {"annotations": {"a": "yours"}},
        "annotations a is set by the pod",
    ),
    "a label": (pod(metadata={"labels": {"a": "mine"}}), {"labels": {"a": "yours"}}, "labels a is set by the pod"),
    "a variable": (
        pod(container(env=[{"name": "X", "value": "mine"}])),
        {"env": [{"name": "X", "value": "yours"}]},
        "env X of container main is set by the pod",
    ),
    "a variable from elsewhere": (
        pod(container(env=[{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])),
        {"env": [{"name": "X", "fromLanding": "tier"}]},
        "env X of container main is set by the pod",
    ),
    "a container": (
        pod(container("main"), container("proxy")),
        {"sidecars": [{"name": "proxy", "image": "other"}]},
        "container proxy is set by the pod",
    ),
    "an init container": (
        pod(init=(container("proxy"),)),
        {"sidecars": [{"name": "proxy", "image": "other"}]},
        "init container proxy is set by the pod",
    ),
    "the place of core dumps": (
        pod(container(volumeMounts=[{"name": "logs", "mountPath": "/data/dump"}])),
        {"coreDump": {"path": "/data/dump", "volume": {"emptyDir": {}}}},
        "mount /data/dump of container main is set by the pod",
    ),
    "a volume": (
        pod(volumes=[{"name": "spillway-core-dumps", "hostPath": {"path": "/x"}}]),
        {"coreDump": {"path": "/data/dump", "volume": {"emptyDir": {}}}},
        "volume spillway-core-dumps is set by the pod",
    ),
    "name servers": (
        pod(dnsConfig={"nameservers": ["10.9.9.9"]}),
        {"dnsConfig": {"nameservers": ["10.0.0.2"], "replace": True}},
        "dnsConfig.nameservers is set by the pod",
    ),
    "a resolver option": (
        pod(dnsConfig={"options": [{"name": "ndots", "value": "5"}]}),
        {"dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}},
        "dnsConfig option ndots is set by the pod",
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_what_the_user_set_stays_and_is_named(name: str) -> None:
    body, fields, sentence = CONFLICTS[name]
    result, conflicts = both(body, overlay(**fields))
    assert [said for said in conflicts if said.startswith(sentence) and POOL in said], conflicts
    mounted = {addition.path for addition in overlaid(body, overlay(**fields)).additions}
    assert not mounted - {("spec", "volumes", "-")}, "a volume that no one mounts, at most"
    assert result["spec"]["containers"] == body["spec"]["containers"]


def test_the_same_as_the_user_set_is_no_conflict() -> None:
    body = pod(
        container(env=[{"name": "REGION", "value": "b"}]),
        metadata={"annotations": {"provider.example.com/cache": "true"}},
    )
    wanted = overlay(annotations=FULL["annotations"], env=[FULL["env"][3]])
    draft = overlaid(body, wanted)
    assert (draft.additions, draft.conflicts) == ((), ())


def test_a_sidecar_that_sets_a_variable_itself_is_no_conflict() -> None:
    sidecar = {"name": "proxy", "image": "x", "env": [{"name": "TIER", "value": "any"}]}
    result, conflicts = both(pod(), overlay(env=FULL["env"], sidecars=[sidecar]))
    assert conflicts == ()
    assert env_of(result)["proxy"]["TIER"] == "any"


def test_a_second_round_adds_nothing_also_after_the_server_filled_in_defaults() -> None:
    result, _ = both(pod(), overlay(**FULL))
    defaulted = {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log"}
    token = {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
    every = [
        one | defaulted | {"volumeMounts": [*one.get("volumeMounts", ()), token]}
        for one in result["spec"]["initContainers"]
    ]
    stored = {**result, "spec": {**result["spec"], "initContainers": every}}
    for draft in (overlaid(stored, overlay(**FULL)), landed(stored, [(POOL, overlay(**FULL))])):
        assert (draft.additions, draft.conflicts) == ((), ())


@pytest.mark.parametrize(
    ("present", "fields", "policy"),
    [
        ("ClusterFirst", {"replace": True}, "None"),
        ("ClusterFirst", {"replace": False}, "ClusterFirst"),
        ("Default", {"replace": True}, "Default"),
    ],
)
def test_the_clusters_name_servers_are_replaced_only_on_request(present: str, fields: Json, policy: str) -> None:
    wanted = overlay(dnsConfig={"nameservers": ["10.0.0.2"], **fields})
    result, _ = both(pod(dnsPolicy=present), wanted)
    assert result["spec"]["dnsPolicy"] == policy


def test_of_two_pools_that_name_one_variable_differently_the_first_counts() -> None:
    pools = [
        ("a", overlay(env=[{"name": "WHERE", "fromLanding": "pool"}])),
        ("b", overlay(env=[{"name": "WHERE", "fromLanding": "zone"}, {"name": "NODE", "fromLanding": "node"}])),
    ]
    draft = landed(pod(), pools)
    assert env_of(draft.pod)["main"] == {
        "WHERE": "metadata.annotations['spillway.dev/pool']",
        "NODE": "metadata.annotations['landing.spillway.dev/node']",
    }
    assert draft.conflicts == ("env WHERE: pool b gives it another meaning than a pool before it",)


# Whatever the pod and the overlay


@given(pods(), overlays())
def test_applied_twice_is_applied_once(body: Json, wanted: PodOverlay) -> None:
    once, said = both(body, wanted)
    twice, again = both(once, wanted)
    assert twice == once
    assert set(again) == set(said)


@given(pods(), overlays())
def test_nothing_that_the_user_set_is_changed_or_gone(body: Json, wanted: PodOverlay) -> None:
    result, _ = both(body, wanted)
    _assert_kept(body, result, "pod")


def _assert_kept(before: Any, after: Any, where: str) -> None:
    """All of `before` stands in `after`, in lists in the same order and before anything new."""
    if isinstance(before, Mapping):
        for key, value in before.items():
            if key != "dnsPolicy":
                _assert_kept(value, after[key], f"{where}.{key}")
    elif isinstance(before, list):
        for index, value in enumerate(before):
            _assert_kept(value, after[index], f"{where}[{index}]")
    else:
        assert after == before, where


@given(pods(), overlays(), st.randoms())
def test_the_order_in_which_an_overlay_is_written_does_not_matter(body: Json, wanted: PodOverlay, random: Any) -> None:
    shuffled = wanted.wire()
    for field in ("env", "sidecars"):
        random.shuffle(shuffled[field])
    for field in ("annotations", "labels"):
        items = list(shuffled[field].items())
        random.shuffle(items)
        shuffled[field] = dict(items)
    first, said = both(body, wanted)
    second, said_then = both(body, PodOverlay.model_validate(shuffled))
    assert env_of(first) == env_of(second)
    assert first["metadata"] == second["metadata"]
    assert _by_name(first) == _by_name(second)
    assert set(said) == set(said_then)


def _by_name(body: Mapping[str, Any]) -> set[str]:
    return {one["name"] for one in body["spec"].get("initContainers") or ()}


@given(pods(), overlays())
def test_every_path_is_there_when_its_turn_comes(body: Json, wanted: PodOverlay) -> None:
    """Each addition adds a member that is not there, or at a list's end: but for the default of dnsPolicy."""
    present: Mapping[str, Any] = body
    for addition in overlaid(body, wanted).additions:
        *parents, last = addition.path
        parent: Any = present
        for part in parents:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        if isinstance(parent, list):
            assert last == "-"
        elif last != "dnsPolicy":
            assert not parent.get(last)
        present = applied(present, [addition])


@given(pods(), overlays())
def test_a_drafts_pod_is_the_given_one_with_its_additions_and_the_given_one_is_not_changed(
    body: Json, wanted: PodOverlay
) -> None:
    before = deepcopy(body)
    draft = overlaid(body, wanted)
    add_landing_variables(draft, [(POOL, wanted)])
    assert applied(before, draft.additions) == draft.pod
    assert body == before
