"""Models that the three kinds share: metadata, selectors, the match of workloads, recurring times, prices of nodes."""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field

from spillway.api.conditions import Condition
from spillway.api.scalars import Duration, Money, Timestamp
from spillway.api.schema import Model, atomic_list, cel, list_map, rules
from spillway.api.selector_operator import SelectorOperator

Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        json_schema_extra=rules(
            cel(
                "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                "must be a name of lower-case letters, digits and dashes, for example latency-critical",
            )
        ),
    ),
]
"""A DNS label: it can also stand as a label's value."""
BoundedName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        json_schema_extra=rules(
            cel(
                "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
                "must be the name of an object, of lower-case letters, digits, dashes and dots, for example eci-a",
            )
        ),
    ),
]
"""The name of an object of Spillway's kinds."""

MOST_REPLICAS: Final = 1_000_000
"""No number of replicas is higher: not in a field, not in an annotation, and not in a plan."""
Count = Annotated[int, Field(ge=0, le=MOST_REPLICAS, json_schema_extra={"format": "int32"})]
Percent = Annotated[int, Field(ge=1, le=100, json_schema_extra={"format": "int32"})]
PromQl = Annotated[str, Field(min_length=1, max_length=4096)]
_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
KEY_EXPRESSION = f"^({_DNS_LABEL}([.]{_DNS_LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$"
"""The key of a label, an annotation or a taint."""
KEY_FORM = (
    "an optional prefix (a DNS subdomain and a slash) and a name of at most 63 letters, digits, '-', '_' and '.' "
    "that begins and ends with a letter or a digit, for example example.com/name"
)
"""The same in words."""
KEY_LENGTH_MAX = 317
LABEL_VALUE_EXPRESSION = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
_LABEL_VALUE_LENGTH_MAX: Final = 63
_KEY = re.compile(KEY_EXPRESSION, re.ASCII)
_LABEL_VALUE = re.compile(LABEL_VALUE_EXPRESSION, re.ASCII)
_LABEL_VALUE_FORM = (
    "at most 63 letters, digits, '-', '_' and '.', and begin and end with a letter or a digit, for example elastic-1"
)


def valid_key(key: str) -> str:
    """The key of a label, an annotation or a taint, if it has the form of one.

    Raises:
        ValueError: the message says what is allowed.
    """
    if len(key) > KEY_LENGTH_MAX or _KEY.fullmatch(key) is None:
        raise ValueError(f"{key!r} must be {KEY_FORM}")
    return key


def is_label_value(value: str) -> bool:
    """Whether the API server accepts this as the value of a label."""
    return len(value) <= _LABEL_VALUE_LENGTH_MAX and _LABEL_VALUE.fullmatch(value) is not None


def _valid_label_value(value: str) -> str:
    if _LABEL_VALUE.fullmatch(value) is None:
        raise ValueError(f"{value!r} must be {_LABEL_VALUE_FORM}")
    return value


MetadataKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=KEY_LENGTH_MAX,
        json_schema_extra=rules(cel(f"self.matches('{KEY_EXPRESSION}')", f"must be {KEY_FORM}")),
    ),
    AfterValidator(valid_key),
]
"""The key of a label, an annotation or a taint."""
LabelText = Annotated[
    str,
    Field(
        max_length=_LABEL_VALUE_LENGTH_MAX,
        json_schema_extra=rules(cel(f"self.matches('{LABEL_VALUE_EXPRESSION}')", f"must be {_LABEL_VALUE_FORM}")),
    ),
    AfterValidator(_valid_label_value),
]
"""The value of a label or of a taint."""
_KEYS_HAVE_THEIR_FORM = cel(
    f"self.all(key, key.size() <= {KEY_LENGTH_MAX} && key.matches('{KEY_EXPRESSION}'))",
    f"must have keys of {KEY_FORM}",
)
LABEL_KEYS = rules(_KEYS_HAVE_THEIR_FORM)
"""The rule for a map of labels, whose keys have no schema of their own."""
_SELECTED_LABELS = rules(
    _KEYS_HAVE_THEIR_FORM,
    # Kubernetes drops a key whose value is null, as YAML reads "team:", before any rule sees it.
    cel(
        "size(self) > 0",
        "must have at least one label with a value, for example {team: shop}; "
        "a key without a value is dropped, and without matchLabels everything is selected",
    ),
)
LabelKey = Annotated[str, AfterValidator(valid_key)]
"""A key of such a map."""
CONDITIONS_MAX = 32
Conditions = Annotated[tuple[Condition, ...], Field(max_length=CONDITIONS_MAX, json_schema_extra=list_map("type"))]
Generation = Annotated[int | None, Field(ge=0, json_schema_extra={"format": "int64"})]

CURRENCY = {
    "minLength": 3,
    "maxLength": 3,
    **rules(cel("self.matches('^[A-Z]{3}$')", "must be an ISO 4217 code of three letters, for example CNY or USD")),
}


class ObjectMeta(Model):
    """The part of an object's metadata that the operator reads."""

    name: str
    """The object's name; unique in the cluster, because the kind is cluster-scoped."""
    uid: str = ""
    """The object's unique ID, set by the API server."""
    generation: int = 0
    """Grows with every change of the spec."""
    resource_version: str = ""
    """Grows with every write."""
    creation_timestamp: Timestamp | None = None
    """The time of creation, set by the API server; the oldest object wins a conflict."""
    deletion_timestamp: Timestamp | None = None
    """Set while the object is being deleted."""


class LabelSelectorRequirement(Model):
    """One requirement on one label."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "self.operator in ['In', 'NotIn'] == (has(self.values) && size(self.values) > 0)",
                "must have at least one entry with In and NotIn, and none with Exists and DoesNotExist, "
                "for example {key: pool, operator: In, values: [elastic]}",
                field=".values",
            )
        )
    )

    key: MetadataKey
    """The label's key."""
    operator: SelectorOperator
    """In, NotIn, Exists or DoesNotExist. NotIn and DoesNotExist also hold where the label is absent."""
    values: Annotated[tuple[LabelText, ...], Field(max_length=32, json_schema_extra=atomic_list())] = ()
    """For In and NotIn: the values, at least one. For Exists and DoesNotExist: none."""


class LabelSelector(Model):
    """A Kubernetes label selector: all of its requirements must hold."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    match_labels: Annotated[
        dict[LabelKey, LabelText],
        # An empty one is refused, so it is not written either.
        Field(max_length=32, json_schema_extra=_SELECTED_LABELS, exclude_if=lambda labels: not labels),
    ] = Field(default_factory=dict)
    """Labels that must exist with exactly these values, for example {pool: elastic}."""
    match_expressions: Annotated[
        tuple[LabelSelectorRequirement, ...], Field(max_length=16, json_schema_extra=atomic_list())
    ] = ()
    """Requirements in their general form, for example [{key: pool, operator: In, values: [a, b]}]."""


def selects_something(what: str, example: str) -> dict[str, Any]:
    """A rule that refuses the empty selector, which would select every object."""
    return rules(
        cel(
            "(has(self.matchLabels) && size(self.matchLabels) > 0)"
            " || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            f"must name at least one label (an empty selector would make every node {what}), "
            f"for example {{matchLabels: {example}}}",
        )
    )


class WorkloadMatch(Model):
    """Which workloads are selected. All given fields must match; a field that is left out matches everything."""

    namespaces: LabelSelector | None = None
    """Selects by the labels of the namespace, for example {matchLabels: {team: shop}}. Left out: every namespace. The
    namespaces kube-* and the operator's own are never selected. A namespace is selected by its name with the label
    kubernetes.io/metadata.name."""
    labels: LabelSelector | None = None
    """Selects by the labels of the pod template, for example {matchLabels: {tier: web}}. Left out: all."""
    kinds: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63)], ...],
        Field(
            max_length=16,
            json_schema_extra=atomic_list(
                cel(
                    "self.all(kind, kind.matches('^[A-Z][A-Za-z0-9]*$'))",
                    "must be kinds as manifests write them, for example [Deployment, Job]",
                )
            ),
        ),
    ] = ()
    """Kinds of the workload, for example [Deployment] or [Job, CronJob]. A ReplicaSet that a Deployment or a Rollout
    owns counts as its owner. Left out: every kind."""


class RecurringTime(Model):
    """A recurring time: from each `start`, for `duration`."""

    name: Name
    """Unique in its list; shown in status and metrics."""
    start: Annotated[
        str,
        Field(
            min_length=9,
            max_length=128,
            json_schema_extra=rules(
                cel(
                    "self.matches('^([-0-9A-Za-z*/,?]+ ){4}[-0-9A-Za-z*/,?#]+$')",
                    'must be five cron fields (minute, hour, day of month, month, weekday), for example "0 18 * * *"',
                )
            ),
        ),
    ]
    """When it starts: five cron fields, for example "0 18 * * *" for every day at 18:00."""
    duration: Duration
    """How long it lasts from each start, for example 5h."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"
    """The IANA time zone in which `start` is read, for example Asia/Shanghai."""


class NodePrice(Model):
    """What a node costs while it exists."""

    node_hour: Money
    """Price of one node for one hour, for example "1.30"."""
    currency: Annotated[str | None, Field(json_schema_extra=CURRENCY)] = None
    """ISO 4217 code, for example CNY. Left out: the currency of the policy's VirtualNodeBudgets."""


class Status(Model):
    """The fields of every status."""

    observed_generation: Generation = None
    """The metadata.generation that this status describes; smaller than metadata.generation until the operator has
    processed the latest spec."""
    conditions: Conditions = ()
    """Ready says whether the spec is in force. NotImplemented lists fields that are set and have no effect in
    combination with the others. Most other conditions are True only while an exceptional situation lasts."""
