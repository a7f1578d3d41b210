"""The controller of the registration of the external metrics API: whether kube-apiserver asks this installation.

Contract: one key, read once a minute while some class has `scaling`. It writes nothing: the chart creates the
APIService, and one of another installation, such as KEDA's, is left as it is and reported.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, NamedTuple

from spillway.controllers.base import Controller, Unsubscribe, World
from spillway.domain.model.api_services import service_of, unavailable
from spillway.domain.scaling.autoscalers import METRICS_API_SERVICE, OTHER_WAYS
from spillway.kube import paths
from spillway.kube.errors import ApiError
from spillway.kube.protocols import Reader
from spillway.state.signal import Signal

ALL: Final = "*"
AGAIN_SECONDS: Final = 60.0
CHANGED_SECONDS: Final = 1.0
NOT_REGISTERED: Final = "NotRegistered"
OWNED_BY_ANOTHER: Final = "OwnedByAnother"
NOT_AVAILABLE: Final = "NotAvailable"
REASONS: Final = (NOT_REGISTERED, OWNED_BY_ANOTHER, NOT_AVAILABLE)
PATH: Final = paths.API_SERVICES.named(METRICS_API_SERVICE)


class RegistrationProblem(NamedTuple):
    """Why the metric is not served through kube-apiserver."""

    reason: str
    message: str


class RegistrationController(Controller):
    """The controller that looks at the APIService."""

    name: ClassVar = "external-metrics"

    def __init__(self, world: World, reader: Reader, *, service: str, namespace: str) -> None:
        super().__init__(world)
        self._reader = reader
        self._service = (namespace, service)
        self.trouble: RegistrationProblem | None = None
        """None while the API is registered and available, and while nothing asks for it."""
        self.changed: Signal[()] = Signal("Registration")
        """Emitted when the trouble has changed."""

    def subscribe(self) -> Iterable[Unsubscribe]:
        yield self.world.catalog.subscribe(lambda: self.queue.add_after(ALL, CHANGED_SECONDS))

    def all_keys(self) -> Iterable[str]:
        return [ALL]

    async def reconcile(self, key: str) -> float | None:  # noqa: ARG002 - there is one
        policies = self.world.governance.policies.values()
        asked = any(one.scaling is not None for policy in policies for one in policy.spec.workloads)
        found = trouble_of(await self._read(), self._service) if asked else None
        if found != self.trouble:
            self.trouble = found
            if found is not None:
                self.log.warning("the external metrics API is not served", key=METRICS_API_SERVICE, reason=found.reason)
            self.changed.emit()
        return AGAIN_SECONDS if asked else None

    async def _read(self) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = await self._reader.get_json(PATH)
        except ApiError as error:
            if error.not_found:
                return None
            raise
        return found


def trouble_of(registered: Mapping[str, Any] | None, service: tuple[str, str]) -> RegistrationProblem | None:
    """What is wrong with the APIService, which should lead to this Service, given as namespace and name."""
    if registered is None:
        return RegistrationProblem(
            NOT_REGISTERED, f"there is no APIService {METRICS_API_SERVICE}; the chart's externalMetrics creates it"
        )
    owner = service_of(registered)
    if owner != service:
        return RegistrationProblem(
            OWNED_BY_ANOTHER,
            f"the APIService {METRICS_API_SERVICE} leads to the Service {'/'.join(owner)}; a cluster has one such API, "
            f"so let that one serve the number: {OTHER_WAYS}",
        )
    refused = unavailable(registered)
    return (
        None if refused is None else RegistrationProblem(NOT_AVAILABLE, f"kube-apiserver does not reach it: {refused}")
    )
