"""Problem sets `humaneval-plus` and `mbpp-plus`: EvalPlus's HumanEval+ (164) and MBPP+ (378), Liu et al. 2023.

Prompts are EvalPlus's; its base inputs, its further inputs and its comparison judge (tests.py, oracle.py). One run
gives both pass@1: `base`, the inputs of HumanEval's or MBPP's own tests, and the whole, base and plus together.

Time: EvalPlus stops a call after max(1 s, 4 x the reference's time for that input), and all calls of a part after
60 s. Programs here have one limit for all calls. With ``execution.reference_factor: 4`` it is max(1 s, 4 x the time of
the reference for all inputs), rounded up, and at most 60 s: EvalPlus's rule, applied to the program. It stops
programs that take less than a second on every input but many times longer than the reference in all, and lets those
pass that are slow on one input only and make up for it on others. Without the factor the limit is 60 s.
Memory: raysweep's own limit, where EvalPlus allows 4 GiB.

Not covered: five of the 115 inputs of Mbpp/255, whose results are lists of 6 to 128 million strings.
Sources: https://arxiv.org/abs/2305.01210, https://github.com/evalplus/evalplus,
https://huggingface.co/datasets/evalplus/humanevalplus, https://huggingface.co/datasets/evalplus/mbppplus
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from raysweep.problems.base import PROBLEMS
from raysweep.problems.evalplus.tasks import EvalPlusTask, humaneval_task, mbpp_task
from raysweep.problems.evalplus.tests import tests_of
from raysweep.problems.file_problems import STOP, FileSet, ScriptedProblem, full_path
from raysweep.problems.mbpp import STOP_AFTER_FUNCTION
from raysweep.programs import Limits
from raysweep.records import Problem
from raysweep.rows.hub import DataSetRef
from raysweep.rows.json_files import JsonRow

VERSION = 1
"""Raise it when equal rows give other tests."""


class EvalPlusProblems(FileSet):
    """The problems of one of EvalPlus's files, or of the hub's set.

    Args:
        path: EvalPlus's own file; None: the hub's set, which this machine's cache keeps.
        revision: a branch, tag or commit on the hub.

    Raises:
        UsageError: the file doesn't exist.
    """

    limits = Limits(timeout=60.0)
    parts = ("base", "plus")
    stop: ClassVar[tuple[str, ...]]
    prefix: ClassVar[str]  # of its task ids

    def __init__(self, path: str | None = None, revision: str | None = None) -> None:
        super().__init__(None if path is None else full_path(path), DataSetRef(self.hub, "test", None, revision))

    @classmethod
    @override
    def recognises(cls, row: Mapping[str, Any]) -> bool:
        """Rows of EvalPlus's own file."""
        return "base_input" in row and str(row.get("task_id")).startswith(cls.prefix)

    @staticmethod
    @abstractmethod
    def task(row: JsonRow) -> EvalPlusTask:
        """Return the task in a row; raise UsageError (file, line) for an unusable one."""

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        return {**super().fingerprint(), "version": VERSION}

    @override
    def problem(self, row: JsonRow) -> Problem:
        task = self.task(row)
        return ScriptedProblem(
            task_id=task.task_id,
            prompt=task.prompt,
            entry_point=task.entry_point,
            test=tests_of(task),
            reference=task.reference,
            stop=self.stop,
            fields=row.fields,
        )


@PROBLEMS.register("humaneval-plus")
class HumanEvalPlus(EvalPlusProblems):
    """EvalPlus's HumanEval+: HumanEval's 164 problems with about 750 inputs each."""

    licence = "Apache-2.0 AND MIT"
    origin = "https://github.com/evalplus/humanevalplus_release"
    hub = "evalplus/humanevalplus"
    file = "EvalPlus's HumanEvalPlus.jsonl.gz"
    stop = STOP
    prefix = "HumanEval/"
    task = staticmethod(humaneval_task)


@PROBLEMS.register("mbpp-plus")
class MbppPlus(EvalPlusProblems):
    """EvalPlus's MBPP+: 378 problems of MBPP with about 105 inputs each."""

    licence = "Apache-2.0 AND CC-BY-4.0"
    origin = "https://github.com/evalplus/mbppplus_release"
    hub = "evalplus/mbppplus"
    file = "EvalPlus's MbppPlus.jsonl.gz"
    stop = STOP_AFTER_FUNCTION
    prefix = "Mbpp/"
    task = staticmethod(mbpp_task)
