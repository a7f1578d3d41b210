"""KEDA's external push scaler: the recommended replicas of the workload that a ScaledObject's trigger names.

Contract: imported only where it is served, because gRPC takes 40 MiB. The number is the same as that of the external
metrics API, answered by every replica. A workload is active while anything asks for a replica of it; a change is pushed
to KEDA, which scales from and to zero by it. A trigger without `workload`, or one that names a workload without
`scaling`, is refused with what is right wherever its number is asked for: KEDA shows that text in an Event of the
ScaledObject, and uses its `fallback`. The metric's description is never refused, because KEDA would show an empty one
instead, and not create its autoscaler. A stream waits for a workload that has no number yet, and ends without an error
when the server stops, because after each error KEDA waits longer, up to a minute, until it connects again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import grpc
import grpc.aio
import structlog

from spillway.admission.tls import ServingTls
from spillway.domain.model.owners import workload_key
from spillway.domain.scaling.autoscalers import METRIC
from spillway.domain.scaling.recommend import FindNumber, Number
from spillway.keda.externalscaler_pb2 import (
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    MetricValue,
    ScaledObjectRef,
)
from spillway.state.signal import Signal
from spillway.telemetry import scaling as metrics

log: Final = structlog.get_logger(__name__)

SERVICE: Final = "externalscaler.ExternalScaler"
PUSH_SECONDS: Final = 5.0
"""How often a replica that does not lead looks whether a workload has become active, or is no longer."""
STOP_SECONDS: Final = 1.0
CALLS_MAX: Final = 4096
"""The number of calls at a time: KEDA's operator keeps one stream for each ScaledObject. Others are refused at once."""
_OPTIONS: Final = (("grpc.max_receive_message_length", 64 * 1024), ("grpc.max_metadata_size", 16 * 1024))
"""Whoever reaches the port may call: a reference to a ScaledObject is small."""
_EXAMPLE: Final = "for example {scalerAddress: spillway-webhook.spillway-system:9446, kind: Deployment, workload: cart}"


class KedaScaler:
    """The gRPC server. `changed` is emitted when recommendations of this replica have changed."""

    def __init__(
        self,
        find: FindNumber,
        changed: Signal[()],
        *,
        tls: ServingTls | None,
        port: int,
        host: str = "0.0.0.0",  # noqa: S104
    ) -> None:
        """`tls=None` serves without TLS, for tests."""
        self._find = find
        self._changed = changed
        self._tls = tls
        self._host = host
        self.port = port
        """The port in use, which the system chose if port 0 was requested."""
        self._server: grpc.aio.Server | None = None
        self._streams: set[asyncio.Event] = set()
        """One of each open stream, set when it is to look again."""
        self._stopping = False

    async def start(self) -> None:
        """Start to listen; returns once connections are accepted."""
        server = grpc.aio.server(maximum_concurrent_rpcs=CALLS_MAX, options=_OPTIONS)
        server.add_generic_rpc_handlers((self._handlers(),))
        address = f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"
        if self._tls is None:
            self.port = server.add_insecure_port(address)
        else:
            self.port = server.add_secure_port(address, _credentials(self._tls))
        await server.start()
        self._server = server
        log.info("external scaler for KEDA listens", port=self.port)

    async def stop(self) -> None:
        """Stop listening; streams end."""
        self._stopping = True
        for stream in self._streams:
            stream.set()
        if self._server is not None:
            await self._server.stop(STOP_SECONDS)
            self._server = None

    def _handlers(self) -> Any:  # noqa: ANN401 - grpc has no types
        def unary(method: Any, request: Any) -> Any:  # noqa: ANN401
            return grpc.unary_unary_rpc_method_handler(
                method, request_deserializer=request.FromString, response_serializer=_encoded
            )

        stream = grpc.unary_stream_rpc_method_handler(
            self.stream_is_active, request_deserializer=ScaledObjectRef.FromString, response_serializer=_encoded
        )
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "IsActive": unary(self.is_active, ScaledObjectRef),
                "StreamIsActive": stream,
                "GetMetricSpec": unary(self.get_metric_spec, ScaledObjectRef),
                "GetMetrics": unary(self.get_metrics, GetMetricsRequest),
            },
        )

    async def is_active(self, asked: ScaledObjectRef, context: "grpc.aio.ServicerContext") -> IsActiveResponse:
        """Whether the workload is to have a replica at all."""
        return IsActiveResponse(result=(await self._number(asked, context)).active)

    async def stream_is_active(
        self, asked: ScaledObjectRef, context: "grpc.aio.ServicerContext"
    ) -> AsyncIterator[IsActiveResponse]:
        """The same, at once and then at every change."""
        workload = await _workload(asked, context)
        changed = asyncio.Event()
        unsubscribe = self._changed.subscribe(changed.set)
        self._streams.add(changed)
        try:
            told: bool | None = None
            while not self._stopping:
                changed.clear()
                number = await self._find(asked.namespace, workload)
                active = None if number is None else number.active
                if active is not told:
                    told = active
                    if active is not None:
                        yield IsActiveResponse(result=active)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PUSH_SECONDS):
                        await changed.wait()
        finally:
            self._streams.discard(changed)
            unsubscribe()

    async def get_metric_spec(
        self,
        asked: ScaledObjectRef,  # noqa: ARG002 - every workload has the same metric
        context: "grpc.aio.ServicerContext",  # noqa: ARG002
    ) -> GetMetricSpecResponse:
        """One metric, of which each replica is worth one."""
        return GetMetricSpecResponse(metricSpecs=[MetricSpec(metricName=METRIC, targetSize=1, targetSizeFloat=1.0)])

    async def get_metrics(self, asked: GetMetricsRequest, context: "grpc.aio.ServicerContext") -> GetMetricsResponse:
        """The recommended replicas."""
        replicas = (await self._number(asked.scaledObjectRef, context)).replicas
        value = MetricValue(metricName=METRIC, metricValue=replicas, metricValueFloat=float(replicas))
        return GetMetricsResponse(metricValues=[value])

    async def _number(self, asked: ScaledObjectRef, context: "grpc.aio.ServicerContext") -> Number:
        workload = await _workload(asked, context)
        number = await self._find(asked.namespace, workload)
        metrics.KEDA_REQUESTS.labels("unknown" if number is None else "answered").inc()
        if number is None:
            text = f"{workload} has no recommended replicas: no ElasticPolicy with scaling governs it"
            await context.abort(grpc.StatusCode.NOT_FOUND, text)
            raise AssertionError("unreachable")
        return number


async def _workload(asked: ScaledObjectRef, context: "grpc.aio.ServicerContext") -> str:
    """The workload that the trigger's metadata names."""
    name = asked.scalerMetadata.get("workload", "")
    if not name or "/" in name:
        text = f'the trigger\'s metadata must name a workload, {_EXAMPLE}; the ScaledObject is "{asked.name}"'
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
    return workload_key(asked.scalerMetadata.get("kind", "") or "Deployment", asked.namespace, name)


def _encoded(message: Any) -> bytes:  # noqa: ANN401 - any message
    encoded: bytes = message.SerializeToString()
    return encoded


def _credentials(tls: ServingTls) -> Any:  # noqa: ANN401 - grpc has no types
    """Credentials that show the certificate in use at each handshake."""

    def present() -> Any:  # noqa: ANN401
        certificate, key = tls.pair
        return grpc.ssl_server_certificate_configuration([(key, certificate)])

    return grpc.dynamic_ssl_server_credentials(present(), present)
