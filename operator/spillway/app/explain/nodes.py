"""The answer about one node."""

from collections.abc import Iterator, Sequence

from spillway.app.explain.snapshot import Snapshot
from spillway.domain.explain.answers import NodeAnswer, NodeTier, Price, TaintAnswer
from spillway.domain.explain.prices import node_price, node_price_of, pool_price
from spillway.domain.explain.words import node_changes, taint_meaning
from spillway.domain.model.names import ZONE_LABEL, Tier
from spillway.domain.model.records import NodeRecord
from spillway.state.node_counts import counts, stays

_NAMED = 10


def explain_node(snapshot: Snapshot, node: NodeRecord) -> NodeAnswer:
    """The tier of a node for each policy, when it empties, its price, and what would change it."""
    world = snapshot.world
    pool = world.membership.pool_of_node(node.name)
    policies = world.governance.policies
    tiers = {name: world.places.place(name, node).tier for name in policies}
    elastic = world.governance.elastic_owner(node)
    order = {} if elastic is None else world.places.order(elastic.policy)
    mine = order.get(node.name)
    emptied = None if mine is None else 1 + sum(other > mine for other in order.values())
    staying = [] if elastic is None else _staying(snapshot, node)
    return NodeAnswer(
        node=node.name,
        pool=pool or None,
        zone=node.zone_by(ZONE_LABEL) or None,
        ready=node.ready,
        unschedulable=node.unschedulable,
        cordoned_by=node.cordoned_by or None,
        tiers=tuple(NodeTier(name, tier.value) for name, tier in tiers.items()),
        taints=tuple(
            TaintAnswer(taint.key, taint.value or None, taint.effect, taint_meaning(taint)) for taint in node.taints
        ),
        pods=sum(pod.active for pod in world.state.pods_on(node.name)),
        emptied=emptied,
        elastic_nodes=len(order) if emptied is not None else None,
        staying=tuple(staying[:_NAMED]),
        why=tuple(_why(snapshot, node, pool)),
        price=_price(snapshot, node, pool),
        changes=tuple(node_changes(node, staying=len(staying), elastic=elastic is not None, emptied=emptied)),
    )


def _staying(snapshot: Snapshot, node: NodeRecord) -> Sequence[str]:
    """The pods that keep the node from becoming empty, as `NodeCounts` counts them."""
    pods = snapshot.world.state.pods_on(node.name)
    return sorted(pod.key for pod in pods if counts(pod) and stays(pod))


def _why(snapshot: Snapshot, node: NodeRecord, pool: str) -> Iterator[str]:
    elastic = snapshot.world.governance.elastic_owner(node)
    if pool:
        yield f"The VirtualNodeBudget {pool} selects it by its labels, so it is virtual for the policies that list it."
    elif elastic is not None:
        yield f"The elastic tier of the policy {elastic.policy} selects it by its labels."
        yield "Elastic nodes with the fewest pods empty first, zone by zone; with pods that stay, a node empties last."
    else:
        yield "No VirtualNodeBudget and no elastic tier selects it, so it is fixed."


def _price(snapshot: Snapshot, node: NodeRecord, pool: str) -> Price | None:
    governance = snapshot.world.governance
    if pool:
        price = governance.budgets[pool].spec.price
        return None if price is None else pool_price(price)
    elastic = governance.elastic_owner(node)
    tier = Tier.FIXED if elastic is None else Tier.ELASTIC
    chosen = governance.policies.values() if elastic is None else [governance.policies[elastic.policy]]
    prices = (node_price_of(policy.spec, tier) for policy in chosen)
    found = next((price for price in prices if price is not None), None)
    return None if found is None else node_price(found, tier)
