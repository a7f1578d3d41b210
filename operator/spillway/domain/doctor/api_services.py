"""The check of the APIServices by which kube-apiserver passes requests on to Spillway.

Contract: pure. An API is wanted if the Service of the webhooks has its port, which the chart adds with the API. Each
cause makes one finding: nothing is said about an API that is not reached because the Service or the certificate is not
as it has to be, which the check of the webhooks reports. An APIService that was left behind when the chart's value was
turned off leads to a Service without the port. The API of external metrics may be that of another component:
this matters only where Spillway is to serve it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.doctor.webhooks import ServiceFacts
from spillway.domain.explain import served
from spillway.domain.model.api_services import service_of, unavailable
from spillway.domain.model.documents import Json
from spillway.domain.overview.attention import Severity
from spillway.domain.scaling.autoscalers import METRICS_API_SERVICE, OTHER_WAYS

_TERMINATING: Final = "namespaces that are deleted stay in the phase Terminating meanwhile"


@dataclass(frozen=True, slots=True)
class ServedApi:
    """One of the APIs."""

    name: str
    """The name of its APIService."""
    value: str
    """The section of the chart's values that enables it."""
    port: str
    """The name of its port of the Service."""
    without: str
    """What happens while it is not served."""
    others: str
    """What to do if another component owns it."""


EXPLAIN: Final = ServedApi(
    served.API_SERVICE,
    "explainApi",
    "explain",
    "`kubectl spillway explain` reads all pods of the cluster itself",
    "Uninstall the other installation of Spillway, or set explainApi.enabled=false in one of them.",
)
METRICS: Final = ServedApi(
    METRICS_API_SERVICE,
    "externalMetrics",
    "metrics-api",
    "HorizontalPodAutoscalers cannot read the recommended replicas",
    f"Set externalMetrics.enabled=false, and let the owner serve the number: {OTHER_WAYS} "
    "(docs/how-to/scaling.md). Or uninstall the owner, and upgrade the release of the chart.",
)
SERVED: Final = (EXPLAIN, METRICS)


def check_api_service(
    api: ServedApi,
    registered: Json | None,
    services: Mapping[tuple[str, str], ServiceFacts],
    *,
    trusted: bool | None,
    serves: bool,
) -> Iterator[Finding]:
    """The finding about one API.

    `services` are those of the webhooks, by namespace and name. `trusted` says whether the caBundle trusts the
    certificate, None where that is not known; `serves`, whether the Service and the certificate are as they have to be.
    """
    about = f"APIService/{api.name}"
    wanted = [one.key for one in services.values() if api.port in one.ports]
    if registered is None:
        if wanted:
            message = f"it does not exist, although the Service {wanted[0]} serves it: {api.without}"
            yield _warning(about, message, "Upgrade the release of the chart, which creates it.")
        return
    owner, refused = service_of(registered), unavailable(registered)
    leads = "/".join(owner)
    if owner not in services:
        if wanted:
            message = f"it leads to the Service {leads}, not to {wanted[0]}: {api.without}"
            yield _warning(about, message, api.others)
        elif api is EXPLAIN and refused is not None:
            yield _error(
                about,
                f"it leads to the Service {leads}, which no webhook of Spillway names, and kube-apiserver does not "
                f"reach it: {refused}; {_TERMINATING}",
                f"If that installation of Spillway is gone: kubectl delete apiservice {api.name}",
            )
        return
    leads_to = services[owner]
    if leads_to.exists and not leads_to.external and api.port not in leads_to.ports:
        yield _error(
            about,
            f"the Service {leads} to which it leads does not serve it ({api.value} is not enabled): {_TERMINATING}",
            f"kubectl delete apiservice {api.name}, or set {api.value}.enabled=true.",
        )
        return
    if not registered["spec"].get("caBundle") and not registered["spec"].get("insecureSkipTLSVerify"):
        yield _error(
            about,
            f"it has no caBundle, so kube-apiserver does not trust the operator: {api.without}, and {_TERMINATING}",
            "The operator (or cert-manager) fills it within a minute: look for errors in its log, and check its "
            "permission to patch the APIService.",
        )
    elif trusted is False:
        yield _error(
            about,
            f"its caBundle does not trust the operator's certificate: {api.without}, and {_TERMINATING}",
            "See the runbook SpillwayCertificateNotTrusted.",
        )
    elif serves and refused is not None:
        yield _error(
            about,
            f"kube-apiserver does not reach it: {refused}; {api.without}, and {_TERMINATING}",
            f"Let kube-apiserver reach the port {api.port} of the operator's pods (firewall rules, NetworkPolicies), "
            f"and look at their log. Until it does, set {api.value}.enabled=false if namespaces have to be deleted.",
        )


def names_metric_api(findings: Collection[Finding]) -> bool:
    """Whether one of these findings is about the API of external metrics."""
    return any(one.check is Check.API_SERVICES and one.object.endswith(METRICS.name) for one in findings)


def _warning(about: str, message: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, Check.API_SERVICES, about, message, remedy)


def _error(about: str, message: str, remedy: str) -> Finding:
    return Finding(Severity.ERROR, Check.API_SERVICES, about, message, remedy)
