"""The additions by which a pod finds on virtual nodes what it finds on others.

Contract: strategic (lists are merged by name), idempotent, and never in place of anything that the user set. A pod that
goes to a pool gets `add_overlay` first and then `add_landing_variables`, so that sidecars learn where they landed as
well; one that stays physical gets the latter alone. Variables go to every container, init containers and sidecars among
them, at the end of its list, where no other variable's value can come to depend on them. A variable that a container
takes from a whole ConfigMap or Secret (`envFrom`) cannot be seen here; Kubernetes lets the one by name win.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from spillway.api.podoverlay import CoreDump, DnsConfig, PodOverlay
from spillway.domain.overlay.draft import Draft, kept
from spillway.domain.overlay.landing import is_landing, landing_reference
from spillway.domain.overlay.logs import SHIPPER, add_shipper
from spillway.domain.overlay.metadata import add_metadata

CORE_DUMPS: Final = "spillway-core-dumps"
_DNS: Final = ("spec", "dnsConfig")


def add_overlay(draft: Draft, overlay: PodOverlay, *, pool: str) -> None:
    """Everything that a pod needs on this pool, but for tolerations (placement adds them) and landing variables."""
    add_metadata(draft, overlay, pool=pool)
    for volume in overlay.volumes:
        if not draft.entry(("spec", "volumes"), volume):
            draft.conflict(kept(f"volume {volume['name']}", pool))
    ours = _sidecars(draft, overlay, pool)
    if overlay.core_dump is not None:
        _core_dumps(draft, overlay.core_dump, pool, ours)
    if overlay.dns_config is not None:
        _dns(draft, overlay.dns_config, pool)
    for env in overlay.env:
        if not is_landing(env):
            _variable(draft, {"name": env.name, "value": env.value or ""}, pool, ours)


def add_landing_variables(draft: Draft, overlays: Sequence[tuple[str, PodOverlay]]) -> None:
    """The variables that say where a pod landed, for every pod of the class, whatever tier it was decided for.

    `overlays` are those of the policy's pools, by name; of two that give one variable differently the first counts.
    """
    known: dict[str, Mapping[str, Any]] = {}
    for pool, overlay in overlays:
        ours = frozenset(_names(overlay))
        for env in filter(is_landing, overlay.env):
            reference = landing_reference(env)
            if known.setdefault(env.name, reference) != reference:
                draft.conflict(f"env {env.name}: pool {pool} gives it another meaning than a pool before it")
                continue
            _variable(draft, reference, pool, ours)


def _sidecars(draft: Draft, overlay: PodOverlay, pool: str) -> frozenset[str]:
    """Add the sidecars; the names of those that Spillway added to the pod."""
    ours = set()
    for sidecar in overlay.sidecars:
        if _native(draft, sidecar, pool):
            ours.add(str(sidecar["name"]))
    if overlay.logs is not None:
        shipper = add_shipper(draft, overlay.logs, pool)
        if shipper is not None and _native(draft, shipper, pool):
            ours.add(str(shipper["name"]))
    return frozenset(ours)


def _native(draft: Draft, container: Mapping[str, Any], pool: str) -> bool:
    """Add a native sidecar, after the user's init containers: these run as they do elsewhere."""
    name = container["name"]
    if any(one.get("name") == name for _, one in draft.containers("containers", "ephemeralContainers")):
        draft.conflict(kept(f"container {name}", pool))
        return False
    if not draft.entry(("spec", "initContainers"), {**container, "restartPolicy": "Always"}):
        draft.conflict(kept(f"init container {name}", pool))
        return False
    return True


def _variable(draft: Draft, env: Mapping[str, Any], pool: str, ours: frozenset[str]) -> None:
    for path, container in draft.containers("initContainers", "containers"):
        name = container.get("name", "")
        if not draft.entry((*path, "env"), env) and name not in ours:
            draft.conflict(kept(f"env {env['name']} of container {name}", pool))


def _core_dumps(draft: Draft, core: CoreDump, pool: str, ours: frozenset[str]) -> None:
    if core.volume is None:
        return
    if not draft.entry(("spec", "volumes"), {**core.volume, "name": CORE_DUMPS}):
        draft.conflict(kept(f"volume {CORE_DUMPS}", pool))
        return
    mount = {"name": CORE_DUMPS, "mountPath": core.path}
    for path, container in draft.containers("initContainers", "containers"):
        if container.get("name") not in ours and not draft.entry((*path, "volumeMounts"), mount, key="mountPath"):
            draft.conflict(kept(f"mount {core.path} of container {container.get('name')}", pool))


def _dns(draft: Draft, dns: DnsConfig, pool: str) -> None:
    ours = set()
    for field, addresses in (("nameservers", dns.nameservers), ("searches", dns.searches)):
        # As a whole: the resolver goes by their order, and Kubernetes allows three name servers.
        if addresses and draft.member(_DNS, field, list(addresses)):
            ours.add(field)
        elif addresses:
            draft.conflict(kept(f"dnsConfig.{field}", pool))
    if dns.replace and "nameservers" in ours:
        # ClusterFirst is what the API server fills in where a pod says nothing.
        draft.fill(("spec",), "dnsPolicy", "None", default="ClusterFirst")
    for option in dns.options:
        wanted = {"name": option.name} | ({} if option.value is None else {"value": option.value})
        if draft.at(*_DNS) is None:
            draft.member(_DNS, "options", [wanted])
        elif not draft.entry((*_DNS, "options"), wanted):
            draft.conflict(kept(f"dnsConfig option {option.name}", pool))


def _names(overlay: PodOverlay) -> Sequence[str]:
    shipper = () if overlay.logs is None else (SHIPPER,)
    return (*(str(sidecar["name"]) for sidecar in overlay.sidecars), *shipper)
