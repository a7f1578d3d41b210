"""Delegated authentication and authorization: the API server says who a bearer token is, and what that user may do.

Contract: a TokenReview, then a SubjectAccessReview for a path that is no resource. An answer is kept for
`KEPT_SECONDS`, under a digest of the token and never under the token itself. At most `CONCURRENT_REVIEWS` questions
are under way, so that a flood of invented tokens is no flood of requests. Where the API server cannot be asked the
verdict is `UNKNOWN`: nothing is shown then.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import msgspec
import structlog

from spillway.domain.model.remember import remember
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import RequestError, transport_errors

log: Final = structlog.get_logger(__name__)

KEPT_SECONDS: Final = 10.0
CONCURRENT_REVIEWS: Final = 4
REVIEW_SECONDS: Final = 3.0
REMEMBERED: Final = 1024
LONGEST_TOKEN: Final = 16 * 1024

_TOKENS: Final = paths.TOKEN_REVIEWS.everywhere
_ACCESS: Final = paths.ACCESS_REVIEWS.everywhere


class Verdict(Enum):
    """What becomes of a request; the value is the HTTP status."""

    ALLOWED = 200
    UNAUTHENTICATED = 401
    FORBIDDEN = 403
    UNKNOWN = 503


class DelegatedAccess:
    """The authorization of callers of this process by the API server. `clock` gives monotonic seconds."""

    def __init__(self, client: KubeClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._kept: OrderedDict[tuple[bytes, str], tuple[float, Verdict]] = OrderedDict()
        self._slots = asyncio.Semaphore(CONCURRENT_REVIEWS)

    async def get(self, token: str, path: str) -> Verdict:
        """Whether whoever holds this token may `get` the path."""
        if not token or len(token) > LONGEST_TOKEN:
            return Verdict.UNAUTHENTICATED
        key = (hashlib.sha256(token.encode(errors="replace")).digest(), path)
        kept = self._kept.get(key)
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        try:
            with transport_errors():
                async with asyncio.timeout(REVIEW_SECONDS), self._slots:
                    verdict = await self._ask(token, path)
        except RequestError as error:
            log.warning("a caller cannot be authorized", key=path, error=str(error))
            return Verdict.UNKNOWN
        remember(self._kept, key, (self._clock() + KEPT_SECONDS, verdict), most=REMEMBERED)
        return verdict

    async def _ask(self, token: str, path: str) -> Verdict:
        review = await self._create(_TOKENS, "authentication.k8s.io/v1", "TokenReview", {"token": token})
        if not review.get("authenticated"):
            return Verdict.UNAUTHENTICATED
        user = review.get("user") or {}
        asked = {
            "user": user.get("username", ""),
            "uid": user.get("uid", ""),
            "groups": user.get("groups") or [],
            "extra": user.get("extra") or {},
            "nonResourceAttributes": {"path": path, "verb": "get"},
        }
        review = await self._create(_ACCESS, "authorization.k8s.io/v1", "SubjectAccessReview", asked)
        return Verdict.ALLOWED if review.get("allowed") else Verdict.FORBIDDEN

    async def _create(self, path: str, version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        body = {"apiVersion": version, "kind": kind, "spec": spec}
        answer = msgspec.json.decode(await self._client.request("POST", path, body=body), type=dict[str, Any])
        status: dict[str, Any] = answer.get("status") or {}
        return status
