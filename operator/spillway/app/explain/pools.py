"""The answer about one pool of virtual nodes."""

from collections import Counter
from collections.abc import Iterator

from spillway.app.explain.snapshot import Snapshot
from spillway.domain.explain.answers import PoolAnswer, PoolUser
from spillway.domain.explain.prices import pool_price
from spillway.domain.model.usage import Usage
from spillway.domain.nodes.cordon import BudgetCordon
from spillway.domain.placement.pools import Pool

_NAMED = 20


def explain_pool(snapshot: Snapshot, name: str) -> PoolAnswer:
    """Whether a pool takes pods and why not, who uses it, its price, and what would change it."""
    world, pool = snapshot.world, snapshot.open_pools.pool(name)
    clause = pool.refusal or snapshot.open_pools.refusal_by_limits(pool, Usage(1), Usage(1))
    workloads: Counter[str] = Counter()
    for node in pool.nodes:
        workloads.update(snapshot.workload_of(pod) for pod in world.state.pods_on(node.name) if pod.active)
    users = tuple(_users(snapshot, name))
    return PoolAnswer(
        pool=name,
        takes_pods=not clause,
        closed_because=clause or None,
        cordon=pool.spec.cordon.value,
        nodes=len(pool.nodes),
        nodes_ready=sum(node.ready for node in pool.nodes),
        pods=snapshot.usage.on(name).used.pods,
        kept_out_namespaces=tuple(sorted(world.board.verdict(name).kept_out)),
        policies=users,
        workloads=tuple(workloads.most_common(_NAMED)),
        why=tuple(_why(pool, clause, users)),
        price=None if pool.spec.price is None else pool_price(pool.spec.price),
        changes=tuple(_changes(snapshot, pool, clause)),
    )


def _users(snapshot: Snapshot, name: str) -> Iterator[PoolUser]:
    governance, nodes = snapshot.world.governance, snapshot.world.membership.nodes(name)
    for policy in governance.policies:
        pools = governance.pools_of(policy)
        if name in pools:
            rank = max((governance.place(policy, node).price_rank for node in nodes), default=len(pools) - 1)
            yield PoolUser(policy, pools.index(name) + 1, len(pools) - rank)


def _why(pool: Pool, clause: str, users: tuple[PoolUser, ...]) -> Iterator[str]:
    if clause:
        yield f"It takes no pods: it {clause}."
    else:
        yield "It takes pods."
    for one in users:
        yield (
            f"The policy {one.policy} fills it as number {one.preference} of its pools, and scale-downs empty it as "
            f"number {one.emptied}."
        )
    if not users:
        yield "No policy lists it, so no pod is sent there."
    if pool.spec.price is None:
        yield "It has no price, so scale-downs empty the pools in the reverse order of the policy's list."


def _changes(snapshot: Snapshot, pool: Pool, clause: str) -> Iterator[str]:
    cordon = BudgetCordon.of(snapshot.world.governance.budgets[pool.name])
    verdict = snapshot.world.board.verdict(pool.name)
    if cordon.active(snapshot.world.now()):
        end = pool.spec.cordon_until
        yield f"`kubectl spillway uncordon {pool.name}` opens it{f'; else it opens at {end}' if end else ''}."
    elif verdict.reason == "Held":
        yield "All of its nodes are unschedulable, and no cordon of Spillway's is set: another client closed them."
    elif verdict.reason == "NoNodes":
        yield "A node with the labels of its nodeSelector would open it."
    elif verdict.reason == "Unhealthy":
        yield "It is tried again by itself after failover.retryAfter, doubled with each failure, if a node is ready."
    elif verdict.reason == "OutOfStock":
        yield "It is tried again by itself after stockOut.forgetAfter."
    elif not pool.open_nodes:
        yield "It takes pods again once one of its nodes is ready and schedulable."
    elif clause:
        yield "Room under its limits opens it: fewer pods there, or higher limits in the VirtualNodeBudget."
    else:
        yield f"`kubectl spillway cordon {pool.name}` closes it."
