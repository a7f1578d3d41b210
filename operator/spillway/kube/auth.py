"""Credentials for the API server: from a kubeconfig or the pod's service account, with tokens that are renewed.

Contract: `kubernetes.aio.config` loads them; this module decides when to load them again. A service-account token is
read again by the library's own hook, a token file of a kubeconfig every minute, the token of an exec plugin when it
expires, and everything once more after a 401 (at most every ten seconds, so that a revoked account does not call a
plugin too often).
"""

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.kube_config import KubeConfigLoader

from spillway.kube.static_credentials import IMPERSONATION, kubeconfig_path

# The library annotates some of its functions and not others.
kube_config: Any = config

_NO_KUBECONFIG = (OSError, yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError)
"""What the library's loader lets through for a file that is something else."""
_RELOAD_SECONDS = 60.0
_RELOAD_AFTER_REFUSAL_SECONDS = 10.0


class CredentialsError(OSError):
    """The lack of usable credentials for the API server; the message is one line."""


class Credentials:
    """The connection's address, TLS context and authorization header."""

    def __init__(
        self,
        configuration: Configuration,
        kubeconfig: str | None,
        context: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configuration = configuration
        self._kubeconfig = kubeconfig
        self._context = context
        self.context = ""
        """The context of the kubeconfig that is in use; empty with the pod's service account."""
        self.namespace = "default"
        """The namespace that the context names for commands that are given none."""
        self._clock = clock
        self._loaded = clock()
        self._loading = asyncio.Lock()
        self._refresher: asyncio.Task[None] | None = None

    @classmethod
    async def load(cls, kubeconfig: str | None = None, context: str | None = None) -> Self:
        """Load from `kubeconfig`, else from `$KUBECONFIG`, else in-cluster, else from `~/.kube/config`.

        `context` is one of the kubeconfig's, instead of its current one; with it the pod's service account is not used.

        Raises:
            CredentialsError: none of them exists, or it cannot be used.

        """
        path = kubeconfig_path(kubeconfig, context)
        configuration = Configuration()
        if path is None:
            try:
                kube_config.load_incluster_config(client_configuration=configuration)
            except kube_config.ConfigException as error:
                raise CredentialsError(f"the pod's service account cannot be used: {error}") from error
            return cls(configuration, None)
        self = cls(configuration, path, context)
        if not _any_file(path):
            raise CredentialsError(f"kubeconfig {path} not found")
        try:
            loader = await kube_config.load_kube_config(
                config_file=path, context=context, client_configuration=configuration, persist_config=False
            )
        except (kube_config.ConfigException, *_NO_KUBECONFIG) as error:
            said = " ".join(str(error).split())
            raise CredentialsError(f"the kubeconfig {path} cannot be used: {said}") from error
        if used := [key for key in IMPERSONATION if key in _user(loader)]:
            # The library ignores these keys, so the user would act under their own name.
            raise CredentialsError(
                f"the kubeconfig {path} cannot be used: its user acts as another one ({', '.join(used)}), which is not "
                "supported; name a context whose user does not"
            )
        self.context = str(loader.current_context["name"])
        self.namespace = str((loader.current_context.get("context") or {}).get("namespace") or "default")
        self._refresher = asyncio.create_task(self._keep_fresh(loader), name="kube-credentials")
        return self

    @property
    def configuration(self) -> Configuration:
        """The configuration for `kubernetes.aio` (the Lease)."""
        return self._configuration

    @property
    def server(self) -> str:
        return str(self._configuration.host).rstrip("/")

    @property
    def target(self) -> str:
        """The cluster in words, for a question to the user: the context and the server's address."""
        return f"{self.server} (context {self.context})" if self.context else self.server

    @property
    def proxy(self) -> str | None:
        return self._configuration.proxy or None

    @property
    def server_name(self) -> str | None:
        return self._configuration.tls_server_name or None

    def tls(self) -> ssl.SSLContext | bool:
        """The context for the connection; True (the defaults) where the server is spoken to without TLS."""
        settings = self._configuration
        if not self.server.startswith("https"):
            return True
        context = ssl.create_default_context(cafile=settings.ssl_ca_cert, cadata=settings.ca_cert_data)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, keyfile=settings.key_file)
        if not settings.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    async def headers(self) -> dict[str, str]:
        """What to add to each request."""
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return {"Authorization": token} if token else {}

    async def refused(self) -> bool:
        """Load everything again after a 401; whether a retry makes sense."""
        if self._kubeconfig is None or self._clock() - self._loaded < _RELOAD_AFTER_REFUSAL_SECONDS:
            return False
        await self._reload()
        return True

    async def close(self) -> None:
        if self._refresher is not None:
            self._refresher.cancel()
            with suppress(asyncio.CancelledError):
                await self._refresher

    async def _keep_fresh(self, loader: KubeConfigLoader) -> None:
        if loader.provider == "gcp" or _user(loader).get("exec"):
            await kube_config.refresh_token(loader, self._configuration, interval=_RELOAD_SECONDS)
        while _user(loader).get("tokenFile"):
            await asyncio.sleep(_RELOAD_SECONDS)
            with suppress(OSError, kube_config.ConfigException):
                await self._reload()

    async def _reload(self) -> None:
        async with self._loading:
            self._loaded = self._clock()
            fresh = Configuration()
            await kube_config.load_kube_config(
                config_file=self._kubeconfig,
                context=self._context,
                client_configuration=fresh,
                persist_config=False,
            )
            self._configuration.api_key.update(fresh.api_key)


def _user(loader: KubeConfigLoader) -> dict[str, Any]:
    """The user's section of the current context; the library's loader has no public way to it."""
    user = loader._user  # noqa: SLF001
    return dict(user.value) if user is not None else {}


def _any_file(path: str) -> bool:
    """Where there is no file the library says that a key of it is missing; $KUBECONFIG may name several."""
    return any(Path(part).exists() for part in path.split(os.pathsep))
