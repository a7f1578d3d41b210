"""The certificates of the installation: the Secret, the `caBundle`s that trust it, and the serving certificate.

Contract:

* Any replica may *start* (the first one fills the Secret and an empty `caBundle`); only the leader *rotates*.
* The order of `authority` is kept: a new authority is in every `caBundle` before anything signed by it is served.
* Every replica follows the Secret and serves the pair in it.
* Of a webhook configuration only `caBundle` is changed, and only if it differs.

A conflict (409) is not an error: the next turn reads again.
"""

import asyncio
import base64
import ssl
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from spillway.admission.authority import CA_CERTIFICATE, Lifetimes, Material, begin, next_step, trusts
from spillway.admission.tls import ServingTls
from spillway.domain.model.additions import Addition, json_patch
from spillway.kube import paths
from spillway.kube.client import JSON_PATCH, JsonTransport
from spillway.kube.errors import ApiError, RequestError
from spillway.telemetry import admission as metrics

log: Final = structlog.get_logger(__name__)

CONFIGURATION_KINDS: Final = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
_SUFFIX: Final = "webhookconfigurations"
_CONFLICTS: Final = (409, 422)
"""The API server answers 422 to a JSON patch whose `test` fails."""


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """The names under which the API server may call the webhook's Service, and the loopback names for local runs."""
    return (
        service,
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc",
        f"{service}.{namespace}.svc.cluster.local",
        "localhost",
        "127.0.0.1",
    )


class Certificates:
    """The certificates of one installation."""

    def __init__(
        self,
        client: JsonTransport,
        tls: ServingTls,
        *,
        namespace: str,
        service: str = "spillway-webhook",
        secret: str = "spillway-webhook-tls",  # noqa: S107  # the Secret's name
        configuration: str = "spillway",
        api_services: Sequence[str] = (),
        lifetimes: Lifetimes = Lifetimes(),  # noqa: B008  # frozen
        poll_seconds: float = 5.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        is_leader: Callable[[], bool] = lambda: True,
        key_loaded: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """`key_loaded` is called with the authority's private key, which all replicas read, whenever it was read.

        `api_services` are the APIServices that have to trust the certificate too.
        """
        self._client = client
        self._tls = tls
        self._service = (namespace, service)
        self._api_services = tuple(api_services)
        self._collection = paths.SECRETS.within(namespace)
        self._path = paths.SECRETS.named(secret, namespace=namespace)
        self._namespace = namespace
        self._secret = secret
        self._configuration = configuration
        self._names: Sequence[str] = service_names(service, namespace)
        self._lifetimes = lifetimes
        self._poll_seconds = poll_seconds
        self._now = now
        self._is_leader = is_leader
        self._key_loaded = key_loaded
        self._published: tuple[bytes, datetime] | None = None

    async def ensure(self) -> None:
        """Create the material if there is none, serve the certificate, and make the configurations trust it."""
        material = await self._read_or_begin()
        self._key_loaded(material.authority_key)
        self._serve(material)
        await self._publish(material.bundle)

    async def run(self) -> None:
        """Follow and, as leader, rotate, until cancelled."""
        while True:
            try:
                await self.turn()
            except RequestError as error:
                log.warning("certificates not checked, retrying", key=self._key, error=str(error) or repr(error))
            await asyncio.sleep(self._poll_seconds)

    async def turn(self) -> None:
        """One turn: load a new certificate; as the leader publish the bundle and take the next step of a rotation."""
        material = await self._read_or_begin()
        self._key_loaded(material.authority_key)
        try:
            self._serve(material)
        except ssl.SSLError as error:
            # The leader replaces a certificate that does not match its key; until then the previous one is served.
            log.warning("serving certificate cannot be loaded", key=self._key, error=str(error))
        if not self._is_leader():
            # No replica is called before one is trusted, and a leader may take seconds to appear.
            await self._publish(material.bundle, missing_only=True)
            return
        published = await self._publish(material.bundle)
        step = next_step(material, self._names, self._lifetimes, self._now(), published=published)
        if step is None:
            return
        if await self._replace(step):
            log.info("certificates rotated", key=self._key, authorities=len(step.authorities))
            # Trust first: the bundle is published before any replica can load a certificate that it signs.
            await self._publish(step.bundle)
            self._serve(step)

    @property
    def _key(self) -> str:
        return f"{self._namespace}/{self._secret}"

    def _serve(self, material: Material) -> None:
        if self._tls.load(material.serving_certificate, material.serving_key, material.bundle):
            certificate = self._tls.certificate
            expires = certificate.not_valid_after_utc.isoformat() if certificate else ""
            log.info("serving certificate loaded", key=self._key, expires=expires)

    async def _read_or_begin(self) -> Material:
        try:
            found = await self._client.get_json(self._path)
        except ApiError as error:
            if error.status != 404:
                raise
            found = None
        if found is not None and (material := _material(found)) is not None:
            return material
        fresh = begin(self._names, self._lifetimes, self._now())
        body = self._body(fresh)
        try:
            if found is None:
                await self._client.request("POST", self._collection, body=body)
            else:
                # It exists and is empty or unusable: the chart may have created it, so that the operator needs no
                # permission to create it.
                body["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
                await self._client.request("PUT", self._path, body=body)
        except ApiError as error:
            if error.status not in _CONFLICTS:
                raise
            return await self._read_or_begin()
        log.info("certificates created", key=self._key)
        return fresh

    async def _replace(self, material: Material) -> bool:
        found = await self._client.get_json(self._path)
        body = self._body(material)
        body["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
        for kept in ("labels", "annotations", "ownerReferences"):
            if kept in found["metadata"]:
                body["metadata"][kept] = found["metadata"][kept]
        try:
            await self._client.request("PUT", self._path, body=body)
        except ApiError as error:
            if error.status not in _CONFLICTS:
                raise
            return False
        return True

    def _body(self, material: Material) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": self._secret, "namespace": self._namespace},
            "data": {key: base64.b64encode(value).decode() for key, value in material.as_secret().items()},
        }

    async def _publish(self, bundle: bytes, *, missing_only: bool = False) -> bool:
        """Make every configuration trust the bundle; True once that has lasted for the overlap."""
        in_place = True
        for plural in CONFIGURATION_KINDS:
            in_place &= await self._publish_in(plural, bundle, missing_only=missing_only)
        for name in self._api_services:
            in_place &= await self._publish_in_api_service(name, bundle, missing_only=missing_only)
        now = self._now()
        if missing_only or not in_place:
            self._published = None
            return False
        if self._published is None or self._published[0] != bundle:
            self._published = (bundle, now)
        return now - self._published[1] >= self._lifetimes.overlap

    async def _publish_in(self, plural: str, bundle: bytes, *, missing_only: bool) -> bool:
        path = paths.webhook_configurations(plural).named(self._configuration)
        try:
            configuration = await self._client.get_json(path)
        except ApiError as error:
            if error.status == 404:
                return True
            raise
        wanted = base64.b64encode(bundle).decode()
        trusted = [webhook["clientConfig"].get("caBundle") for webhook in configuration.get("webhooks", ())]
        self._export_trust(plural, {now or "" for now in trusted})
        stale = [index for index, now in enumerate(trusted) if now != wanted and not (missing_only and now)]
        if not stale:
            return True
        places = [("webhooks", str(index), "clientConfig", "caBundle") for index in stale]
        return await self._trust(path, configuration, places, wanted)

    def _export_trust(self, plural: str, bundles: Collection[str]) -> None:
        """Export whether all of these, as a configuration has them, trust what this replica serves."""
        if (certificate := self._tls.certificate) is not None:
            trusted = all(trusts(_decoded(bundle), certificate) for bundle in bundles)
            metrics.CERTIFICATE_TRUSTED.labels(plural.removesuffix(_SUFFIX)).set(trusted)

    async def _publish_in_api_service(self, name: str, bundle: bytes, *, missing_only: bool) -> bool:
        """The same in an APIService, unless another installation owns it."""
        path = paths.API_SERVICES.named(name)
        try:
            found = await self._client.get_json(path)
        except ApiError as error:
            if error.status == 404:
                return True
            raise
        service, now = found["spec"].get("service") or {}, found["spec"].get("caBundle")
        wanted = base64.b64encode(bundle).decode()
        ours = (service.get("namespace"), service.get("name")) == self._service
        if not ours or now == wanted or (missing_only and now):
            return True
        return await self._trust(path, found, [("spec", "caBundle")], wanted)

    async def _trust(self, path: str, found: dict[str, Any], places: Sequence[tuple[str, ...]], wanted: str) -> bool:
        """Write the bundle at these places of the object that was read; False if it has changed since."""
        version = found["metadata"]["resourceVersion"]
        patch: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
        patch += json_patch(Addition(place, wanted) for place in places)
        try:
            await self._client.request("PATCH", path, body=msgspec.json.encode(patch), content_type=JSON_PATCH)
        except ApiError as error:
            if error.status not in _CONFLICTS:
                raise
            return False
        log.info("caBundle published", key="/".join(path.rsplit("/", 2)[-2:]), places=len(places))
        return True


def _decoded(text: str) -> bytes:
    """Empty where the text is not base64."""
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""


def _material(secret: dict[str, Any]) -> Material | None:
    data = secret.get("data") or {}
    try:
        decoded = {key: base64.b64decode(value) for key, value in data.items()}
    except ValueError:
        return None
    return Material.from_secret(decoded) if decoded.get(CA_CERTIFICATE) else None
