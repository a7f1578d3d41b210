"""The hooks with which mkdocs builds the documentation.

Contract: a link of a page to a file of the project outside `docs/` (an example, the changelog) leads to a copy, so it
works on the site as it does in the repository. A link to a file that does not exist stays as it is, so that the strict
build fails. A long name in a table may break after a dot, a slash or an underscore, so that it fits on a telephone.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = PROJECT / "docs"
_LINK: Final = re.compile(r"(\]\()((?:\.\./)+[^)#]+)([)#])")
_CELL: Final = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)
_CODE: Final = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
_JOINT: Final = re.compile(r"(?<=[a-zA-Z\])][./_])(?=[a-zA-Z])")
_COPIES: Final = "files"
"""The folder of the site with the copies."""


def outside(page: str) -> Iterator[tuple[str, str]]:
    """The links of a page that leave `docs/` and lead to a file: as written, and the path in the project."""
    folder = (DOCS / page).parent
    for found in _LINK.finditer((DOCS / page).read_text(encoding="utf-8")):
        target = Path(os.path.normpath(folder / found[2]))
        if target.exists() and not target.is_relative_to(DOCS):
            yield found[2], target.relative_to(PROJECT).as_posix()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files to which pages link."""
    pages = [file.src_uri for file in files.documentation_pages()]
    for path in sorted({path for page in pages for _, path in outside(page)}):
        source = PROJECT / path
        for file in sorted(source.rglob("*.yaml")) if source.is_dir() else [source]:
            name = f"{_COPIES}/{file.relative_to(PROJECT).as_posix()}"
            if name not in files.src_uris:
                files.append(File.generated(config, _as_text(name), abs_src_path=str(file)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs names them
    """Point the links to these copies."""
    links = dict(outside(page.file.src_uri))

    def replaced(found: re.Match[str]) -> str:
        path = links.get(found[2])
        if path is None or (PROJECT / path).is_dir():
            return found[0]
        up = "../" * (len(PurePosixPath(page.file.src_uri).parts) - 1)
        return f"{found[1]}{up}{_as_text(f'{_COPIES}/{path}')}{found[3]}"

    return _LINK.sub(replaced, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs names them
    """Let long names in tables break."""
    return breakable(html)


def breakable(html: str) -> str:
    """The page with the places marked at which a name in a table may break."""

    def marked(cell: re.Match[str]) -> str:
        return _CODE.sub(lambda code: _JOINT.sub("<wbr>", code[0]), cell[0])

    return _CELL.sub(marked, html)


def _as_text(name: str) -> str:
    """A Markdown file is copied as text, not made a page of the site."""
    return f"{name}.txt" if name.endswith(".md") else name
