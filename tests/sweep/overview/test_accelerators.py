"""What a plan says of types of accelerators: which can hold a cell, as on a cluster, and what the hours cost."""

from __future__ import annotations

import pytest

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.cells import CellToPlace
from raysweep.engine.placing.fits import unfit_cell
from raysweep.planning.predictions.costs import CellCost
from raysweep.planning.predictions.needs import CellNeeds, Needs
from raysweep.sweep.overview.accelerators import PricedHours, priced, too_small_types

GB = 10**9


def cell(gpus: float = 1, gb: float = 0, in_bf16: bool = False, labels: str = "") -> CellNeeds:
    label = {ACCELERATOR_LABEL: labels} if labels else {}
    needs = Needs(1, gpus, labels=label, least_on_accelerator=int(gb * GB), in_bf16=in_bf16)
    return CellNeeds(needs, Needs(1, gpus, labels=label), Needs(), 1, False)


@pytest.mark.parametrize(
    ("needs", "there", "unfit"),
    [
        (cell(gb=20), ["A100", "L4", "V100"], set()),
        (cell(gb=30), ["A100", "L4", "V100"], {"L4"}),
        (cell(gb=20, gpus=0.5), ["A100", "L4", "V100"], {"L4", "V100"}),
        (cell(gb=20, in_bf16=True), ["A100", "V100"], {"V100"}),
        (cell(gb=30, labels="in(A100-40G,L4)"), ["A100-40G", "L4"], {"L4"}),
    ],
)
def test_the_table_of_hours_and_that_of_a_cluster_agree_on_what_holds_a_cell(needs, there, unfit):
    assert {label for label in there if unfit_cell(CellToPlace("", needs), label)} == unfit
    for label in there:
        card = label.partition("-")[0]
        assert (card in too_small_types(needs)) == (label in unfit), label


def test_a_card_that_no_cluster_has_is_the_one_that_the_labels_name_or_its_largest():
    for labels, small in (("", False), ("A100-40G", True), ("in(A100-40G,A100)", False), ("in(L4)", False)):
        assert ("A100" in too_small_types(cell(gb=50, labels=labels))) == small, labels
    share_of_another = cell(gb=20, gpus=0.3, labels="A100")
    assert "A6000" not in too_small_types(share_of_another) and "L4" not in too_small_types(share_of_another)


def test_hours_of_cells_and_teachers_cost_what_prices_say():
    known, unknown = CellCost(hours={"A100": 2.0, "L4": 8.0}), CellCost(unknown="it isn't here")
    work = [(known, cell(gb=30)), (known, cell())]
    assert priced({"A100-40G": 3.0, "L4": 0.5, "B300": 9.0}, work) == (
        PricedHours("A100-40G", 12.0),
        PricedHours("L4", 8.0, too_small=True),
    )
    assert priced({"A100": 1.0}, [*work, (unknown, cell())]) == (PricedHours("A100", 4.0, at_least=True),)
