"""What bounds the replicas in namespaces: HorizontalPodAutoscalers and ResourceQuotas, each list read once.

Contract: it reads, and never writes. A list that cannot be read is not tried again either, except if the API server
is not reached, or answers no request now.
"""

from collections.abc import Awaitable, Callable

from spillway.controllers.surge.scaler import SurgeScaler
from spillway.domain.model.documents import Json
from spillway.kube.errors import RequestError


class NamespaceBounds:
    """The lists of a few namespaces, as they were when they were first asked for."""

    def __init__(self, scaler: SurgeScaler) -> None:
        self._scaler = scaler
        self._autoscalers: dict[str, list[Json] | RequestError] = {}
        self._quotas: dict[str, list[Json] | RequestError] = {}

    async def autoscalers(self, namespace: str) -> list[Json]:
        """As `SurgeScaler.autoscalers`."""
        return await _once(self._autoscalers, namespace, self._scaler.autoscalers)

    async def quotas(self, namespace: str) -> list[Json]:
        """As `SurgeScaler.quotas`."""
        return await _once(self._quotas, namespace, self._scaler.quotas)


async def _once(
    known: dict[str, list[Json] | RequestError], namespace: str, read: Callable[[str], Awaitable[list[Json]]]
) -> list[Json]:
    if namespace not in known:
        try:
            known[namespace] = await read(namespace)
        except RequestError as error:
            if error.retryable:
                raise
            known[namespace] = error
    found = known[namespace]
    if isinstance(found, RequestError):
        raise found
    return found
