"""The trial of an overlay: a dry run of the creation of a pod with it, in the operator's own namespace.

Contract: nothing is created. Only what the API server says of the pod itself (422 Invalid) counts against the overlay;
a refusal that may come from that namespace (its quota, LimitRanges, pod security level, a webhook, a missing right) or
from the server's state says nothing about other namespaces. Then the reason is given as `unknown`.

Whoever reaches the webhook can ask for trials. So a result is kept for a while, and the rate of trials is limited:
beyond it the result is `unknown` at once.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from spillway.api.podoverlay import PodOverlay
from spillway.domain.model.remember import KeptFor
from spillway.domain.overlay.trial import overlay_field, trial_pod
from spillway.kube import paths
from spillway.kube.client import Transport
from spillway.kube.errors import ApiError, RequestError
from spillway.kube.ratelimit import TokenBucket

_NAME: Final = "spillway-overlay-trial"
_LONGEST: Final = 500
TRIALS_PER_SECOND: Final = 1.0
TRIALS_AT_ONCE: Final = 20
"""Trials without waiting for the rate; a cluster has fewer pools that are changed together."""
KEPT_SECONDS: Final = 10.0
"""Seconds for which a result is used again: clients try an object by a dry run first."""
_KEPT: Final = 64
_BUSY: Final = "too many overlays are being tried, apply it again in some seconds"


class Fault(NamedTuple):
    """What is wrong with an overlay: a field of the VirtualNodeBudget, and what the API server says about it."""

    field: str
    message: str


class Trial(NamedTuple):
    """The result of a trial."""

    faults: tuple[Fault, ...] = ()
    unknown: str = ""
    """Why it is not known whether the API server takes such pods; empty if it is known."""


TryOverlay = Callable[[str, PodOverlay, float], Awaitable[Trial]]
"""Given a pool, its overlay, and the seconds that the trial may take."""


class OverlayTrials:
    """The trials of overlays in one namespace."""

    def __init__(self, client: Transport, namespace: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._path = paths.PODS.within(namespace)
        self._turns = TokenBucket(TRIALS_PER_SECOND, TRIALS_AT_ONCE, clock=clock)
        self._kept: KeptFor[bytes, Trial] = KeptFor(KEPT_SECONDS, _KEPT, clock)

    async def run(self, pool: str, overlay: PodOverlay, seconds: float) -> Trial:
        """Try the overlay of a pool, for at most `seconds`."""
        key = msgspec.json.encode((pool, overlay.wire()))
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        if not self._turns.take_now():
            return Trial(unknown=_BUSY)
        trial = await self._try(pool, overlay, seconds)
        if not trial.unknown:
            self._kept.put(key, trial)
        return trial

    async def _try(self, pool: str, overlay: PodOverlay, seconds: float) -> Trial:
        pod = trial_pod(_NAME, overlay, pool=pool)
        params = {"dryRun": "All", "fieldValidation": "Strict"}
        try:
            body = msgspec.json.encode({"apiVersion": "v1", "kind": "Pod", **pod})
            await self._client.request("POST", self._path, params=params, body=body, timeout=seconds)
        except ApiError as error:
            return _read(error, overlay, pod)
        except RequestError as error:
            return Trial(unknown=str(error))
        return Trial()


def _read(error: ApiError, overlay: PodOverlay, pod: Mapping[str, Any]) -> Trial:
    # Strict field validation and what cannot be decoded are 400: a misspelled field of a sidecar, a number for a text.
    if not error.invalid and error.reason != "BadRequest":
        return Trial(unknown=error.message[:_LONGEST])
    causes = error.details.get("causes") or ()
    faults = [
        Fault(overlay_field(str(cause.get("field", "")), overlay, pod), str(cause.get("message", ""))[:_LONGEST])
        for cause in causes
        if isinstance(cause, Mapping)
    ]
    return Trial(tuple(dict.fromkeys(faults or [Fault("spec.podOverlay", error.message[:_LONGEST])])))
