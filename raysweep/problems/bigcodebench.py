r"""Problem set `bigcodebench`: BigCodeBench (Zhuo et al. 2024): tasks that use many libraries, and unittest cases.

A task has two prompts: code with a docstring, which a completion continues (`complete`), and a description that asks
for the whole program (`instruct`). Leaderboards are "calibrated": the code before the task's body, with a body that
does nothing, stands before each program, so that an answer without the imports still has them. What is judged is

    code_prompt + "\n    pass\n" + complete_prompt + completion         complete
    code_prompt + "\n    pass\n" + answer's program                    instruct

with the row's tests behind it, in one module. The programs need some seventy packages, in versions for Python 3.10;
`REQUIREMENTS` lists them, and `environment` names where they are installed. Nothing is installed by itself.
Sources: https://arxiv.org/abs/2406.15877, https://github.com/bigcode-project/bigcodebench (version 0.2.5),
https://huggingface.co/datasets/bigcode/bigcodebench, https://huggingface.co/datasets/bigcode/bigcodebench-hard
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from raysweep.errors import UsageError, did_you_mean
from raysweep.execution.python.source_names import imported_modules
from raysweep.problems.base import PROBLEMS
from raysweep.problems.file_problems import FileProblem, FileSet, full_path, reference_of
from raysweep.programs import Limits, Program
from raysweep.prompts.regions import merge, split_instruction
from raysweep.records import Problem, Segment
from raysweep.rows.hub import DataSetRef
from raysweep.rows.json_files import JsonRow

COMPLETE, INSTRUCT = "complete", "instruct"
SUBSETS = {"full": "bigcode/bigcodebench", "hard": "bigcode/bigcodebench-hard"}
"""The hub's sets: all 1,140 tasks, and the 148 hard ones of them."""
HUB_SPLIT = "v0.1.4"
"""The newest version of the rows, which the hub has as a split."""
REQUIREMENTS = Path(__file__).with_suffix(".txt")
"""The packages of BigCodeBench's own evaluation in their versions, for pip."""
_ENDS = ("\nif __name__", "\ndef main(", "\nprint(")
STOP = {
    COMPLETE: ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ", *_ENDS, "\n```"),
    INSTRUCT: _ENDS,
}
"""BigCodeBench's own stop strings, and for completions the fence that closes a block of code.

Source: https://github.com/bigcode-project/bigcodebench/blob/main/bigcodebench/provider/utility.py
"""
_COLUMNS = ("complete_prompt", "instruct_prompt", "code_prompt")
_ANNOTATION_COLUMNS = ("prompt", "instruction", "prompt_wo_doc")
"""What the same columns are called in the files with which BigCodeBench's rows were written, in the same order."""
_PASS = "\n    pass\n"
_QUOTED = r"""'(?:[^'\n]|\b'\b)*(?:\n(?:[^'\n]|\b'\b)*)?'|"[^"\n]*(?:\n[^"\n]*)?\""""
_EXCEPTIONS = r"[A-Z]\w*(?:Error|Exception|Warning)|Exception|Warning|KeyboardInterrupt|SystemExit|StopIteration"
_TESTED = re.compile(rf"(?<![\w'\"])[rbfu]?(?:{_QUOTED})(?![\w'\"])|\b(?:{_EXCEPTIONS})\b")
"""What tests compare with as it stands: literals in quotes, over at most two lines, and names of exceptions."""


@dataclass(frozen=True, slots=True)
class BigCodeBenchProblem(FileProblem):
    """A problem whose `test` defines unittest cases. `code`: the imports and the head of the function to write."""

    code: str = ""
    opening: str = ""
    begins_program: bool = True

    @property
    @override
    def prompt_field(self) -> str:
        return f"{COMPLETE if self.begins_program else INSTRUCT}_prompt"

    @override
    def assemble(self, completion: str) -> Program:
        return Program(
            f"{self.opening}{self.prompt if self.begins_program else ''}{completion}",
            self.test,
            environment=self.environment,
            cases=True,
            imports=_imports(self.code, self.test),
        )


@PROBLEMS.register("bigcodebench")
class BigCodeBench(FileSet):
    """BigCodeBench's problems, from the hub or from a file with its columns.

    Args:
        path: a file of rows as the hub has them, full or hard; None: the hub's set, which this machine's cache keeps.
        split: ``complete``: a completion continues code; ``instruct``: an answer is a program of its own.
        subset: which of the hub's sets, ``full`` or ``hard``; a file is read whole, whatever it holds.
        calibrated: put `code_prompt` and a body that does nothing before each program, as leaderboards do.
        environment: name of the Python environment that has the packages; None: raysweep's own.
        revision: a branch, tag or commit on the hub.

    Raises:
        UsageError: another split or subset, or a file that doesn't exist.
    """

    limits = Limits(timeout=240.0, memory_mib=4096)  # the time is that of BigCodeBench's own checker
    least_timeout = 30.0
    cases = True
    licence = "Apache-2.0"
    origin = "https://github.com/bigcode-project/bigcodebench"
    hub = SUBSETS["full"]
    file = "a file with the columns of its rows, one JSON object a line"
    requirements = REQUIREMENTS
    words = 2
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "full": {},
        "hard": {"subset": "hard"},
        "instruct": {"split": INSTRUCT},
        "hard-instruct": {"subset": "hard", "split": INSTRUCT},
    }

    def __init__(
        self,
        path: str | None = None,
        split: str = COMPLETE,
        subset: str = "full",
        calibrated: bool = True,
        environment: str | None = None,
        revision: str | None = None,
    ) -> None:
        for name, value, known in (("split", split, STOP), ("subset", subset, SUBSETS)):
            if value not in known:
                near = did_you_mean(value, known)
                raise UsageError(f"problem set bigcodebench: {name} {value!r}{near} is none of {', '.join(known)}")
        hub_set = DataSetRef(SUBSETS[subset], HUB_SPLIT, revision=revision)
        super().__init__(None if path is None else full_path(path), hub_set)
        self.split, self.calibrated, self.environment = split, calibrated, environment or ""
        self.asks = split == INSTRUCT

    @classmethod
    @override
    def recognises(cls, row: Mapping[str, Any]) -> bool:
        """Rows with both prompts and the code that calibrates, also under the names that `problem` refuses."""
        return row.keys() >= {*_COLUMNS} or row.keys() >= {*_ANNOTATION_COLUMNS}

    @override
    def problem(self, row: JsonRow) -> Problem:
        if row.fields.keys() >= {*_ANNOTATION_COLUMNS} and not row.fields.keys() & {*_COLUMNS}:
            names = ", ".join(f"`{old}` to `{new}`" for old, new in zip(_ANNOTATION_COLUMNS, _COLUMNS, strict=True))
            raise UsageError(
                f"{row.place}: the columns are those of BigCodeBench's annotation repository; rename {names}, or take "
                "hf_data/BigCodeBench.jsonl.gz of that repository, which has the published ones"
            )
        if not row.fields.keys() >= {*_COLUMNS}:
            lacking = next(name for name in _COLUMNS if name not in row.fields)
            raise UsageError(
                f"{row.place}: the row has no `{lacking}`, so it is none of BigCodeBench; it has "
                f"{', '.join(row.fields) or 'nothing'}; read problems of your own by `name: jsonl`"
            )
        prompts, code = {split: row.text(f"{split}_prompt") for split in STOP}, row.text("code_prompt")
        solution = reference_of(row)
        if solution is not None:  # the published ground truth, whatever the prompt
            solution = f"\n{solution}" if self.split == COMPLETE else f"{prompts[COMPLETE]}\n{solution}"
        return BigCodeBenchProblem(
            task_id=row.text("task_id"),
            prompt=prompts[self.split],
            entry_point=row.text("entry_point"),
            test=row.text("test", ""),
            reference=solution,
            stop=STOP[self.split],
            fields=row.fields,
            code=code,
            opening=f"{code}{_PASS}" if self.calibrated else "",
            begins_program=not self.asks,
        )

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        return {**super().fingerprint(), "split": self.split, "calibrated": self.calibrated}

    @override
    def check(self, *, judged: bool = False) -> None:
        super().check(judged=judged)
        for row in self.rows() if judged and self.calibrated else ():
            if _parsed(f"{row.text('code_prompt')}{_PASS}") is None:
                raise UsageError(
                    f"{row.place}: `code_prompt` must be code up to the head of a function, so that a body completes "
                    "it; correct it, or give `calibrated: false`, which leaves it out"
                )

    @override
    def segments(self, problem: Problem) -> list[Segment]:
        """Of a description all is natural but the code in it, of code the docstring's text, both without `_TESTED`."""
        return _with_tested_verbatim(split_instruction(problem.prompt) if self.asks else super().segments(problem))


def _with_tested_verbatim(segments: Sequence[Segment]) -> list[Segment]:
    """Return segments with what tests may ask for as verbatim text; a literal may begin in one and end in another."""
    before = sum(len(segment.text) for segment in takewhile(lambda segment: not segment.natural, segments))
    kept = [match.span() for match in _TESTED.finditer("".join(segment.text for segment in segments), before)]
    cuts = {edge for span in kept for edge in span}
    pieces, start = [], 0
    for segment in segments:
        end = start + len(segment.text)
        edges = [start, *sorted(cut for cut in cuts if start < cut < end), end]
        for begin, stop in pairwise(edges):
            is_kept = any(first <= begin and stop <= last for first, last in kept)
            pieces.append(Segment(segment.text[begin - start : stop - start], segment.natural and not is_kept))
        start = end
    return merge(pieces)


@lru_cache(maxsize=2048)
def _imports(code: str, test: str) -> tuple[str, ...]:
    """Return the modules, but Python's own, that a problem's code and tests import at their top level, sorted."""
    trees = [tree for tree in (_parsed(f"{code}{_PASS}"), _parsed(test)) if tree is not None]
    statements = (node for tree in trees for node in tree.body)
    imports: list[ast.stmt] = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {*imported_modules(ast.Module(imports, []))}
    return tuple(sorted(name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names))


def _parsed(code: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape sequence gives a SyntaxWarning
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
