"""The decoding of the API server's JSON into flat records, by typed structs with only the needed fields.

Contract: strings that repeat are interned. An absent, null or malformed annotation is absent in the record; decoding
never raises for it, because one malformed object must not stop a watch. Of what anybody may write at any length (marks,
labels, names of owners) a record keeps a bounded part, so that the number of objects alone decides how large the
operator is.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Final, Generic, TypeVar

import msgspec

from spillway.api import quantity
from spillway.domain.fit.requests import is_extended
from spillway.domain.model.names import (
    CORDONED_BY,
    DESIRED,
    REVISION,
    ROLLOUT_DESIRED,
    ROLLOUT_REVISION,
    SURGE,
    THRESHOLD,
    NodeName,
    OwnerUid,
    PodUid,
)
from spillway.domain.model.owners import OwnerReference, controller_of
from spillway.domain.model.pod_terms import TERMS_MAX, PodTerm, required_pod_terms
from spillway.domain.model.records import (
    FINISHED,
    Failure,
    NamespaceRecord,
    NodeRecord,
    Pending,
    Phase,
    PodRecord,
    ReplicaSetRecord,
    ReplicationControllerRecord,
    StatefulSetRecord,
)
from spillway.kube.errors import WatchError
from spillway.kube.extended_requests import pod_extended_requests
from spillway.kube.host_ports import pod_host_ports
from spillway.kube.requests import amount, pod_sums
from spillway.kube.wire import (
    Change,
    ContainerState,
    ContainerStatus,
    ErrorEvent,
    Namespace,
    Node,
    NodeSpec,
    NodeStatus,
    ObjectCondition,
    ObjectT,
    Page,
    Pod,
    PodMarks,
    PodSpec,
    PodStatus,
    ReplicaSet,
    ReplicaSetSpec,
    StatefulSet,
    StatefulSetSpec,
    Template,
    Terminated,
    Waiting,
)

RecordT = TypeVar("RecordT")
RS = TypeVar("RS", bound=ReplicaSetRecord)

# Kubernetes takes no "+", and no leading zero but after a minus (`validFirstDigit` in k8s.io/kubernetes/pkg/apis/core).
_COST: Final = re.compile(r"0|[1-9][0-9]{0,9}|-[0-9]{1,12}", re.ASCII)
_COUNT: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
"""Any client may write such an annotation. `int` refuses a number that is too long, and one malformed object must not
stop a watch."""
_REMEMBERED: Final = 8192
"""The number of shared costs, times and amounts: more would cost more memory than sharing saves."""
_MESSAGE_CHARACTERS: Final = 2048
"""The maximum characters of a message about a pod: as many as are searched for a sign of a stock-out."""
_MOST_STATEMENTS: Final = 4
"""The maximum number of reasons that are kept of a failed pod."""
_REMEMBERED_TERMS: Final = 1024
AFFINITY_BYTES_MAX: Final = 4096
"""The size of a pod's affinity, as JSON, from which on its anti-affinity does not count for other pods."""
MARK_CHARACTERS_MAX: Final = 256
"""A longer mark is none of Spillway's and counts as absent."""
POOLS_CHARACTERS_MAX: Final = 2048
"""The same for the mark that names several pools."""
OWNER_CHARACTERS_MAX: Final = 1024
"""What names an owner has fewer characters in all; an object with a longer reference counts as one without an owner."""
_KIND_CHARACTERS_MAX: Final = 63
"""The same for the kind of an owner alone, as long as Kubernetes lets a kind be."""
_NAME_CHARACTERS_MAX: Final = 253
"""The same for its name. With both limits the key of a workload fits into each field of a status."""
NODE_RULES_BYTES_MAX: Final = 4096
"""Of a template that says more about nodes, as JSON, it is not known on which its pods may run."""
LABEL_CHARACTERS_MAX: Final = 16 * 1024
"""Of the labels of one object so many characters are kept, in the order of their keys; the rest counts as absent."""
_INT32: Final = range(-(2**31), 2**31)
_BEING_MADE: Final = frozenset({"ContainerCreating", "PodInitializing"})
_OWN_CONDITIONS: Final = frozenset({
    "PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready", "DisruptionTarget",
    "PodResizePending", "PodResizeInProgress", "AllContainersRestarting",
})  # fmt: skip
_PHASES: Final = {phase.value: phase for phase in Phase} | {"": Phase.PENDING}


_NO_OWNER: Final = OwnerReference()
_NO_MARKS: Final = PodMarks()


class Decoder(Generic[ObjectT, RecordT]):
    """The decoder of one kind, from bytes to records."""

    def __init__(self, kind: type[ObjectT], record: Callable[[ObjectT], RecordT]) -> None:
        self.record = record
        self._page = msgspec.json.Decoder(Page[kind])  # type: ignore[valid-type]
        self._change = msgspec.json.Decoder(Change[kind])  # type: ignore[valid-type]
        self._object = msgspec.json.Decoder(kind)

    def one(self, raw: bytes) -> RecordT:
        """A single object, as a GET or an admission request holds it."""
        return self.record(self._object.decode(raw))

    def page(self, raw: bytes) -> Page[ObjectT]:
        """One page of a list; its items still have to go through `record`.

        Raises:
            msgspec.DecodeError: this is not a list of this kind.

        """
        page: Page[ObjectT] = self._page.decode(raw)
        return page

    def change(self, line: bytes) -> Change[ObjectT]:
        """One line of a watch.

        Raises:
            WatchError: the line is an ERROR event. msgspec.DecodeError: it is not a watch event.

        """
        try:
            change: Change[ObjectT] = self._change.decode(line)
        except msgspec.ValidationError:
            _raise_if_error(line)
            raise
        if change.type == "ERROR":
            _raise_if_error(line)
        return change


def _raise_if_error(line: bytes) -> None:
    """Raise if the line has a Status instead of an object: its `status` is a word and it has no fields of the kind."""
    try:
        error = msgspec.json.decode(line, type=ErrorEvent)
    except msgspec.ValidationError:
        return
    if error.type == "ERROR":
        raise WatchError(error.object.code, error.object.message)


def pod_record(pod: Pod) -> PodRecord:
    meta, spec, status = pod.metadata, pod.spec or PodSpec(), pod.status or PodStatus()
    owner = _owner(meta.owner_references)
    marks = meta.annotations or _NO_MARKS
    ready, ready_since = _readiness(status.conditions)
    (cpu, memory), held = pod_sums(spec, status)
    phase = _PHASES.get(status.phase, Phase.UNKNOWN)
    created = unix_seconds(meta.creation_timestamp)
    return PodRecord(
        PodUid(meta.uid),
        intern(meta.namespace),
        meta.name,
        NodeName(intern(spec.node_name)),
        OwnerUid(intern(owner.uid)),
        intern(owner.kind),
        intern(owner.name),
        phase,
        ready,
        ready_since,
        created,
        _restarts(status.container_statuses),
        meta.deletion_timestamp is not None,
        None if marks.cost is None else deletion_cost(marks.cost),
        None if marks.cost_written is None else deletion_cost(marks.cost_written),
        _mark(marks.policy),
        _mark(marks.tier),
        _mark(marks.pool),
        _shared(cpu),
        _shared(memory),
        unix_seconds(status.start_time),
        _mark(marks.size),
        _pending(marks, status, created) if phase is Phase.PENDING else None,
        _ended(status) if phase in FINISHED else 0.0,
        _sidecar_restarts(spec, status) if status.init_container_statuses else 0,
        _failure(status) if phase is Phase.FAILED else None,
        None if owner.kind == "ReplicaSet" else _labels(meta.labels),
        _repels(bytes(spec.affinity), meta.namespace) if spec.affinity and spec.node_name else (),
        held,
        pod_extended_requests(spec),
        pod_host_ports(spec),
    )


def node_record(node: Node) -> NodeRecord:
    meta, spec, status = node.metadata, node.spec or NodeSpec(), node.status or NodeStatus()
    allocatable = status.allocatable or {}
    return NodeRecord(
        uid=meta.uid,
        name=NodeName(intern(meta.name)),
        labels=_interned(meta.labels),
        created=unix_seconds(meta.creation_timestamp),
        ready=_readiness(status.conditions)[0],
        unschedulable=bool(spec.unschedulable),
        deleting=meta.deletion_timestamp is not None,
        taints=tuple(spec.taints or ()),
        cordoned_by=(meta.annotations or {}).get(CORDONED_BY, ""),
        cpu_millis=amount(quantity.cpu_millis, allocatable.get("cpu")),
        memory_bytes=amount(quantity.memory_bytes, allocatable.get("memory")),
        pods_allocatable=amount(quantity.memory_bytes, allocatable.get("pods")),
        unready_since=_unready_since(status.conditions),
        extended={
            intern(name): amount(quantity.memory_bytes, text) for name, text in allocatable.items() if is_extended(name)
        },
    )


def replicaset_record(replicaset: ReplicaSet) -> ReplicaSetRecord:
    return _like_replicaset(replicaset, ReplicaSetRecord)


def replication_controller_record(controller: ReplicaSet) -> ReplicationControllerRecord:
    """A ReplicationController has all the fields of a ReplicaSet that are read."""
    return _like_replicaset(controller, ReplicationControllerRecord)


def _like_replicaset(replicaset: ReplicaSet, record_type: type[RS]) -> RS:
    meta, spec = replicaset.metadata, replicaset.spec or ReplicaSetSpec()
    owner = _owner(meta.owner_references)
    template = spec.template.metadata if spec.template else None
    annotations = meta.annotations or {}
    # A Rollout's ReplicaSet may have the other number as well, copied from a Deployment's manifest.
    revision = (annotations.get(ROLLOUT_REVISION) if owner.kind == "Rollout" else "") or annotations.get(REVISION, "")
    return record_type(
        uid=OwnerUid(intern(meta.uid)),
        namespace=intern(meta.namespace),
        name=intern(meta.name),
        owner_uid=OwnerUid(intern(owner.uid)),
        owner_kind=intern(owner.kind),
        owner_name=intern(owner.name),
        owner_api_version=intern(owner.api_version),
        replicas=1 if spec.replicas is None else spec.replicas,
        revision=int(revision) if _COUNT.fullmatch(revision) else 0,
        labels=_interned(template.labels if template else None),
        threshold=annotations.get(THRESHOLD, "")[:MARK_CHARACTERS_MAX],
        surge=_mark(annotations.get(SURGE, "")),
        desired=desired_replicas(annotations, owner.kind),
        refused=_refusal(replicaset.status.conditions if replicaset.status else None),
        node_rules=_node_rules(spec.template),
    )


def statefulset_record(statefulset: StatefulSet) -> StatefulSetRecord:
    meta, spec = statefulset.metadata, statefulset.spec or StatefulSetSpec()
    template = spec.template.metadata if spec.template else None
    return StatefulSetRecord(
        uid=OwnerUid(intern(meta.uid)),
        namespace=intern(meta.namespace),
        name=intern(meta.name),
        replicas=1 if spec.replicas is None else spec.replicas,
        start=spec.ordinals.start if spec.ordinals is not None else 0,
        labels=_interned(template.labels if template else None),
        threshold=(meta.annotations or {}).get(THRESHOLD, "")[:MARK_CHARACTERS_MAX],
        node_rules=_node_rules(spec.template),
    )


def namespace_record(namespace: Namespace) -> NamespaceRecord:
    meta = namespace.metadata
    return NamespaceRecord(uid=meta.uid, name=intern(meta.name), labels=_interned(meta.labels))


PODS: Final[Decoder[Pod, PodRecord]] = Decoder(Pod, pod_record)
NODES: Final[Decoder[Node, NodeRecord]] = Decoder(Node, node_record)
REPLICASETS: Final[Decoder[ReplicaSet, ReplicaSetRecord]] = Decoder(ReplicaSet, replicaset_record)
REPLICATION_CONTROLLERS: Final[Decoder[ReplicaSet, ReplicationControllerRecord]] = Decoder(
    ReplicaSet, replication_controller_record
)
STATEFULSETS: Final[Decoder[StatefulSet, StatefulSetRecord]] = Decoder(StatefulSet, statefulset_record)
NAMESPACES: Final[Decoder[Namespace, NamespaceRecord]] = Decoder(Namespace, namespace_record)


@lru_cache(maxsize=_REMEMBERED)
def deletion_cost(text: str) -> int | None:
    """The value of a deletion-cost annotation; None where Kubernetes would not accept it (and counts 0)."""
    if _COST.fullmatch(text) is None:
        return None
    value = int(text)
    return value if value in _INT32 else None


def desired_replicas(annotations: Mapping[str, str], owner_kind: str) -> int | None:
    """The replicas that a ReplicaSet's owner wants in all, by its annotation; None if it has none."""
    noted = annotations.get(ROLLOUT_DESIRED if owner_kind == "Rollout" else DESIRED, "")
    return int(noted) if _COUNT.fullmatch(noted) else None


@lru_cache(maxsize=_REMEMBERED)
def unix_seconds(stamp: str | None) -> float:
    """The Unix seconds of an RFC 3339 time; 0.0 without one."""
    if not stamp:
        return 0.0
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0


@lru_cache(maxsize=_REMEMBERED)
def _shared(number: int) -> int:
    """The same object for the same number: a cluster has few distinct requests."""
    return number


def _refusal(conditions: Iterable[ObjectCondition] | None) -> str:
    for condition in conditions or ():
        if condition.type == "ReplicaFailure" and condition.status == "True" and condition.reason == "FailedCreate":
            return (condition.message or condition.reason)[:_MESSAGE_CHARACTERS]
    return ""


def _readiness(conditions: Iterable[ObjectCondition] | None) -> tuple[bool, float]:
    for condition in conditions or ():
        if condition.type == "Ready":
            if condition.status == "True":
                return True, unix_seconds(condition.last_transition_time)
            break
    return False, 0.0


def _restarts(statuses: Iterable[ContainerStatus] | None) -> int:
    # A loop and no generator: the informer asks it for every change of a pod.
    most = 0
    for one in statuses or ():
        most = max(most, one.restart_count)
    return most


def _sidecar_restarts(spec: PodSpec, status: PodStatus) -> int:
    sidecars = {one.name for one in spec.init_containers or () if one.restart_policy == "Always"}
    return _restarts(one for one in status.init_container_statuses or () if one.name in sidecars)


def _unready_since(conditions: Iterable[ObjectCondition] | None) -> float:
    ready = next((one for one in conditions or () if one.type == "Ready"), None)
    return 0.0 if ready is None or ready.status == "True" else unix_seconds(ready.last_transition_time)


def _pending(marks: PodMarks, status: PodStatus, created: float) -> Pending:
    scheduled = next((one for one in status.conditions or () if one.type == "PodScheduled"), None)
    refused = scheduled if scheduled is not None and scheduled.status == "False" else None
    all_waiting = [one.state.waiting for one in _statuses(status) if one.state and one.state.waiting]
    refusing = [one for one in all_waiting if one.reason not in _BEING_MADE]
    waiting = next(iter(refusing or all_waiting), None)
    of_provider = next((one for one in status.conditions or () if one.status == "False" and _of_provider(one)), None)
    # "ContainerCreating" has no meaning here: a provider's refusal has, wherever it is.
    spoken: list[Waiting | PodStatus | ObjectCondition | None] = [waiting, status, of_provider, refused]
    if waiting is not None and waiting.reason in _BEING_MADE:
        spoken.append(spoken.pop(0))
    said = next((one for one in spoken if one is not None and (one.reason or one.message)), None)
    return Pending(
        placement=_mark(marks.placement),
        pools=_mark(marks.pools, POOLS_CHARACTERS_MAX),
        reservation=_mark(marks.reservation),
        # If the pod had a scheduling gate, this is the time of its creation, and Kubernetes 1.30 leaves it out.
        unschedulable_since=unix_seconds(refused.last_transition_time) or created
        if refused is not None and refused.reason == "Unschedulable"
        else 0.0,
        gated=refused is not None and refused.reason == "SchedulingGated",
        reason=intern(said.reason or "") if said is not None else "",
        message=(said.message or "")[:_MESSAGE_CHARACTERS] if said is not None else "",
    )


def _of_provider(condition: ObjectCondition) -> bool:
    """Whether a condition is from a provider; Kubernetes' own only repeat that the pod is not ready."""
    return condition.type not in _OWN_CONDITIONS


def _node_rules(template: Template | None) -> str | None:
    """What a template says about nodes; the same text for templates that say the same."""
    spec = template.spec if template is not None else None
    if spec is None:
        return ""
    affinity = spec.affinity.node_affinity if spec.affinity is not None else b""
    found = [
        b'"nodeSelector":' + spec.node_selector if spec.node_selector else b"",
        b'"affinity":{"nodeAffinity":' + affinity + b"}" if affinity else b"",
        b'"tolerations":' + spec.tolerations if spec.tolerations else b"",
    ]
    text = b",".join(filter(None, found))
    if len(text) > NODE_RULES_BYTES_MAX:
        return None
    return intern(f"{{{text.decode()}}}") if text else ""


def _labels(raw: msgspec.Raw) -> dict[str, str] | None:
    return (_interned(msgspec.json.decode(raw, type=dict[str, str] | None)) or None) if raw else None


def _repels(affinity: bytes, namespace: str) -> tuple[PodTerm, ...]:
    """The terms of a required anti-affinity; the same ones for all pods of a template.

    Whoever may create a pod writes them, and each is kept while the pod is known: of a larger affinity none are, and
    never more than `TERMS_MAX`.
    """
    if b"podAntiAffinity" not in affinity or len(affinity) > AFFINITY_BYTES_MAX:
        return ()
    return _terms(affinity, namespace)


@lru_cache(maxsize=_REMEMBERED_TERMS)
def _terms(affinity: bytes, namespace: str) -> tuple[PodTerm, ...]:
    found = msgspec.json.decode(affinity).get("podAntiAffinity")
    try:
        # Label keys were merged into the selector when the pod was created, so its labels are not needed.
        return required_pod_terms(found, namespace, {})[:TERMS_MAX]
    except ValueError:
        # An operator of a later Kubernetes: one such pod must not stop a watch.
        return ()


def _failure(status: PodStatus) -> Failure | None:
    statuses = _statuses(status)
    if any(map(has_run, statuses)):
        return None
    statements: list[PodStatus | ObjectCondition | Waiting | Terminated] = [status]
    statements += [one for one in status.conditions or () if one.status == "False" and _of_provider(one)]
    states = [one.state for one in statuses if one.state is not None]
    statements += [one for state in states for one in (state.terminated, state.waiting) if one is not None]
    pairs = {(intern(one.reason or ""), (one.message or "")[:_MESSAGE_CHARACTERS]): None for one in statements}
    pairs.pop(("", ""), None)
    return Failure(tuple(pairs)[:_MOST_STATEMENTS]) if pairs else None


def has_run(status: ContainerStatus) -> bool:
    """Whether the container runs now, or has run before."""
    state = status.state or ContainerState()
    ended = state.terminated is not None and unix_seconds(state.terminated.started_at) > 0
    return ended or state.running is not None or status.restart_count > 0


def _statuses(status: PodStatus) -> list[ContainerStatus]:
    """Of the containers, and then of the init containers."""
    return [*(status.container_statuses or ()), *(status.init_container_statuses or ())]


def _ended(status: PodStatus) -> float:
    states = (one.state for one in status.container_statuses or ())
    ends = (state.terminated.finished_at for state in states if state and state.terminated)
    return max(map(unix_seconds, ends), default=0.0)


def _interned(labels: dict[str, str] | None) -> dict[str, str]:
    if not labels:
        return {}
    kept: dict[str, str] = {}
    left = LABEL_CHARACTERS_MAX
    for key, value in labels.items():
        left -= len(key) + len(value)
        if left < 0:
            break
        kept[intern(key)] = intern(value)
    return kept


def _mark(text: str, most: int = MARK_CHARACTERS_MAX) -> str:
    return intern(text) if len(text) <= most else ""


def _owner(references: Iterable[OwnerReference] | None) -> OwnerReference:
    """The controlling owner; none where it has a longer name than anything in Kubernetes."""
    owner = controller_of(references)
    if (
        owner is None
        or len(owner.kind) > _KIND_CHARACTERS_MAX
        or len(owner.name) > _NAME_CHARACTERS_MAX
        or len(owner.uid) + len(owner.kind) + len(owner.name) + len(owner.api_version) > OWNER_CHARACTERS_MAX
    ):
        return _NO_OWNER
    return owner
