"""The form of tables that set what a study says in words beside the same numbers of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raysweep.analysis.exhibits.base import Drawn, Evidence, Exhibit, NothingToDraw
from raysweep.analysis.published.reference import PublishedClaim, citation, published_claims
from raysweep.analysis.tables.table import Column, Row, Table, TableCell

COLUMNS = ("printed", "this sweep", "agrees")
Cells = tuple[TableCell, TableCell]
"""What a sweep says of a claim, and whether it agrees."""
Finder = Callable[[PublishedClaim], "Cells | None"]
"""Returns the cells of a claim; None if a sweep has nothing that it is about."""


def claims_table(exhibit: Exhibit, evidence: Evidence, study: str, finders: Mapping[str, Finder], *said: str) -> Drawn:
    """Return a table with a row for each claim of a study that a sweep has numbers for.

    `finders`: by the claims' ids. `said`: sentences of the caption.

    Raises:
        NothingToDraw: the sweep has numbers for none.
    """
    rows = [
        Row((claim.claim,), (TableCell.said(claim.printed, claim.note), *found))
        for claim in published_claims(study)
        if (found := finders[claim.id](claim)) is not None
    ]
    if not rows:
        raise NothingToDraw(f"it has nothing that the {exhibit.title[:1].lower()}{exhibit.title[1:]} are about")
    caption = exhibit.captioned(f"Printed: {citation(study)}.", *said)
    columns = tuple(map(Column, COLUMNS))
    return Drawn((Table(exhibit.titled(evidence.frame), caption, ("claim",), columns, tuple(rows), label=exhibit.id),))


def yes(agrees: bool) -> TableCell:
    return TableCell.said("yes" if agrees else "no")
