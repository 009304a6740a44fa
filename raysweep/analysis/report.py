"""The report of a sweep: one HTML file with everything in it, which opens from disk and asks no server for anything.

The page runs only the script it was made with (its hash stands in the page's content security policy), and what models
wrote reaches it as JSON and as text nodes, so that no completion can act on the reader.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING

from raysweep.analysis.figures import draw
from raysweep.analysis.findings import findings, percent
from raysweep.analysis.layout import Failure, Order, ScoreBook
from raysweep.analysis.samples import PairSamples, embed
from raysweep.analysis.table import Column, Row, Table
from raysweep.analysis.tables import tables
from raysweep.records import Score

if TYPE_CHECKING:
    from jinja2 import Environment

WIDE_COLUMNS = 16
"""Tables with more columns scroll inside their own frame."""


@dataclass(frozen=True)
class Report:
    """What a report shows. `settings` and `provenance`: (label, value) lines, both for people."""

    name: str
    title: str
    notice: str  # what the reader must not conclude; shown first, "" for none
    scores: Sequence[Score]
    order: Order
    settings: Sequence[tuple[str, str]]
    config_yaml: str
    failures: Sequence[Failure]
    provenance: Sequence[tuple[str, str]]
    samples: Sequence[PairSamples]


@dataclass(frozen=True)
class Heading:
    """A label of a table's head or side and how many columns or rows it spans."""

    text: str
    span: int


def render_report(report: Report, max_samples_per_pair: int | None = None) -> str:
    """Return the report as one HTML text; equal reports give equal texts.

    Args:
        report: what to show.
        max_samples_per_pair: see `raysweep.analysis.samples.embed`.
    """
    from markupsafe import Markup

    book = ScoreBook.of(report.scores, report.order, report.failures)
    script = _asset("report.js")
    every_table = tables(report.scores, report.order, report.failures)
    html = (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            headline=book.headline,
            findings=findings(report.scores, report.order, report.failures),
            figures=[Markup(svg) for svg in _figures(book)],
            summaries=[table for table in every_table if table.stub == ("training set",)],
            comparisons=[table for table in every_table if table.stub != ("training set",)],
            samples=Markup(embed(report.samples, max_samples_per_pair)) if report.samples else "",
            style=Markup(_asset("report.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    return html.encode("utf-8", "replace").decode()  # lone surrogates in names or errors could not be saved


def column_groups(columns: Sequence[Column]) -> list[Heading]:
    """Return the upper line of a table's head; empty where no column is in a group."""
    groups = [Heading(name, len(list(members))) for name, members in groupby(columns, key=lambda c: c.group)]
    return groups if any(group.text for group in groups) else []


def group_edges(columns: Sequence[Column]) -> list[int]:
    """Return the numbers of the columns, from 0, that open a further group."""
    return [i for i in range(1, len(columns)) if columns[i].group != columns[i - 1].group]


def row_headings(rows: Sequence[Row]) -> list[list[Heading]]:
    """Return each row's headings; a label that the row above has too is left out, and spans from there."""
    listed: list[list[Heading]] = []
    for number, row in enumerate(rows):
        headings = []
        for depth in range(len(row.labels)):
            prefix = row.labels[: depth + 1]
            is_last = depth == len(row.labels) - 1
            if not is_last and number and rows[number - 1].labels[: depth + 1] == prefix:
                continue
            below = [other.labels[: depth + 1] == prefix for other in rows[number:]]
            span = 1 if is_last else (below.index(False) if False in below else len(below))
            headings.append(Heading(row.labels[depth], span))
        listed.append(headings)
    return listed


def _figures(book: ScoreBook) -> list[str]:
    panels = [(line, problems) for problems in book.problem_sets for line in book.lines]
    return [_inline(draw(book, [panel]), f"fig{number}-") for number, panel in enumerate(panels) if book.headline]


def _inline(svg: str, prefix: str) -> str:
    """Return an SVG without its prolog, its ids made unique in a page of several."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", body)
    return re.sub(r"<style>.*?</style>", "", body, count=1, flags=re.DOTALL)  # the page sets the colours


def _asset(name: str) -> str:
    return files("raysweep.analysis").joinpath("templates", name).read_text(encoding="utf-8")


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("raysweep.analysis", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        column_groups=column_groups,
        group_edges=group_edges,
        row_headings=row_headings,
        percent=percent,
        wide_columns=WIDE_COLUMNS,
    )
    return environment


__all__ = ["Failure", "Order", "PairSamples", "Report", "Table", "render_report"]
