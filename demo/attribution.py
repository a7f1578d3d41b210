"""The contender for which the operator wrote an object: one operator acts for all of its contenders.

Contract: pure, by the namespace and the name alone, because the audit log has no labels.
"""

from typing import Final

from demo.contenders import Contender, contender_of
from demo.manifests import POLICIES, ZONES
from spillway.domain.headroom.manifests import name_of
from spillway.domain.model.names import Tier, Zone

_OWN_KINDS: Final = frozenset({"elasticpolicies", "virtualnodebudgets", "zonalbalances"})
_HEADROOM: Final = tuple(
    (name_of(policy, Zone(zone)), contender) for contender, policy in POLICIES.items() for zone in ("", *ZONES)
)
"""The names of the objects that hold headroom; those of their ReplicaSets and pods begin with the same."""


def written_for(resource: str, namespace: str, name: str) -> Contender | None:
    """The contender to which an object belongs; None if it serves all of them, such as a webhook configuration."""
    if resource == "nodes":
        return next((one for one in Contender for tier in Tier if one.pool(tier) in name), None)
    if resource in _OWN_KINDS:
        return next((one for one, policy in POLICIES.items() if policy == name), None)
    held = (one for prefix, one in _HEADROOM if name == prefix or name.startswith(f"{prefix}-"))
    return contender_of(namespace) or next(held, None)
