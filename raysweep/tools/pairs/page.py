"""Writes pairs as an HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from raysweep.errors import UsageError
from raysweep.tools.pairs.shown import PairCounts, ShownPair


def write_page(pairs: Sequence[ShownPair], counts: PairCounts, path: Path) -> None:
    """Write the page; raise UsageError if the file can't be written."""
    from jinja2 import Environment, StrictUndefined

    source = files(__package__).joinpath("pairs.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    try:
        path.write_text(template.render(pairs=pairs, counts=counts.in_words()), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {path} can't be written ({error.strerror}); give another file") from None
