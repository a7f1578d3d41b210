"""Delegated authentication and authorization: the API server says who a bearer token is, and what that user may do.

Contract: a TokenReview says who holds a token, a SubjectAccessReview whether a user may do something. An answer is kept
for `KEPT_SECONDS`, under a digest of the token and never under the token itself. At most `CONCURRENT_REVIEWS` questions
of a kind are under way, so that a flood of invented tokens is no flood of requests. Tokens that were good within
`GOOD_SECONDS`, tokens that were not, and what users may do are questions of different kinds, and one user has one
question at a time: neither invented tokens nor one user's requests keep others from an answer. Where the API server
cannot be asked the verdict is `UNKNOWN`: nothing is shown then.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from enum import Enum
from typing import Any, Final, NamedTuple, Self
from weakref import WeakValueDictionary

import msgspec
import structlog

from spillway.domain.model.remember import KeptFor
from spillway.kube import paths
from spillway.kube.client import KubeClient
from spillway.kube.errors import RequestError
from spillway.kube.transport import transport_errors

log: Final = structlog.get_logger(__name__)

KEPT_SECONDS: Final = 10.0
CONCURRENT_REVIEWS: Final = 4
REVIEW_SECONDS: Final = 3.0
REMEMBERED: Final = 1024
GOOD_SECONDS: Final = 3600.0
"""A token that was good within this time is asked about before those that were not."""
LONGEST_TOKEN: Final = 16 * 1024

_TOKENS: Final = paths.TOKEN_REVIEWS.everywhere
_ACCESS: Final = paths.ACCESS_REVIEWS.everywhere
ACCESS_REVIEW: Final = "SubjectAccessReview"


class Verdict(Enum):
    """What becomes of a request; the value is the HTTP status."""

    ALLOWED = 200
    UNAUTHENTICATED = 401
    FORBIDDEN = 403
    UNKNOWN = 503


def bearer_token(authorization: str) -> str:
    """The token in an Authorization header; empty where it holds none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def password_token(authorization: str) -> str:
    """The token that is the password of basic authentication, as a browser sends it; empty where there is none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        plain = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return ""
    return plain.partition(":")[2].strip()


class User(NamedTuple):
    """A user as the API server knows it."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of_service_account(cls, namespace: str, name: str) -> Self:
        """A ServiceAccount."""
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        return cls(f"system:serviceaccount:{namespace}:{name}", groups=groups)


class Access(NamedTuple):
    """What a user asks to do: with a path that is no resource, or with a resource of a namespace."""

    verb: str
    path: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    """Empty: in every namespace."""
    subresource: str = ""
    name: str = ""
    """Empty: with every object."""

    @property
    def attributes(self) -> dict[str, Any]:
        """As a SubjectAccessReview says it."""
        if not self.resource:
            return {"nonResourceAttributes": {"path": self.path, "verb": self.verb}}
        return {
            "resourceAttributes": {
                "verb": self.verb,
                "group": self.group,
                "version": self.version,
                "resource": self.resource,
                "namespace": self.namespace,
                **({"subresource": self.subresource} if self.subresource else {}),
                **({"name": self.name} if self.name else {}),
            }
        }


def question(user: User, access: Access) -> dict[str, Any]:
    """The spec of a SubjectAccessReview: whether the user may do so."""
    return {
        "user": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra},
        **access.attributes,
    }


class DelegatedAccess:
    """The authorization of callers of this process by the API server. `clock` gives monotonic seconds."""

    def __init__(self, client: KubeClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._users: KeptFor[bytes, User] = KeptFor(KEPT_SECONDS, REMEMBERED, clock)
        self._refused: KeptFor[bytes, Verdict] = KeptFor(KEPT_SECONDS, REMEMBERED, clock)
        self._good: KeptFor[bytes, User] = KeptFor(GOOD_SECONDS, REMEMBERED, clock)
        self._verdicts: KeptFor[tuple[User, Access], Verdict] = KeptFor(KEPT_SECONDS, REMEMBERED, clock)
        self._good_tokens = asyncio.Semaphore(CONCURRENT_REVIEWS)
        self._other_tokens = asyncio.Semaphore(CONCURRENT_REVIEWS)
        self._rights = asyncio.Semaphore(CONCURRENT_REVIEWS)
        self._asking: WeakValueDictionary[User, asyncio.Lock] = WeakValueDictionary()
        """One lock for each user about whom a question is under way."""

    async def get(self, token: str, path: str) -> Verdict:
        """Whether whoever holds this token may `get` the path."""
        user = await self.authenticate(token)
        return user if isinstance(user, Verdict) else await self.authorize(user, Access("get", path))

    async def authenticate(self, token: str) -> User | Verdict:
        """The user who holds this token; a verdict if there is none, or the API server cannot be asked."""
        if not token or len(token) > LONGEST_TOKEN:
            return Verdict.UNAUTHENTICATED
        key = hashlib.sha256(token.encode(errors="replace")).digest()
        kept = self._users.get(key) or self._refused.get(key)
        if kept is not None:
            return kept
        slots = self._good_tokens if self._good.get(key) else self._other_tokens
        review = await self._create(slots, _TOKENS, "authentication.k8s.io/v1", "TokenReview", {"token": token})
        if review is None:
            return Verdict.UNKNOWN
        if not review.get("authenticated"):
            self._refused.put(key, Verdict.UNAUTHENTICATED)
            return Verdict.UNAUTHENTICATED
        user = _user(review.get("user") or {})
        self._users.put(key, user)
        self._good.put(key, user)
        return user

    async def authorize(self, user: User, access: Access) -> Verdict:
        """Whether the user may do so."""
        kept = self._verdicts.get((user, access))
        if kept is not None:
            return kept
        own = self._asking.setdefault(user, asyncio.Lock())
        review = await self._create(
            self._rights, _ACCESS, "authorization.k8s.io/v1", ACCESS_REVIEW, question(user, access), first=own
        )
        if review is None:
            return Verdict.UNKNOWN
        verdict = Verdict.ALLOWED if review.get("allowed") else Verdict.FORBIDDEN
        self._verdicts.put((user, access), verdict)
        return verdict

    async def _create(
        self,
        slots: asyncio.Semaphore,
        path: str,
        version: str,
        kind: str,
        spec: dict[str, Any],
        *,
        first: asyncio.Lock | None = None,
    ) -> dict[str, Any] | None:
        """The status of the review; None where the API server cannot be asked in time.

        It is asked once `first`, if there is one, and then one of the slots is free.
        """
        body = {"apiVersion": version, "kind": kind, "spec": spec}
        try:
            with transport_errors():
                async with asyncio.timeout(REVIEW_SECONDS), first or nullcontext(), slots:
                    raw = await self._client.request("POST", path, body=body)
                answer = msgspec.json.decode(raw, type=dict[str, Any])
        except RequestError as error:
            log.warning("a caller cannot be authorized", key=kind, error=str(error))
            return None
        status: dict[str, Any] = answer.get("status") or {}
        return status


def _user(said: Mapping[str, Any]) -> User:
    extra = {str(key): tuple(map(str, values or ())) for key, values in (said.get("extra") or {}).items()}
    return User(
        str(said.get("username", "")),
        str(said.get("uid", "")),
        tuple(map(str, said.get("groups") or ())),
        tuple(sorted(extra.items())),
    )
