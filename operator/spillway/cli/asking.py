"""`spillway explain` asks the operator, which has in its memory what the command would have to read.

Contract: the answer comes through the API server, from the aggregated API `explain.spillway.dev`, and is that which the
command would give itself. None means that the command has to: the API is not installed or not reached, the user lacks a
right, there is no such object, or no answer came within `ASK_SECONDS`. It imports neither the models nor the planners.
"""

from typing import Final

import msgspec

from spillway.domain.explain.answers import Answer, NodeAnswer, PodAnswer, PoolAnswer, WorkloadAnswer
from spillway.domain.explain.served import GROUP, KIND, RESOURCES, VERSION, ExplainQuestion
from spillway.kube.client import KubeClient
from spillway.kube.errors import RequestError
from spillway.kube.paths import ApiResource

ASK_SECONDS: Final = 3.0
"""Longer than an answer takes in a cluster of some 50,000 pods."""


_ANSWERS: Final = {"pod": PodAnswer, "workload": WorkloadAnswer, "node": NodeAnswer, "pool": PoolAnswer}


class _Document(msgspec.Struct):
    answer: Answer


_document: Final = msgspec.json.Decoder(_Document)


async def asked(client: KubeClient, question: ExplainQuestion) -> Answer | None:
    """The operator's answer; None if there is none."""
    resource = RESOURCES[question.what]
    kind, _, name = question.name.rpartition("/")
    if question.what != "workload" and kind not in ("", question.what):
        return None
    try:
        path = ApiResource(GROUP, VERSION, resource.plural, resource.namespaced).named(
            name, namespace=question.namespace
        )
        params = {KIND: kind} if question.what == "workload" and kind else None
        raw = await client.request("GET", path, params=params, timeout=ASK_SECONDS)
        answer = _document.decode(raw).answer
    except (RequestError, msgspec.MsgspecError):
        return None
    return answer if isinstance(answer, _ANSWERS[question.what]) else None
