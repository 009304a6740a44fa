"""The keys of prompt pairs and edited models: what they depend on, and what they don't."""

from __future__ import annotations

from raysweep.config.loading import load_config
from raysweep.planning.missing import end_of, missing
from raysweep.planning.plan import CellPlan, PairSearch, ResultsPlan, SweepPlan
from raysweep.planning.planner import build_plan
from raysweep.records import BASE, Decoding
from raysweep.storage.artefacts import ENDED
from raysweep.storage.store import Store
from raysweep.sweep.grid import grid_rows
from tests.paths import NANO
from tests.storage.stores import commit

EDITS = [
    "recipes.creme={trainer: creme, edit: {steps: 3}}",
    "edits={perturbations: [C1], pairs: 2}",
    "models.0.recipes=[tiny, creme]",
]


def plan(*overrides: str) -> SweepPlan:
    return build_plan(load_config(NANO, [*EDITS, *overrides]))


def edited(plan: SweepPlan) -> list[CellPlan]:
    return [cell for cell in plan.cells if cell.pair_search]


def search(cell: CellPlan) -> PairSearch:
    assert cell.pair_search is not None
    return cell.pair_search


def keys(plan: SweepPlan) -> list[tuple[str, ...]]:
    """The keys of each edited cell: its pair's, its model's, those of its results."""
    return [
        (search(cell).node.key, cell.model.key if cell.model else "", *(pair.results.key for pair in cell.pairs))
        for cell in edited(plan)
    ]


def pairs_of(plan: SweepPlan) -> list[str]:
    return [search(cell).node.key for cell in edited(plan)]


def test_an_edit_has_one_key_whatever_its_recipe_is_called_and_whatever_others_say_of_trainings():
    renamed = plan("recipes.other={trainer: creme, edit: {steps: 3}}", "models.0.recipes=[tiny, other]")
    assert keys(renamed) == keys(plan())
    assert keys(plan("recipes.tiny.lr=1.0e-4", "training=null", "models.0.recipes=[creme]")) != keys(
        plan()
    )  # the base's
    assert keys(plan("training=null", "models.0.recipes=[creme]")) == keys(plan())


def test_a_setting_of_the_editor_changes_the_model_and_not_the_pair():
    other = plan("recipes.creme.edit={steps: 4}")
    assert pairs_of(other) == pairs_of(plan())
    assert all(one[1] != before[1] for one, before in zip(keys(other), keys(plan()), strict=True))


def test_more_pairs_leave_the_keys_of_the_first_ones():
    assert keys(plan("edits.pairs=5"))[:2] == keys(plan())


def test_a_pair_depends_on_seed_number_and_the_results_of_its_base():
    before = pairs_of(plan())
    assert len(set(before)) == 2
    assert not set(pairs_of(plan("seeds=[8]"))) & set(before)
    assert not set(pairs_of(plan("evaluation.max_new_tokens=13"))) & set(before)
    assert not set(pairs_of(plan("strengths={C1: 0.5}"))) & set(before)
    assert pairs_of(plan("evaluation.perturbations=[clean, C1, C2]")) == before


def test_a_named_pair_depends_on_its_problem_and_on_no_seed():
    (named,) = pairs_of(plan("edits={perturbations: [C1], problems: [MiniCode/1]}"))
    assert pairs_of(plan("edits={perturbations: [C1], problems: [MiniCode/1]}", "seeds=[8]")) == [named]
    assert pairs_of(plan("edits={perturbations: [C1], problems: [MiniCode/2]}")) != [named]


def test_edits_change_no_key_of_another_cell():
    without = build_plan(load_config(NANO))
    others = [cell for cell in plan().cells if not cell.pair_search]
    assert [artefact.node.key for cell in others for artefact in cell.artefacts] == [
        artefact.node.key for cell in without.cells for artefact in cell.artefacts
    ]


def test_an_ended_cell_lacks_nothing_and_the_next_one_lacks_all(tmp_path):
    store = Store(tmp_path)
    store.require_writable()
    ended, other = edited(plan())
    assert not end_of(ended, store)
    commit(store, search(ended).node, {ENDED: "no such pair: none"})
    assert end_of(ended, store) == "no such pair: none" and not end_of(other, store)
    assert not missing(ended.artefacts, store)
    assert [one.node.stage for one in missing(other.artefacts, store) if one.task == other.cell.id] == [
        *("prompt_pair", "model", "completions", "completions", "results", "results")
    ]


def test_an_edit_that_was_not_reproduced_ends_its_cell(tmp_path):
    store = Store(tmp_path)
    store.require_writable()
    cell = edited(plan())[0]
    assert cell.model is not None
    for node, counts in ((search(cell).node, {}), (cell.model, {ENDED: "not reproduced: no difference"})):
        commit(store, node, counts)
    assert end_of(cell, store) == "not reproduced: no difference" and not missing(cell.artefacts, store)


def test_rewritten_prompts_are_those_of_a_base_and_a_test_set_and_follow_from_no_seed():
    rewriting = ["recipes.sd={trainer: self-denoising}", "models.0.recipes=[tiny, sd]", "seeds=[7, 8]"]
    cells = [cell for cell in plan(*rewriting).cells if cell.cell.recipe == "sd"]
    assert len(cells) == 2 and all(cell.model is None for cell in cells)
    sets = [[pair.test_set.node.key for pair in cell.pairs] for cell in cells]
    assert sets[0] == sets[1] and len(set(sets[0])) == 2
    assert {pair.test_set.node.stage for cell in cells for pair in cell.pairs} == {"rewritten_set"}


def test_arguments_that_are_the_defaults_change_no_key():
    def edit(arguments: str) -> list[tuple[str, ...]]:
        return keys(plan(f"recipes.creme.edit={arguments}"))

    assert edit("{steps: 3, embeddings: false}") == keys(plan())
    assert edit("{steps: 3, embeddings: true}") != keys(plan())
    assert edit("{steps: 3, max_new_tokens: 12}") != keys(plan())


def test_edited_models_sample_anew_where_that_is_asked_for_and_there_is_chance():
    def decodings(*overrides: str) -> list[Decoding]:
        cells = plan("evaluation.samples=2", *overrides).cells
        return [cell.decoding for cell in cells if cell.cell.training_set == BASE or cell.pair_search]

    sampled = decodings("evaluation.temperature=0.2", "edits.new_draws=true")
    assert len({decoding.seed for decoding in sampled}) == 2 and len({one.seed for one in sampled[1:]}) == 1
    assert len(set(decodings("evaluation.temperature=0.2"))) == 1


def test_what_broke_can_be_found_in_samples_that_score_nothing():
    own = plan("evaluation.samples=2", "evaluation.temperature=0.2", "edits.found_on=own")
    base, finding = own.cells[0], own.cells[-1]
    assert (finding.cell.id, finding.is_scored) == ("llama.examples.base", False)
    assert {row.cell for row in grid_rows(own)} == {cell.cell.id for cell in own.cells[:-1]}
    assert finding.decoding.seed not in {cell.decoding.seed for cell in own.cells[:-1]}
    found = search(edited(own)[0])
    assert found.base is base and found.found_in is finding and found.scored != (found.original, found.perturbed)
    made_in = {item.task for item in found.inputs if isinstance(item, ResultsPlan)}
    assert made_in == {"llama.base", "llama.examples.base"}
    named = [cell.cell.id for cell in plan("training.sets=[examples]", "perturbations={examples: {name: C1}}").cells]
    assert "llama.tiny.examples.s7" in named  # a training set may be called so


def test_problems_that_broke_are_those_of_the_category_that_a_model_is_judged_on():
    both = plan("evaluation.perturbations=[clean, C1, C2]", "edits={perturbations: [C1, C2], pairs: 1}",
                "edits.judged_on=broken", "edits.transfer=true")  # fmt: skip
    first, second = edited(both)
    assert [pair.pair.perturbation for pair in first.pairs] == ["clean", "C1", "C2"]
    assert first.pairs[2].test_set.node.key == second.pairs[1].test_set.node.key
    assert first.pairs[0].test_set.node.key != second.pairs[0].test_set.node.key


def test_settings_of_the_covariance_change_no_key_where_they_are_the_defaults():
    def rome(arguments: str) -> list[tuple[str, ...]]:
        settings = f"{{trainer: rome, edit: {{edit_at: 0, covariance_tokens: 64{arguments}}}}}"
        return keys(plan(f"recipes.rome={settings}", "models.0.recipes=[tiny, rome]"))

    assert rome(", covariance_text_tokens: 64, covariance_ridge: 0.01") == rome("")
    assert len({rome(other)[0][1] for other in ("", ", covariance_ridge: 0.1", ", covariance_text_tokens: 32")}) == 3
