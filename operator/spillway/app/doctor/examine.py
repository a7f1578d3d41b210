"""The examination of a cluster: every check of `spillway doctor`, with what it reads.

Contract: changes nothing: what it sends are SubjectAccessReviews, and pods in a dry run. What may not be read makes a
finding that says so, and the other checks go on.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import chain
from typing import Final

import msgspec

from spillway.api.conditions import METRIC_NOT_SERVED
from spillway.app.doctor.account import Account
from spillway.app.doctor.autoscalers import of_cluster_autoscaler, of_karpenter, of_pod_autoscalers
from spillway.app.doctor.serving import Serving, of_api_services, of_webhooks, unless_forbidden
from spillway.domain.doctor.api_services import names_metric_api
from spillway.domain.doctor.clocks import check_leader_clock, check_own_clock
from spillway.domain.doctor.conditions import condition_findings
from spillway.domain.doctor.deletion_costs import foreign_writers, managers_of
from spillway.domain.doctor.findings import Check, Finding, Report, not_checked, report
from spillway.domain.doctor.histories import PROMETHEUS, KnownSeries, check_series, needed
from spillway.domain.doctor.kubernetes import check_version
from spillway.domain.doctor.probe import (
    PROBES,
    WEBHOOK,
    calls_for,
    check_answers,
    check_excluded,
    probe_in,
    probe_pod,
)
from spillway.domain.doctor.rights import Right, missing_rights, needed_rights, rights_to_report
from spillway.domain.doctor.selectors import check_balance, check_budget, check_classes, check_elastic
from spillway.domain.doctor.taints import check_taints
from spillway.domain.model.owners import workload_of
from spillway.domain.model.records import NamespaceRecord, PodRecord
from spillway.domain.overview.attention import Severity, attention
from spillway.domain.overview.status import OperatorState
from spillway.domain.scale_down.foreign_writer import foreign_pods
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError
from spillway.sources.api_client import ApiClient
from spillway.sources.connection import Connection
from spillway.sources.prometheus import PrometheusError
from spillway.sources.series_present import problems_of
from spillway.state.catalog import Kind
from spillway.state.claims import balance_of, claims_of_pod, losers_of
from spillway.state.world import World

CONCURRENT: Final = 8
"""Reviews that are asked for at the same time."""
PODS_READ: Final = 3
"""Pods of a workload whose managed fields are read."""


async def examine(
    client: KubeClient,
    world: World,
    operator: OperatorState,
    *,
    namespace: str,
    lease: str,
    account: str,
    secret: str,
    prometheus: Connection | None = None,
) -> Report:
    """Everything that is wrong; `account` is the operator's ServiceAccount in its `namespace`.

    Without `prometheus` its series are not checked, which is a finding only if a resource needs them.

    Raises:
        RequestError: the API server cannot be reached.
    """
    of_operator = Account(client, namespace, account)
    serving = Serving(client, of_operator, secret=secret)
    found: list[Finding] = [*_leader(operator, namespace), *of_configuration(world)]
    read = (
        (Check.KUBERNETES, _version(client)),
        (Check.CLOCKS, _clocks(client, namespace, lease)),
        (Check.WEBHOOKS, of_webhooks(serving)),
        (Check.WEBHOOKS, _probed(client, serving, world)),
        (Check.API_SERVICES, of_api_services(client, serving)),
        (Check.RIGHTS, _rights(client, serving, of_operator, lease)),
        (Check.DELETION_COSTS, _deletion_costs(client, world)),
        (Check.AUTOSCALER, of_karpenter(client, world)),
        (Check.AUTOSCALER, of_cluster_autoscaler(client, world)),
        (Check.AUTOSCALER, of_pod_autoscalers(client, world)),
        (Check.PROMETHEUS, _series(prometheus, world)),
    )
    for check, findings in read:
        try:
            async for one in findings:
                found.append(one)  # noqa: PERF401  # what was found before an error is kept
        except ApiError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            found.append(not_checked(check, "Cluster", error.message))
    found += _conditions(world, known=found)
    return report(client.credentials.target, found)


def of_configuration(world: World) -> Iterable[Finding]:
    """What Spillway's resources select wrongly: the checks that need nothing but the world."""
    yield from _selectors(world)
    yield from _taints(world)


def _leader(operator: OperatorState, namespace: str) -> Iterable[Finding]:
    if operator.problem is not None:
        remedy = "See the runbook SpillwayNoLeader; --operator-namespace and --lease-name say where the Lease is."
        yield Finding(Severity.ERROR, Check.LEADER, f"Lease/{namespace}", operator.problem, remedy)
    elif operator.leader is None:
        yield not_checked(Check.LEADER, f"Lease/{namespace}", "you may not read the operator's Lease")


def _conditions(world: World, *, known: Sequence[Finding]) -> Iterable[Finding]:
    """Findings about conditions, except for those whose cause is `known` already."""
    governance = world.governance
    resources = (governance.policies, governance.budgets, governance.balances)
    bad = attention(chain.from_iterable(one.values() for one in resources))
    if names_metric_api(known):
        bad = tuple(one for one in bad if one.condition != METRIC_NOT_SERVED)
    yield from condition_findings(bad)
    for kind in Kind:
        for entry in world.catalog.entries(kind).values():
            if entry.error:
                remedy = "Correct the fields; the CustomResourceDefinitions of the installed version may be older."
                about = f"{kind.value}/{entry.name}"
                yield Finding(Severity.ERROR, Check.CONDITIONS, about, f"it is not valid: {entry.error}", remedy)


def _selectors(world: World) -> Iterable[Finding]:
    governance, nodes = world.governance, tuple(world.state.nodes.values())
    workloads, balanced, lost = _counted(world)
    listed = {pool for policy in governance.policies for pool in governance.pools_of(policy)}
    for policy in governance.policies.values():
        yield from check_classes(policy, workloads, lost)
        yield from check_elastic(policy, nodes)
    for budget in governance.budgets.values():
        yield from check_budget(budget, nodes, listed)
    for balance in governance.balances.values():
        yield from check_balance(balance, balanced)


def _counted(world: World) -> tuple[Mapping[tuple[str, str], int], Mapping[str, int], Mapping[str, str]]:
    """Workloads by policy and class, and by balance; and by policy the older one to which it lost some."""
    state, governance = world.state, world.governance
    classes: Counter[tuple[str, str]] = Counter()
    balances: Counter[str] = Counter()
    lost: dict[str, str] = {}
    for owner in state.owners():
        claim = world.claim_of(owner)
        balance = balance_of(state, governance, owner)
        if balance is not None:
            balances[balance] += 1
        if claim is not None:
            classes[claim.policy, claim.workload_class] += 1
            lost.update(dict.fromkeys(losers_of(state, governance, owner), claim.policy))
    for pod in state.pods.values():
        if state.owner(pod.owner_uid) is None:
            classes.update((claim.policy, claim.workload_class) for claim in claims_of_pod(state, governance, pod))
    return classes, balances, lost


def _taints(world: World) -> Iterable[Finding]:
    return check_taints(world.state.nodes.values(), world.governance.budget_of)


async def _version(client: KubeClient) -> AsyncIterator[Finding]:
    for one in check_version(await client.get_json("/version")):
        yield one


async def _clocks(client: KubeClient, namespace: str, lease: str) -> AsyncIterator[Finding]:
    before = datetime.now(UTC)
    server = await client.server_time()
    if server is not None:
        for one in check_own_clock(server, before, datetime.now(UTC)):
            yield one
    try:
        found = await client.get_json(paths.LEASES.named(lease, namespace=namespace, field="--lease-name"))
    except ApiError as error:
        if not error.not_found:
            raise
        return
    for one in check_leader_clock(found):
        yield one


async def _probed(client: KubeClient, serving: Serving, world: World) -> AsyncIterator[Finding]:
    if await unless_forbidden(serving.recommend_only()):
        return
    webhooks = await unless_forbidden(serving.webhooks()) or {}
    called = calls_for(webhooks.get(WEBHOOK))
    for one in check_excluded(_excluded(world, called)):
        yield one
    probe = probe_in(world.governance, filter(called, world.state.namespaces.values()))
    if probe is None:
        return
    path = paths.PODS.within(probe.namespace)
    pods = []
    try:
        for _ in range(PROBES):
            answer = await client.request("POST", path, params={"dryRun": "All"}, body=probe_pod(probe.workload_class))
            pods.append(msgspec.json.decode(answer))
    except ApiError as error:
        why = f"a pod cannot be created there in a dry run: {error.message}"
        yield not_checked(Check.WEBHOOKS, f"Namespace/{probe.namespace}", why)
        return
    for one in check_answers(probe, pods):
        yield one


def _excluded(world: World, called: Callable[[NamespaceRecord], bool]) -> Mapping[str, Iterable[str]]:
    """By policy in Enforce: the namespaces with workloads of its own for which the webhook is not called."""
    excluded = {name for name, space in world.state.namespaces.items() if not called(space)}
    found: dict[str, set[str]] = defaultdict(set)
    for owner in world.state.owners():
        claim = world.claim_of(owner) if owner.namespace in excluded else None
        if claim is not None and claim.enforced:
            found[claim.policy].add(owner.namespace)
    return found


async def _rights(client: KubeClient, serving: Serving, account: Account, lease: str) -> AsyncIterator[Finding]:
    try:
        await client.get_json(
            paths.SERVICE_ACCOUNTS.named(account.name, namespace=account.namespace, field="--service-account")
        )
    except ApiError as error:
        if not error.not_found:
            raise
        yield not_checked(Check.RIGHTS, f"ServiceAccount/{account.key}", "it does not exist (--service-account)")
        return
    needed = (*needed_rights(lease), *(await unless_forbidden(serving.certificate_rights()) or ()))
    if await unless_forbidden(serving.recommend_only()):
        needed = rights_to_report(needed)
    slots = asyncio.Semaphore(CONCURRENT)

    async def allowed(right: Right) -> bool:
        async with slots:
            return await account.may(right)

    answers = await asyncio.gather(*map(allowed, needed))
    missing = [right for right, holds in zip(needed, answers, strict=True) if not holds]
    for one in missing_rights(account.key, missing):
        yield one


async def _deletion_costs(client: KubeClient, world: World) -> AsyncIterator[Finding]:
    state = world.state
    by_workload: dict[str, list[PodRecord]] = defaultdict(list)
    for owner in state.replicasets.values():
        claim = world.claim_of(owner)
        if claim is not None and claim.enforced:
            by_workload[workload_of(owner).key] += foreign_pods(state.pods_of(owner.uid))
    found: dict[str, tuple[int, Iterable[str]]] = {}
    for workload, pods in by_workload.items():
        if pods:
            found[workload] = (len(pods), await _managers(client, pods[:PODS_READ]))
    for one in foreign_writers(found):
        yield one


async def _managers(client: KubeClient, pods: Sequence[PodRecord]) -> Iterable[str]:
    names: set[str] = set()
    for pod in pods:
        try:
            names |= managers_of(await client.get_json(paths.PODS.named(pod.name, namespace=pod.namespace)))
        except ApiError as error:
            if not error.not_found:
                raise
    return names


async def _series(connection: Connection | None, world: World) -> AsyncIterator[Finding]:
    needs = tuple(needed(world.governance.policies.values(), world.governance.balances.values()))
    if connection is None:
        if needs:
            yield not_checked(Check.PROMETHEUS, PROMETHEUS, "--prometheus-url is not given")
        return
    wanted = (KnownSeries.OPERATOR, *(need.series for need in needs))
    try:
        async with ApiClient(connection) as server:
            by_zone = {need.series for need in needs if need.by_zone}
            problems = await problems_of(server, wanted, by_zone=by_zone, now=datetime.now(UTC).timestamp())
    except PrometheusError as error:
        remedy = "Correct --prometheus-url and the flags for its access, or start Prometheus."
        yield Finding(Severity.ERROR, Check.PROMETHEUS, PROMETHEUS, f"it does not answer: {error}", remedy)
        return
    for finding in check_series(needs, problems):
        yield finding
