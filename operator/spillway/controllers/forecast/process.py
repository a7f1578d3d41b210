"""The forecasting process beside the operator: it keeps the histories of all workloads in memory and answers requests.

Contract: one line of JSON a request, one line an answer. It begins with the first request, runs at a lower priority
than the process that answers admission requests, and ends when its standard input ends: with the operator, however
that ends. If it dies, the next request starts another one, which reads the histories again. An error of Prometheus is
returned as the same error.
"""

import asyncio
import os
import sys
from contextlib import suppress
from typing import Final

import msgspec

from spillway.controllers import child_process
from spillway.controllers.child_process import UnansweredError
from spillway.controllers.forecast.reading import Reading
from spillway.controllers.forecast.refresher import Refresher
from spillway.domain.forecast.refresh import Refreshed, RefreshProblem, RefreshRequest
from spillway.sources.api_client import ApiClient
from spillway.sources.connection import Connection
from spillway.sources.prometheus import Prometheus, PrometheusError

SECONDS: Final = 900.0
"""The time for one answer, beside the time that the request gives for older history. It tells a process that hangs from
one that gets little CPU, which would lose all histories."""
_MODULE: Final = "spillway.controllers.forecast.process"


class RefreshFailedError(UnansweredError):
    """The error of a refresh without an answer."""


class ForecastProcess:
    """The process, as the operator sees it. Requests come one after the other."""

    def __init__(self, connection: Connection, *, seconds: float = SECONDS) -> None:
        self._connection = connection
        self._seconds = seconds
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Its number while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def refresh(self, request: RefreshRequest) -> Refreshed:
        """The answer to a request; the process is started if it does not run.

        Raises:
            RefreshFailedError: Prometheus has no answer, or the process failed or took too long.
        """
        limit = self._seconds + request.seconds
        try:
            async with asyncio.timeout(limit):
                line = await self._exchange(msgspec.json.encode(request))
        except TimeoutError as error:
            await self.close()
            raise RefreshFailedError("ForecastTooSlow", f"there were no forecasts within {limit:g} s") from error
        except asyncio.CancelledError:
            # Its answer would be taken for that to the next request.
            await self.close()
            raise
        except (OSError, ValueError) as error:
            await self.close()
            raise RefreshFailedError("ForecastFailed", f"the forecasting process has failed: {error}") from error
        try:
            answer = msgspec.json.decode(line, type=Refreshed)
        except msgspec.DecodeError as error:
            code = await self.close()
            message = f"the forecasting process ended with {code} and no answer; its log says why"
            raise RefreshFailedError("ForecastFailed", message) from error
        if answer.trouble is not None and not answer.forecasts:
            raise RefreshFailedError(answer.trouble.reason, answer.trouble.message)
        return answer

    async def close(self) -> int | None:
        """End the process; returns its exit code if it had ended by itself."""
        process, self._process = self._process, None
        if process is None:
            return None
        code = process.returncode
        if code is None:
            with suppress(TimeoutError):
                # A process that has closed its output is about to end.
                async with asyncio.timeout(0.2):
                    code = await process.wait() if process.stdout is not None and process.stdout.at_eof() else None
        await child_process.end(process)
        return code

    async def _exchange(self, line: bytes) -> bytes:
        if self.pid is None:
            await self.close()
            self._process = await self._started()
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise OSError("it has no pipes")
        process.stdin.write(line + b"\n")
        await process.stdin.drain()
        return await process.stdout.readline()

    async def _started(self) -> asyncio.subprocess.Process:
        process = await child_process.start(_MODULE)
        if process.stdin is not None:
            process.stdin.write(msgspec.json.encode(self._connection) + b"\n")
        return process


async def _answers(output: int) -> None:
    """Answer the requests on standard input until it ends."""
    reader = asyncio.StreamReader(limit=child_process.LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    connection = msgspec.json.decode(await reader.readline(), type=Connection)

    async def answer() -> None:
        async with Prometheus(connection) as prometheus, ApiClient(connection) as business:
            refresher = Refresher(Reading(prometheus, business))
            while True:
                request = msgspec.json.decode(await lines.get(), type=RefreshRequest)
                try:
                    found = await refresher.refresh(request)
                except PrometheusError as error:
                    found = Refreshed(trouble=RefreshProblem(error.reason, str(error)))
                _write(output, msgspec.json.encode(found) + b"\n")

    work = asyncio.create_task(answer(), name="answer")

    async def read() -> None:
        while line := await reader.readline():
            lines.put_nowait(line)

    reading = asyncio.create_task(read(), name="read")
    await asyncio.wait({work, reading}, return_when=asyncio.FIRST_COMPLETED)
    for task in (work, reading):
        task.cancel()
    if work.done():
        work.result()
    await asyncio.wait({work, reading})


def _write(output: int, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[os.write(output, view) :]


def main() -> None:
    """Serve requests until standard input ends."""
    output = child_process.answers_to()
    with suppress(BrokenPipeError, KeyboardInterrupt):
        asyncio.run(_answers(output))


if __name__ == "__main__":
    main()
