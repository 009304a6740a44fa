"""The printed numbers: equal to those of the study's tables, and they recompute from one another."""

from __future__ import annotations

import csv
import math
from decimal import ROUND_HALF_UP, Decimal

import pytest

from raysweep.analysis.published.reference import citation, published_averages, published_scores
from raysweep.analysis.published.sums import columns_of, recomputed, without_doubles
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


FAIT = published_scores("fait")
FAIT_COLUMNS = {
    "humaneval": ("humaneval-plus", "pass@1 base"), "humaneval_plus": ("humaneval-plus", "pass@1"),
    "mbpp": ("mbpp-plus", "pass@1 base"), "mbpp_plus": ("mbpp-plus", "pass@1"),
    "bigcodebench_full": ("bigcodebench-full", "pass@1"), "bigcodebench_hard": ("bigcodebench-hard", "pass@1"),
}  # fmt: skip
NAMES = {
    "MagiCoderS-CL": "magicoder-s-cl", "MagiCoderS-DS": "magicoder-s-ds", "SemCoder-S": "semcoder-s",
    "MagiCoder-DS": "magicoder-ds", "SemCoder": "semcoder", "CodeLlama-Instruct": "codellama-instruct",
    "DeepseekCoder-Instruct": "deepseek-coder-instruct", "GPT-3.5-Turbo": "gpt-3.5-turbo", "GPT-4-Turbo": "gpt-4-turbo",
}  # fmt: skip
SETS = {"evol-codealpaca-v1": "evol", "OSS-Instruct": "oss", "PYX": "pyx"}
EVOL = ("magicoder-s-cl", "magicoder-s-ds", "semcoder-s")
OTHERS = ("magicoder-ds", "semcoder", "codellama-instruct", "deepseek-coder-instruct")


def test_every_number_of_faits_tables_is_as_it_was_printed():
    rows = list(csv.DictReader(shared_data("fait", "tables1-5_pass1.csv").open()))
    for row in rows:
        is_base = row["variant"] in ("base", "closed")
        place = (
            int(row["table"]),
            NAMES[row["model"].split(" (")[0]],
            "none" if is_base else row["variant"],
            "base" if is_base else SETS[row["training_data"]],
        )
        for name, column in FAIT_COLUMNS.items():
            found = [
                s.percent
                for s in FAIT
                if (s.table, s.model, s.recipe, s.training_set) == place and (s.problem_set, s.metric) == column
            ]
            assert found == [row[name]], (place, name)
    assert len(FAIT) == 6 * len(rows) == 240
    assert columns_of(FAIT) == list(FAIT_COLUMNS.values())


def test_faits_misprints_are_noted_and_give_way_to_the_other_tables_number():
    noted = {(s.table, s.model, s.percent) for s in FAIT if s.note and s.model == "semcoder-s"}
    assert noted == {(1, "semcoder-s", "80.7"), (5, "semcoder-s", "82.9"), (5, "semcoder-s", "79.3")}
    kept = {
        s.metric: s.percent
        for s in without_doubles(FAIT)
        if (s.model, s.recipe, s.problem_set) == ("semcoder-s", "fait", "humaneval-plus")
    }
    assert kept == {"pass@1 base": "83.5", "pass@1": "78.7"}
    heading = {s.note for s in FAIT if s.table == 4 and s.model == "codellama-instruct"}
    assert heading == {"misprint: the table's heading says CodeLlama-Python-7B"}


@pytest.mark.parametrize(
    ("models", "recipe", "baseline", "percent"),
    [
        *((model, "fait", "base", of) for model, of in zip(EVOL, (5.2, 4.4, 4.9), strict=True)),
        *((model, "fait", "base", of) for model, of in zip(OTHERS, (5.3, 3.8, 19.1, 5.9), strict=True)),
        *((model, "sft", "base", of) for model, of in zip(OTHERS, (1.4, -2.1, 7.5, 0.5), strict=True)),
        *((model, "fait", "sft", of) for model, of in zip(EVOL, (5.3, 4.1, 5.2), strict=True)),
        *((model, "fait", "dpo", of) for model, of in zip(EVOL, (6.9, 2.0, 3.9), strict=True)),
        ("semcoder-s", "fait-line", "base", 2.9),
        ("semcoder-s", "fait-token", "base", 2.4),
        (EVOL, "fait", "base", 4.8),
        (EVOL, "fait", "sft", 4.9),
        (EVOL, "fait", "dpo", 4.27),  # printed as 4.2
        ((*EVOL, *OTHERS), "fait", "base", 6.9),
        ((*EVOL, *(name for name in OTHERS if name != "codellama-instruct")), "fait", "base", 4.9),  # not printed
    ],
)
def test_faits_averages_recompute_from_its_tables(models, recipe, baseline, percent):
    named = (models,) if isinstance(models, str) else models
    (average,) = [
        one
        for one in published_averages("fait")
        if (one.models, one.recipe, one.baseline, one.problem_set) == (named, recipe, baseline, "")
    ]
    found = 100 * recomputed(average, without_doubles(FAIT))
    assert f"{found:.{2 if percent == 4.27 else 1}f}" == str(percent)
    assert average.percent == ("4.2" if percent == 4.27 else str(percent))
    assert bool(average.note) == (percent == 4.27 or len(named) == 6)


def test_a_share_that_the_text_gives_to_one_model_is_the_mean_of_three():
    (hard,) = [one for one in published_averages("fait") if one.problem_set]
    assert (hard.models, hard.percent, hard.problem_set) == (EVOL, "20.8", "bigcodebench-hard")
    assert f"{100 * recomputed(hard, without_doubles(FAIT)):.1f}" == "20.8" and "semcoder-s's" in hard.note
    assert published_averages("paper") == [] and len(published_averages("fait")) == 25


def test_an_average_over_fewer_columns_is_of_these_and_one_without_its_scores_is_undefined():
    average = published_averages("fait")[0]
    four = [column for column in FAIT_COLUMNS.values() if "plus" in column[0]]
    change = (73.2 + 68.9 + 71.7 + 59.5) / (70.7 + 66.5 + 68.4 + 56.6) - 1
    assert recomputed(average, without_doubles(FAIT), four) == pytest.approx(change)
    without_base = [score for score in without_doubles(FAIT) if score.training_set != "base"]
    assert math.isnan(recomputed(average, without_base)) and math.isnan(recomputed(average, FAIT, []))


def test_the_numbers_name_their_source_and_an_unknown_study_is_refused():
    assert "Liu, Foundjem, Wu, Li, Khomh (2026)" in citation("paper")
    assert "arXiv 2503.16913; also FGIT" in citation("fait")
    with pytest.raises(UnknownName, match="unknown study 'papr'"):
        published_scores("papr")
