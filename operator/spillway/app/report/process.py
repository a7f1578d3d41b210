"""The rendering process: decoding the history and drawing the charts would delay admission.

Contract: the job goes in as JSON, the page comes out gzipped, and the process ends, with its memory. It reads the API
server and Prometheus itself, with the operator's own credentials, at a lower priority than the process that answers
admission requests. A page of more than `MOST_BYTES` is not given.
"""

import asyncio
import gzip
import os
import sys
from typing import Final

import msgspec

from spillway.app.errors import NotFoundError, UnreadableError
from spillway.app.memory import room_in_container
from spillway.app.report.reading import ClusterReport, read_report
from spillway.controllers import child_process
from spillway.controllers.child_process import UnansweredError
from spillway.kube.client import KubeClient
from spillway.kube.errors import RequestError
from spillway.sources.connection import Connection

SECONDS: Final = 60.0
"""A render that takes longer is abandoned."""
MOST_BYTES: Final = 32 << 20
"""Before it is compressed; without tables it has some five million, which are those of plotly."""
ROOM_BYTES: Final = 192 << 20
"""A render begins only if the container may use so much more: it took 139 MiB, for 14 days of 200 workloads."""
_MODULE: Final = "spillway.app.report.process"
_GZIP: Final = b"\x1f\x8b"
_LEVEL: Final = 6
_PROMETHEUS_SETTING: Final = "prometheus.url in the values of the chart"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is read for a page."""

    namespace: str
    lease: str
    history_seconds: float
    kubeconfig: str = ""
    prometheus: Connection | None = None


class _Trouble(msgspec.Struct, frozen=True):
    reason: str
    message: str


class RenderFailedError(UnansweredError):
    """The error of a job without a page; `reason` is that of the metric."""


async def render_beside(job: Job, *, seconds: float = SECONDS) -> bytes:
    """Render the page in another process, and return it gzipped.

    Raises:
        RenderFailedError: something cannot be read, the page is too large, or the process failed or took too long.
    """
    if (room := room_in_container()) < ROOM_BYTES:
        message = f"a render needs {ROOM_BYTES >> 20} MiB, and the container may use {max(int(room), 0) >> 20} MiB more"
        raise RenderFailedError("no-memory", message)
    process = await child_process.start(_MODULE)
    try:
        async with asyncio.timeout(seconds):
            answer, _ = await process.communicate(msgspec.json.encode(job))
    except TimeoutError as error:
        raise RenderFailedError("late", f"the page was not rendered within {seconds:g} s") from error
    finally:
        await child_process.end(process)
    if answer.startswith(_GZIP):
        return answer
    try:
        trouble = msgspec.json.decode(answer, type=_Trouble)
    except msgspec.DecodeError as error:
        message = f"the rendering process ended with {process.returncode} and no page; its log says why"
        raise RenderFailedError("failed", message) from error
    raise RenderFailedError(trouble.reason, trouble.message)


async def _read(job: Job) -> ClusterReport:
    async with await KubeClient.connect(job.kubeconfig or None) as client:
        return await read_report(
            client, namespace=job.namespace, lease=job.lease, prometheus=job.prometheus, seconds=job.history_seconds
        )


def _answer(job: Job) -> bytes:
    from spillway.app.report.page import page  # noqa: PLC0415  # plotly is optional, and not for the operator's process

    try:
        report = asyncio.run(_read(job))
    except (NotFoundError, UnreadableError) as error:
        return _trouble("unreadable", str(error))
    except (RequestError, OSError) as error:
        return _trouble("unreadable", f"the cluster cannot be read: {error or 'timed out'}")
    made = page(report, prometheus_setting=_PROMETHEUS_SETTING).encode()
    if len(made) > MOST_BYTES:
        return _trouble("too-large", f"the page has {len(made) >> 20} MiB; {MOST_BYTES >> 20} MiB are allowed")
    return gzip.compress(made, _LEVEL, mtime=0)


def _trouble(reason: str, message: str) -> bytes:
    return msgspec.json.encode(_Trouble(reason, message))


def main() -> None:
    """Read a job from standard input, and write the page."""
    answer = os.fdopen(child_process.answers_to(), "wb")
    made = _answer(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))
    with answer:
        answer.write(made)


if __name__ == "__main__":
    main()
