"""Metrics of the answers that the operator gives to `spillway explain`."""

from typing import Final

from spillway.telemetry.registry import counter

REQUESTS: Final = counter(
    "spillway_explain_requests",
    "Requests to the API explain.spillway.dev, by verdict (allowed, unauthenticated, forbidden, unknown).",
    ("verdict",),
)
ANSWERS: Final = counter(
    "spillway_explain_answers",
    "Questions to the API explain.spillway.dev of users who may ask, by result: answered, not-found, forbidden (the "
    "user lacks a right that the answer needs), busy (too many questions at a time), or unavailable (the replica does "
    "not know the cluster, or could not read an object). All but answered make the command read the cluster itself.",
    ("result",),
)
