"""Problem set `mbpp`: MBPP (Austin et al. 2021), from a file or from the hub.

A file may have HumanEval's shape (ReCode's mbpp_wtest), EvalPlus's (MbppPlus) or Google's own (mbpp.jsonl,
sanitized-mbpp.json); the hub has the last. Prompts of the first two are kept. Google's rows have none, so SafeCoder's
is made of them (`raysweep.problems.mbpp_prompts`). All are judged by MBPP's own asserts: EvalPlus's further inputs are
not run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError
from raysweep.hub_rows import KeptRows, Wanted, keep
from raysweep.jsonrows import JsonRow, check_file, content_sha, read_json_rows
from raysweep.perturbations.regions import split_prompt
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.problems.jsonl import STOP, check_tests, humaneval_problem, problems_of
from raysweep.problems.mbpp_prompts import made_of
from raysweep.problems.scripted import ScriptedProblem, without_examples
from raysweep.records import Problem, Segment

HUB = "google-research-datasets/mbpp"
STOP_AFTER_FUNCTION = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n```")
"""For prompts that are a docstring alone, whose completions begin with a ``def``: bigcode-evaluation-harness's for MBPP
(https://github.com/bigcode-project/bigcode-evaluation-harness/blob/main/bigcode_eval/tasks/mbpp.py)."""


@PROBLEMS.register("mbpp")
class Mbpp(ProblemSet):
    """MBPP's problems, from a file or from the hub.

    Args:
        path: a file in one of the three shapes; None: the hub's, kept on this machine once it was fetched.
        config: the hub's ``full`` or ``sanitized``.
        split: of the hub's; all problems are ``train+test+validation+prompt``.
        revision: a branch, tag or commit of the hub's.

    Raises:
        UsageError: when the file doesn't exist.
    """

    def __init__(
        self, path: str | None = None, config: str = "full", split: str = "test", revision: str | None = None
    ) -> None:
        self._path = Path(path).expanduser().absolute() if path is not None else None
        self._wanted = Wanted(HUB, split, config, revision)
        if self._path is not None:
            check_file(self._path)

    def problems(self) -> Sequence[Problem]:
        """Return the problems in the file's order; raise UsageError (file, line) for rows that can't be used."""
        rows = self._kept.stream() if self._path is None else read_json_rows(self._path)
        return problems_of(rows, _problem)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return {sha256 of the unzipped file}, or of the hub's rows with their commit."""
        return self._kept.fingerprint() if self._path is None else {"sha256": content_sha(self._path)}

    def check(self, *, judged: bool = False) -> None:
        """Read all rows, fetched where necessary; raise UsageError at the first that can't be used."""
        problems = self.problems()
        if judged:
            check_tests(problems, str(self._path or HUB))

    def segments(self, problem: Problem) -> list[Segment]:
        """Split a prompt; test examples are never natural."""
        return without_examples(split_prompt(problem.prompt, problem.entry_point))

    @cached_property
    def _kept(self) -> KeptRows:
        try:
            return keep(self._wanted)
        except UsageError as error:
            raise UsageError(
                f"problem set mbpp: {error}; or give `path:` a file: Google's mbpp.jsonl, ReCode's mbpp_wtest.jsonl, "
                "EvalPlus's MbppPlus.jsonl"
            ) from error


def _problem(row: JsonRow) -> Problem:
    """Return the problem that a row of any of the three shapes describes."""
    if "test_list" in row.fields:
        return _googles(row)
    if "assertion" in row.fields:
        return ScriptedProblem(
            task_id=row.text("task_id"),
            prompt=row.text("prompt"),
            entry_point=row.text("entry_point"),
            test="import math\n" + row.text("assertion").strip(),  # Mbpp/120's needs it and doesn't say so
            reference=row.text("canonical_solution"),
            stop=STOP_AFTER_FUNCTION,
            fields=row.fields,
        )
    if "entry_point" in row.fields:
        return humaneval_problem(row)
    raise UsageError(
        f"{row.place}: has neither `test_list` (Google's), `assertion` (EvalPlus's) nor `entry_point` (HumanEval's "
        f"shape), so it is no row of MBPP; it has {', '.join(row.fields) or 'nothing'}"
    )


def _googles(row: JsonRow) -> Problem:
    task_id = row.fields.get("task_id")
    setup = [row.text("test_setup_code", ""), *_texts(row, "test_imports")]
    tests = [line for line in [*setup, *_texts(row, "test_list")] if line.strip()]
    made = made_of(row.text("text" if "text" in row.fields else "prompt"), row.text("code"), tests, row.place)
    return ScriptedProblem(
        task_id=f"MBPP/{task_id}" if isinstance(task_id, int) else row.text("task_id"),
        prompt=made.prompt,
        entry_point=made.entry_point,
        test="\n".join(tests),
        reference=made.reference,
        stop=STOP,
        fields=row.fields,
    )


def _texts(row: JsonRow, name: str) -> list[str]:
    value = row.fields.get(name) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise UsageError(f"{row.place}: `{name}` must be a list of texts, not {value!r:.60}")
    return value
