"""Which fixed nodes are open to which replicas, and how many rules are compared with them."""

import json
from collections.abc import Mapping
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillway.domain.fit.node_fit import NodeFit
from spillway.domain.headroom import open_nodes as module
from spillway.domain.headroom.open_nodes import MOST_RULES, open_nodes, rules_to_compare
from spillway.domain.headroom.shape import Shape
from spillway.domain.headroom.size import Replica
from spillway.domain.model.records import NodeRecord, Taint
from tests.builders import make_node

SMALL, LARGE = Shape(100, 100), Shape(900, 900)
TEAMS = ("shop", "sales", "search")
RULES = st.sampled_from(
    [
        *(json.dumps({"nodeSelector": {"team": team}}) for team in TEAMS),
        json.dumps({"tolerations": [{"operator": "Exists"}]}),
        json.dumps({"tolerations": [{"key": "own", "operator": "Exists"}], "nodeSelector": {"team": "shop"}}),
        json.dumps(
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["sales"]}]}
                            ]
                        }
                    }
                }
            }
        ),
    ]
)
NODES = st.lists(
    st.builds(
        lambda team, own: make_node("n", labels={"team": team}, taints=(Taint("own", "NoSchedule"),) if own else ()),
        st.sampled_from(TEAMS),
        st.booleans(),
    ),
    max_size=70,
)
COUNTS = st.dictionaries(
    st.builds(Replica, st.sampled_from([SMALL, LARGE]), st.sampled_from(["", "a", "b", "c", "d", "e", None])),
    st.integers(0, 3),
)


def _named(number: int) -> str:
    return f'{{"nodeSelector":{{"node":"{number:05d}"}}}}'


@given(st.sets(RULES), NODES)
def test_a_bit_is_set_for_each_node_on_which_replicas_with_the_rules_may_run(
    rules: set[str], nodes: list[NodeRecord]
) -> None:
    found: Mapping[str, int] = {}
    for found in open_nodes(sorted(rules), nodes):  # noqa: B007 - the last one is complete
        pass
    for one in rules:
        open_to = {index for index in range(len(nodes) + 1) if found.get(one, 0) >> index & 1}
        assert open_to == {i for i, node in enumerate(nodes) if NodeFit(json.loads(one)).admits(node)}


def test_there_is_a_pause_after_every_few_nodes() -> None:
    nodes = [make_node(f"n{number}") for number in range(100)]
    assert sum(1 for _ in open_nodes([_named(1), _named(2)], nodes)) == 14
    assert list(open_nodes([], nodes)) == list(open_nodes([_named(1)], [])) == []


@given(COUNTS, COUNTS, st.integers(0, 5))
def test_the_rules_of_most_rising_replicas_are_compared_and_then_those_of_most_waiting_pods(
    rising: dict[Replica, int], waiting: dict[Replica, int], most: int
) -> None:
    def count(replicas: dict[Replica, int], rules: str) -> int:
        return sum(number for replica, number in replicas.items() if replica.node_rules == rules)

    ordered = sorted("abcde", key=lambda rules: (-count(rising, rules), -count(waiting, rules), rules))
    expected = [rules for rules in ordered if count(rising, rules) or count(waiting, rules)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_RULES", most)
        assert rules_to_compare(rising, waiting) == expected[:most]


def test_however_many_rules_tenants_write_no_more_than_the_bound_are_compared() -> None:
    waiting = {Replica(SMALL, _named(number)): 1000 for number in range(3 * MOST_RULES)}
    mine = '{"nodeSelector":{"team":"shop"}}'
    found = rules_to_compare({Replica(LARGE, mine): 1}, dict(reversed(waiting.items())))
    assert found == [mine, *(_named(number) for number in islice(range(3 * MOST_RULES), MOST_RULES - 1))]
