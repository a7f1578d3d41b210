"""Whether admission works end to end: dry runs whose answers only Spillway's webhooks can give.

Contract: nothing is created; each request carries `dryRun=All`. A webhook that is not reached changes nothing, because
its failure policy is Ignore, so a missing answer is asked for again until the time is over.
"""

import asyncio
import time
from typing import Any, Final, NamedTuple

import msgspec

from spillway.domain.doctor.probe import probe_pod
from spillway.domain.model import names
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import ApiError

WRONG_TIME_ZONE: Final = "Nowhere/Nothing"
"""Valid by the schema of the CRD; only the validating webhook knows the time zones that exist."""
_POLL_SECONDS: Final = 1.0
_DRY_RUN: Final = {"dryRun": "All"}


class AdmissionAnswers(NamedTuple):
    """What the webhooks answered."""

    refusal: str = ""
    """Of the validating webhook, for a resource that only it can refuse."""
    placement: str = ""
    """Of the mutating webhook, for a pod: its mark `spillway.dev/placement`."""
    policy: str = ""
    """The policy that governs the pod."""
    overruled: str = ""
    """Why a pod there is governed by another policy than the one that was named."""

    @property
    def complete(self) -> bool:
        """Whether all that can be answered was answered."""
        return bool(self.refusal) and bool(self.placement or self.overruled)


async def check_admission(
    client: KubeClient, namespace: str, *, policy: str | None, timeout_seconds: float
) -> AdmissionAnswers:
    """Ask until both webhooks have answered or the time is over."""
    end = time.monotonic() + timeout_seconds
    answers = AdmissionAnswers()
    while True:
        answers = await _ask(client, namespace, policy, answers)
        if answers.complete or time.monotonic() >= end:
            return answers
        await asyncio.sleep(_POLL_SECONDS)


async def _ask(client: KubeClient, namespace: str, policy: str | None, before: AdmissionAnswers) -> AdmissionAnswers:
    refusal = before.refusal or await _refusal(client)
    marks = await _marks(client, namespace)
    overruled = "" if policy is None or names.PLACEMENT in marks else await _conflict(client, policy)
    return AdmissionAnswers(refusal, marks.get(names.PLACEMENT, ""), marks.get(names.POLICY, ""), overruled)


async def _refusal(client: KubeClient) -> str:
    pool = {
        "apiVersion": "spillway.dev/v1alpha1",
        "kind": "VirtualNodeBudget",
        "metadata": {"generateName": "check-admission-"},
        "spec": {"nodeSelector": {"matchLabels": {"of": "nothing"}}, "timeZone": WRONG_TIME_ZONE},
    }
    try:
        await client.request("POST", paths.of_spillway("virtualnodebudgets").everywhere, params=_DRY_RUN, body=pool)
    except ApiError as error:
        if WRONG_TIME_ZONE not in str(error):
            raise
        return str(error)
    return ""


async def _marks(client: KubeClient, namespace: str) -> dict[str, str]:
    made = await client.request("POST", paths.PODS.within(namespace), params=_DRY_RUN, body=probe_pod())
    found: dict[str, Any] = msgspec.json.decode(made)
    return found["metadata"].get("annotations") or {}


async def _conflict(client: KubeClient, policy: str) -> str:
    found = await client.get_json(paths.of_spillway("elasticpolicies").named(policy))
    for condition in (found.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Ready" and condition["reason"] == "Conflict":
            return str(condition["message"])
    return ""
