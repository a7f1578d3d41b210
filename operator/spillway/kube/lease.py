"""Leader election by a Lease, through `kubernetes.aio.leaderelection`, and the write fence derived from it.

Contract: `may_write()` is True only while no other replica can have taken the Lease. Another may take it only
`lease_seconds` after it last saw the Lease change, and it cannot have seen a renewal before it was sent. So the fence
closes `margin_seconds` before the time at which this replica *started* the last successful renewal plus
`lease_seconds`, whatever the library assumes by then. The margin is for writes in flight: the timeout of a write is not
longer. All of this is measured by monotonic clocks; the library's wall clock alone never opens the fence.

`run` returns when leadership is lost or the work ends; the process then exits (a new one starts as a follower with
empty memory). On a graceful stop the Lease is released, so that the next leader need not wait for it to expire.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from kubernetes.aio import client as kube
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from spillway.domain.model.names import LEADER_ADDRESS
from spillway.kube.auth import Credentials
from spillway.kube.errors import RequestError
from spillway.kube.transport import transport_errors
from spillway.telemetry.kube import LEADER

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 15
RENEW_DEADLINE_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 2.0
MARGIN_SECONDS: Final = 5.0
_RELEASE_SECONDS: Final = 3.0

Clock = Callable[[], float]


FOLLOW_SECONDS: Final = 0.5
"""How often a replica that has released the Lease looks for its successor."""


class _Lock(LeaseLock):
    """The library's lock with a timeout for every request, and with the times of the renewals.

    The library handles only an `ApiException`, so a follower would end at the API server's first restart; here a broken
    connection is a failed renewal.
    """

    def __init__(
        self,
        name: str,
        namespace: str,
        identity: str,
        api: kube.ApiClient,
        *,
        lease_seconds: float,
        request_seconds: float,
        clock: Clock,
        address: Callable[[], str],
    ) -> None:
        super().__init__(name, namespace, identity, api)
        self._address = address
        self._lease_seconds = lease_seconds
        self._request_seconds = request_seconds
        self._clock = clock
        self.renewed: float | None = None
        """The monotonic time at which the last successful renewal was started."""
        self.released = False
        self._seen: tuple[str, float] = ("", clock())
        """The last seen version of the Lease, and when it was first seen."""

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        try:
            with transport_errors():
                async with asyncio.timeout(self._request_seconds):
                    found: tuple[bool, Any] = await super().get(name, namespace)
        except RequestError as error:
            return False, kube.ApiException(status=0, reason=repr(error))
        lease = self.lease_reference if found[0] else None
        if lease is not None and lease.metadata is not None:
            version = str(lease.metadata.resource_version)
            if version != self._seen[0]:
                self._seen = (version, self._clock())
            holder = lease.spec.holder_identity if lease.spec is not None else None
            if holder and holder != self.identity:
                # Taken too early: another client deleted the Lease, or wrote another name into it.
                self.renewed = None
        return found

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:  # noqa: ANN401
        return await self._renewing(self._create(name, namespace, election_record))

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:  # noqa: ANN401
        if self._held_by_another():
            return False
        lease = self.lease_reference
        if lease is not None and lease.metadata is not None:
            lease.metadata.annotations = {**(lease.metadata.annotations or {}), LEADER_ADDRESS: self._address()}
        return await self._renewing(super().update(name, namespace, updated_record))

    async def _create(self, name: str, namespace: str, election_record: Any) -> bool:  # noqa: ANN401
        """The library's own (37.0) passes `pretty=True`, which its generated client refuses."""
        metadata = kube.V1ObjectMeta(name=name, annotations={LEADER_ADDRESS: self._address()})
        lease = kube.V1Lease(metadata=metadata, spec=self.update_lease(election_record))
        try:
            await self.api_instance.create_namespaced_lease(namespace, lease)
        except kube.ApiException as error:
            log.info("lease not created", error=str(error.reason))
            return False
        return True

    @property
    def holder_address(self) -> str:
        """The address of the last seen holder of the Lease; empty if the Lease may have ended."""
        lease = self.lease_reference
        if lease is None or lease.metadata is None or not self._held_by_another():
            return ""
        return str((lease.metadata.annotations or {}).get(LEADER_ADDRESS, ""))

    def _held_by_another(self) -> bool:
        """Whether another replica holds the Lease: it has changed within its duration, and is not released."""
        spec = self.lease_reference.spec if self.lease_reference is not None else None
        if spec is None or not spec.holder_identity or spec.holder_identity == self.identity:
            return False
        lasts = max(self._lease_seconds, float(spec.lease_duration_seconds or 0))
        return self._clock() - self._seen[1] < lasts

    async def _renewing(self, write: Awaitable[bool]) -> bool:
        begun = self._clock()
        try:
            with transport_errors():
                async with asyncio.timeout(self._request_seconds):
                    done = await write
        except RequestError as error:
            log.warning("lease not renewed", key=f"{self.namespace}/{self.name}", error=repr(error))
            return False
        if done and not self.released:
            self.renewed = begun
        return done

    async def release(self) -> None:
        """Release the Lease, if it is unchanged since the last renewal (its resourceVersion is sent along)."""
        self.released = True
        ok, record = await self.get(self.name, self.namespace)
        if not ok or record is None or record.holder_identity != self.identity:
            return
        lease = self.lease_reference
        if lease is None or lease.spec is None:
            return
        lease.spec.holder_identity = None
        with contextlib.suppress(kube.ApiException, RequestError), transport_errors():
            async with asyncio.timeout(self._request_seconds):
                await self.api_instance.replace_namespaced_lease(name=self.name, namespace=self.namespace, body=lease)


async def _nothing() -> None:
    """Losing the Lease is handled where the election is awaited."""


class Leadership:
    """The leader election of one replica for one Lease."""

    def __init__(
        self,
        credentials: Credentials,
        namespace: str,
        name: str,
        identity: str,
        *,
        lease_seconds: int = LEASE_SECONDS,
        renew_deadline_seconds: float = RENEW_DEADLINE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        margin_seconds: float = MARGIN_SECONDS,
        clock: Clock = time.monotonic,
        address: Callable[[], str] = lambda: "",
    ) -> None:
        if margin_seconds >= lease_seconds - retry_seconds:
            raise ValueError("the margin must leave time for a renewal")
        self._credentials = credentials
        self._namespace = namespace
        self._name = name
        self.identity = identity
        self._lease_seconds = lease_seconds
        self._renew_deadline_seconds = renew_deadline_seconds
        self._retry_seconds = retry_seconds
        self._margin_seconds = margin_seconds
        self._clock = clock
        self._address = address
        self._lock: _Lock | None = None
        self._fenced = False

    @property
    def fence_seconds(self) -> float:
        """How much longer `may_write` would be True without another renewal; 0 when it is False."""
        lock = self._lock
        if lock is None or lock.renewed is None or self._fenced:
            return 0.0
        return max(0.0, lock.renewed + self._lease_seconds - self._margin_seconds - self._clock())

    def leader_address(self) -> str:
        """The leader's address as `host:port` while another replica leads, else empty."""
        return self._lock.holder_address if self._lock is not None else ""

    def may_write(self) -> bool:
        """Whether no other replica can hold the Lease now, nor for `margin_seconds` more."""
        return self.fence_seconds > 0

    async def run(self, started: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, then run `started()` until it ends or the Lease is lost (it is cancelled then).

        Errors of `started` are raised here. Cancelling releases the Lease. Call it only once.
        """
        async with kube.ApiClient(self._credentials.configuration) as api:
            lock = self._lock = _Lock(
                self._name,
                self._namespace,
                self.identity,
                api,
                lease_seconds=self._lease_seconds,
                request_seconds=max(1.0, self._renew_deadline_seconds / 2),
                clock=self._clock,
                address=self._address,
            )
            work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            election = asyncio.create_task(self._contend(lock, started, work), name="lease")
            try:
                await asyncio.wait({election, work}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                # Closed before the Lease is released, so that two replicas never may write at the same time.
                await self._end(election)
                LEADER.set(0)
                await self._release(lock)
            if work.done() and not work.cancelled():
                work.result()

    async def follow(self) -> None:
        """Keep `leader_address` up to date after `run` has ended, until cancelled."""
        lock = self._lock
        if lock is None:
            return
        async with kube.ApiClient(self._credentials.configuration) as api:
            lock.api_instance = kube.CoordinationV1Api(api)
            while True:
                await lock.get(self._name, self._namespace)
                await asyncio.sleep(FOLLOW_SECONDS)

    async def _contend(self, lock: _Lock, started: Callable[[], Awaitable[None]], work: "asyncio.Future[None]") -> None:
        running: asyncio.Task[None] | None = None

        async def lead() -> None:
            nonlocal running
            running = asyncio.current_task()
            LEADER.set(1)
            log.info("leading", key=f"{self._namespace}/{self._name}", identity=self.identity)
            try:
                await started()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - passed to the caller of `run`
                if not work.done():
                    work.set_exception(error)
            else:
                if not work.done():
                    work.set_result(None)

        election = LeaderElection(
            Config(
                lock,
                lease_duration=self._lease_seconds,
                renew_deadline=self._renew_deadline_seconds,
                retry_period=self._retry_seconds,
                onstarted_leading=lead,
                onstopped_leading=_nothing,
            )
        )
        try:
            await election.run()
            log.warning("lease lost", key=f"{self._namespace}/{self._name}", identity=self.identity)
        finally:
            self._fenced = True
            if running is not None:
                running.cancel()
                await asyncio.wait({running})

    async def _end(self, election: "asyncio.Task[None]") -> None:
        election.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await election

    async def _release(self, lock: _Lock) -> None:
        held = lock.renewed is not None
        self._fenced = True
        if held:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await lock.release()
