"""The checks of what kube-apiserver calls: the webhooks and the APIServices, with their Service and certificate."""

import base64
from collections.abc import AsyncIterator, Awaitable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

from cryptography import x509

from spillway.admission.authority import SERVING_CERTIFICATE, trusts
from spillway.app.doctor.account import Account
from spillway.domain.doctor.api_services import SERVED, check_api_service
from spillway.domain.doctor.findings import Check, Finding, not_checked
from spillway.domain.doctor.rights import PATCH_PODS, Right, certificate_rights
from spillway.domain.doctor.webhooks import (
    CertificateFacts,
    ServiceFacts,
    configured,
    reachable,
    services_of,
    trusted,
    webhooks_of,
    without_webhooks,
)
from spillway.domain.model.documents import Json
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError

MUTATING_CONFIGURATIONS: Final = "mutatingwebhookconfigurations"
WEBHOOK_CONFIGURATIONS: Final = (MUTATING_CONFIGURATIONS, "validatingwebhookconfigurations")
T = TypeVar("T")
INJECTED_BY: Final = "cert-manager.io/inject-ca-from"
"""The annotation of the configurations whose caBundle cert-manager writes."""


async def unless_forbidden(read: Awaitable[T]) -> T | None:
    """What is read; None where you may not read it."""
    try:
        return await read
    except ApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return None


class Serving:
    """The webhooks, their Services and their certificate, each read once."""

    def __init__(self, client: KubeClient, account: Account, *, secret: str) -> None:
        """`secret` is the name of the Secret with the certificate, in the namespace of the operator's `account`."""
        self._client = client
        self._account = account
        self._namespace = account.namespace
        self._secret = secret
        self.secret_key: Final = f"{account.namespace}/{secret}"
        self._recommend_only: bool | None = None
        self._configurations: Mapping[tuple[str, str], Json] | None = None
        self._services: Mapping[tuple[str, str], ServiceFacts] | None = None
        self._certificate: x509.Certificate | str | None = None

    async def configurations(self) -> Mapping[tuple[str, str], Json]:
        """The webhook configurations of the cluster, by the plural of their kind and their name."""
        if self._configurations is None:
            self._configurations = {
                (plural, one["metadata"]["name"]): one
                for plural in WEBHOOK_CONFIGURATIONS
                async for one in self._client.list_all(paths.webhook_configurations(plural).everywhere)
            }
        return self._configurations

    async def webhooks(self) -> Mapping[str, Any]:
        """Spillway's webhooks by name."""
        return webhooks_of(tuple((await self.configurations()).values()))

    async def recommend_only(self) -> bool:
        """Whether Spillway is installed so that it only reports: without mutating webhooks and rights to write."""
        if self._recommend_only is None:
            every = (await self.configurations()).items()
            webhooks_say_so = without_webhooks(one for (plural, _), one in every if plural == MUTATING_CONFIGURATIONS)
            # Where you may not ask, it may.
            self._recommend_only = webhooks_say_so and await unless_forbidden(self._account.may(PATCH_PODS)) is False
        return self._recommend_only

    async def certificate_rights(self) -> tuple[Right, ...]:
        """What the operator needs for its own certificate; nothing where cert-manager makes it."""
        trusting = [
            key
            for key, one in (await self.configurations()).items()
            if webhooks_of([one]) and INJECTED_BY not in (one["metadata"].get("annotations") or {})
        ]
        return certificate_rights(self._secret, trusting)

    async def services(self) -> Mapping[tuple[str, str], ServiceFacts]:
        """The Services of the webhooks, by namespace and name."""
        if self._services is None:
            named = services_of(await self.webhooks())
            self._services = {one: await _service(self._client, *one) for one in named}
        return self._services

    async def certificate(self) -> x509.Certificate | str:
        """The serving certificate, or why it is not known."""
        if self._certificate is None:
            self._certificate = await self._read_certificate()
        return self._certificate

    async def facts(self, bundles: Mapping[str, str]) -> CertificateFacts | None:
        """What the certificate says, and which of these caBundles trust it; None where it is not known."""
        certificate = await self.certificate()
        if isinstance(certificate, str):
            return None
        return CertificateFacts(
            secret=self.secret_key,
            not_after=certificate.not_valid_after_utc,
            names=_names_of(certificate),
            trusted={name: trusts(base64.b64decode(text), certificate) for name, text in bundles.items() if text},
        )

    async def _read_certificate(self) -> x509.Certificate | str:
        try:
            raw = await self._client.get_json(
                paths.SECRETS.named(self._secret, namespace=self._namespace, field="--webhook-secret")
            )
        except ApiError as error:
            forbidden = error.status == HTTPStatus.FORBIDDEN
            return "you may not read it" if forbidden else "it does not exist (--webhook-secret)"
        try:
            pem = base64.b64decode((raw.get("data") or {})[SERVING_CERTIFICATE])
            return x509.load_pem_x509_certificate(pem)
        except (KeyError, ValueError):
            return "it holds no certificate"


async def of_webhooks(serving: Serving) -> AsyncIterator[Finding]:
    """Findings about the webhooks, their Services and their certificate."""
    webhooks = await serving.webhooks()
    for one in configured(webhooks, recommend_only=await serving.recommend_only()):
        yield one
    services = await serving.services()
    for service in services.values():
        for one in reachable(service):
            yield one
    if not webhooks:
        return
    bundles = {name: (one.get("clientConfig") or {}).get("caBundle") or "" for name, one in webhooks.items()}
    certificate = await serving.facts(bundles)
    if certificate is None:
        yield not_checked(Check.WEBHOOKS, f"Secret/{serving.secret_key}", str(await serving.certificate()))
        return
    for one in trusted(certificate, services, datetime.now(UTC)):
        yield one


async def of_api_services(client: KubeClient, serving: Serving) -> AsyncIterator[Finding]:
    """Findings about the APIServices that lead to Spillway, or should."""
    services, now = await serving.services(), datetime.now(UTC)
    reached = not any(one for service in services.values() for one in reachable(service))
    for api in SERVED:
        registered = await _registered(client, api.name)
        bundle = "" if registered is None else registered["spec"].get("caBundle") or ""
        certificate = await serving.facts({api.name: bundle}) if services else None
        trusts_it = None if certificate is None else certificate.trusted.get(api.name)
        serves = reached and (certificate is None or certificate.serves(services, now))
        for one in check_api_service(api, registered, services, trusted=trusts_it, serves=serves):
            yield one


async def _registered(client: KubeClient, name: str) -> Json | None:
    try:
        found: Json = await client.get_json(paths.API_SERVICES.named(name))
    except ApiError as error:
        if error.not_found:
            return None
        raise
    return found


async def _service(client: KubeClient, namespace: str, name: str) -> ServiceFacts:
    key = f"{namespace}/{name}"
    try:
        service = await client.get_json(paths.SERVICES.named(name, namespace=namespace))
    except ApiError as error:
        if error.not_found:
            return ServiceFacts(key, exists=False)
        raise
    spec = service.get("spec") or {}
    ports = frozenset(port.get("name", "") for port in spec.get("ports") or ())
    if spec.get("type") == "ExternalName":
        return ServiceFacts(key, exists=True, external=True, ports=ports)
    slices = client.list_all(
        paths.ENDPOINT_SLICES.within(namespace), labelSelector=f"kubernetes.io/service-name={name}"
    )
    ready = 0
    async for one in slices:
        ready += sum(
            (endpoint.get("conditions") or {}).get("ready") is not False for endpoint in one.get("endpoints") or ()
        )
    return ServiceFacts(key, exists=True, ready_endpoints=ready, ports=ports)


def _names_of(certificate: x509.Certificate) -> frozenset[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(found.value.get_values_for_type(x509.DNSName))
