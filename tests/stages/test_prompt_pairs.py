"""Prompt pairs: which are eligible, how they are drawn, and what is said where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from raysweep.config.loading import load_config
from raysweep.errors import HopelessError
from raysweep.generators.base import EOS, LENGTH
from raysweep.planning.missing import end_of
from raysweep.planning.plan import CellPlan, PairPlan, PromptPairPlan
from raysweep.planning.planner import build_plan
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Outcome
from raysweep.records import Completion, Problem, PromptPair, PromptRow, Result
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.stages.editing import edited_problems
from raysweep.stages.inputs import requests_of
from raysweep.stages.prompt_pairs import find_prompt_pair, make_broken_set, prompt_pairs
from raysweep.storage.artefacts import Node
from tests.paths import NANO
from tests.stages.making import opened, work_on

EDITS = ["recipes.creme={trainer: creme}", "models.0.recipes=[creme]", "training=null", "edits.perturbations=[C1]"]
SAMPLES = 2


class Sweep:
    """A base's results that a test says, and the pairs that are found in them.

    Each problem's verdicts are written as two letters, such as ``p.``: the first sample passed, the second failed; of
    ``--`` the prompt was too long, so that nothing was written.
    """

    def __init__(self, folder: Path) -> None:
        self.store = opened(folder)

    def cells(self, *overrides: str) -> list[CellPlan]:
        decoding = [f"evaluation.samples={SAMPLES}", "evaluation.temperature=0.2"]
        plan = build_plan(load_config(NANO, [*EDITS, *decoding, *overrides]))
        return [cell for cell in plan.cells if cell.pair_search]

    def judge(
        self, cell: CellPlan, clean: str, perturbed: str, unchanged: Sequence[int] = (), *, found: bool = True
    ) -> list[str]:
        """Write the base's results, in which pairs are found or which score it; return the ids of the problems."""
        search = cell.pair_search
        problems = list(PROBLEMS.create(search.original.references.problem_set).problems())
        pairs = (search.original, search.perturbed)
        for pair, verdicts in zip(pairs if found else search.scored, (clean.split(), perturbed.split()), strict=True):
            self._write(pair, problems, verdicts, unchanged, is_clean=pair.pair.perturbation == "clean")
        return [problem.task_id for problem in problems]

    def _write(
        self, pair: PairPlan, problems: Sequence[Problem], verdicts: Sequence[str], same: Sequence[int], is_clean: bool
    ) -> None:
        tests, texts, results = [], [], []
        for at, problem in enumerate(problems):
            is_changed = not is_clean and at not in same
            prompt = problem.prompt.replace('"""', '"""Hey: ', 1) if is_changed else problem.prompt
            tests.append(PromptRow(problem.task_id, prompt, problem.prompt, "C1", is_changed, True))
            for sample, verdict in enumerate(verdicts[at]):
                outcome = Outcome.PASSED if verdict == "p" else Outcome.FAILED
                text = f"{'clean' if is_clean else 'perturbed'} {sample}"
                written = ("", LENGTH, 0) if verdict == "-" else (text, EOS, 1)
                texts.append(Completion(problem.task_id, sample, *written, ""))
                results.append(Result(problem.task_id, sample, outcome, "", "", 0.0, ""))
        self._commit(pair.test_set.node, PromptRow, tests)
        self._commit(pair.completions, Completion, texts)
        self._commit(pair.results, Result, results)

    def _commit(self, node: Node, record: type, rows: Sequence[object]) -> None:
        if not self.store.has(node):
            with self.store.writing(node) as draft:
                write_rows(draft.folder / ROWS, record, rows, ["task_id"])
                draft.counts = {"level": "strong"}

    def find(self, cell: CellPlan) -> PromptPair | None:
        find_prompt_pair(PromptPairPlan(cell.pair_search.node, cell), work_on(self.store))
        return None if end_of(cell, self.store) else prompt_pairs(cell.pair_search, self.store)[0]


@pytest.fixture
def sweep(tmp_path):
    return Sweep(tmp_path)


def test_a_problem_is_eligible_if_its_clean_prompt_is_solved_more_often(sweep):
    cells = sweep.cells("edits.pairs=6")
    #                                          more  less  same  more  never unchanged
    tasks = sweep.judge(cells[0], "pp p. p. p. .. pp", "p. pp .p .. .. ..", unchanged=[5])
    found = [sweep.find(cell) for cell in cells]
    pairs = [pair for pair in found if pair]
    assert {pair.task_id for pair in pairs} == {tasks[0], tasks[3]} and found[2:] == [None] * 4
    assert {pair.eligible for pair in pairs} == {2}
    said = "minicode C1 has 2 eligible pairs for llama (Acc_ori 0.583 on clean prompts, Acc_pert 0.333 on"
    assert said in end_of(cells[2], sweep.store)


def test_a_pair_loses_the_share_of_the_samples_that_is_asked_for(sweep):
    cells = sweep.cells("edits.pairs=6", "edits.least_lost=0.6")
    tasks = sweep.judge(cells[0], "pp p. pp .. .. ..", "p. .. .. .. .. ..")
    assert [pair.task_id for cell in cells if (pair := sweep.find(cell))] == [tasks[2]]
    assert "1 eligible pair by 0.6 of the samples (`edits.least_lost`)" in end_of(cells[1], sweep.store)


def test_edited_models_can_be_judged_on_the_problems_that_broke_alone(sweep):
    (cell,) = sweep.cells("edits.pairs=1", "edits.judged_on=broken", "edits.least_lost=0.6")
    tasks = sweep.judge(cell, "pp p. pp .. pp ..", "p. .. .. .. .. ..")
    assert [pair.test_set.node.stage for pair in cell.pair_search.base.pairs] == ["test_set", "test_set"]
    for pair in cell.pairs:
        make_broken_set(pair.test_set, work_on(sweep.store))
        assert [row.task_id for row in sweep.store.rows(pair.test_set.node, PromptRow)] == [tasks[2], tasks[4]]
        assert {request.task_id for request in requests_of(cell, pair, sweep.store)} == {tasks[2], tasks[4]}


def test_a_pair_has_whole_prompts_and_the_first_completions_that_passed_and_failed(sweep):
    (cell,) = sweep.cells("edits.pairs=1")
    tasks = sweep.judge(cell, ".. .. .p .. .. ..", ".. .. .. .. .. ..")
    pair = sweep.find(cell)
    assert pair.task_id == tasks[2]
    assert (pair.passing, pair.failing) == ("clean 1", "perturbed 0")
    assert (pair.accuracy_original, pair.accuracy_perturbed) == (0.5, 0.0)
    assert pair.original != pair.perturbed and pair.original.startswith("def ") and pair.stop


def test_a_pair_that_is_found_in_other_samples_has_the_accuracies_of_those_that_score_the_base(sweep):
    (cell,) = sweep.cells("edits.pairs=1", "edits.found_on=own")
    tasks = sweep.judge(cell, "pp .. .. .. .. ..", ".. .. .. .. .. ..")
    sweep.judge(cell, "p. pp .. .. .. ..", "p. .. .. .. .. ..", found=False)
    pair = sweep.find(cell)
    assert (pair.task_id, pair.eligible) == (tasks[0], 1)
    assert (pair.accuracy_original, pair.accuracy_perturbed) == (0.5, 0.5)


def test_an_edit_of_several_examples_has_them_all_or_ends(sweep):
    first, second = sweep.cells("recipes.creme.examples=2", "edits.pairs=4")
    sweep.judge(first, "pp pp pp .. .. ..", ".. .. .. .. .. ..")
    sweep.find(first)
    found = [pair.task_id for pair in prompt_pairs(first.pair_search, sweep.store)]
    assert len(set(found)) == 2 and set(edited_problems(first.pair_search.node, None, sweep.store)) == set(found)
    assert sweep.find(second) is None and "and this edit takes those up to 4" in end_of(second, sweep.store)


def test_pairs_are_drawn_by_the_seed_and_a_larger_number_of_pairs_begins_with_the_same(sweep):
    def drawn(*overrides: str) -> list[str]:
        cells = sweep.cells(*overrides)
        sweep.judge(cells[0], "pp pp pp pp pp pp", ".. .. .. .. .. ..")
        return [pair.task_id for cell in cells if (pair := sweep.find(cell))]

    six = drawn("edits.pairs=6")
    assert len(set(six)) == 6
    assert drawn("edits.pairs=3") == six[:3]
    assert any(drawn("edits.pairs=6", f"seeds=[{seed}]") != six for seed in (1, 2))


def test_where_no_problem_is_eligible_the_cell_ends_with_both_accuracies(sweep):
    cell = sweep.cells()[0]
    sweep.judge(cell, "p. .. .. .. .. ..", "pp .. .. .. .. ..")
    assert sweep.find(cell) is None
    assert end_of(cell, sweep.store) == (
        "no such pair: llama solves no problem of minicode C1 more often with its clean prompt (Acc_ori 0.083 on clean "
        "prompts, Acc_pert 0.167 on perturbed ones)"
    )


def test_a_named_problem_is_taken_or_it_is_said_why_not(sweep):
    wanted, other = sweep.cells("edits.problems=[MiniCode/4, MiniCode/1]")
    sweep.judge(wanted, ".. .. p. .. p. ..", ".. .. .. .. .. ..")
    pair = sweep.find(wanted)
    assert pair.task_id == "MiniCode/4"
    assert sweep.find(other) is None
    assert "no such pair: llama doesn't solve MiniCode/1 more often with its clean" in end_of(other, sweep.store)


def test_a_problem_whose_perturbed_prompt_is_too_long_for_the_model_is_not_eligible(sweep):
    first, second = sweep.cells("edits.pairs=2")
    tasks = sweep.judge(first, "pp p. pp .. .. ..", "-- .. -- .. .. ..")
    pair = sweep.find(first)
    assert (pair.task_id, pair.eligible) == (tasks[1], 1)
    assert sweep.find(second) is None
    assert end_of(second, sweep.store) == (
        "no such pair: minicode C1 has 1 eligible pair for llama (Acc_ori 0.417 on clean prompts, Acc_pert 0.000 on "
        "perturbed ones; too long for it with the perturbed prompt: MiniCode/0, MiniCode/2), and this would be the next"
    )
    assert sweep.store.counts(second.pair_search.node)["too_long"] == 2


def test_a_named_problem_with_too_long_a_prompt_has_no_pair(sweep):
    (cell,) = sweep.cells("edits.problems=[MiniCode/0]")
    sweep.judge(cell, "pp .. .. .. .. ..", "-- .. .. .. .. ..")
    assert sweep.find(cell) is None
    assert end_of(cell, sweep.store) == "no such pair: the prompt of MiniCode/0 of minicode C1 is too long for llama"


def test_a_perturbation_that_changes_no_prompt_is_refused(sweep):
    cell = sweep.cells()[0]
    sweep.judge(cell, "pp .. .. .. .. ..", ".. .. .. .. .. ..", unchanged=range(6))
    with pytest.raises(
        HopelessError, match="C1 changes no prompt of minicode, so there are no edit examples; leave it"
    ):
        sweep.find(cell)
