"""The check of the webhooks: configured, pointing at a Service with ready endpoints, and trusted by the API server.

Contract: pure; the objects are the JSON of the API server, and the facts about certificates are passed in. A
configuration whose webhooks are called by URL has no Service to check.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from spillway.domain.doctor.findings import Check, Finding
from spillway.domain.model.documents import Json
from spillway.domain.overview.attention import Severity

SUFFIX: Final = ".spillway.dev"
"""What the names of Spillway's webhooks end with."""
_MUTATING_KIND: Final = "MutatingWebhookConfiguration"
_IN_A_CONDITION: Final = "values that the CRD alone does not refuse are stored, and only a condition says so"
MUTATING: Final[Mapping[str, str]] = {
    "pods.spillway.dev": "new pods are not placed by thresholds",
    "bindings.spillway.dev": "pods get their deletion cost only minutes after they were bound",
    "replicasets.spillway.dev": "scale-downs are not exact",
    "nodes.spillway.dev": "new nodes get their taints and cordons a moment late",
}
"""The mutating webhooks, each with what happens without it."""
VALIDATING: Final[Mapping[str, str]] = {
    "elasticpolicies.spillway.dev": _IN_A_CONDITION,
    "virtualnodebudgets.spillway.dev": _IN_A_CONDITION,
    "zonalbalances.spillway.dev": _IN_A_CONDITION,
    "thresholds.spillway.dev": "annotations with a wrong threshold are stored, and only an Event says so",
}
"""The validating webhooks, each with what happens without it."""
EXPECTED: Final[Mapping[str, str]] = {**MUTATING, **VALIDATING}
MADE_UP_FOR: Final = frozenset({"bindings.spillway.dev", "nodes.spillway.dev", *VALIDATING})
"""Those whose work the controllers do as well, later or in another way."""
SOON: Final = timedelta(days=7)
_ENABLE: Final = "Set webhook.enabled in the chart's values and upgrade the release."
_UPGRADE: Final = "Upgrade the release of the chart, which creates it, or apply the overlay again."


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """The Service that a configuration names; None of what could not be read."""

    key: str
    """Its namespace/name."""
    exists: bool
    external: bool = False
    """It only names a host (ExternalName), so it has no endpoints."""
    ready_endpoints: int | None = None
    ports: frozenset[str] = frozenset()
    """The names of its ports."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The serving certificate in the Secret, as far as it could be read."""

    secret: str
    """Namespace/name of the Secret."""
    not_after: datetime
    names: frozenset[str]
    trusted: Mapping[str, bool]
    """By the name of a webhook or an APIService: whether its caBundle trusts the certificate."""

    def serves(self, services: Collection[tuple[str, str]], now: datetime) -> bool:
        """Whether it is valid, and for these Services."""
        return self.not_after > now and not self.lacks(services)

    def lacks(self, services: Collection[tuple[str, str]]) -> Sequence[str]:
        """The names of these Services that it is not for."""
        hosts = (f"{name}.{namespace}.svc" for namespace, name in services)
        return [host for host in hosts if host not in self.names]


def webhooks_of(configurations: Sequence[Json]) -> dict[str, Any]:
    """Spillway's webhooks by name, of all configurations."""
    return {
        one["name"]: one
        for configuration in configurations
        for one in configuration.get("webhooks") or ()
        if one["name"].endswith(SUFFIX)
    }


def without_webhooks(mutating: Iterable[Json]) -> bool:
    """Whether Spillway's own of these MutatingWebhookConfigurations exist, and none of all has a webhook of Spillway.

    In the overlay recommend-only that is so.
    """
    every = tuple(mutating)
    ours = any((one["metadata"].get("labels") or {}).get("app.kubernetes.io/name") == "spillway" for one in every)
    return ours and not webhooks_of(every)


def services_of(webhooks: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The (namespace, name) of the Services that these webhooks name, each once."""
    services = ((one.get("clientConfig") or {}).get("service") for one in webhooks.values())
    return sorted({(one["namespace"], one["name"]) for one in services if one})


def configured(webhooks: Mapping[str, Any], *, recommend_only: bool = False) -> Iterator[Finding]:
    """Findings about the configurations themselves; with `recommend_only` no mutating webhook is expected."""
    if recommend_only:
        yield Finding(
            Severity.INFO,
            Check.WEBHOOKS,
            _MUTATING_KIND,
            "it has no webhooks, as in the overlay recommend-only: policies only report, whatever their mode, and "
            "nothing is written outside Spillway's own objects",
            "Nothing, if that is intended. Otherwise apply the overlay cluster-install, or upgrade the release of the "
            "chart.",
        )
    else:
        yield from _missing(webhooks, MUTATING, _MUTATING_KIND, "pods are not placed and scale-downs are not exact")
    yield from _missing(webhooks, VALIDATING, "ValidatingWebhookConfiguration", _IN_A_CONDITION)
    for name, one in webhooks.items():
        if not (one.get("clientConfig") or {}).get("caBundle"):
            yield _error(
                f"Webhook/{name}",
                "it has no caBundle, so the API server does not trust the operator and skips the webhook",
                "The operator (or cert-manager) fills it within a minute: look for errors in its log, and check its "
                "permission to patch the webhook configurations.",
            )


def _missing(
    webhooks: Mapping[str, Any], expected: Mapping[str, str], kind: str, without_all: str
) -> Iterator[Finding]:
    """Findings about webhooks of one kind that are not configured: one finding if that is all of them."""
    missing = [name for name in expected if name not in webhooks]
    severities = [Severity.WARNING if name in MADE_UP_FOR else Severity.ERROR for name in missing]
    if len(missing) == len(expected):
        message = f"none has Spillway's webhooks: {without_all}"
        remedy = _ENABLE if not webhooks else _UPGRADE
        worst = Severity.ERROR if Severity.ERROR in severities else Severity.WARNING
        yield Finding(worst, Check.WEBHOOKS, kind, message, remedy)
        return
    for name, severity in zip(missing, severities, strict=True):
        message = f"it is not configured: {expected[name]}"
        yield Finding(severity, Check.WEBHOOKS, f"Webhook/{name}", message, _UPGRADE)


def reachable(service: ServiceFacts) -> Iterator[Finding]:
    """Findings about the Service that the API server calls."""
    about = f"Service/{service.key}"
    if not service.exists:
        yield _error(about, "the webhooks name it and it does not exist", "Upgrade the release of the chart.")
    elif not service.external and service.ready_endpoints == 0:
        namespace = service.key.partition("/")[0]
        yield _error(
            about,
            "it has no ready endpoint, so the API server reaches no webhook",
            f"Look at the operator's pods: kubectl -n {namespace} get pods, and the runbook SpillwayNoLeader.",
        )


def trusted(certificate: CertificateFacts, services: Collection[tuple[str, str]], now: datetime) -> Iterator[Finding]:
    """Findings about the serving certificate."""
    about = f"Secret/{certificate.secret}"
    if certificate.not_after <= now:
        yield _error(
            about,
            f"its certificate expired at {certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
            "See the runbook SpillwayCertificateExpiring.",
        )
    elif certificate.not_after - now < SOON:
        yield Finding(
            Severity.WARNING,
            Check.WEBHOOKS,
            about,
            f"its certificate expires at {certificate.not_after:%Y-%m-%dT%H:%M:%SZ} and was not renewed",
            "See the runbook SpillwayCertificateExpiring.",
        )
    for host in certificate.lacks(services):
        yield _error(
            about,
            f"its certificate is not for {host}, the name by which the API server calls",
            "Delete the keys tls.crt and tls.key of the Secret (or let cert-manager renew it), so that a new "
            "certificate is issued.",
        )
    for name, good in certificate.trusted.items():
        if not good:
            yield _error(
                f"Webhook/{name}",
                f"its caBundle does not trust the certificate in the Secret {certificate.secret}",
                "See the runbook SpillwayCertificateNotTrusted.",
            )


def _error(about: str, message: str, remedy: str) -> Finding:
    return Finding(Severity.ERROR, Check.WEBHOOKS, about, message, remedy)
