"""Checks the links of docs/ to files of the checkout outside docs/, such as ../configs, for mkdocs.

mkdocs knows the files of docs/ only, and `make docs` is strict: a link to any other file would end it. A page of the
site lies in site/ as its source lies in docs/, so such a link is right in both, as long as the site stays in the
checkout. Here each one is checked, and hidden from mkdocs while it checks the others.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from markdown.extensions.toc import slugify

LOG = logging.getLogger("mkdocs.hooks.outside_links")
CHECKOUT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(\.\./([^)#\s]*)(?:#([^)\s]*))?\)")
HIDDEN = "checkout:"
"""Scheme of a hidden link; mkdocs leaves addresses with a scheme alone."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page's text with its links to the checkout hidden; warn of each whose file or heading isn't there."""

    def hidden(link: re.Match[str]) -> str:
        path, anchor = link.groups()
        if not (CHECKOUT / path).exists():
            LOG.warning("%s: ../%s is not in the checkout", page.file.src_path, path)
        elif anchor and anchor not in _anchors(CHECKOUT / path):
            LOG.warning("%s: ../%s has no heading #%s", page.file.src_path, path, anchor)
        return link[0].replace("](../", f"]({HIDDEN}")

    return LINK.sub(hidden, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Return a page's HTML with the links as they were."""
    return html.replace(f'href="{HIDDEN}', 'href="../')


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {slugify(heading, "-") for heading in headings}
