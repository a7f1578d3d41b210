"""One contender for a Lease as a process of its own: says at every moment whether it may write.

Lines on standard output: ``<monotonic before asking> <0 or 1>`` every few milliseconds, where it changed or not; the
monotonic clock is the machine's, so that the lines of several contenders can be laid side by side.
"""

import asyncio
import signal
import sys
import time

from spillway import logs
from spillway.kube.auth import Credentials
from spillway.kube.lease import Leadership

_EVERY_SECONDS = 0.004


async def main(kubeconfig: str, namespace: str, identity: str) -> None:
    leadership = Leadership(
        await Credentials.load(kubeconfig),
        namespace,
        "contended",
        identity,
        lease_seconds=4,
        renew_deadline_seconds=2.5,
        retry_seconds=1.0,
        margin_seconds=1.0,
    )

    async def report() -> None:
        while True:
            before = time.monotonic()
            print(before, int(leadership.may_write()), flush=True)  # noqa: T201 - its output
            await asyncio.sleep(_EVERY_SECONDS)

    async def work() -> None:
        await asyncio.sleep(3600)

    reporting = asyncio.create_task(report())
    running = asyncio.create_task(leadership.run(work))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await asyncio.wait({running})
    # What the fence says after the end counts as well.
    await asyncio.sleep(0.1)
    reporting.cancel()


if __name__ == "__main__":
    logs.configure("console", "info")
    asyncio.run(main(*sys.argv[1:4]))
