"""Scores as tables of text: titles, numbers, codes."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from types import SimpleNamespace

import pytest

from raysweep.analysis.tables.outcomes import PairOutcomes
from raysweep.config.loading import load_config
from raysweep.records import Score
from raysweep.sweep.overview.scores import score_tables, zero_lines
from tests.paths import CONFIGS, NANO


def score(training_set: str, perturbation: str, value: float, n: int = 6, tuned_by: str = "tiny") -> Score:
    recipe = "none" if training_set == "base" else tuned_by
    return Score("llama", recipe, training_set, 7, "minicode", perturbation, "pass@1", value, 0.0, 1.0, n)


BASE = [score("base", "clean", 0.5), score("base", "C1", 0.25)]
EDITED = [
    score(f"minicode-C1-pair{number}", "C1", 0.4, n=5, tuned_by=name)
    for name in ("rome", "creme") for number in (1, 2)
]  # fmt: skip
RESTORED = [replace(s, metric="G-RIR", value=share) for s, share in zip(EDITED, (0.1, 0.2, -0.1, nan), strict=True)]
RECIPES = ["recipes.second={steps: 1}", "recipes.a={steps: 2}", "models.0.recipes=[tiny, second, a]"]
SEEDS = [
    replace(score("C1", name, value), metric=metric, seed=seed)
    for seed, (clean, perturbed, lost) in enumerate([(0.5, 0.25, 0.5), (0.7, 0.35, 0.5), (0.0, 0.0, nan)], 1)
    for name, metric, value in [("clean", "pass@1", clean), ("C1", "pass@1", perturbed), ("C1", "RD", lost)]
]
CASES = {
    "one number of problems": (BASE, NANO, []),
    "numbers of problems that differ": ([BASE[0], score("base", "C1", 0.25, n=5)], NANO, []),
    "codes and draws": (BASE, NANO, ["evaluation.draws=2", "training.sets=[C1, W1]"]),
    "edits, which have lost the problem of their pair": (
        [score("base", "C1", 0.5), *EDITED],
        CONFIGS / "creme-mini.yaml",
        ["models.0.name=llama"],
    ),
    "what edits restore": (
        [score("base", "C1", 0.5), *EDITED, *RESTORED],
        CONFIGS / "creme-mini.yaml",
        ["models.0.name=llama"],
    ),
    "recipes in the config's order": (
        [*(score("C1", "clean", 0.5, tuned_by=name) for name in ("a", "second", "tiny")), BASE[0]],
        NANO,
        ["training.sets=[C1]", *RECIPES],
    ),
    "several seeds": ([BASE[1], *SEEDS], NANO, ["seeds=[1, 2, 3]"]),
    "each seed": ([BASE[1], *SEEDS], NANO, ["seeds=[1, 2, 3]", "report.each_seed=true"]),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_as_text(case, snapshot):
    scores, config, overrides = CASES[case]
    assert score_tables(scores, load_config(config, overrides)) == snapshot


def zeros(monkeypatch, cells, pairs, scores) -> list[str]:
    """The lines on models that solve nothing, given what ended how."""
    monkeypatch.setattr("raysweep.sweep.overview.scores.pair_outcomes", lambda folder, rows: pairs)
    grid = [SimpleNamespace(**cell, cell=name) for name, cell in cells.items()]
    return zero_lines(SimpleNamespace(scores=scores, folder=SimpleNamespace(grid=lambda: grid)))


def test_a_model_that_solves_nothing_of_one_problem_set_is_told_with_its_commonest_outcome(monkeypatch):
    names = {"model": "llama", "recipe": "none", "training_set": "base", "seed": 7}
    java, cpp = (replace(BASE[0], problem_set=name, value=value) for name, value in (("java", 0), ("cpp", 0.5)))
    pairs = [
        PairOutcomes(**names, problem_set="java", perturbation="clean", outcomes={"compile_error": 6}, cut=0),
        PairOutcomes(**names, problem_set="cpp", perturbation="clean", outcomes={"passed": 3, "failed": 3}, cut=0),
    ]
    told = [zeros(monkeypatch, {"llama.base": names}, pairs, scores) for scores in ([java, cpp], [cpp], [java])]
    assert told[0] == ["llama.base solves no problem of java: of its completions 6 of 6 end with: compile error"]
    assert told[1] == []
    assert told[2][0].startswith("llama.base passes no test set: of its completions ")


def test_models_that_solve_nothing_are_one_line_with_the_first_of_them(monkeypatch):
    cells = {
        f"llama.tiny.C1.s{seed}": {"model": "llama", "recipe": "tiny", "training_set": "C1", "seed": seed}
        for seed in range(5)
    }
    more = {"problem_set": "java", "perturbation": "clean", "cut": 0}
    pairs = [PairOutcomes(**cell, **more, outcomes={"failed": 4, "timeout": 2}) for cell in cells.values()]
    scores = [replace(score("C1", "clean", 0), seed=seed, problem_set="java") for seed in range(5)]
    assert zeros(monkeypatch, cells, pairs, scores) == [
        "5 models pass no test set (llama.tiny.C1.s0, llama.tiny.C1.s1, llama.tiny.C1.s2 and 2 more): of their "
        "completions 20 of 30 end with: failed"
    ]
