from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.analysis.tables.outcomes import PairOutcomes, commonest_failure, outcome_tables
from raysweep.analysis.tables.table import to_csv
from tests.analysis.examples import ORDER, shown


def outcomes(training_set: str, perturbation: str, cut: int | None = 0, seed: int = 42, **counts: int) -> PairOutcomes:
    recipe = "none" if training_set == "base" else "full"
    return PairOutcomes("llama", recipe, training_set, seed, "minicode", perturbation, counts, cut)


CPP = replace(ORDER, languages={"minicode": "cpp"})
CASES = {
    "clean prompts, and all perturbed ones together": [
        outcomes("C", "clean", passed=3, failed=1),
        outcomes("base", "C2", passed=1, timeout=3, cut=2),
        outcomes("base", "C1", passed=2, exception=2, cut=2),
        outcomes("base", "clean", passed=4),
    ],
    "rare outcomes, and completions that are gone": [outcomes("base", "clean", passed=1, memory=1, cut=None)],
    "seeds": [outcomes("C", "clean", seed=seed, passed=1) for seed in (1, 2)],
}


@pytest.mark.parametrize("case", CASES)
def test_outcomes_of_a_cell_in_percent(case, snapshot):
    assert shown(*outcome_tables(CASES[case], ORDER)) == snapshot


def test_problems_in_compiled_languages_have_errors_of_the_compiler_and_none_of_syntax(snapshot):
    assert shown(*outcome_tables([outcomes("base", "clean", passed=1, killed=1)], CPP)) == snapshot


def test_a_csv_begins_with_the_labels():
    (table,) = outcome_tables([outcomes("base", "clean", passed=1)], ORDER)
    assert to_csv(table).startswith("model,training set,prompts,passed,failed,exception,syntax error")


def test_the_commonest_failure_is_over_all_given_pairs():
    pairs = [outcomes("base", "C1", syntax_error=3, failed=2, cut=5), outcomes("base", "C2", failed=5, cut=5)]
    assert (
        commonest_failure(pairs)
        == "7 of 10 end with: failed; 10 were cut at the token limit (`evaluation.max_new_tokens`)"
    )
    assert commonest_failure([]) == ""
