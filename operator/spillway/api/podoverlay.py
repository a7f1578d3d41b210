"""PodOverlay: additions to a pod that it needs only on one pool of virtual nodes; part of a VirtualNodeBudget."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from spillway.api.common import (
    KEY_EXPRESSION,
    KEY_FORM,
    KEY_LENGTH_MAX,
    LABEL_KEYS,
    LabelKey,
    LabelText,
    MetadataKey,
    valid_key,
)
from spillway.api.schema import Model, any_object, atomic_list, cel, list_map, rules

_EnvName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=rules(
            cel(
                "self.matches('^[A-Za-z_.-][A-Za-z0-9_.-]*$')",
                "must be a variable's name, for example OTEL_SERVICE_NAME",
            )
        ),
    ),
]
_Address = Annotated[str, Field(min_length=1, max_length=253)]
_NameServer = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        json_schema_extra=rules(
            cel(
                "self.matches('^(([0-9]{1,3}[.]){3}[0-9]{1,3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$')",
                "must be the IP address of a name server, for example 10.0.0.2",
            )
        ),
    ),
]
_DNS_LABEL = rules(
    cel("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", "must be a DNS label, for example log-agent"),
)
_Path = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1024,
        json_schema_extra=rules(cel("self.startsWith('/')", "must be an absolute path, for example /var/log/app")),
    ),
]


_MOUNTED = rules(
    cel("self.startsWith('/')", "must be an absolute path, for example /data/dump"),
    cel("!self.contains(':')", "must have no colon, because a volume is mounted there, for example /data/dump"),
)


class OverlayEnv(Model):
    """One environment variable: a value, or a fact that is known once the pod is assigned to a node."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "has(self.value) != has(self.fromLanding)",
                "must have either value or fromLanding, for example {name: TIER, fromLanding: tier}",
            ),
            cel(
                "!has(self.landed) || !self.landed || has(self.value)",
                "goes with value, for example {name: JAEGER_ENDPOINT, value: 'http://collector:14268', landed: true}",
                field=".landed",
            ),
            # An annotation's key leaves 63 characters for the name, which must end in a letter or a digit.
            cel(
                "!has(self.landed) || !self.landed || self.name.matches('^[A-Za-z0-9_.-]{0,58}[A-Za-z0-9]$')",
                "must have 59 characters at most and end in a letter or a digit where landed is true, "
                "for example JAEGER_ENDPOINT",
                field=".name",
            ),
        )
    )

    name: _EnvName
    """The variable, for example OTEL_EXPORTER_OTLP_ENDPOINT."""
    value: Annotated[str | None, Field(max_length=4096)] = None
    """Its value on this pool, for example http://collector:4317."""
    landed: bool = False
    """Only with `value`. true: every pod of the workload class gets the variable, whose value is `value` if the pod
    runs on this pool, whichever way it came there, and empty elsewhere. false: only pods that are sent to this pool
    when they are created get the variable."""
    from_landing: Literal["tier", "pool", "zone", "node"] | None = None
    """Take the value from where the pod runs, when its containers start: its tier, pool, zone or node."""


class OverlayToleration(Model):
    """A toleration as in a pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!(has(self.operator) && self.operator == 'Exists' && has(self.value) && self.value != '')",
                "must be left out with operator Exists, for example {key: example.com/virtual, operator: Exists}",
                field=".value",
            )
        )
    )

    key: Annotated[
        str,
        Field(
            max_length=KEY_LENGTH_MAX,
            json_schema_extra=rules(cel(f"self == '' || self.matches('{KEY_EXPRESSION}')", f"must be {KEY_FORM}")),
        ),
        AfterValidator(lambda key: key and valid_key(key)),
    ] = ""
    """The taint's key, for example virtual-kubelet.io/provider."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal compares the value; Exists ignores it."""
    value: LabelText = ""
    """The taint's value, for Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect. Left out: every effect."""


class KafkaOutput(Model):
    """Where log lines go."""

    brokers: Annotated[tuple[_Address, ...], Field(min_length=1, max_length=32, json_schema_extra=atomic_list())]
    """Brokers with their ports, for example [kafka-0:9092, kafka-1:9092]."""
    topic: Annotated[
        str,
        Field(
            min_length=1,
            max_length=249,
            json_schema_extra=rules(
                cel("self.matches('^[A-Za-z0-9._-]+$')", "must be a topic's name, for example logs-online")
            ),
        ),
    ]
    """The topic, for example logs-online."""


class OverlayLogs(Model):
    """Log shipping by a sidecar, because DaemonSets do not run on virtual nodes."""

    shipper: Literal["Vector", "FluentBit"] = "Vector"
    """The log shipper to configure: Vector or FluentBit."""
    image: Annotated[str, Field(min_length=1, max_length=512)]
    """Its image, for example timberio/vector:0.40.0-distroless-static."""
    paths: Annotated[tuple[_Path, ...], Field(min_length=1, max_length=32, json_schema_extra=atomic_list())]
    """Files to ship, for example [/var/log/app/*.log]. They must be in a volume that the pod mounts, for example an
    emptyDir; a sidecar cannot see another container's own files or its output."""
    kafka: KafkaOutput
    """Where log lines go."""
    resources: Annotated[
        dict[str, Any] | None,
        WithJsonSchema(any_object("The sidecar's resources as in a container, for example {requests: {cpu: 50m}}.")),
    ] = None
    """The sidecar's resources as in a container, for example {requests: {cpu: 50m, memory: 64Mi}}. Left out:
    requests of zero, so that the pod is billed as without log shipping."""


class CoreDump(Model):
    """Where the core dump of a crashed process is stored, because users cannot log in to a virtual node."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "has(self.annotation) || has(self.volume)",
                "must have annotation or volume, for example "
                "{path: /data/dump, annotation: k8s.aliyun.com/eci-core-pattern}",
            )
        )
    )

    path: Annotated[_Path, Field(json_schema_extra=_MOUNTED)]
    """Folder for core dumps, for example /data/dump."""
    file: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            json_schema_extra=rules(cel("!self.contains('/')", "must be a file's name, for example core-%h-%p-%t")),
        ),
    ] = "core-%h-%p-%t"
    """The file name pattern in that folder, as in core(5): %h is the host name, %p the process ID, %t the time."""
    annotation: MetadataKey | None = None
    """The provider's annotation for the path and the file name, for example k8s.aliyun.com/eci-core-pattern."""
    volume: Annotated[
        dict[str, Any] | None,
        WithJsonSchema(
            any_object("A pod's volume source (without a name) mounted at `path`, for example an object store.")
        ),
    ] = None
    """A pod's volume source (without a name) mounted at `path`, for example {nfs: {server: files, path: /dumps}}."""


class DnsOption(Model):
    """One resolver option."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """The option, for example ndots."""
    value: Annotated[str | None, Field(max_length=63)] = None
    """Its value, for example "2"."""


class DnsConfig(Model):
    """The pod's DNS settings, for a pool that cannot reach the DNS service of the cluster."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.replace) || !self.replace || (has(self.nameservers) && size(self.nameservers) > 0)",
                "goes with nameservers, for example {replace: true, nameservers: [10.0.0.2]}",
                field=".replace",
            )
        )
    )

    replace: bool = False
    """true: pods use these name servers instead of those of the cluster; this applies to pods with the dnsPolicy
    ClusterFirst, which becomes None. false: pods use them in addition to those of the cluster."""
    nameservers: Annotated[tuple[_NameServer, ...], Field(max_length=3, json_schema_extra=atomic_list())] = ()
    """Addresses of name servers, three at most."""
    searches: Annotated[tuple[_Address, ...], Field(max_length=32, json_schema_extra=atomic_list())] = ()
    """Domains to search."""
    options: Annotated[tuple[DnsOption, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = ()
    """Resolver options, for example [{name: ndots, value: "2"}]."""


def _container_schema() -> dict[str, Any]:
    return any_object("A container as in a pod's initContainers.") | {
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": 63,
                "description": "The container's name; unique in the pod.",
                **_DNS_LABEL,
            },
            "image": {"type": "string", "minLength": 1, "maxLength": 512, "description": "The container's image."},
        },
        "required": ["name", "image"],
    }


def _volume_schema() -> dict[str, Any]:
    return any_object("A volume as in a pod: its name and one source.") | {
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": 63,
                "description": "The volume's name; unique in the pod.",
                **_DNS_LABEL,
            },
        },
        "required": ["name"],
    }


Volume = Annotated[dict[str, Any], WithJsonSchema(_volume_schema())]
"""A Kubernetes volume, kept as the user wrote it."""

Container = Annotated[dict[str, Any], WithJsonSchema(_container_schema())]
"""A Kubernetes container, kept as the user wrote it."""


class PodOverlay(Model):
    """Additions to a pod that may run on this pool. A field that the user's pod already sets is never overwritten."""

    annotations: Annotated[
        dict[LabelKey, Annotated[str, Field(max_length=4096)]], Field(max_length=64, json_schema_extra=LABEL_KEYS)
    ] = Field(default_factory=dict)
    """Annotations to add, for example {k8s.aliyun.com/eci-image-cache: "true"}."""
    labels: Annotated[dict[LabelKey, LabelText], Field(max_length=64, json_schema_extra=LABEL_KEYS)] = Field(
        default_factory=dict
    )
    """Labels to add."""
    env: Annotated[tuple[OverlayEnv, ...], Field(max_length=64, json_schema_extra=list_map("name"))] = ()
    """Environment variables to add to every container, init containers and sidecars included."""
    tolerations: Annotated[tuple[OverlayToleration, ...], Field(max_length=32, json_schema_extra=atomic_list())] = ()
    """Tolerations to add, which a pod needs to run on this pool. Left out: one for each taint of the pool's nodes."""
    volumes: Annotated[tuple[Volume, ...], Field(max_length=16, json_schema_extra=list_map("name"))] = ()
    """Volumes to add, for example [{name: agent, emptyDir: {}}]. Every volume that a sidecar mounts has to be among
    them."""
    sidecars: Annotated[tuple[Container, ...], Field(max_length=8, json_schema_extra=list_map("name"))] = ()
    """Native sidecars to add: containers as in a pod's initContainers, run with restartPolicy Always."""
    logs: OverlayLogs | None = None
    """Shipping of log files by a sidecar, because DaemonSets do not run on virtual nodes."""
    core_dump: CoreDump | None = None
    """Where core dumps are stored."""
    dns_config: DnsConfig | None = None
    """The pod's DNS settings."""
