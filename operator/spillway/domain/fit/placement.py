"""The part of a pod's spec that decides where the pod may run, for those that keep it of many workloads.

Contract: pure, on the spec as JSON. A pod with this part fits on the same nodes and beside the same other pods as one
with the whole spec, and admission spreads it over zones alike. The rest of a spec (commands, environment variables) is
of any size that the API server accepts, and whoever may create workloads decides on it. So does the part that decides,
and that has a limit: from `PLACEMENT_BYTES_MAX` on, and from so many terms that no pod with them is compared with nodes
(`term_count`), it becomes `NOWHERE`.
"""

from typing import Any, Final

import msgspec

from spillway.domain.fit.requests import extended_requests
from spillway.domain.fit.suitability import claims_of
from spillway.domain.fit.term_count import too_many_terms
from spillway.domain.model.documents import REQUIRED, Json
from spillway.domain.model.host_ports import host_ports

PLACEMENT_BYTES_MAX: Final = 16 * 1024
"""The size of the part as JSON; in memory it takes about ten times as much."""
NOWHERE: Final[Json] = {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": []}}}}
"""The spec of a pod that fits on no node."""
_AS_IT_IS: Final = ("nodeSelector", "tolerations", "topologySpreadConstraints")
_AFFINITIES: Final = ("nodeAffinity", "podAffinity", "podAntiAffinity")


def placement(spec: Json) -> Json:
    """The part of a pod's or a template's spec that decides where the pod may run; `NOWHERE` if it is too large."""
    if too_many_terms(spec):
        return NOWHERE
    found: dict[str, Any] = {field: spec[field] for field in _AS_IT_IS if spec.get(field)}
    given: Json = spec.get("affinity") or {}
    required = {
        kind: given[kind][REQUIRED] for kind in _AFFINITIES if (given.get(kind) or {}).get(REQUIRED) is not None
    }
    if required:
        found["affinity"] = {kind: {REQUIRED: terms} for kind, terms in required.items()}
    container = _container(spec)
    if container:
        found["containers"] = [container]
    claims = claims_of({"spec": spec})
    if claims:
        # Whether there is one decides how the pod is spread over zones.
        found["volumes"] = [{"persistentVolumeClaim": {"claimName": claims[0]}}]
    return found if len(msgspec.json.encode(found)) <= PLACEMENT_BYTES_MAX else NOWHERE


def _container(spec: Json) -> Json:
    """One container that requests what the whole pod does beside CPU and memory, and takes all its host ports."""
    found: dict[str, Any] = {}
    amounts, ports = extended_requests(spec), host_ports(spec)
    if amounts:
        found["resources"] = {"requests": {name: str(amount) for name, amount in amounts.items()}}
    if ports:
        found["ports"] = [{"hostPort": one.port, "protocol": one.protocol, "hostIP": one.address} for one in ports]
    return found
