"""How a replica that does not lead has a pod decided: it passes the question on to the leader, and lets go in doubt.

Contract: one hop. The leader is asked on a path of its own whose handler never passes anything on, so no question goes
round in circles. Whoever answers there proves by its certificate that it is a replica of this installation. No answer,
in whatever way, lets the pod be created as its user wrote it; the reason is counted. A leader that has let several
questions in a row run out of time is not asked again for a while: pods are not to wait for one that is gone.
"""

import asyncio
import base64
import ssl
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import msgspec

from spillway.placement import metrics
from spillway.webhooks.deadline import Clock, Deadline
from spillway.webhooks.review import Answer, PatchOperation, Request
from spillway.webhooks.server import LetGoError

PATH: Final = "/forwarded/pods"
FORWARD_SECONDS: Final = 1.0
TIMEOUTS: Final = 3
"""In a row, until the leader is not asked for a while."""
QUIET_SECONDS: Final = 2.0
CONNECTIONS: Final = 16
"""A decision takes the leader a fraction of a millisecond; a new connection for each would take it ten times that."""
_SPARE_SECONDS: Final = 0.05


class _Response(msgspec.Struct, frozen=True):
    allowed: bool = True
    patch: str = ""


class _Review(msgspec.Struct, frozen=True):
    response: _Response


_reviews: Final = msgspec.json.Decoder(_Review)
_patches: Final = msgspec.json.Decoder(tuple[PatchOperation, ...])


class Forwarder:
    """Asks the leader. `leader` gives its `host:port`, empty while none is known; `tls` says whom to trust."""

    def __init__(
        self, leader: Callable[[], str], tls: Callable[[], ssl.SSLContext | None], server_name: str, clock: Clock
    ) -> None:
        self._leader = leader
        self._tls = tls
        self._server_name = server_name
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._timeouts = 0
        self._quiet_until = 0.0

    async def close(self) -> None:
        """Close the connections to the leader."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __call__(self, request: Request, deadline: Deadline) -> Answer:
        """What the leader answers.

        Raises:
            LetGoError: there is no leader, or no answer of its in time.
        """
        address, tls = self._leader(), self._tls()
        if not address or tls is None:
            raise _lost("no-leader")
        if self._clock() < self._quiet_until:
            raise _lost("quiet")
        try:
            async with asyncio.timeout(deadline.within(FORWARD_SECONDS) - _SPARE_SECONDS):
                answer = await self._ask(f"https://{address}{PATH}", request, tls)
        except TimeoutError as error:
            self._timeouts += 1
            if self._timeouts >= TIMEOUTS:
                self._quiet_until = self._clock() + QUIET_SECONDS
                self._timeouts = 0
            raise _lost("timeout") from error
        except (aiohttp.ClientError, OSError, msgspec.DecodeError, ValueError) as error:
            raise _lost("error") from error
        self._timeouts = 0
        metrics.FORWARDS.labels("answered").inc()
        return answer

    async def _ask(self, url: str, request: Request, tls: ssl.SSLContext) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS), cookie_jar=aiohttp.DummyCookieJar()
            )
        async with self._session.post(
            url,
            data=_body(request),
            ssl=tls,
            server_hostname=self._server_name,
            headers={"Content-Type": "application/json"},
            raise_for_status=True,
            allow_redirects=False,
        ) as response:
            answer = _reviews.decode(await response.read()).response
        patch = _patches.decode(base64.b64decode(answer.patch)) if answer.patch else ()
        return Answer("forwarded", patch)


def _lost(result: str) -> LetGoError:
    metrics.FORWARDS.labels(result).inc()
    return LetGoError(f"forward-{result}")


def _body(request: Request) -> bytes:
    """The question again, with what the leader reads of it."""
    question: dict[str, Any] = {
        "uid": request.uid,
        "operation": request.operation,
        "namespace": request.namespace,
        "name": request.name,
        "dryRun": request.dry_run,
        "object": request.object,
    }
    return msgspec.json.encode({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": question})
