"""The printed numbers: equal to those of the study's tables, and they recompute from one another."""

from __future__ import annotations

import csv
from decimal import ROUND_HALF_UP, Decimal

import pytest

from raysweep.analysis.published.reference import citation, published_scores
from raysweep.errors import UnknownName
from raysweep.metrics.degradation import relative_degradation
from tests.conftest import shared_data

SCORES = published_scores("paper")
OURS = {"original": "base", "base": "base", "nomin": "clean", "clean_ft": "clean", "perturbed_ft": "mix_all"}
FILES = {
    2: "table02_pass1_clean", 3: "table03_pass1_perturbed", 4: "table04_rd",
    7: "table07_starcoderbase-1b_pass1_by_level", 8: "table08_starcoderbase-1b_rd_by_level",
    10: "table10_starcoderbase-1b_pass1_character", 11: "table11_starcoderbase-1b_rd_character",
}  # fmt: skip
PASS_OF = {4: (2, 3), 8: (7, 7), 11: (10, 10)}
"""For each table of RDs, the tables with clean and with perturbed pass@1."""


def passed(table: int, model: str, training_set: str, perturbation: str) -> float:
    wanted = (table, model, training_set, perturbation, "pass@1")
    (found,) = [s for s in SCORES if (s.table, s.model, s.training_set, s.perturbation, s.metric) == wanted]
    return found.value


def test_every_number_is_as_the_study_printed_it():
    for table, name in FILES.items():
        rows = list(csv.DictReader(shared_data("paper", f"{name}.csv").open()))
        for row in rows:
            first = next(iter(row))
            for column in list(row)[1:]:
                model = row[first] if first == "model" else "starcoderbase-1b"
                tested = "clean" if table == 2 else "mix_all" if first == "model" else OURS.get(row[first], row[first])
                wanted = (table, model, OURS.get(column, column), tested)
                (found,) = [s for s in SCORES if (s.table, s.model, s.training_set, s.perturbation) == wanted]
                assert found.percent == row[column], wanted
    assert len(SCORES) == 143


def test_all_57_printed_rds_recompute_to_the_digit_from_the_printed_pass_rates():
    printed = [score for score in SCORES if score.metric == "RD"]
    for rd in printed:
        clean_table, perturbed_table = PASS_OF[rd.table]
        clean = passed(clean_table, rd.model, rd.training_set, "clean")
        perturbed = passed(perturbed_table, rd.model, rd.training_set, rd.perturbation)
        percent = Decimal(repr(round(100 * relative_degradation(clean, perturbed).value, 9)))
        assert percent.quantize(Decimal("0.01"), ROUND_HALF_UP) == Decimal(rd.percent).quantize(Decimal("0.01")), rd
    assert len(printed) == 57


@pytest.mark.parametrize(
    ("table", "averages"), [(2, (26.1, 30.9, 29.9)), (3, (6.2, 26.3, 26.8)), (4, (78.2, 12.8, 8.2))]
)
def test_the_averages_of_the_text_are_those_of_the_tables(table, averages):
    for training_set, average in zip(("base", "clean", "mix_all"), averages, strict=True):
        values = [100 * s.value for s in SCORES if (s.table, s.training_set) == (table, training_set)]
        assert len(values) == 6
        assert sum(values) / 6 == pytest.approx(average, abs=0.051), training_set


def test_the_numbers_name_their_source_and_an_unknown_study_is_refused():
    assert "Liu, Foundjem, Wu, Li, Khomh (2026)" in citation("paper")
    with pytest.raises(UnknownName, match="unknown study 'papr'"):
        published_scores("papr")
