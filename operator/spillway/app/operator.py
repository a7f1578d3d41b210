"""One replica of the operator: its parts, the order in which they start, and how they stop.

Contract: every replica runs the informers, kopf, and the admission server; the holder of the Lease runs the controllers
as well. A replica takes part in leader election only once it knows the cluster, so that a new leader can act at once.
`run` returns 0 when it is asked to stop, and 1 when a part that must run has ended or the Lease is lost: a new process
then starts with empty memory. It stops in this order: readiness fails, writes in flight finish, the Lease is released,
admission requests in progress are answered, the connections close. The admission server answers for `drain_seconds`
at least after the request to stop, because endpoints and proxies learn late that a replica is not ready any more.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

import structlog

from spillway.admission.certificates import Certificates
from spillway.admission.leader_page import LeaderPage
from spillway.admission.peer_server import PeerServer
from spillway.admission.peers import Forwarder
from spillway.admission.server import AdmissionServer
from spillway.admission.tls import CertificateFiles, ServingTls
from spillway.app.endpoints import Check, EndpointServer
from spillway.app.leader import Leader
from spillway.app.memory import keep_for_good, keep_returning_free_memory
from spillway.app.report.process import Job, render_beside
from spillway.app.report.server import ReportPage
from spillway.app.scheduler_extender import SchedulerExtender
from spillway.app.served_apis import ServedApis, api_services
from spillway.app.settings import Settings
from spillway.app.stalls import StallWatch
from spillway.controllers.base import World
from spillway.controllers.scaling import answers
from spillway.controllers.scaling.answers import Answers
from spillway.domain.model.units import DAY_SECONDS
from spillway.domain.policies.governance import Governance
from spillway.extender import loads
from spillway.handlers.resync import Resync
from spillway.handlers.watcher import PolicyWatcher
from spillway.kube.access import DelegatedAccess
from spillway.kube.auth import Credentials
from spillway.kube.client import KubeClient
from spillway.kube.informer import Informers
from spillway.kube.lease import Leadership
from spillway.state.board import Board
from spillway.state.catalog import Catalog
from spillway.state.cluster import ClusterState
from spillway.state.mark_proof import MarkProof
from spillway.state.open_pools import OpenPools
from spillway.state.pool_membership import PoolMembership
from spillway.telemetry import placement as metrics
from spillway.telemetry.build import set_build_info
from spillway.telemetry.registry import exposition
from spillway.webhooks import pods, replicasets
from spillway.webhooks import scale_down_outcomes as outcomes
from spillway.webhooks.assembly import Admission, build_admission

log: Final = structlog.get_logger(__name__)

PLANS_PATH: Final = "/debug/plans"
REPORT_PATH: Final = "/report"
_REPORT_SECONDS: Final = 14 * DAY_SECONDS
"""As much history as `spillway report` shows by default."""


class EndedError(Exception):
    """A part ended that must run as long as the process does."""


class Operator:
    """One replica of the operator."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = ClusterState(clock=time.monotonic, now=time.time)
        self._leadership: Leadership | None = None
        self.board = Board(time.time, leading=self._may_write)
        self.catalog = Catalog(partial(Governance.compile, own_namespace=settings.namespace))
        self.proof = MarkProof(time.time)
        # Without webhooks no secret is known that the marks of other replicas could be proven by.
        proof = self.proof if settings.webhooks else None
        self.membership = PoolMembership(self.state, lambda: self.catalog.governance, proof=proof)
        self.stopping = asyncio.Event()
        self.endpoints: EndpointServer | None = None
        self.admission_server: AdmissionServer | None = None
        self.peer_server: PeerServer | None = None
        self.served_apis: ServedApis | None = None
        self.scheduler_extender: SchedulerExtender | None = None
        self._address = ""
        self._serving = False
        self._ends: asyncio.Queue[tuple[str, BaseException | None]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    def stop(self) -> None:
        """Request a graceful stop; a second request ends the process at once."""
        if self.stopping.is_set():
            raise SystemExit(1)
        log.info("stopping")
        self.stopping.set()

    async def run(self) -> int:
        """Run until stopped, and return the exit code of the process."""
        settings = self.settings
        async with AsyncExitStack() as stack:
            credentials = await Credentials.load(str(settings.kubeconfig) if settings.kubeconfig else None)
            client = KubeClient(credentials)
            stack.push_async_callback(client.close)
            leadership = self._leadership = self._make_leadership(credentials)
            authorities = settings.webhook_client_ca_file
            tls = ServingTls(client_authorities=authorities.read_text() if authorities is not None else "")
            service = f"{settings.webhook_service}.{settings.namespace}.svc"
            forward = partial(
                Forwarder,
                leader=leadership.leader_address,
                tls=lambda: tls.peers,
                server_name=service,
                clock=time.monotonic,
            )
            forward_pods = forward(pods.FORWARDED, count=lambda result: metrics.FORWARDS.labels(result).inc())
            forward_plans = forward(outcomes.FORWARDED)
            forward_replicasets = forward(replicasets.FORWARDED)
            leader_page = partial(
                LeaderPage,
                leader=leadership.leader_address,
                tls=lambda: tls.peers,
                server_name=service,
                clock=time.monotonic,
            )
            page, loads_page = leader_page(answers.PAGE), leader_page(loads.PAGE)
            for caller in (forward_pods, forward_replicasets, forward_plans, page, loads_page):
                stack.push_async_callback(caller.close)
            admission = build_admission(
                self.state,
                lambda: self.catalog.governance,
                client,
                board=self.board,
                membership=self.membership,
                forward_pods=forward_pods,
                forward_plans=forward_plans,
                forward_replicasets=forward_replicasets,
                namespace=settings.namespace,
            )
            stack.callback(self.membership.close)
            stack.callback(admission.close)
            set_build_info()
            views = {}
            if settings.report_page:
                report = ReportPage(partial(render_beside, self._report_job()))
                stack.push_async_callback(report.close)
                views[REPORT_PATH] = report.answer
            self.endpoints = EndpointServer(
                settings.metrics_host,
                settings.metrics_port,
                checks=self._checks(),
                exposition=exposition,
                pages={PLANS_PATH: admission.plans.as_json},
                views=views,
                guarded=[
                    *views,
                    *([PLANS_PATH] if settings.authorize_debug else []),
                    *(["/metrics"] if settings.authorize_metrics else []),
                ],
                authorize=DelegatedAccess(client).get,
            )
            await self.endpoints.start()
            stack.push_async_callback(self.endpoints.stop)
            log.info("starting", identity=settings.identity, server=client.credentials.server, port=self.endpoints.port)
            stack.push_async_callback(self._cancel_all)

            self._begin("stalls", StallWatch().run())
            self._begin("free memory", keep_returning_free_memory())
            self._begin("informers", Informers(client, self.state).run())
            self._begin("policies", self._follow_policies(client, credentials))
            if settings.webhooks:
                world = World(
                    state=self.state,
                    catalog=self.catalog,
                    places=admission.places,
                    now=time.time,
                    board=self.board,
                    membership=self.membership,
                )
                numbers = Answers(world, page)
                pages = {answers.PAGE: numbers.own_page}
                if settings.scheduler_extender:
                    extender = self.scheduler_extender = SchedulerExtender(
                        settings, client, world, loads_page, tls=tls, known=self._know_the_cluster
                    )
                    pages[loads.PAGE] = extender.feed.own_page
                    self._begin("scheduler-extender", extender.run())
                self._begin("admission", self._serve_admission(client, admission, leadership, tls, pages=pages))
                apis = self.served_apis = ServedApis(
                    settings, client, world, tls=tls, numbers=numbers, known=self._know_the_cluster
                )
                for name, work in apis.tasks():
                    self._begin(name, work)
                self._begin("announcements", admission.events.run())
                self._begin("outcomes", admission.outcomes.run())
            lead = self._begin("leadership", self._contend(client, admission, leadership))
            return await self._until_the_end(lead)

    async def _until_the_end(self, lead: "asyncio.Task[None]") -> int:
        """Wait for a request to stop, or for a task that ended by itself."""
        stopping = asyncio.create_task(self.stopping.wait(), name="stopping")
        ended = asyncio.create_task(self._ends.get(), name="ended")
        await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if ended.done() and not self.stopping.is_set():
            name, error = ended.result()
            log.error("has ended, the process exits", task=name, error=repr(error) if error else "", exc_info=error)
            self.stopping.set()
            return 1
        ended.cancel()
        # The leader sees the request to stop, finishes its writes and returns; a replica that waits for the Lease is
        # cancelled.
        begun = time.monotonic()
        if self.admission_server is not None:
            self.admission_server.drain()
        _, late = await asyncio.wait({lead}, timeout=self.settings.stop_seconds)
        if late:
            log.warning("writes in flight did not finish in time")
        if self.admission_server is not None:
            await self._serve_until(begun + self.settings.drain_seconds)
            await self.admission_server.stop()
        if self.peer_server is not None:
            await self.peer_server.stop()
        if self.served_apis is not None:
            await self.served_apis.stop()
        if self.scheduler_extender is not None:
            await self.scheduler_extender.stop()
        log.info("stopped")
        return 0

    async def _serve_until(self, end: float) -> None:
        """Answer until the endpoints have moved; a request about a pod goes to the next leader meanwhile."""
        leadership = self._leadership
        following = None if leadership is None else asyncio.create_task(leadership.follow(), name="successor")
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        if following is not None:
            following.cancel()
            await asyncio.wait({following})

    def _checks(self) -> dict[str, Check]:
        checks: dict[str, Check] = {
            "not stopping": lambda: not self.stopping.is_set(),
            "cluster read": lambda: self.state.synced,
            "policies read": lambda: self.catalog.loaded,
        }
        if self.settings.webhooks:
            checks["admission served"] = lambda: self._serving
        return checks

    def _begin(self, name: str, work: Awaitable[None]) -> "asyncio.Task[None]":
        async def watched() -> None:
            error: BaseException | None = None
            try:
                await work
            except asyncio.CancelledError:
                raise
            except BaseException as caught:  # noqa: BLE001  # whatever it is, the process ends with it
                error = caught
            self._ends.put_nowait((name, error))

        task = asyncio.create_task(watched(), name=name)
        self._tasks.append(task)
        return task

    async def _cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.settings.stop_seconds)

    async def _follow_policies(self, client: KubeClient, credentials: Credentials) -> None:
        resync = Resync(client, self.catalog)
        await resync.load()
        async with asyncio.TaskGroup() as group:
            group.create_task(PolicyWatcher(self.catalog, credentials).run(), name="kopf")
            group.create_task(resync.run(), name="resync")

    async def _serve_admission(
        self,
        client: KubeClient,
        admission: Admission,
        leadership: Leadership,
        tls: ServingTls,
        *,
        pages: Mapping[str, Callable[[], bytes]],
    ) -> None:
        settings = self.settings
        upkeep = (
            CertificateFiles(
                settings.webhook_cert_dir / "tls.crt",
                settings.webhook_cert_dir / "tls.key",
                tls,
                authority=settings.webhook_cert_dir / "ca.crt",
                key_loaded=self.proof.use,
            ).run()
            if settings.webhook_cert_dir is not None
            else Certificates(
                client,
                tls,
                namespace=settings.namespace,
                service=settings.webhook_service,
                api_services=api_services(settings),
                is_leader=leadership.may_write,
                key_loaded=self.proof.use,
            ).run()
        )
        server = AdmissionServer(
            admission.webhooks,
            tls=tls.context,
            port=settings.webhook_port,
            host=settings.webhook_host,
            client_names=settings.webhook_client_names,
            timeout_seconds=settings.webhook_timeout_seconds,
        )
        peers = PeerServer(
            admission.peers,
            tls=tls.peer_context,
            port=settings.peer_port,
            host=settings.webhook_host,
            client_names=(f"{settings.webhook_service}.{settings.namespace}.svc",),
            timeout_seconds=settings.webhook_timeout_seconds,
            pages=pages,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(upkeep, name="certificates")
            await tls.ready.wait()
            # Not before the policies are known: a replica that knows no policy would admit every pod unchanged.
            await self._know_the_cluster()
            await server.start()
            await peers.start()
            self.peer_server = peers
            self._address = _address(settings.advertise_host, peers.port)
            self.admission_server = server
            self._serving = True

    async def _contend(self, client: KubeClient, admission: Admission, leadership: Leadership) -> None:
        leader = Leader(
            self.settings,
            client,
            self.state,
            self.catalog,
            admission.places,
            board=self.board,
            membership=self.membership,
            open_pools=OpenPools(admission.usage, self.board, lambda: self.catalog.governance),
            may_write=leadership.may_write,
        )

        async def lead() -> None:
            await leader.run(self.stopping)

        await self._know_the_cluster()
        keep_for_good()
        contend = asyncio.create_task(leadership.run(lead), name="lease")
        stopping = asyncio.create_task(self.stopping.wait(), name="stop-contending")
        try:
            await asyncio.wait({contend, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not leadership.may_write() or contend.done():
                contend.cancel()
            await asyncio.wait({contend})
            if not contend.cancelled():
                contend.result()
        finally:
            stopping.cancel()
            contend.cancel()
            with suppress(asyncio.CancelledError):
                await contend
        if not self.stopping.is_set():
            raise EndedError("the lease was lost")

    async def _know_the_cluster(self) -> None:
        await self.state.wait_synced()
        while not self.catalog.loaded:  # noqa: ASYNC110  # loaded once, right after the start
            await asyncio.sleep(0.05)

    def _report_job(self) -> Job:
        settings = self.settings
        return Job(
            namespace=settings.namespace,
            lease=settings.lease_name,
            history_seconds=_REPORT_SECONDS,
            kubeconfig=str(settings.kubeconfig or ""),
            prometheus=settings.prometheus,
        )

    def _may_write(self) -> bool:
        return self._leadership is not None and self._leadership.may_write()

    def _make_leadership(self, credentials: Credentials) -> Leadership:
        seconds = self.settings.lease_seconds
        return Leadership(
            credentials,
            self.settings.namespace,
            self.settings.lease_name,
            self.settings.identity,
            lease_seconds=seconds,
            renew_deadline_seconds=seconds * 2 / 3,
            retry_seconds=max(1.0, seconds * 2 / 15),
            margin_seconds=self.settings.margin_seconds,
            address=lambda: self._address,
        )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def run_until_signalled(settings: Settings) -> int:
    """Run one replica until SIGTERM or SIGINT; the exit code."""
    operator = Operator(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, operator.stop)
    begun = time.monotonic()
    try:
        return await operator.run()
    finally:
        log.info("ended", seconds=round(time.monotonic() - begun, 1))
