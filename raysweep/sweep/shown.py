"""Rebuilds the texts that a sweep's models were shown: the prompts of its test sets in the models' templates.

A completion holds a hash of the text that it answers, so that a rebuilt text is known to be the one that was shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

from raysweep.config.models import ModelConfig
from raysweep.errors import RaysweepError, UsageError
from raysweep.hashing import text_sha
from raysweep.models.finding import resolve
from raysweep.models.loading import load_tokenizer
from raysweep.prompts.templates import RAW, Prompter, PromptTemplate
from raysweep.records import BASE, Completion, ModelRef, Problem, PromptRow
from raysweep.storage.store import location_of
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow


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
        template = PromptTemplate(model.template, model.system_prompt)
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
