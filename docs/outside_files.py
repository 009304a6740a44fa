"""Gives the site of docs/ the pages of the checkout that lie outside docs/, and checks links to its other files.

mkdocs knows the files of docs/ only. The Markdown files in `PAGES` are added as pages, and each link to one of them, or
from one of them to a page of docs/, is rewritten, so that mkdocs checks its file and its heading like any other's.
A link to another file of the checkout, such as ../configs, gets the address `extra.checkout` of mkdocs.yml before it;
here it is checked that the file exists.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from mkdocs.structure.files import File

LOG = logging.getLogger("mkdocs.hooks.outside_files")
CHECKOUT = Path(__file__).parent.parent
PAGES = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/history/2026-11.md": "benchmarks-2026-11.md",
}
"""Files of the checkout that become pages, and the pages' names."""
SOURCES = {page: path for path, page in PAGES.items()}
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
OUTSIDE = "checkout:"
"""Scheme of a link to a file that is no page; mkdocs leaves addresses with a scheme alone."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the checkout."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, content=(CHECKOUT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page's text with its links rewritten for the site; warn of each whose file isn't in the checkout."""
    source = SOURCES.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def rewritten(link: re.Match[str]) -> str:
        path, anchor = normpath(join(dirname(source), link[1])), link[2] or ""
        if path in PAGES:
            return f"]({PAGES[path]}{anchor})"
        if path.startswith("docs/"):
            return f"]({path.removeprefix('docs/')}{anchor})"
        if not (CHECKOUT / path).exists():
            LOG.warning("%s: %s is not in the checkout", source, path)
        return f"]({OUTSIDE}{path}{anchor})"

    return LINK.sub(rewritten, markdown)


def on_page_content(html: str, config: Any, **_: Any) -> str:
    """Return a page's HTML with the address of the checkout in links to its files."""
    return html.replace(f'href="{OUTSIDE}', f'href="{config.extra["checkout"]}')
