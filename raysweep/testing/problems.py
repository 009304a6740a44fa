"""The contract of problem sets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.generators.base import cut_at_stop
from raysweep.hashing import canonical_json
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.programs import Outcome
from raysweep.records import Problem, Spec
from raysweep.testing.contract import DataContract, content

PYTHON = "python"


def _content_of(spec: Spec) -> tuple[str, str]:
    return content(PROBLEMS.create(spec), "problems")


class ProblemSetContract(DataContract):
    """Tests of what docs/contracts.md asks of a problem set. Solutions and tests are run where they are in Python.

    Attributes:
        make: to be set, see `Contract`; it is called without arguments.
        programs: how many reference solutions are run, evenly taken from the set; None: all.
        failing: for sets that others have published: the ids of problems whose solution doesn't pass, with the reason.
        broken: the ids of problems whose solution doesn't compile.
        cut: the ids of problems in whose solution a stop string stands.
    """

    make: Callable[..., ProblemSet]
    registry = PROBLEMS
    records, record, id = "problems", Problem, "task_id"
    content_of = staticmethod(_content_of)
    programs: int | None = 40
    failing: Mapping[str, str] = MappingProxyType({})
    broken: Collection[str] = ()
    cut: Collection[str] = ()

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls) -> Iterator[Executor]:
        with Executor(2) as executor:
            yield executor

    def read(self) -> tuple[ProblemSet, Sequence[Problem]]:
        """Return the set and its problems, which are read once for all tests of the suite.

        Sets are told apart by the suite, their class and their arguments: `make` may return a new object each time.
        """
        part = self.part()
        key = (type(self), type(part), canonical_json(self.spec().args))
        if key not in _READ:
            _READ[key] = part, part.problems()
        return _READ[key]

    def problems(self) -> Sequence[Problem]:
        return self.read()[1]

    def solved(self) -> list[tuple[Problem, str]]:
        """Return the problems in Python, each with its reference solution, that should compile behind its prompt."""
        part, every_problem = self.read()
        problems = [problem for problem in every_problem if problem.language == PYTHON and not part.repair]
        return [(p, p.reference) for p in problems if p.reference is not None and p.task_id not in self.broken]

    def test_references_compile_after_their_prompts_and_define_the_entry_point(self) -> None:
        """A completion continues the prompt, or is a whole program, and tests call the entry point."""
        for problem, reference in self.solved():
            prompt = problem.prompt if problem.begins_program else ""
            names = _compiled(prompt + reference, f"prompt and reference of {problem.task_id}").co_names
            assert problem.entry_point in names, (
                f"{problem.task_id}: prompt and reference define the entry point {problem.entry_point!r}"
            )

    def test_whole_programs_compile(self) -> None:
        """`assemble` makes a program of a completion."""
        for problem, reference in self.solved():
            _compiled(problem.assemble(reference).source, f"the program of {problem.task_id}")

    def test_no_stop_string_cuts_a_reference(self) -> None:
        """A correct completion would be cut as well."""
        for problem in self.problems():
            if problem.reference is not None and problem.task_id not in self.cut:
                _, stop = cut_at_stop(problem.reference, problem.stop)
                assert stop is None, f"{problem.task_id}: the stop string {stop!r} stands in the reference solution"

    def test_segments_join_to_the_prompt_and_hold_natural_language(self) -> None:
        """Perturbations change the natural segments and nothing else."""
        part, problems = self.read()
        for problem in problems:
            segments = part.segments(problem)
            assert "".join(segment.text for segment in segments) == problem.prompt, (
                f"{problem.task_id}: the texts of segments(), joined, are the prompt"
            )
            assert part.repair or any(segment.natural and segment.text.strip() for segment in segments), (
                f"{problem.task_id}: a segment is natural language, or no perturbation can change the prompt"
            )

    def test_references_pass_and_empty_completions_fail(self, executor: Executor) -> None:
        part, every_problem = self.read()
        problems = [problem for problem in every_problem if problem.language == PYTHON]
        every = max(1, len(problems) // self.programs) if self.programs else 1
        tried = [p for index, p in enumerate(problems) if index % every == 0 or p.task_id in self.failing]
        solved = [problem for problem in tried if problem.reference is not None]
        programs = [p.assemble(p.reference or "") for p in solved] + [p.assemble("") for p in tried]
        verdicts = executor.run(programs, part.limits)
        for problem, verdict in zip(solved, verdicts, strict=False):
            if problem.task_id in self.failing:
                assert verdict.outcome != Outcome.PASSED, f"{problem.task_id} passes, although `failing` names it"
                continue
            assert verdict.outcome == Outcome.PASSED, (
                f"the reference solution of {problem.task_id} passes its tests; it ended with {verdict.outcome}: "
                f"{verdict.detail}"
            )
            assert not part.parts or verdict.parts == ",".join(part.parts), (
                f"{problem.task_id}: tests in several parts append each one's name to PARTS_PASSED once it has passed"
            )
        for problem, verdict in zip(tried, verdicts[len(solved) :], strict=True):
            assert verdict.outcome not in (Outcome.PASSED, Outcome.HARNESS_ERROR), (
                f"an empty completion of {problem.task_id} fails its tests; it ended with {verdict.outcome}"
            )

    def test_usable_data_passes_its_own_check(self) -> None:
        """`check` runs before any work."""
        part = self.part()
        try:
            part.check()
            if all(problem.language == PYTHON for problem in self.problems()):
                part.check(judged=True)
        except UsageError as error:
            pytest.fail(f"check() raises UsageError for unusable data only; here it said: {error}")


_READ: dict[tuple[type[ProblemSetContract], type[ProblemSet], str], tuple[ProblemSet, Sequence[Problem]]] = {}


def _compiled(source: str, what: str) -> Any:
    try:
        return compile(source, what, "exec")
    except SyntaxError as error:
        pytest.fail(f"{what} must compile, without a perturbation: {error}")
