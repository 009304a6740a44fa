from __future__ import annotations

import math

from raysweep.analysis.tables.trainings import NOT_RECORDED, UNCHANGED, ReportedTraining, training_table
from tests.analysis.examples import ORDER


def training(**fields: object) -> ReportedTraining:
    values = {
        "model": "llama", "training_set": "C", "recipe": "full", "seed": 42, "rows": 90, "dropped": 0, "reasons": {},
        "steps": 9, "losses": ((1, 3.0), (9, 0.5)), "final_loss": 0.5,
    }  # fmt: skip
    return ReportedTraining(**(values | fields))


def test_a_training_shows_its_rows_and_its_loss_from_first_to_last():
    (row,) = training_table([training()], ORDER).rows
    assert [cell.text for cell in row.cells] == ["90", "0", "9", "3", "0.5"]
    assert row.cells[3].curve == ((1.0, 3.0), (9.0, 0.5))


def test_a_loss_that_stays_what_it_was_is_told_in_a_footnote():
    table = training_table([training(losses=((1, 3.0), (9, 3.001)), final_loss=3.001), training()], ORDER)
    assert table.footnotes == (UNCHANGED,)
    (row,) = training_table([training(steps=1, losses=((1, 3.0),), final_loss=3.0)], ORDER).rows
    assert row.cells[-1].note == "", "one step has nothing to compare with"


def test_a_validation_loss_has_a_column_where_a_training_has_one():
    table = training_table([training(validation_losses=((3, 0.75), (9, 0.625))), training()], ORDER)
    assert table.columns[-1].name == "validation loss"
    assert [row.cells[-1].text for row in table.rows] == ["0.625", "–"]
    assert table.rows[0].cells[-1].curve == ((3.0, 0.75), (9.0, 0.625))


def test_the_validation_loss_of_an_earlier_epoch_that_is_the_model_has_a_footnote():
    losses = ((3, 0.5), (6, 0.75), (9, 0.625))
    table = training_table([training(validation_losses=losses, kept=kept) for kept in (3, 9)], ORDER)
    assert [row.cells[-1].text for row in table.rows] == ["0.5", "0.625"]
    assert table.footnotes == ("the model is that of step 3, the end of the epoch with the lowest loss",)


def test_dropped_rows_have_their_reasons_in_a_footnote():
    table = training_table([training(dropped=3, reasons={"over 64 tokens": 2, "no prompt": 1})], ORDER)
    assert table.footnotes == ("dropped: 2 over 64 tokens, 1 no prompt",)


def test_a_model_shows_what_its_manifest_has():
    old = training(dropped=3, losses=(), final_loss=0.25)
    table = training_table([old, training(rows=None, losses=(), final_loss=math.nan)], ORDER)
    assert [cell.text for cell in table.rows[0].cells] == ["90", "3", "9", "–", "0.25"]
    assert [cell.text for cell in table.rows[1].cells] == ["–", "0", "9", "–", "–"]
    assert table.footnotes == (f"why 3 rows were dropped: {NOT_RECORDED}", NOT_RECORDED)


def seeds_of(*seeds: dict[str, object]) -> list[ReportedTraining]:
    base = training(training_set="pre-training", recipe="scratch", seed=None)
    return [base, *(training(seed=seed, **fields) for seed, fields in enumerate(seeds, 42))]


def test_several_seeds_have_one_row_with_means_and_the_spread_and_the_base_stands_once():
    seeds = seeds_of({}, {"losses": ((1, 4.0), (9, 1.5)), "final_loss": 1.5})
    table = training_table(seeds, ORDER, over_seeds=True)
    assert [row.labels for row in table.rows] == [("llama", "pre-training", "scratch"), ("llama", "C", "full")]
    base, (rows, dropped, steps, first, last) = (row.cells for row in table.rows)
    assert [cell.text for cell in base] == ["90", "0", "9", "3", "0.5"] and not any(cell.seeds for cell in base)
    assert [cell.text for cell in (rows, dropped, steps)] == ["90", "0", "9"] and not rows.seeds
    assert (first.text, first.spread, first.seeds, first.curve) == ("3.5", "SD 0.707", 2, ((1.0, 3.5), (9.0, 1.0)))
    assert (last.value, last.sd) == (1.0, math.sqrt(0.5))
    assert table.problems == "2 training seeds" and "SD: standard deviation between" in table.explanation


def test_each_seed_has_a_row_on_demand():
    labels = [row.labels[-1] for row in training_table(seeds_of({}, {}), ORDER).rows]
    assert labels == ["scratch", "full, seed 42", "full, seed 43"]


def test_losses_below_0_have_one_minus_sign_whatever_the_number_of_seeds():
    fields = [{"losses": ((1, loss), (9, loss - 1)), "final_loss": loss - 1} for loss in (-0.5, -0.25)]
    apart, both = (training_table(seeds_of(*fields), ORDER, over_seeds=over) for over in (False, True))
    assert [row.cells[3].text for row in (*apart.rows[1:], both.rows[1])] == ["−0.5", "−0.25", "−0.375"]


def test_counts_that_differ_between_seeds_are_a_mean_with_the_count_of_each():
    seeds = seeds_of({"steps": 9}, {"steps": 12, "dropped": 3, "reasons": {"no prompt": 3}})
    rows, dropped, steps, *_ = training_table(seeds, ORDER, over_seeds=True).rows[1].cells
    assert (rows.text, dropped.text, steps.text, steps.note) == ("90", "1.5", "10.5", "of the seeds: 9, 12")
    assert dropped.note == "seed 43: dropped: 3 no prompt; of the seeds: 0, 3"


def test_a_seed_that_reported_no_loss_is_left_out_and_counted():
    seeds = seeds_of({}, {"losses": (), "final_loss": math.nan}, {"final_loss": 1.5})
    last = training_table(seeds, ORDER, over_seeds=True).rows[1].cells[-1]
    assert (last.text, last.seeds, last.note) == ("1", 2, f"seed 43: {NOT_RECORDED}; mean over 2 of 3 seeds")
