"""The names of a workload's pods, as patterns: a metric of containers names its pod, and not the workload.

Contract: pure. A pattern follows from how Kubernetes makes the names, also of pods that are long gone:
`<Deployment>-<hash of the template>-<5 random characters>`, `<ReplicaSet>-<5 random characters>`,
`<StatefulSet>-<ordinal>`. Random characters and hashes have no vowels, so `web` does not match the pods of `web-api`.
A name of which more than 58 characters stand before the random ones is cut there.
"""

from typing import Final, NamedTuple

from spillway.domain.model.owners import LIKE_REPLICASETS, WorkloadKey

RANDOM: Final = "[bcdfghjklmnpqrstvwxz2456789]{5}"
"""What Kubernetes appends to a generated name."""
HASH: Final = "[4-9bcdf]{5,10}"
"""The hash of a pod template: the digits of a number of 32 bits, in characters that form no words."""
REVISION: Final = "[0-9]{1,4}"
"""The number of a DeploymentConfig's rollout, which is a part of its ReplicationController's name."""
ORDINAL: Final = "[0-9]{1,4}"
_CUT: Final = 58
_HASHED: Final = _CUT - len("-0123456789-")


class PodNames(NamedTuple):
    """The names of a workload's pods: `stem` as it is, then what `suffix` matches (a regular expression)."""

    stem: str
    suffix: str
    rule: str
    """The workload as the recording rules name it, `Deployment/cart`; empty if they cannot tell its pods."""


def pod_names(workload: str) -> PodNames:
    """The names of the pods of `Kind/namespace/name`."""
    kind, _, name = WorkloadKey.parse(workload)
    if kind == "StatefulSet":
        return PodNames(name, f"-{ORDINAL}", f"StatefulSet/{name}")
    if kind in LIKE_REPLICASETS:
        return PodNames(name, f"-{RANDOM}", f"ReplicaSet/{name}") if len(name) < _CUT else _cut(name)
    if kind == "DeploymentConfig":
        return PodNames(name, f"-{REVISION}-{RANDOM}", f"DeploymentConfig/{name}")
    if len(name) <= _HASHED:
        return PodNames(name, f"-{HASH}-{RANDOM}", f"Deployment/{name}")
    return PodNames(name, f"-[4-9bcdf]{{0,10}}-?{RANDOM}", "") if len(name) < _CUT else _cut(name)


def _cut(name: str) -> PodNames:
    return PodNames(name[:_CUT], RANDOM, "")
