"""The kopf handlers of Spillway's three kinds.

Contract: `on.event` only. Such a handler keeps no progress, so kopf writes no annotation, no finalizer and no status on
the users' objects. A handler returns None and hands the object over; the controllers decide what to do about it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from spillway.api.group import GROUP, VERSION
from spillway.state.catalog import Kind

Deliver = Callable[[Kind, str, dict[str, Any]], None]
"""A function that takes the kind, the type of the event (`DELETED`, or anything else) and the raw object."""

Login = Callable[[], Awaitable[kopf.ConnectionInfo]]


def make_registry(deliver: Deliver, login: Login) -> kopf.OperatorRegistry:
    """A registry with a handler for each kind. It is not kopf's global one, so that tests can run several."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry, retries=None, backoff=1.0)
    async def _login(**_: object) -> kopf.ConnectionInfo:
        return await login()

    for kind in Kind:
        kopf.on.event(GROUP, VERSION, kind.plural, registry=registry, id=kind.plural)(_watch(kind, deliver))
    return registry


def make_settings() -> kopf.OperatorSettings:
    """Settings that make kopf only watch: it posts no Events and never ends the process."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = None
    settings.watching.inactivity_timeout = 90.0
    settings.networking.connect_timeout = 10.0
    settings.networking.request_timeout = 60.0
    return settings


def _watch(kind: Kind, deliver: Deliver) -> Callable[..., Awaitable[None]]:
    async def handle(event: dict[str, Any], **_: object) -> None:
        deliver(kind, event["type"] or "", event["object"])

    return handle
