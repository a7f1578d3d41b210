"""The fixed nodes on which the replicas of governed workloads may run, for each text of `node_rules`.

Contract: pure. Whoever may create a workload writes its `node_rules`, so at most `MOST_RULES` different ones are
compared with the nodes: the memory of an answer is a bit for each of them and each node, whatever tenants write.
Replicas with other rules count as if they could run on no fixed node. For replicas that are expected to start, this
asks for more headroom, never for less; `max`, `maxNodes` and `MOST_UNITS` bound it as always. Too little headroom would
make pods wait for nodes to start, too much costs money up to a bound that the owner of the policy has set. Pods that
wait already take no room then. That could count room twice only until the scheduler has bound them: those that keep
waiting did not fit on any node.
"""

from collections.abc import Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import Final

import msgspec

from spillway.domain.fit.node_fit import NodeFit
from spillway.domain.headroom.size import Replica
from spillway.domain.model.records import NodeRecord

MOST_RULES: Final = 128
"""Different `node_rules` that are compared with nodes in one pass, beside the empty ones."""
_NODES_AT_ONCE: Final = 16


def rules_to_compare(rising: Mapping[Replica, int], waiting: Mapping[Replica, int]) -> list[str]:
    """The `node_rules` to compare with the nodes, at most `MOST_RULES`.

    First are those with the most replicas that are expected to start, so pods that only wait displace none of them;
    then those with the most pods that wait. Between equals the order of the texts decides.
    """
    counts: dict[str, list[int]] = {}
    for place, replicas in enumerate((rising, waiting)):
        for replica, count in replicas.items():
            if replica.node_rules and count > 0:
                counts.setdefault(replica.node_rules, [0, 0])[place] += count
    return nsmallest(MOST_RULES, counts, key=lambda rules: (*(-count for count in counts[rules]), rules))


def open_nodes(rules: Sequence[str], nodes: Sequence[NodeRecord]) -> Iterator[Mapping[str, int]]:
    """By these rules: a number of which bit `i` is set if replicas with them may run on `nodes[i]`.

    It gives the same mapping after every few nodes, so that the caller may pause in between; the mapping is complete
    at the end. Nothing is given where there are no rules or no nodes.
    """
    found: dict[str, int] = {}
    for one in rules:
        fit = NodeFit(msgspec.json.decode(one))
        found[one] = 0
        for start in range(0, len(nodes), _NODES_AT_ONCE):
            some = nodes[start : start + _NODES_AT_ONCE]
            found[one] |= sum(fit.admits(node) << index for index, node in enumerate(some)) << start
            yield found
