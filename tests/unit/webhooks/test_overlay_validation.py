"""What the webhook does with the API server's answer to a trial."""

from typing import Any

import msgspec
import pytest

from spillway.admission.deadline import Deadline
from spillway.admission.review import AdmissionRequest, Answer
from spillway.api.podoverlay import PodOverlay
from spillway.kube.client import JSON
from spillway.kube.errors import ApiError, RequestError, UnreachableError
from spillway.kube.overlay_trial import KEPT_SECONDS, TRIALS_AT_ONCE, OverlayTrials, Trial
from spillway.webhooks.overlay_validation import OverlayValidationWebhook
from tests.support.fake_clock import FakeClock

OVERLAY: dict[str, Any] = {"sidecars": [{"name": "agent", "image": "agent:1"}]}
INVALID = ApiError(
    422,
    "Invalid",
    'Pod "trial" is invalid: two faults',
    details={
        "causes": [
            {"field": "spec.initContainers[0].volumeMounts[0].name", "message": 'Not found: "data"'},
            {"field": "metadata.annotations", "message": "Invalid value"},
        ]
    },
)
MISSPELLED = ApiError(400, "BadRequest", 'strict decoding error: unknown field "spec.initContainers[0].imge"')
FORBIDDEN = ApiError(403, "Forbidden", 'pods "trial" is forbidden: exceeded quota')


class _Client:
    """Answers each trial with the same error, or none."""

    def __init__(self, error: RequestError | None) -> None:
        self.error = error
        self.asked: list[tuple[str, str, Any]] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Any = None,
        body: Any = None,
        content_type: str = JSON,
        timeout: float = 0.0,  # noqa: ASYNC109
        most_bytes: int = 0,
        once: bool = False,
    ) -> bytes:
        assert not once
        assert 0.0 < timeout <= 1.0
        assert not most_bytes
        assert content_type == JSON
        assert msgspec.json.decode(body)["spec"]["initContainers"][0]["name"] == "agent"
        self.asked.append((method, path, params))
        if self.error is not None:
            raise self.error
        return b"{}"


def _raw(overlay: Any, **spec: Any) -> msgspec.Raw:
    given = {"podOverlay": overlay} if overlay is not None else {}
    return msgspec.Raw(msgspec.json.encode({"metadata": {"name": "eci"}, "spec": {**given, **spec}}))


async def _answer(client: _Client, new: msgspec.Raw, old: msgspec.Raw | None = None) -> Answer:
    webhook = OverlayValidationWebhook(OverlayTrials(client, "spillway-system"))
    request = AdmissionRequest(uid="u", name="eci", object=new, old_object=old or msgspec.Raw())
    return await webhook(request, Deadline(lambda: 0.0, 1.0))


async def test_the_api_server_is_asked_by_a_dry_run_in_the_operators_namespace() -> None:
    client = _Client(None)
    answer = await _answer(client, _raw(OVERLAY))
    assert (answer.denials, answer.warnings) == ((), ())
    params = {"dryRun": "All", "fieldValidation": "Strict"}
    assert client.asked == [("POST", "/api/v1/namespaces/spillway-system/pods", params)]


async def test_trials_are_few_however_often_anybody_asks() -> None:
    client, clock = _Client(None), FakeClock()
    trials = OverlayTrials(client, "spillway-system", clock=clock.now)
    overlay = PodOverlay.model_validate(OVERLAY)
    assert await trials.run("eci", overlay, 1.0) == await trials.run("eci", overlay, 1.0) == Trial()
    assert len(client.asked) == 1, "the result is known"
    results = [await trials.run(f"eci-{number}", overlay, 1.0) for number in range(100)]
    assert len(client.asked) == TRIALS_AT_ONCE
    assert "too many overlays" in results[-1].unknown
    await clock.advance(KEPT_SECONDS)
    assert await trials.run("eci", overlay, 1.0) == Trial()
    assert len(client.asked) == TRIALS_AT_ONCE + 1


async def test_a_refusal_names_the_fields_of_the_overlay() -> None:
    answer = await _answer(_Client(INVALID), _raw(OVERLAY))
    assert [(denial.field, denial.message) for denial in answer.denials] == [
        ("spec.podOverlay.sidecars[0].volumeMounts[0].name", 'Not found: "data"'),
        ("spec.podOverlay.annotations", "Invalid value"),
    ]


async def test_a_misspelled_field_is_refused() -> None:
    [denial] = (await _answer(_Client(MISSPELLED), _raw(OVERLAY))).denials
    assert denial.field == "spec.podOverlay"
    assert "imge" in denial.message


@pytest.mark.parametrize("error", [FORBIDDEN, UnreachableError("no answer in time"), ApiError(500, "Internal", "x")])
async def test_what_says_nothing_about_other_namespaces_is_a_warning(error: RequestError) -> None:
    answer = await _answer(_Client(error), _raw(OVERLAY))
    assert answer.denials == ()
    assert answer.warnings[0].startswith("spec.podOverlay was not tested: ")


@pytest.mark.parametrize(
    ("new", "old"),
    [
        pytest.param(_raw(OVERLAY, cordon="Hold"), _raw(OVERLAY), id="the overlay is stored already"),
        pytest.param(_raw(None), None, id="no overlay"),
        pytest.param(_raw({}), None, id="an empty overlay"),
    ],
)
async def test_nothing_is_tried_without_a_new_overlay(new: msgspec.Raw, old: msgspec.Raw | None) -> None:
    client = _Client(INVALID)
    assert (await _answer(client, new, old)).denials == ()
    assert client.asked == []


async def test_what_is_refused_without_the_api_server_is_not_tried() -> None:
    client = _Client(None)
    answer = await _answer(client, _raw(OVERLAY, timeZone="Nowhere/Land"))
    assert [denial.field for denial in answer.denials] == ["spec.timeZone"]
    assert client.asked == []
