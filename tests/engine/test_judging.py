"""Distinct programs are judged once, known verdicts stand, and harness errors are never kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from raysweep.engine.base import BatchOutput, ExecuteJob
from raysweep.engine.judging import ProgramJudge, judge_distinct
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.programs import DEFAULT_SANDBOX, Lane, Level, Limits, Oracle, Outcome, Program, Verdict
from raysweep.storage.files import Files
from raysweep.storage.verdicts import Question, VerdictCache

LIMITS = Limits(timeout=5)
PASSED = Verdict(Outcome.PASSED, "", "", 0.1, 5.0, Level.STRONG, Lane.STRICT, Oracle.INSIDE)
UNJUDGED = Verdict(Outcome.HARNESS_ERROR, "no slot", "", 0.0, 5.0, Level.STRONG, Lane.STRICT, Oracle.INSIDE)


def question(text: str) -> Question:
    return Question(Program(text).sha, LIMITS, Oracle.INSIDE)


def cache_in(folder: Path) -> VerdictCache:
    return VerdictCache(Files(str(folder)), "3.11.9")


class Scripted(LocalStages):
    """Gives verdicts without running a program: a harness error for those that say so. Notes the batches' sizes."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[BatchOutput[Verdict]]:
        self.sizes = [len(batch.programs) for batch in job.batches]
        for index, batch in reversed(list(enumerate(job.batches))):
            yield BatchOutput(index, [UNJUDGED if "broken" in p.source else PASSED for p in batch.programs])


def test_each_new_program_runs_once_and_its_verdict_is_kept_before_it_is_passed_on():
    started, events = {"known"}, []

    def is_new(key: str) -> bool:
        return key not in started and not started.add(key)

    def run(items: Iterator[tuple[str, Program, Limits]]) -> Iterator[Mapping[str, Verdict]]:
        for key, _, _ in items:
            events.append(("run", key))
            yield {key: UNJUDGED if key == "broken" else PASSED}

    programs = [(key, Program(key), LIMITS) for key in ("a", "known", "broken", "a")]
    for verdicts in judge_distinct(programs, is_new, run, lambda kept: events.extend(("keep", key) for key in kept)):
        events.extend(("pass on", key) for key in verdicts)
    assert events == [("run", "a"), ("keep", "a"), ("pass on", "a"), ("run", "broken"), ("pass on", "broken")]


def test_a_judge_runs_unknown_programs_in_batches_and_the_next_judge_knows_their_verdicts(tmp_path):
    programs = {question(text): Program(text) for text in ("a", "b", "c", "d", "broken")}
    progress, kept = ProgressFile(Files(str(tmp_path / "progress")), "x"), {}
    stages = Scripted()
    judge = ProgramJudge(stages, progress, cache_in(tmp_path), DEFAULT_SANDBOX)
    assert judge.known(programs) == {}
    batches = list(judge.run(programs, {question("a")}, 3, kept.update))
    assert stages.sizes == [3, 1]
    assert batches == [{question("broken"): UNJUDGED}, dict.fromkeys(map(question, "bcd"), PASSED)]
    judge.flush()
    later = ProgramJudge(stages, progress, cache_in(tmp_path), DEFAULT_SANDBOX)
    assert later.known(programs).keys() == kept.keys() == set(map(question, "bcd"))


def test_no_engine_is_asked_when_every_verdict_is_known(tmp_path):
    stages, progress = Scripted(), ProgressFile(Files(str(tmp_path / "progress")), "x")
    judge = ProgramJudge(stages, progress, cache_in(tmp_path), DEFAULT_SANDBOX)
    assert list(judge.run({question("a"): Program("a")}, {question("a")}, 3)) == []
    assert stages.sizes == []
