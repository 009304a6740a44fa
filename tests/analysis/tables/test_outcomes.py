from __future__ import annotations

from dataclasses import replace

from raysweep.analysis.tables.outcomes import PairOutcomes, commonest_failure, outcome_tables
from raysweep.analysis.tables.table import Table, to_csv
from tests.analysis.examples import ORDER


def outcomes(training_set: str, perturbation: str, cut: int | None = 0, seed: int = 42, **counts: int) -> PairOutcomes:
    recipe = "none" if training_set == "base" else "full"
    return PairOutcomes("llama", recipe, training_set, seed, "minicode", perturbation, counts, cut)


def rows(table: Table) -> dict[tuple[str, ...], dict[str, str]]:
    names = [column.name for column in table.columns]
    return {row.labels: dict(zip(names, (cell.text for cell in row.cells), strict=True)) for row in table.rows}


def test_a_cell_has_a_row_for_clean_prompts_and_one_for_all_perturbed_ones():
    pairs = [
        outcomes("C", "clean", passed=3, failed=1),
        outcomes("base", "C2", passed=1, timeout=3, cut=2),
        outcomes("base", "C1", passed=2, exception=2, cut=2),
        outcomes("base", "clean", passed=4),
    ]
    (table,) = outcome_tables(pairs, ORDER)
    assert [row.labels for row in table.rows] == [
        ("llama", "base", "clean"), ("llama", "base", "perturbed"), ("llama", "C", "clean"),
    ]  # fmt: skip
    assert rows(table)["llama", "base", "perturbed"] == {
        "passed": "37.5", "failed": "0.0", "exception": "25.0", "syntax error": "0.0", "timeout": "37.5",
        "cut at the token limit": "50.0", "completions": "8",
    }  # fmt: skip
    assert to_csv(table).splitlines()[0].startswith("model,training set,prompts,passed,failed,exception,syntax error")


def test_rare_outcomes_have_a_column_only_where_they_occur():
    (table,) = outcome_tables([outcomes("base", "clean", passed=1, memory=1)], ORDER)
    assert rows(table)["llama", "base", "clean"]["memory"] == "50.0"
    assert "killed" not in {column.name for column in table.columns}


def test_problems_in_compiled_languages_have_errors_of_the_compiler_and_none_of_syntax():
    order = replace(ORDER, languages={"minicode": "cpp"})
    (table,) = outcome_tables([outcomes("base", "clean", passed=1, killed=1)], order)
    names = [column.name for column in table.columns]
    assert names[:6] == ["passed", "failed", "exception", "compile error", "timeout", "killed"]
    assert "Compile error: the compiler refuses the program. Killed: a signal ended the program" in table.caption
    (table,) = outcome_tables([outcomes("base", "clean", passed=1)], ORDER)
    assert "Compile error" not in table.caption and "Killed" not in table.caption


def test_completions_that_are_gone_leave_their_share_open_with_the_reason():
    (table,) = outcome_tables([outcomes("base", "clean", passed=1, cut=None)], ORDER)
    assert rows(table)["llama", "base", "clean"]["cut at the token limit"] == "–"
    assert table.footnotes == ("the completions are no longer in the store",)


def test_seeds_of_one_training_set_have_rows_of_their_own():
    (table,) = outcome_tables([outcomes("C", "clean", seed=seed, passed=1) for seed in (1, 2)], ORDER)
    assert [row.labels[1] for row in table.rows] == ["C · seed 1", "C · seed 2"]


def test_the_commonest_failure_is_over_all_given_pairs():
    pairs = [outcomes("base", "C1", syntax_error=3, failed=2, cut=5), outcomes("base", "C2", failed=5, cut=5)]
    assert (
        commonest_failure(pairs)
        == "7 of 10 end with: failed; 10 were cut at the token limit (`evaluation.max_new_tokens`)"
    )
    assert commonest_failure([]) == ""
