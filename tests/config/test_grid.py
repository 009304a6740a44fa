"""The grid: cells, pairs, and the study's counts."""

from __future__ import annotations

import pytest

from raysweep.config.document import read_document
from raysweep.config.grid import RULES, PairToEdit, TrainedOn, build_grid
from raysweep.config.loading import load_config
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from tests.paths import CONFIGS

QUICKSTART, MINICODE = CONFIGS / "quickstart.yaml", CONFIGS / "minicode.yaml"
SINGLES = ["C1", "C2", "C3", "W1", "W2", "W3", "S1", "S2", "S3"]
TESTS = ["clean", *SINGLES, "C", "W", "S", "mix_all"]


def study() -> list[TrainedOn]:
    """The base model and the study's 33 training sets."""
    trained = [TrainedOn("base", "base"), TrainedOn("clean", "clean")]
    trained += [TrainedOn(name, name) for name in TESTS[1:]]
    trained += [TrainedOn(f"mix_all@{q}#{draw}", "mix_all", q / 100) for q in (10, 30, 50, 70, 90) for draw in range(3)]
    return trained + [TrainedOn(f"size{f}", "mix_all", 0.6) for f in (0.25, 0.5, 2, 3)]


@pytest.mark.parametrize(("rule", "pairs"), [("paper", 718), ("figures", 244), ("all", 952)])
def test_a_rule_gives_the_studys_pairs_per_base_model(rule, pairs):
    benchmarks = 2
    assert sum(benchmarks * len(RULES[rule](trained, TESTS)) for trained in study()) == pairs


def test_the_quickstart_is_half_of_minicodes_twelve_cells_judged_on_five_test_sets():
    grid, half = build_grid(load_config(MINICODE)), build_grid(load_config(QUICKSTART))
    assert [cell.id for cell in grid.cells[:2]] == ["llama.base", "gpt_bigcode.base"]
    assert len(grid.cells) == 12 and len(grid.pairs) == 60
    assert grid.cells[2].id == "llama.full.clean.s42"
    assert len({cell.id for cell in grid.cells}) == 12
    whole, kept = ([(p.cell.model, p.cell.training_set, p.test_set) for p in part.pairs] for part in (grid, half))
    assert kept == [pair for pair in whole if pair[1] in ("base", "clean", "C")]


def test_each_seed_is_a_cell_of_its_own_and_the_base_is_judged_once():
    grid = build_grid(load_config(QUICKSTART, ["seeds=[1, 2]"]))
    assert len(grid.cells) == 2 + 8


def test_pairs_written_in_the_config_are_taken_and_clean_always_is():
    grid = build_grid(load_config(MINICODE, ["evaluation.pairs={C1: [C1], base: []}"]))
    pairs = {(pair.cell.training_set, pair.perturbation) for pair in grid.pairs}
    assert {p for t, p in pairs if t == "C1"} == {"clean", "C1"}
    assert {p for t, p in pairs if t == "base"} == {"clean"}
    assert {p for t, p in pairs if t == "C2"} == {"clean", "C1", "C2", "C3", "C"}


def test_draws_are_pairs_of_their_own_and_the_clean_set_has_none():
    grid = build_grid(load_config(QUICKSTART, ["evaluation.draws=3"]))
    assert len(grid.pairs) == 6 * (1 + 4 * 3)
    names = [pair.test_set for pair in grid.pairs_of(grid.cells[0])]
    assert names[:4] == ["minicode clean", "minicode C1", "minicode C1 draw 1", "minicode C1 draw 2"]


def test_a_perturbation_that_draws_nothing_has_one_draw():
    tests = "evaluation.perturbations=[C1, S2, S3, soft, words, tense, plain]"
    own = (
        "perturbations={soft: {name: S2, strength: 0.5}, words: {name: W2, strength: 0}, "
        "tense: {name: mix, members: [S3]}, plain: {name: mix, members: [S2, S3]}}"
    )
    config = load_config(QUICKSTART, ["evaluation.draws=3", tests, own])
    draws = {name: len(config.draws_of(name)) for name in config.evaluation.perturbations}
    assert draws == {"clean": 1, "C1": 3, "S2": 1, "S3": 1, "soft": 3, "words": 1, "tense": 1, "plain": 3}
    grid = build_grid(config)
    assert {pair.perturbation for pair in grid.pairs if pair.draw} == {"C1", "soft", "plain"}


def test_two_cells_of_one_id_are_refused():
    overrides = [
        "models.0={name: a.b, path: x, recipes: [c]}",
        "models.1={name: a, path: x, recipes: [b.c]}",
        "recipes={c: {}, b.c: {}}",
    ]
    document = read_document(QUICKSTART, overrides)
    config = SweepConfig.model_validate(document.value, context={"recipes": {"c", "b.c"}})
    with pytest.raises(
        UsageError, match=r"model 'a.b' with recipe 'c'.* and model 'a' with recipe 'b.c'.*'a.b.c.clean"
    ):
        build_grid(config)


EDITS = [
    "recipes.rome={trainer: rome, edit: {edit_at: middle}}",
    "edits={perturbations: [C3, C1], pairs: 2}",
    "models.0.recipes=[full, rome]",
]


def test_an_editor_meets_the_prompt_pairs_and_any_other_trainer_the_training_sets():
    grid = build_grid(load_config(QUICKSTART, EDITS))
    edited = [cell for cell in grid.cells if cell.edit]
    assert [cell.id for cell in edited] == [
        f"llama.rome.minicode-{name}.s42" for name in ("C3-pair1", "C3-pair2", "C1-pair1", "C1-pair2")
    ]
    without = build_grid(load_config(QUICKSTART))
    assert [cell for cell in grid.cells if not cell.edit] == list(without.cells)


def test_an_edited_model_is_judged_on_the_perturbation_of_its_pair_and_on_clean_prompts():
    grid = build_grid(load_config(QUICKSTART, [*EDITS, "evaluation.pairs={base: [C1, C3], clean: [C2]}"]))
    for cell in (cell for cell in grid.cells if cell.edit):
        assert [pair.perturbation for pair in grid.pairs_of(cell)] == ["clean", cell.edit.perturbation]


def test_an_edited_model_is_judged_on_the_other_categories_too_where_they_are_asked_for():
    grid = build_grid(load_config(QUICKSTART, [*EDITS, "edits.transfer=true"]))
    last = [cell for cell in grid.cells if cell.edit][-1]
    assert [pair.perturbation for pair in grid.pairs_of(last)] == ["clean", "C1", "C3"]


def test_an_edit_of_several_examples_takes_those_of_one_category_in_groups():
    several = "recipes.rome={trainer: dinm, examples: 2}"
    drawn = build_grid(load_config(QUICKSTART, [*EDITS, several, "edits={perturbations: [C3, C1], pairs: 5}"]))
    names = [f"minicode-{name}-pair{which}" for name in ("C3", "C1") for which in ("1-to-2", "3-to-4")]
    assert [cell.training_set for cell in drawn.cells if cell.edit] == names
    named = "edits={perturbations: [C1], problems: [MiniCode/2, MiniCode/0]}"
    (cell,) = [cell for cell in build_grid(load_config(QUICKSTART, [*EDITS, several, named])).cells if cell.edit]
    assert cell.training_set == "minicode-C1-MiniCode_2-to-MiniCode_0" and len(cell.edit.problems) == 2


def test_each_seed_problem_set_and_named_problem_is_an_edit_of_its_own():
    two = "evaluation.problems=[{name: minicode, split: validation, count: 6}, {name: minicode, as: other, count: 6}]"
    named = "edits={perturbations: [C1], problems: [MiniCode/1, MiniCode/0]}"
    grid = build_grid(load_config(QUICKSTART, [EDITS[0], EDITS[2], two, named, "seeds=[1, 2]"]))
    edited = [cell for cell in grid.cells if cell.edit]
    assert len(edited) == 2 * 2 * 2
    assert edited[0].id == "llama.rome.minicode-C1-MiniCode_1.s1"
    assert edited[-1].id == "llama.rome.other-C1-MiniCode_0.s2" and edited[-1].edit.problems == ("MiniCode/0",)
    assert {pair.problem_set for pair in grid.pairs_of(edited[-1])} == {"other"}


def test_a_model_that_rewrites_prompts_is_one_cell_judged_on_the_perturbations_of_the_pairs():
    overrides = ["recipes.sd={trainer: self-denoising}", EDITS[1], "models.0.recipes=[sd]", "seeds=[1, 2]"]
    grid = build_grid(load_config(QUICKSTART, overrides))
    cells = [cell for cell in grid.cells if cell.recipe == "sd"]
    assert [cell.id for cell in cells] == ["llama.sd.rewritten.s1", "llama.sd.rewritten.s2"]
    assert [pair.perturbation for pair in grid.pairs_of(cells[0])] == ["clean", "C3", "C1"]


def test_the_name_of_a_pair_is_that_of_a_file():
    assert PairToEdit("humaneval", "C2", problems=("HumanEval/49",)).name == "humaneval-C2-HumanEval_49"
    assert PairToEdit("humaneval", "C2", (3,)).name == "humaneval-C2-pair3"


def test_a_named_problem_is_edited_in_the_sets_that_have_it():
    sets = "evaluation.problems=[{name: minicode, count: 3}, {name: minicode, count: 1, as: other}]"
    named = "edits={perturbations: [C1], problems: [MiniCode/2, MiniCode/0]}"
    edited = [cell.edit for cell in build_grid(load_config(QUICKSTART, [*EDITS, sets, named])).cells if cell.edit]
    found = [(pair.problem_set, *pair.problems) for pair in edited if pair]
    assert list(dict.fromkeys(found)) == [
        ("minicode", "MiniCode/2"),
        ("minicode", "MiniCode/0"),
        ("other", "MiniCode/0"),
    ]


def test_the_small_sweep_of_edits_has_an_ablation_of_the_block():
    small = CONFIGS / "creme-mini.yaml"
    assert sum(cell.edit is not None for cell in build_grid(load_config(small)).cells) == (4 * 2 * 5 + 2 * 2) + (
        6 * 2 * 5 + 2
    )
    places = ["creme", *(f"creme-{place}" for place in ("random", "first", "middle", "last", "dinm"))]
    config = load_config(small, [f"models.{model}.recipes=[{', '.join(places)}]" for model in (0, 1)])
    assert sum(cell.edit is not None for cell in build_grid(config).cells) == len(places) * 2 * 2 * 5
    for name in places[1:]:
        assert config.recipes[name].edit == {**config.recipes["creme"].edit, "edit_at": name.partition("-")[2]}
