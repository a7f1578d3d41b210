"""A signal: an event of one object to which others subscribe.

Contract: listeners are called in the order in which they subscribed, from the event loop's thread alone. An exception
in one is logged and counted and stops no other. Subscribing returns the function that ends the subscription; it may be
called more than once. A listener that leaves while the signal is emitted is still called that time.
"""

from collections.abc import Callable
from typing import Generic, TypeVarTuple

from spillway.telemetry.logs import Logger

log = Logger(__name__)

Args = TypeVarTuple("Args")
Unsubscribe = Callable[[], None]


class Signal(Generic[*Args]):
    """A signal that calls its listeners with the arguments of `emit`.

    `name` labels errors in the metric; `key` names the object that the arguments are about, for the log.
    """

    __slots__ = ("_key", "_listeners", "_name")

    def __init__(self, name: str, key: Callable[[*Args], str] | None = None) -> None:
        self._name = name
        self._key = key
        self._listeners: dict[object, Callable[[*Args], None]] = {}

    def __bool__(self) -> bool:
        """Whether there is a listener."""
        return bool(self._listeners)

    def subscribe(self, listener: Callable[[*Args], None]) -> Unsubscribe:
        """Call `listener` at every emission from now on; it must be quick and must not block."""
        token = object()
        # A new mapping at every change, because an emission in progress iterates over the old one.
        self._listeners = {**self._listeners, token: listener}

        def unsubscribe() -> None:
            if token in self._listeners:
                self._listeners = {known: one for known, one in self._listeners.items() if known is not token}

        return unsubscribe

    def emit(self, *args: *Args) -> None:
        """Call every listener."""
        for listener in self._listeners.values():
            try:
                listener(*args)
            except Exception:
                from spillway.telemetry.kube import LISTENER_ERRORS  # noqa: PLC0415  # commands count nothing

                LISTENER_ERRORS.labels(self._name).inc()
                log.exception("listener failed", record=self._name, key="" if self._key is None else self._key(*args))
