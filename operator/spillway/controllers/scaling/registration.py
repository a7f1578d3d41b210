"""The controller of the registration of the external metrics API: whether kube-apiserver asks this installation.

Contract: one key, read once a minute while some class has `scaling`. It writes nothing: the chart creates the
APIService, and one of another installation, such as KEDA's, is left as it is and reported.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, NamedTuple

from spillway.aggregated.metric import API_SERVICE
from spillway.controllers.base import Controller, Unsubscribe, World
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
PATH: Final = paths.API_SERVICES.named(API_SERVICE)


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
                self.log.warning("the external metrics API is not served", key=API_SERVICE, reason=found.reason)
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
            NOT_REGISTERED, f"there is no APIService {API_SERVICE}; the chart's externalMetrics creates it"
        )
    leads = registered["spec"].get("service") or {}
    if (leads.get("namespace"), leads.get("name")) != service:
        owner = f"{leads.get('namespace', '')}/{leads.get('name', '')}"
        return RegistrationProblem(
            OWNED_BY_ANOTHER,
            f"the APIService {API_SERVICE} leads to the Service {owner}; a cluster has one such API, so let that one "
            "serve the number: KEDA through Spillway's external scaler, prometheus-adapter through "
            "spillway_scaling_recommended_replicas",
        )
    conditions = (registered.get("status") or {}).get("conditions") or ()
    available = next((one for one in conditions if one.get("type") == "Available"), None)
    if available is not None and available.get("status") != "True":
        return RegistrationProblem(NOT_AVAILABLE, f"kube-apiserver does not reach it: {available.get('message', '')}")
    return None
