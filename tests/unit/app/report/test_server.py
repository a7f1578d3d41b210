"""When the page of the report is rendered, and what is sent."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from spillway.app.endpoints import EndpointServer
from spillway.app.report import process
from spillway.app.report.page import page
from spillway.app.report.process import RenderFailedError
from spillway.app.report.server import ReportPage
from spillway.telemetry.report import RENDERS
from tests.support.browser import browser, installed_browser
from tests.support.report import CHAPTERS, report

PAGE = b"<!doctype html><title>Spillway</title>"
PACKED = gzip.compress(PAGE, mtime=0)


@dataclass
class Renders:
    """Renders that end when the test says so."""

    begun: int = 0
    allowed: asyncio.Event = field(default_factory=asyncio.Event)
    error: RenderFailedError | None = None

    async def render(self) -> bytes:
        self.begun += 1
        await self.allowed.wait()
        if self.error is not None:
            raise self.error
        return PACKED


@asynccontextmanager
async def serving(page: ReportPage) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    server = EndpointServer("127.0.0.1", 0, checks={}, exposition=lambda: b"", views={"/report": page.answer})
    await server.start()
    try:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            yield session, f"http://127.0.0.1:{server.port}/report"
    finally:
        await server.stop()
        await page.close()


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def got(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
    return await session.get(url)


def rendered(result: str) -> float:
    return float(RENDERS.labels(result)._value.get())


async def test_all_who_ask_meanwhile_get_the_one_render_and_later_ones_its_result() -> None:
    renders, before = Renders(), rendered("made")
    async with serving(ReportPage(renders.render)) as (session, url):
        asked = [asyncio.create_task(got(session, url)) for _ in range(20)]
        await until(lambda: renders.begun)
        renders.allowed.set()
        answers = [await one for one in asked]
        assert {await one.read() for one in answers} == {PACKED}
        assert {one.status for one in [*answers, await session.get(url)]} == {200}
    assert renders.begun == 1
    assert rendered("made") - before == 1


async def test_a_page_is_rendered_again_when_its_time_is_over() -> None:
    renders = Renders()
    renders.allowed.set()
    async with serving(ReportPage(renders.render, kept_seconds=0.0)) as (session, url):
        for count in (1, 2):
            assert (await session.get(url)).status == 200
            assert renders.begun == count
            await asyncio.sleep(0.01)


async def test_a_reader_that_leaves_does_not_end_the_render_of_the_others() -> None:
    renders = Renders()
    async with serving(ReportPage(renders.render)) as (session, url):
        first = asyncio.create_task(got(session, url))
        await until(lambda: renders.begun)
        second = asyncio.create_task(got(session, url))
        first.cancel()
        await asyncio.wait({first})
        renders.allowed.set()
        assert (await second).status == 200
    assert renders.begun == 1


async def test_the_page_is_sent_as_it_is_accepted_and_may_not_be_framed_kept_or_posted_to() -> None:
    renders = Renders()
    renders.allowed.set()
    async with serving(ReportPage(renders.render)) as (session, url):
        packed = await session.get(url, headers={"Accept-Encoding": "gzip"})
        plain = await session.get(url, headers={"Accept-Encoding": "identity"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await packed.read()) == await plain.read() == PAGE
        assert plain.content_type == "text/html"
        assert plain.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in plain.headers["Content-Security-Policy"]
        assert plain.headers["X-Content-Type-Options"] == "nosniff"
        for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            assert (await session.request(method, url)).status == 405, method


async def test_without_a_page_the_reason_is_told_and_no_other_render_begins_for_some_time() -> None:
    renders, before = (
        Renders(error=RenderFailedError("unreadable", "the history cannot be read")),
        rendered("unreadable"),
    )
    renders.allowed.set()
    async with serving(ReportPage(renders.render)) as (session, url):
        for _ in range(3):
            answer = await session.get(url)
            assert answer.status == 503
            assert "the history cannot be read" in await answer.text()
            assert int(answer.headers["Retry-After"]) > 0
        assert renders.begun == 1
    async with serving(ReportPage(renders.render, retry_seconds=0.0)) as (session, url):
        assert (await session.get(url)).status == 503
        await asyncio.sleep(0.01)
        renders.error = None
        assert (await session.get(url)).status == 200
    assert rendered("unreadable") - before == 2


@pytest.mark.skipif(installed_browser() is None, reason="needs Chromium")
async def test_a_browser_shows_it_with_these_headers(tmp_path: Path) -> None:
    program = installed_browser()
    assert program is not None

    async def render() -> bytes:
        return gzip.compress(page(report()).encode())

    async with serving(ReportPage(render)) as (_, url), browser(program, tmp_path / "profile") as shown:
        await shown.show(url, width=1400)
        assert await shown.value("document.querySelectorAll('.js-plotly-plot .main-svg').length > 0")
        assert await shown.value("document.querySelectorAll('.js-plotly-plot').length") == len(CHAPTERS) + 1
        assert shown.problems == []


async def test_no_render_begins_without_room_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "room_in_container", lambda: process.ROOM_BYTES - 1)
    with pytest.raises(RenderFailedError, match="191 MiB more") as refused:
        await process.render_beside(process.Job(namespace="a", lease="b", history_seconds=1.0))
    assert refused.value.reason == "no-memory"
