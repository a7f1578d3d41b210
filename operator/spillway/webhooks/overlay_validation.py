"""The validation of VirtualNodeBudgets whose `podOverlay` is new: the API server is asked whether it takes such pods.

Contract: what `ValidationWebhook` refuses is refused without a trial, and an overlay that the stored object has already
is not tried again, so that a pool can be closed whatever its overlay is. Where no answer comes in time, or one that may
be due to the operator's own namespace, the object is allowed with a warning.
"""

from typing import Any, Final

import msgspec
from pydantic import ValidationError

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer, Denial, denied
from spillway.api.podoverlay import PodOverlay
from spillway.kube.overlay_trial import OverlayTrials
from spillway.webhooks.validation import ValidationWebhook

TRIAL_SECONDS: Final = 0.8
"""The time for a trial; the API server asks its webhooks in it."""


class OverlayValidationWebhook:
    """The webhook that validates VirtualNodeBudgets. Without trials it checks what needs no API server."""

    def __init__(self, trials: OverlayTrials | None) -> None:
        self._static = ValidationWebhook("virtualnodebudgets")
        self._trials = trials

    async def __call__(self, request: AdmissionRequest, deadline: Deadline) -> Answer:
        answer = await self._static(request, deadline)
        raw = _overlay(request.object)
        if answer.denials or self._trials is None or not raw or raw == _overlay(request.old_object):
            return answer
        try:
            overlay = PodOverlay.model_validate(raw)
        except ValidationError as error:
            return Answer("unreadable", warnings=(f"spec.podOverlay was not tested: {error.errors()[0]['msg']}",))
        trial = await self._trials.run(request.name, overlay, deadline.patience(TRIAL_SECONDS))
        if trial.unknown:
            return answer._replace(warnings=(f"spec.podOverlay was not tested: {trial.unknown}",))
        return denied(Denial(fault.message, fault.field) for fault in trial.faults)


def _overlay(raw: msgspec.Raw) -> Any:  # noqa: ANN401 - JSON is anything
    if not raw:
        return None
    return (msgspec.json.decode(raw).get("spec") or {}).get("podOverlay")
