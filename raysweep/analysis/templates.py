"""The Jinja templates of the report's page and of its sentences, which stand beside the modules that fill them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@cache  # with the templates that it compiled, and the filters that its module adds
def templates(folder: str, *, autoescape: bool = False) -> Environment:
    """Return the templates of a folder of `raysweep.analysis`; `autoescape`: for HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("raysweep.analysis", folder),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
