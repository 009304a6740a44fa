"""Renders the report of a sweep: one self-contained HTML file that opens from disk without any server.

It shows the registered sections one below the other, each by its template.

The page's content security policy holds the hash of its script, so that no other script runs. Texts of models are
embedded as JSON and shown as text nodes, so that no completion can act on the reader.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING

from raysweep.analysis.page.sample_viewer import samples_json
from raysweep.analysis.page.small_figures import block_bars, loss_curve
from raysweep.analysis.page.textdiff import changes
from raysweep.analysis.sections.base import Report, Shown, all_sections, show
from raysweep.analysis.sections.findings import percent
from raysweep.analysis.tables.order import labelled
from raysweep.analysis.tables.table import Column, Row, Table, by_file_name
from raysweep.analysis.templates import templates
from raysweep.units import count

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

UNITS = ("%", "points?", "problems?", "tokens?", "steps?", "rows?", "draws?", "cells?", "s", "min", "KiB", "MiB", "GiB")
"""Words that stay on the line of the number before them."""
DROPS_SHOWN = 6
"""Perturbations that a finding lists at once; the page opens the others on demand."""
WIDE_COLUMNS = 9
"""Tables with more columns than this scroll inside a frame."""


@dataclass(frozen=True)
class Heading:
    """A label at a table's side, and the number of rows that it spans."""

    text: str
    span: int


def render_report(report: Report, shown: Shown | None = None, images: Mapping[str, bytes] | None = None) -> str:
    """Return the report as one HTML text; equal reports give equal texts.

    `shown`: the sections with what they show; None: all sections of these records. `images`: figures as SVG, by the
    names of their files; those that are lacking are rendered.
    """
    from markupsafe import Markup

    script, words = _asset("report.js"), {**report.order.training_words, **report.order.words}
    shown = show(report) if shown is None else shown
    html = (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            shown=shown,
            absent=absent(report, shown),
            images=defaultdict(bytes, images or {}),
            samples=Markup(samples_json(report.samples, report.samples_per_pair, words)) if report.samples else "",
            style=Markup(_asset("report.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    return html.encode("utf-8", "replace").decode()  # UTF-8 can't encode lone surrogates


@dataclass(frozen=True)
class Absent:
    """What a page doesn't show: sections, and the ids of tables and figures, both by what the sweep lacks for them."""

    sections: Sequence[tuple[str, str]]  # (title, why)
    exhibits: Mapping[str, Sequence[str]]  # why -> ids
    number: int  # of tables and figures


def absent(report: Report, shown: Shown) -> Absent:
    there = {section.name for section, _ in shown}
    sections = [one for one in all_sections() if one.name not in there and one.without]
    exhibits: dict[str, list[str]] = {}
    for one in report.drawn.left_out:
        exhibits.setdefault(one.why, []).append(one.id)
    return Absent([(one.title, one.without) for one in sections], exhibits, len(report.drawn.left_out))


def group_edges(columns: Sequence[Column]) -> list[int]:
    return [i for i in range(1, len(columns)) if columns[i].group != columns[i - 1].group]


def row_label(label: str, words: Mapping[str, str]) -> str:
    """Return a row's label with words for its code, also where more follows it: ``typos (C) · full``."""
    code, *more = label.split(" · ")
    return " · ".join([labelled(code, words), *more])


def row_headings(rows: Sequence[Row]) -> list[list[Heading]]:
    """Return each row's headings; a label that repeats the row above is left out, since the label above spans it."""
    all_headings: list[list[Heading]] = []
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
        all_headings.append(headings)
    return all_headings


@dataclass(frozen=True)
class Block:
    """The rows of a table under one first label, which has a line of its own. `size`: ``n = 240 problems``, or ""."""

    label: str  # "" in a table with one column of labels
    size: str  # "" where the table's title has it, or where the rows differ
    rows: Sequence[Row]


def row_blocks(table: Table) -> list[Block]:
    """Return the rows in blocks of one first label, which becomes a line of its own, so that labels take less width.

    A table with one column of labels is one block without a label, and so is one in which no two neighbouring rows
    share their first label.
    """
    blocks = [(label, list(rows)) for label, rows in groupby(table.rows, key=lambda row: row.labels[0])]
    if len(table.stub) == 1 or (len(blocks) > 1 and len(blocks) == len(table.rows)):
        return [Block("", "", table.rows)]
    return [Block(label, _size(table, rows), [Row(r.labels[1:], r.cells) for r in rows]) for label, rows in blocks]


def _size(table: Table, rows: Sequence[Row]) -> str:
    sizes = {(cell.n, cell.n_of) for row in rows for cell in row.cells if cell.n}
    shown = {table.size(cell) for row in rows for cell in row.cells if cell.n}
    return f"n = {count(*next(iter(sizes)))}" if len(sizes) == len(shown) == 1 and shown != {""} else ""


def bound(text: str) -> str:
    """Put a no-break space between each number and its unit, and around the sign of ``n = 240``."""
    text = re.sub(rf"(?<=\d) (?=(?:{'|'.join(UNITS)})(?!\w))", "\u00a0", text)
    return re.sub(r"\bn = (?=\d)", "n\u00a0=\u00a0", text)


def coded(text: str) -> Markup:
    """Return a text as HTML in which what stands between backticks is code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _inline(image: bytes, prefix: str) -> Markup:
    """Return an SVG without its prolog and metadata, with `prefix` before its ids, so that a page can hold several."""
    from markupsafe import Markup

    svg = image.decode()
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)  # the page has the signature once
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", body)
    return Markup(re.sub(r"<style>.*?</style>", "", body, count=1, flags=re.DOTALL))  # the page sets the colours


def _asset(name: str) -> str:
    return files("raysweep.analysis.page").joinpath("templates", name).read_text(encoding="utf-8")


def _environment() -> Environment:
    from markupsafe import Markup

    environment = templates("page/templates", autoescape=True)
    environment.filters.update(bound=bound, coded=coded, inline=_inline)
    environment.globals.update(
        block_bars=lambda rows, chosen: Markup(block_bars(rows, chosen)),
        by_file_name=by_file_name,
        changes=changes,
        labelled=labelled,
        loss_curve=lambda points: Markup(loss_curve(points)),
        row_blocks=row_blocks,
        row_label=row_label,
        drops_shown=DROPS_SHOWN,
        group_edges=group_edges,
        row_headings=row_headings,
        percent=percent,
        wide_columns=WIDE_COLUMNS,
    )
    return environment
