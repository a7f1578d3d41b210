"""Headless Chromium, driven by its DevTools protocol: what a page logs, how wide it is, and how it prints.

Contract: it is the installed browser; a test that needs one is skipped on a machine without it.
"""

import asyncio
import base64
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
_LISTENING: Final = re.compile(rb"DevTools listening on ws://[^:]+:(\d+)/")
_START_SECONDS: Final = 60.0


def installed_browser() -> str | None:
    """The program; None if there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page of a running browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._sent = 0
        self.problems: list[str] = []
        """What the page logged as a warning or an error, and what it could not load."""

    async def call(self, method: str, **params: Any) -> Any:
        """The result of a command; events that come meanwhile are kept."""
        self._sent += 1
        await self._socket.send_json({"id": self._sent, "method": method, "params": params})
        while True:
            message = await self._next()
            if message.get("id") == self._sent:
                assert "error" not in message, message
                return message["result"]

    async def show(self, page: Path | str, *, width: int, height: int = 900) -> None:
        """Load a file or a URL at this width, and wait until it is drawn."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self.call("Page.navigate", url=page.as_uri() if isinstance(page, Path) else page)
        while (await self._next()).get("method") != "Page.loadEventFired":
            pass
        await self.value("new Promise(done => requestAnimationFrame(() => setTimeout(() => done(1), 300)))")

    async def value(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def picture(self) -> bytes:
        """The whole page as a PNG."""
        found = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(found["data"])

    async def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode((await self.call("Page.printToPDF", printBackground=True))["data"])

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads((await self._socket.receive(_START_SECONDS)).data)
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in {"warning", "error", "assert"}:
                self.problems.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in {"warning", "error"}:
                self.problems.append(str(params["entry"]))
        return message


@asynccontextmanager
async def browser(program: str, folder: Path) -> AsyncIterator[Browser]:
    """A browser with an empty profile in `folder`, ended with the block."""
    process = await asyncio.create_subprocess_exec(
        program,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            while (found := _LISTENING.search(await process.stderr.readline())) is None:
                assert not process.stderr.at_eof(), "the browser ended"
        log = asyncio.ensure_future(process.stderr.read())
        port = int(found[1])
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Browser(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
    finally:
        process.terminate()
        await process.wait()
        await log
