"""The rule of extended resources, such as GPUs (the scheduler's NodeResourcesFit for what only some nodes offer).

Contract: a node that does not offer as much as the pod requests is refused, whoever uses it now: what of it is free is
asked with the room (`state.open_pools`). Virtual nodes that run such pods offer the resource in `status.allocatable`.
"""

from spillway.domain.fit.requests import extended_requests
from spillway.domain.fit.rule import NodeTest
from spillway.domain.model.documents import Json
from spillway.domain.model.records import NodeRecord


def extended_resources(spec: Json) -> NodeTest | None:
    """The test that refuses nodes that do not offer an extended resource that the pod requests."""
    wanted = extended_requests(spec)
    if not wanted:
        return None

    def test(node: NodeRecord) -> str:
        missing = next((name for name, amount in wanted.items() if node.extended.get(name, 0) < amount), "")
        return missing and f"that offers {wanted[missing]} of {missing}, which the pod requests"

    return test
