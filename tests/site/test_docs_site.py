"""The built site in a browser, as `make docs` runs it: no page is too wide, and none logs a problem."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from harness.docs_site import PROJECT
from tests.support.browser import browser, installed_browser

SITE: Final = PROJECT / "build" / "site"
WIDTHS: Final = (480, 1400)
"""A telephone and a desktop, in pixels."""


@pytest.fixture
def address() -> Iterator[str]:
    """The built site, served on loopback."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def pages() -> list[str]:
    """The paths of all pages."""
    found = sorted(page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html"))
    assert len(found) > 50, "run `make docs`, which builds the site"
    return found


async def test_every_page_fits_a_telephone_and_a_desktop(address: str, pages: list[str], tmp_path: Path) -> None:
    program = installed_browser()
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    async with browser(program, tmp_path / "profile") as tab:
        for width in WIDTHS:
            wide = []
            for page in pages:
                await tab.show(f"{address}/{page}", width=width)
                if await tab.value("document.documentElement.scrollWidth") > width:
                    wide.append(page)
            assert wide == [], f"wider than {width} px"
    assert tab.problems == []
