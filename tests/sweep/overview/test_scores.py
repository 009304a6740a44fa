"""Scores as tables of text: titles, numbers, codes."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from types import SimpleNamespace

from raysweep.analysis.tables.outcomes import PairOutcomes
from raysweep.config.loading import load_config
from raysweep.records import Score
from raysweep.sweep.overview.scores import score_tables, zero_lines
from tests.paths import CONFIGS, NANO


def score(training_set: str, perturbation: str, value: float, n: int = 6, tuned_by: str = "tiny") -> Score:
    recipe = "none" if training_set == "base" else tuned_by
    seed = 7
    return Score("llama", recipe, training_set, seed, "minicode", perturbation, "pass@1", value, 0.0, 1.0, n)


def test_the_number_of_problems_stands_once_in_the_title_or_beside_each_number():
    config = load_config(NANO)
    same = score_tables([score("base", "clean", 0.5), score("base", "C1", 0.25)], config)
    assert same[0].title.startswith("minicode: pass@1 on 6 problems (RD")
    assert same[0].rows[0][1] == ("0.500", "0.250")
    (differs,) = score_tables([score("base", "clean", 0.5), score("base", "C1", 0.25, n=5)], config)
    assert differs.title.startswith("minicode: pass@1 (RD")
    assert differs.rows[0][1] == ("0.500 n=6", "0.250 n=5")


def test_the_codes_of_the_columns_and_training_sets_are_explained_once():
    config = load_config(NANO, ["evaluation.draws=2", "training.sets=[C1, W1]"])
    (table,) = score_tables([score("base", "clean", 0.5), score("base", "C1", 0.25)], config)
    assert table.notes == (
        "perturbed: means over 2 draws of each perturbation",
        "codes: neighbouring keys (C1), added synonyms (W1)",
    )


def test_edited_models_are_said_to_be_judged_on_other_problems_and_what_they_restore_on_the_same():
    config = load_config(CONFIGS / "creme-mini.yaml")
    edited = [f"minicode-C1-pair{number}" for number in (1, 2)]
    scores = [score("base", "C1", 0.5)]
    scores += [score(pair, "C1", 0.4, n=5, tuned_by=name) for name in ("rome", "creme") for pair in edited]
    assert score_tables(scores, config)[0].notes[:-1] == (
        "edited: means over models, each without the problem that it was edited from, so on other problems than base",
    )
    restored = [replace(s, metric="G-RIR", value=share) for s, share in zip(scores[1:], (0.1, 0.2, -0.1, nan))]
    assert score_tables([*scores, *restored], config)[0].notes[1:-1] == (
        "restored of what base loses, on the same problems (G-RIR): llama creme -10.0 %, llama rome 15.0 %",
    )
    assert "edited" not in str(score_tables(scores[:1], config)[0].notes[:-1])


def test_models_stand_in_the_configs_order_of_recipes_and_not_by_their_names():
    config = load_config(NANO, ["training.sets=[C1]", "recipes.second={steps: 1}", "recipes.a={steps: 2}"])
    config.models[0].recipes.extend(["a", "second"])
    scores = [score("C1", "clean", 0.5, tuned_by=name) for name in ("a", "second", "tiny")] + [
        score("base", "clean", 0.5)
    ]
    (table,) = score_tables(scores, config)
    assert [labels[1] for labels, _ in table.rows] == ["none", "tiny", "second", "a"]


def test_a_model_that_solves_nothing_of_one_problem_set_is_told_with_its_commonest_outcome(monkeypatch):
    names = {"model": "llama", "recipe": "none", "training_set": "base", "seed": 7}
    java, cpp = (
        replace(score("base", "clean", value), problem_set=name) for name, value in (("java", 0), ("cpp", 0.5))
    )
    pairs = [
        PairOutcomes(**names, problem_set="java", perturbation="clean", outcomes={"compile_error": 6}, cut=0),
        PairOutcomes(**names, problem_set="cpp", perturbation="clean", outcomes={"passed": 3, "failed": 3}, cut=0),
    ]
    monkeypatch.setattr("raysweep.sweep.overview.scores.pair_outcomes", lambda folder, rows: pairs)
    grid = [SimpleNamespace(**names, cell="llama.base")]

    def told(*scores: Score) -> list[str]:
        return zero_lines(SimpleNamespace(scores=scores, folder=SimpleNamespace(grid=lambda: grid)))

    assert told(java, cpp) == [
        "llama.base solves no problem of java: of its completions 6 of 6 end with: compile error"
    ]
    assert told(cpp) == []
    (line,) = told(java)
    assert line.startswith("llama.base passes no test set: of its completions ")


def test_models_that_solve_nothing_are_one_line_with_the_first_of_them(monkeypatch):
    cells = [{"model": "llama", "recipe": "tiny", "training_set": "C1", "seed": seed} for seed in range(5)]
    more = {"problem_set": "java", "perturbation": "clean", "cut": 0}
    pairs = [PairOutcomes(**cell, **more, outcomes={"failed": 4, "timeout": 2}) for cell in cells]
    monkeypatch.setattr("raysweep.sweep.overview.scores.pair_outcomes", lambda folder, rows: pairs)
    grid = [SimpleNamespace(**cell, cell=f"llama.tiny.C1.s{cell['seed']}") for cell in cells]
    scores = [replace(score("C1", "clean", 0), seed=cell["seed"], problem_set="java") for cell in cells]
    assert zero_lines(SimpleNamespace(scores=scores, folder=SimpleNamespace(grid=lambda: grid))) == [
        "5 models pass no test set (llama.tiny.C1.s0, llama.tiny.C1.s1, llama.tiny.C1.s2 and 2 more): of their "
        "completions 20 of 30 end with: failed"
    ]


def test_several_seeds_are_one_row_with_mean_and_sd_as_in_the_report():
    overrides = ["seeds=[1, 2, 3]"]
    scores = [score("base", "clean", 0.25)]
    for seed, (clean, perturbed, lost) in enumerate([(0.5, 0.25, 0.5), (0.7, 0.35, 0.5), (0.0, 0.0, nan)], 1):
        values = [("clean", "pass@1", clean), ("C1", "pass@1", perturbed), ("C1", "RD", lost)]
        scores += [replace(score("C1", name, value), metric=metric, seed=seed) for name, metric, value in values]
    (table,) = score_tables(scores, load_config(NANO, overrides))
    assert table.rows == (
        (("llama", "none", "base", "7"), ("0.250", "")),
        (("llama", "tiny", "C1", "3 seeds"), ("0.400±0.361", "0.200±0.180 (0.50±0.00*)")),
    )
    assert table.notes[:2] == (
        "several seeds: mean ± SD between them",
        "* mean over fewer seeds than its row has",
    )
    (each,) = score_tables(scores, load_config(NANO, [*overrides, "report.each_seed=true"]))
    assert [labels[3] for labels, _ in each.rows] == ["7", "1", "2", "3"] and "±" not in str(each)
