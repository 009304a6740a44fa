"""What an evaluation that was stopped, or another one, leaves is used by the next, where it is the same."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from raysweep.config.schema import SweepConfig
from raysweep.engine.base import BatchOutput, ExecuteJob, GenerateJob
from raysweep.engine.completing import SMALLEST_BATCH, request_key
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.errors import RaysweepError
from raysweep.pipeline import make, make_cell
from raysweep.planning.missing import missing
from raysweep.planning.plan import CellPlan
from raysweep.planning.planner import build_plan
from raysweep.programs import Oracle, Outcome, Program, Verdict
from raysweep.records import Completion, Decoding, GenerationRequest, ReferenceRun, Result, Spec
from raysweep.stages import generation
from raysweep.stages.generation import _Writer
from raysweep.stages.judging import SMALLEST_BLOCK
from raysweep.stages.references import BATCH_PROGRAMS, settings_of
from raysweep.storage.artefacts import Artefact
from raysweep.storage.blocks import Blocks
from raysweep.storage.completions import CompletionPool
from raysweep.storage.files import Files
from raysweep.storage.store import Store
from raysweep.storage.verdicts import VerdictCache
from tests.patience import PATIENCE
from tests.stages.making import opened, work_on
from tests.tiny import make_tiny


class Stopped(Exception):
    """Stands for a killed process."""


class ToldStages(LocalStages):
    """Judges by what it is told, and remembers what it was asked."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.asked: list[Program] = []
        self.limits: set[float] = set()
        self.generated = 0
        self.reused: Counter[str] = Counter()

    def count_reused(self, what: str, number: int) -> None:
        self.reused[what] += number

    def generate(self, job: GenerateJob, progress: ProgressFile) -> Iterator[BatchOutput[Completion]]:
        self.generated += sum(map(len, job.batches))
        return super().generate(job, progress)

    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[BatchOutput[Verdict]]:
        for at, batch in enumerate(job.batches):
            self.asked += batch.programs
            self.limits |= {limits.timeout for limits in batch.limits}
            yield BatchOutput(at, [self.verdict] * len(batch.programs))


PASSED = Verdict(Outcome.PASSED, "", "", 0.1, 3.0, "strong", "strict", "outside")


class StoppedStages(ToldStages):
    """Stops after so many blocks of completions, or of verdicts."""

    def __init__(self, generated: int, executed: int) -> None:
        super().__init__(PASSED)
        self.most = {"generated": generated, "executed": executed}

    def _up_to(self, what: str, blocks: Iterator[Any]) -> Iterator[Any]:
        for at, block in enumerate(blocks):
            if at == self.most[what]:
                raise Stopped
            yield block

    def generate(self, job: GenerateJob, progress: ProgressFile) -> Iterator[BatchOutput[Completion]]:
        return self._up_to("generated", super().generate(job, progress))

    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[BatchOutput[Verdict]]:
        return self._up_to("executed", super().execute(job, progress))


def problem(n: int, solution: str) -> dict[str, str]:
    return {
        "task_id": f"T/{n}",
        "prompt": f'def f{n}(x):\n    """Add {n} to x."""\n',
        "entry_point": f"f{n}",
        "canonical_solution": solution,
        "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
    }


def plan_of(
    path: Path, solutions: Sequence[str], evaluation: Mapping[str, object] | None = None, **execution: object
) -> CellPlan:
    write(path, [problem(n, text) for n, text in enumerate(solutions)])
    return plan_with(path, REFERENCE, execution, **{"perturbations": ["clean"], **(evaluation or {})})


REFERENCE = {"generator": {"name": "reference"}}
SOLUTIONS = [f"    return x + {n}\n" for n in range(5)]


def write(path: Path, problems: Sequence[Mapping[str, str]]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in problems))


def plan_with(
    path: Path, model: Mapping[str, object], execution: Mapping[str, object] | None = None, **evaluation: object
) -> CellPlan:
    config = {
        "name": "s",
        "allow_code_execution": True,
        "models": [{"name": "m", **model}],
        "evaluation": {"problems": [{"name": "jsonl", "path": str(path)}], **evaluation},
        "execution": {"require": "limits", **(execution or {})},
    }
    return build_plan(SweepConfig.model_validate(config)).cells[0]


@pytest.fixture
def store(tmp_path):
    return opened(tmp_path / "store")


def judged(plan: CellPlan, store: Store, stages: LocalStages) -> list[Result]:
    references = [plan.pairs[0].references]
    if missing(references, store):  # not by the stages under test, nor from the verdicts on equal completions
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(VerdictCache, "add", lambda *of: None)
            make(references, work_on(store, ToldStages(PASSED), "references"))
    make(plan.artefacts, work_on(store, stages))
    return store.rows(plan.pairs[0].results, Result)


def is_whole(plan: CellPlan, store: Store) -> bool:
    return not missing(plan.artefacts, store)


def test_blocks_of_a_stopped_evaluation_are_not_made_again(tmp_path, store):
    plan = plan_of(tmp_path / "p.jsonl", [f"    return x + {n}\n" for n in range(SMALLEST_BLOCK + 6)])
    for stages in (StoppedStages(1, 0), StoppedStages(99, 1)):
        with pytest.raises(Stopped):
            judged(plan, store, stages)
    results = judged(plan, store, ToldStages(PASSED))
    assert [row.outcome for row in results] == ["passed"] * (SMALLEST_BLOCK + 6)
    counts = [store.manifest(node)["counts"] for node in (plan.pairs[0].completions, plan.pairs[0].results)]
    assert counts[0]["prompts_resumed"] == SMALLEST_BATCH and counts[1]["programs_resumed"] == SMALLEST_BLOCK
    assert not store.unfinished(plan.evaluation).infos()


def test_verdicts_on_solutions_that_a_kill_left_are_not_given_again(tmp_path, store):
    plan = plan_of(tmp_path / "p.jsonl", [f"    return x + {n}\n" for n in range(BATCH_PROGRAMS + 4)])
    with pytest.raises(Stopped):
        make([plan.pairs[0].references], work_on(store, StoppedStages(99, 1)))
    stages = ToldStages(PASSED)
    make(plan.artefacts, work_on(store, stages))
    solutions = [program for program in stages.asked if "return None" not in program.text]  # the others are controls
    assert len(solutions) == 4, "all others, and what a cell generates, have their verdict"
    assert not store.unfinished(plan.pairs[0].references.node).infos()


class BrokenStages(ToldStages):
    """Has a harness error with each program that holds a text."""

    def __init__(self, text: str) -> None:
        super().__init__(PASSED)
        self.text = text

    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[BatchOutput[Verdict]]:
        error = Verdict(Outcome.HARNESS_ERROR, "no memory")
        for output, batch in zip(super().execute(job, progress), job.batches, strict=True):
            rows = [error if self.text in program.text else PASSED for program in batch.programs]
            yield BatchOutput(output.index, rows)


def test_a_solution_that_cant_be_run_costs_its_problem_and_no_other_verdict(tmp_path, store):
    plan = plan_of(tmp_path / "p.jsonl", SOLUTIONS)
    stages, why = BrokenStages("x + 3"), "its reference solution could not be run: no memory"
    work = work_on(store, stages)
    make(plan.artefacts, work)
    assert len(stages.asked) >= 6, "it runs once more, since the machine may have been short of something"
    passed = {f"T/{n}": ("passed", "") for n in range(5)}
    runs = {run.task_id: (run.outcome, run.detail) for run in store.rows(plan.pairs[0].references.node, ReferenceRun)}
    assert runs == {**passed, "T/3": ("harness_error", "no memory")}
    rows = {row.task_id: (row.outcome, row.detail) for row in store.rows(plan.pairs[0].results, Result)}
    assert rows == {**passed, "T/3": ("harness_error", why)}
    assert any(f"no program runs on T/3: {why}" in line for line in work.progress.activity.tail)
    counts = counts_of(plan, store)
    assert (counts["rows"], counts["programs_run"], counts["levels"]) == (5, 0, {"strong": 4})
    broken = plan_of(tmp_path / "q.jsonl", SOLUTIONS[1:])
    with pytest.raises(RaysweepError, match="no reference solution could be run, such as that of T/0: no memory"):
        make(broken.artefacts, work_on(store, BrokenStages("x + ")))


def generated(plan: CellPlan, store: Store) -> tuple[int, list[Mapping[str, Any]]]:
    """Make a cell; return how many completions were generated, and the counts of each pair."""
    stages = ToldStages(PASSED)
    make(plan.artefacts, work_on(store, stages))
    counts = [store.counts(pair.completions) for pair in plan.pairs]
    assert stages.reused["completions"] == sum(count["reused"] for count in counts)
    return stages.generated, counts


def test_a_completion_is_generated_once_whichever_test_set_or_sweep_has_its_prompt(tmp_path, store):
    solutions = [f"    return x + {n}\n" for n in range(6)]
    first = plan_of(tmp_path / "p.jsonl", solutions)
    assert generated(first, store)[0] == 6
    both = plan_of(tmp_path / "p.jsonl", solutions, {"perturbations": ["clean", "C3", "S3"]})
    asked, counts = generated(both, store)
    changed = {pair.pair.perturbation: count for pair, count in zip(both.pairs, counts, strict=True)}
    assert asked == sum(count["distinct"] - count["reused"] for count in counts[1:]) <= 12
    assert changed["C3"]["rows"] == 6
    fewer = plan_of(tmp_path / "p.jsonl", solutions[:4], {"perturbations": ["clean", "C3"]})  # another file, other keys
    assert {pair.completions.key for pair in fewer.pairs}.isdisjoint(pair.completions.key for pair in both.pairs)
    asked, counts = generated(fewer, store)
    assert asked == 0 and [count["reused"] for count in counts] == [count["distinct"] for count in counts]
    texts, same = (
        {row.task_id: row.text for row in store.rows(plan.pairs[0].completions, Completion)} for plan in (both, fewer)
    )
    assert same.items() <= texts.items()


def test_what_a_stopped_sweep_has_in_blocks_is_there_after_another_one_ended_meanwhile(tmp_path, store):
    solutions = [f"    return x + {n}\n" for n in range(2 * SMALLEST_BATCH)]
    first, other = plan_of(tmp_path / "p.jsonl", solutions), plan_of(tmp_path / "q.jsonl", solutions[:2])
    assert first.evaluation == other.evaluation and first.pairs[0].completions.key != other.pairs[0].completions.key
    with pytest.raises(Stopped):
        judged(first, store, StoppedStages(1, 0))
    generated(other, store)
    assert not store.unfinished(first.evaluation).infos()
    asked, (count,) = generated(first, store)
    assert asked <= SMALLEST_BATCH and count["reused"] == 2 * SMALLEST_BATCH - asked


def test_completions_of_a_process_that_was_killed_as_soon_as_they_were_there_are_found(tmp_path, store, monkeypatch):
    solutions = SOLUTIONS[:3]

    def killed(pool: CompletionPool, node: Artefact) -> None:
        if store.has(node):
            raise Stopped
        add(pool, node)

    add = CompletionPool.add
    with monkeypatch.context() as patch:
        patch.setattr(CompletionPool, "add", killed)
        generated(plan_of(tmp_path / "p.jsonl", solutions), store)
    assert generated(plan_of(tmp_path / "q.jsonl", solutions[:2]), store)[0] == 0


def test_a_block_is_written_in_time_though_no_further_batch_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(generation, "BLOCK_SECONDS", PATIENCE)
    blocks = Blocks(Files(str(tmp_path)), Completion)
    with _Writer(blocks) as writer:
        writer.add({"a": Completion("t", 0, "text", "eos", 1, "sha")})
        timer = writer._timer
        assert not blocks.read() and timer.is_alive() and 0 < timer.interval <= PATIENCE
        timer.function()  # the time has come
        assert set(blocks.read()) == {"a"} and writer._timer is None
        timer.cancel()


def test_equal_prompts_of_problem_sets_with_other_solutions_are_one_request_unless_the_generator_reads_them():
    one, two = (GenerationRequest("r", "T/1", "prompt", reference=text) for text in ("return 1", "return 2"))
    greedy = Decoding()
    assert request_key(one, greedy, Spec("transformers")) == request_key(two, greedy, Spec("transformers"))
    assert request_key(one, greedy, Spec("reference")) != request_key(two, greedy, Spec("reference"))


def test_of_more_samples_only_the_new_ones_are_generated(tmp_path, store):
    solutions = SOLUTIONS[:3]
    assert generated(plan_of(tmp_path / "p.jsonl", solutions, {"samples": 4, "temperature": 0.5}), store)[0] == 12
    more = plan_of(tmp_path / "p.jsonl", solutions, {"samples": 10, "temperature": 0.5})
    asked, (count,) = generated(more, store)
    assert asked == 18 and (count["rows"], count["distinct"], count["reused"]) == (30, 30, 12)
    rows = store.rows(more.pairs[0].completions, Completion)
    assert len({(row.task_id, row.sample) for row in rows}) == 30
    other = plan_of(tmp_path / "p.jsonl", solutions, {"samples": 10, "temperature": 0.6})
    assert generated(other, store)[0] == 30, "decoding is part of what is asked"


def test_completions_that_are_gone_are_generated_again(tmp_path, store):
    solutions = SOLUTIONS[:3]
    first = plan_of(tmp_path / "p.jsonl", solutions)
    generated(first, store)
    store.remove(first.pairs[0].completions)
    assert generated(plan_of(tmp_path / "p.jsonl", solutions[:2]), store)[0] == 2


def test_blocks_made_from_another_reference_solution_are_left_alone(tmp_path, store):
    wrong = plan_of(tmp_path / "p.jsonl", ["    return x - 7\n"] * 3)
    with pytest.raises(Stopped):
        judged(wrong, store, StoppedStages(99, 0))
    right = plan_of(tmp_path / "p.jsonl", [f"    return x + {n}\n" for n in range(3)])
    assert right.evaluation.key == wrong.evaluation.key, "so it finds the other's blocks"
    assert [row.outcome for row in judged(right, store, LocalStages())] == ["passed"] * 3


STRONG = Verdict(Outcome.FAILED, "AssertionError", "", 2.0, 3.0, "strong", "shared", "outside", "same")


def counts_of(plan: CellPlan, store: Store) -> dict[str, object]:
    return store.manifest(plan.pairs[0].results)["counts"]


def test_equal_programs_of_another_sweep_are_not_run_again(tmp_path, store):
    first, second = ToldStages(STRONG), ToldStages(STRONG)
    judged(plan_of(tmp_path / "p.jsonl", SOLUTIONS), store, first)
    again = plan_of(tmp_path / "p.jsonl", [*SOLUTIONS, "    return x + 5\n"], {"samples": 2})
    rows = judged(again, store, second)
    assert len(first.asked) == 5 and len(second.asked) == 1
    assert (first.reused["programs"], second.reused["programs"]) == (0, 5)
    assert {(row.outcome, row.detail, row.limit_seconds) for row in rows} == {("failed", "AssertionError", 3.0)}
    assert counts_of(again, store) == {
        "rows": 12,
        "distinct_programs": 6,
        "distinct_programs_of_cell": 6,
        "programs_run": 1,
        "program_seconds": 2.0,
        "programs_reused": 5,
        "programs_resumed": 0,
        "level": "strong",
        "levels": {"strong": 12},
        "oracles": {"outside": 12},
        "lanes": {"shared": 12},
        "near_limit": 12,
        "programs_shared": 1,
        "programs_judged_again": 1,
        "programs_judged_otherwise": 0,
    }


def test_the_strict_lane_does_not_take_what_others_shared(tmp_path, store):
    judged(plan_of(tmp_path / "p.jsonl", SOLUTIONS), store, ToldStages(STRONG))
    strict = ToldStages(dataclasses.replace(STRONG, lane="strict", audit=""))
    judged(plan_of(tmp_path / "p.jsonl", SOLUTIONS, lane="strict"), store, strict)
    assert len(strict.asked) == 5
    third = ToldStages(STRONG)
    judged(plan_of(tmp_path / "p.jsonl", SOLUTIONS, {"samples": 2}, lane="strict"), store, third)
    assert not third.asked


def test_results_of_a_weaker_sandbox_are_made_again_once_a_stronger_one_is_required(tmp_path, store):
    weak = plan_of(tmp_path / "p.jsonl", SOLUTIONS)
    judged(weak, store, ToldStages(dataclasses.replace(STRONG, level="partial", audit="timeout")))
    assert counts_of(weak, store)["level"] == "partial" and counts_of(weak, store)["programs_judged_otherwise"] == 5
    strong = plan_of(tmp_path / "p.jsonl", SOLUTIONS, require="strong")
    assert strong.pairs[0].results.key == weak.pairs[0].results.key
    assert is_whole(weak, store) and not is_whole(strong, store)
    stages = ToldStages(STRONG)
    judged(strong, store, stages)
    assert len(stages.asked) == 5 and is_whole(strong, store) and is_whole(weak, store)
    assert counts_of(strong, store)["level"] == "strong"


def test_harness_errors_end_an_attempt_and_are_asked_again(tmp_path, store):
    plan = plan_of(tmp_path / "p.jsonl", SOLUTIONS)
    with pytest.raises(RaysweepError, match="5 programs could not be run: no memory"):
        judged(plan, store, ToldStages(Verdict(Outcome.HARNESS_ERROR, "no memory")))
    stages = ToldStages(STRONG)
    judged(plan, store, stages)
    assert len(stages.asked) == 5


def test_limits_follow_the_reference_solutions_time(tmp_path, store):
    plan = plan_of(tmp_path / "p.jsonl", SOLUTIONS, reference_factor=4, timeout=6)
    stages = ToldStages(dataclasses.replace(STRONG, outcome=Outcome.PASSED, seconds=0.6))
    make_cell(plan, work_on(store).context, stages)
    [pair] = plan.pairs
    assert stages.limits == {6.0, 3.0}, "controls have their problem's limit"
    assert len(stages.asked) == 2 * 5, "each solution and its control; completions that equal solutions don't run again"
    counts = counts_of(plan, store)
    assert (counts["programs_reused"], counts["near_limit"]) == (5, 0), "by the problem's limit, not the solution's"
    assert {(row.seconds, row.timeout) for row in store.rows(pair.references.node, ReferenceRun)} == {(0.6, 3.0)}
    settings, program = settings_of(pair, store), Program("def f(): pass", "assert f() is None")
    assert settings("T/1", program) == (Oracle.OUTSIDE, dataclasses.replace(pair.limits, timeout=3.0))
    assert settings("no reference", program)[1].timeout == 6
    without = plan_of(tmp_path / "p.jsonl", SOLUTIONS, reference_factor=None, timeout=6)
    assert without.pairs[0].results.key != pair.results.key


def test_prompts_that_leave_a_model_no_position_are_counted(tmp_path, store):
    long = problem(7, "    return x\n")
    long["prompt"] = f'def f7(x):\n    """{"Add 7 to x. " * 80}"""\n'
    write(tmp_path / "p.jsonl", [problem(0, "    return x\n"), long])
    path = make_tiny("llama", tmp_path / "m").location
    plan = plan_with(tmp_path / "p.jsonl", {"path": path, "template": "raw"}, max_new_tokens=4)
    _, (count,) = generated(plan, store)
    assert count["rows"] == 2 and count["prompts_too_long"] == 1
    texts = {row.task_id: (row.text, row.stop) for row in store.rows(plan.pairs[0].completions, Completion)}
    assert texts["T/7"] == ("", "length")
