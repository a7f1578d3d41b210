"""What GitOps tools make of Spillway's kinds: a Lua interpreter runs Argo CD's scripts, kstatus is the library of Flux.

The statuses are those that the operator writes, by the code that writes them.
"""

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from lupa import lua51  # Argo CD's interpreter implements Lua 5.1

from localcluster import binaries, build
from localcluster.rest import Object
from spillway.api.elasticpolicy import ElasticPolicy, ElasticPolicyStatus
from spillway.api.virtualnodebudget import VirtualNodeBudget, VirtualNodeBudgetStatus
from spillway.api.zonalbalance import ZonalBalance, ZonalBalanceStatus
from spillway.controllers.policies.status import ResourceState
from spillway.controllers.status.node_summary import PoolCount
from spillway.controllers.status.workload_counts import PolicyCount
from spillway.domain.model.names import ZONE_LABEL, Tier
from spillway.domain.policies.conflicts import ResourceProblem
from spillway.state.catalog import Kind
from tests.builders import make_node
from tests.support.statuses import FINE, balance_status, budget_status, policy_status
from tests.support.world import policy_resource, resource

NOW: Final = datetime(2026, 1, 2, tzinfo=UTC)
PROJECT: Final = Path(__file__).resolve().parents[2]
DATA: Final[dict[str, str]] = yaml.safe_load((PROJECT / "gitops/argocd/argocd-cm.yaml").read_text())["data"]
WEBHOOK_CONFIGURATIONS: Final = tuple(
    f"admissionregistration.k8s.io_{kind}WebhookConfiguration" for kind in ("Mutating", "Validating")
)
API_SERVICES: Final = ("apiregistration.k8s.io_APIService",)


def _with_status(body: Object, status: Any) -> Object:
    return {**body, "status": status.wire()}


def _policy(state: ResourceState = FINE, *, mode: str = "Enforce") -> Object:
    body = policy_resource(mode=mode, version=7)
    policy = ElasticPolicy.model_validate(body)
    status = policy_status(
        policy, current=ElasticPolicyStatus(), count=PolicyCount(), nodes={Tier.ELASTIC: 2}, state=state, now=NOW
    )
    return _with_status(body, status)


def _problem(reason: str) -> ResourceState:
    return ResourceState((ResourceProblem("ElasticPolicy", "online", "Ready", reason, "the message"),))


def _budget(cordon: str = "None", *, closed: int = 0) -> Object:
    selector = {"matchLabels": {"type": "vk"}}
    body = resource(Kind.VIRTUAL_NODE_BUDGET, "eci-a", cordon=cordon, nodeSelector=selector)
    budget = VirtualNodeBudget.model_validate(body)
    count = PoolCount(nodes=2, ready=2, unschedulable=closed, cordoned=closed)
    current = VirtualNodeBudgetStatus()
    return _with_status(body, budget_status(budget, current=current, count=count, now=NOW))


def _balance(*zones: str) -> Object:
    body = resource(Kind.ZONAL_BALANCE, "even")
    balance = ZonalBalance.model_validate(body)
    nodes = [make_node(f"n-{zone}", labels={ZONE_LABEL: zone}) for zone in zones]
    return _with_status(body, balance_status(balance, current=ZonalBalanceStatus(), nodes=nodes, workloads={}, now=NOW))


def _without_status(found: Object) -> Object:
    return {key: value for key, value in found.items() if key != "status"}


def _changed(found: Object) -> Object:
    return {**found, "metadata": {**found["metadata"], "generation": found["metadata"]["generation"] + 1}}


CASES: Final[dict[str, tuple[Object, str, str]]] = {
    "an enforced policy": (_policy(), "Healthy", "Current"),
    "a policy that recommends": (_policy(mode="Recommend"), "Healthy", "Current"),
    "a policy that no operator has seen": (_without_status(_policy()), "Progressing", "Current"),
    "a policy that was just changed": (_changed(_policy()), "Progressing", "InProgress"),
    "a policy in conflict": (_policy(_problem("Conflict")), "Degraded", "Failed"),
    "a policy that is invalid": (_policy(ResourceState(rejected="spec.mode: wrong")), "Degraded", "Failed"),
    "a policy that waits for its pool": (_policy(_problem("BudgetNotFound")), "Progressing", "InProgress"),
    "a policy without fresh data": (_policy(ResourceState(stale="pods")), "Degraded", "Current"),
    "an open pool": (_budget(), "Healthy", "Current"),
    "a pool that is being closed": (_budget("Hold"), "Progressing", "InProgress"),
    "a pool that is closed": (_budget("Hold", closed=2), "Suspended", "Current"),
    "even zones": (_balance("a", "b"), "Healthy", "Current"),
}
"""An object, its health in Argo CD, and its status by kstatus."""


class ArgoCd:
    """The scripts of the ConfigMap, as Argo CD runs them: the object is the global `obj`, the answer is returned."""

    def __init__(self) -> None:
        self._lua = lua51.LuaRuntime(unpack_returned_tuples=True)
        for library in ("io", "os", "require", "dofile", "loadfile", "package", "debug"):
            self._lua.execute(f"{library} = nil")  # not there in Argo CD's sandbox

    def run(self, script: str, found: Object) -> Any:
        self._lua.globals().obj = self._table(found)
        return _plain(self._lua.execute(script))

    def _table(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._lua.table_from({key: self._table(item) for key, item in value.items()})
        if isinstance(value, list):
            return self._lua.table_from([self._table(item) for item in value])
        return value


def _plain(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys and keys == list(range(1, len(keys) + 1)):
        return [_plain(value[key]) for key in keys]
    return {key: _plain(value[key]) for key in keys}


@pytest.mark.parametrize("case", CASES)
def test_argo_cd_shows_the_health_of_each_kind(case: str) -> None:
    found, health, _ = CASES[case]
    answer = ArgoCd().run(DATA[f"resource.customizations.health.spillway.dev_{found['kind']}"], found)
    assert answer["status"] == health
    assert answer["message"]


@pytest.mark.parametrize(
    ("found", "action", "spec"),
    [
        (_policy(), "recommend", {"mode": "Recommend"}),
        (_policy(mode="Recommend"), "enforce", {"mode": "Enforce"}),
        (_budget(), "hold", {"cordon": "Hold"}),
        (_budget("Hold"), "drain", {"cordon": "HoldAndDrain"}),
        (_budget("HoldAndDrain"), "open", {"cordon": "None"}),
    ],
)
def test_argo_cd_offers_what_changes_something_and_changes_only_that(
    found: Object, action: str, spec: dict[str, str]
) -> None:
    customization = yaml.safe_load(DATA[f"resource.customizations.actions.spillway.dev_{found['kind']}"])
    offered = ArgoCd().run(customization["discovery.lua"], found)
    assert set(offered) == {one["name"] for one in customization["definitions"]}
    assert not offered[action]["disabled"]
    [script] = [one["action.lua"] for one in customization["definitions"] if one["name"] == action]
    after = ArgoCd().run(script, {**found, "spec": {**found["spec"], "cordonUntil": "2030-01-01T00:00:00Z"}})
    assert after["spec"] == {**found["spec"], **spec} | (
        {"cordonUntil": "2030-01-01T00:00:00Z"} if found["kind"] == "ElasticPolicy" else {}
    )
    again = ArgoCd().run(customization["discovery.lua"], after)
    assert again[action]["disabled"], "it is done"


def test_argo_cd_ignores_each_ca_bundle_that_the_operator_writes() -> None:
    page = (PROJECT / "docs/how-to/gitops.md").read_text()
    written = re.findall(r"^\| (.+?) \| [^|]*`caBundle`", page, re.MULTILINE)
    assert any("APIService" in one for one in written)
    assert any("webhook configurations" in one for one in written)
    for one in written:
        kinds = WEBHOOK_CONFIGURATIONS if "webhook configurations" in one else API_SERVICES
        for kind in kinds:
            ignored = yaml.safe_load(DATA[f"resource.customizations.ignoreDifferences.{kind}"])
            assert [path for paths in ignored.values() for path in paths if path.endswith("caBundle")], one


def test_kstatus_sees_the_same() -> None:
    build.ensure_built(["kstatus"])
    done = subprocess.run(
        [str(binaries.find("kstatus"))],
        input="\n".join(json.dumps(found) for found, _, _ in CASES.values()),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    statuses = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert dict(zip(CASES, statuses, strict=True)) == {name: status for name, (_, _, status) in CASES.items()}
