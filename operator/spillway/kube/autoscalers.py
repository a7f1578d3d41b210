"""The watch of HorizontalPodAutoscalers, which runs only while some class has `scaling`.

Contract: it fills `Autoscalers`, and empties it when it ends. Every failure is retried, including a missing permission;
`run` ends only when it is cancelled.
"""

from typing import Final

import msgspec

from spillway.domain.model.names import APPLIED, POLICY
from spillway.domain.scaling.autoscalers import AutoscalerRecord
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.decode import Decoder
from spillway.kube.reflector import Reflector, WatchSettings
from spillway.kube.wanted_watch import WantedWatch
from spillway.kube.wire import Meta
from spillway.state.autoscalers import Autoscalers

SETTINGS: Final = WatchSettings(page_size=500, watch_seconds=250.0, silence_seconds=310.0)
EVERYWHERE: Final = paths.AUTOSCALERS.everywhere
DEFAULT_METRIC: Final = "cpu"
"""Kubernetes scales by CPU where an autoscaler names no metric."""


class _Named(msgspec.Struct):
    name: str = ""


class _Source(msgspec.Struct):
    """The part of a metric that names it: in `metric`, or for a resource in itself."""

    name: str = ""
    metric: _Named | None = None


class _Metric(msgspec.Struct, rename="camel"):
    resource: _Source | None = None
    container_resource: _Source | None = None
    pods: _Source | None = None
    object: _Source | None = None
    external: _Source | None = None

    @property
    def name(self) -> str:
        sources = (self.resource, self.container_resource, self.pods, self.object, self.external)
        source = next((one for one in sources if one is not None), _Source())
        return source.metric.name if source.metric is not None else source.name


class _Target(msgspec.Struct):
    kind: str = ""
    name: str = ""


class _Spec(msgspec.Struct, rename="camel"):
    scale_target_ref: _Target = msgspec.field(default_factory=_Target)
    min_replicas: int | None = None
    max_replicas: int = 0
    metrics: list[_Metric] | None = None


class _Autoscaler(msgspec.Struct):
    metadata: Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)


def autoscaler_record(autoscaler: _Autoscaler) -> AutoscalerRecord:
    """What is kept of one."""
    meta, spec = autoscaler.metadata, autoscaler.spec
    annotations = meta.annotations or {}
    return AutoscalerRecord(
        uid=meta.uid,
        namespace=meta.namespace,
        name=meta.name,
        target_kind=spec.scale_target_ref.kind,
        target_name=spec.scale_target_ref.name,
        minimum=1 if spec.min_replicas is None else spec.min_replicas,
        maximum=spec.max_replicas,
        metrics=tuple(one.name for one in spec.metrics or ()) or (DEFAULT_METRIC,),
        policy=annotations.get(POLICY, ""),
        applied=annotations.get(APPLIED, ""),
    )


AUTOSCALERS: Final[Decoder[_Autoscaler, AutoscalerRecord]] = Decoder(_Autoscaler, autoscaler_record)


class _AutoscalerSink:
    """The sink that keeps `Autoscalers` equal to the API server's objects."""

    def __init__(self, autoscalers: Autoscalers) -> None:
        self._autoscalers = autoscalers
        self._listed: set[str] = set()

    def alive(self) -> None:
        """Nothing depends on how fresh they are."""

    page_ends = watch_ends = alive

    def list_begins(self) -> None:
        self._listed = set()

    def listed(self, record: AutoscalerRecord) -> None:
        self._listed.add(record.uid)
        self._autoscalers.apply(record)

    def list_ends(self) -> None:
        self._autoscalers.keep(self._listed)

    def changed(self, record: AutoscalerRecord) -> None:
        self._autoscalers.apply(record)

    def deleted(self, record: AutoscalerRecord) -> None:
        self._autoscalers.remove(record.uid)


class AutoscalerWatch(WantedWatch):
    """The watch; what it follows is a path, `EVERYWHERE`."""

    name = "autoscalers"

    def __init__(self, client: KubeClient, autoscalers: Autoscalers) -> None:
        super().__init__()
        self._client = client
        self._autoscalers = autoscalers

    async def _follow(self, what: str) -> None:
        sink = _AutoscalerSink(self._autoscalers)
        await Reflector(self._client, sink, path=what, decoder=AUTOSCALERS, settings=SETTINGS).run()

    def _ended(self) -> None:
        self._autoscalers.clear()
