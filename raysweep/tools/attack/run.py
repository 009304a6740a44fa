"""Attacks one model problem by problem, greedily and at random (`raysweep attack`).

The store receives each problem's result as soon as it is finished, under a key of everything that it depends on. After
an interruption the same command resumes with the next problem.

Not covered: the native prompt format of fine-tuned models (name their template with ``--prompt-format``), and more than
one completion of a prompt.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.engine.services import ModelService
from raysweep.errors import RaysweepError, UsageError
from raysweep.execution.runtimes import runtime_key
from raysweep.generators.base import GENERATORS, TRANSFORMERS, answer_of, continues, named_generator
from raysweep.machine import versions
from raysweep.models.finding import resolve
from raysweep.models.hub import model_config, quantization
from raysweep.models.identity import fingerprint
from raysweep.models.quantizing import trained_in, unlike_trained
from raysweep.models.traits import read_traits
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.mixes import members_of
from raysweep.perturbations.textattack.loading import require_textattack
from raysweep.planning.keys import BEGINNINGS, method_spec, template_spec
from raysweep.problems.base import ProblemSet
from raysweep.programs import Outcome
from raysweep.prompts.answers.extraction import extracted
from raysweep.prompts.answers.ways import Extract, way_of
from raysweep.prompts.templates import (
    CHAT,
    NATIVE,
    RAW,
    Prompter,
    PromptTemplate,
    check_line_ends,
    check_template,
    template_shown,
)
from raysweep.records import Decoding, ModelRef, Problem, Spec
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.seeding import DEFAULT_SEED
from raysweep.stats.intervals import mean_interval
from raysweep.storage.artefacts import Node
from raysweep.storage.blocks import Blocks
from raysweep.storage.leases import Holder
from raysweep.storage.store import Store
from raysweep.tools.attack.search import FAILED_TESTS, RANDOM, SEARCHES, AttackOutcome, AttackResult, attack
from raysweep.trainers.base import Recipe

log = logging.getLogger("raysweep")

STAGE = "attack"
_DISTANCE_WEIGHT = 0.9 * FAILED_TESTS
"""The score of an answer that passes the tests and has nothing in common with the clean prompt's."""


@dataclass(frozen=True)
class AttackJob:
    """The model, the problems and the settings of an attack."""

    model: str  # a folder, a hub id, or a generator that needs no weights
    problem_set: ProblemSet
    methods: tuple[Spec, ...]  # perturbations
    budget: int  # queries for each problem and search
    max_changed: float  # share of the natural-language words; at least one word
    prompt_format: str = NATIVE
    template: str = Recipe.template
    max_new_tokens: int = Decoding().max_new_tokens
    limit: int | None = None
    seed: int = DEFAULT_SEED
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise UsageError(f"--budget {self.budget} allows no query; give at least 1")
        if not 0 < self.max_changed <= 1:
            raise UsageError(f"--max-changed {self.max_changed:g} is no share of words; give more than 0, at most 1")
        check_template(self.prompt_format, (NATIVE,))
        check_template(self.template)
        for name in (self.prompt_format, self.template):
            check_line_ends(name)
        named = named_generator(self.model)
        if self.problem_set.asks and self._shown.name == RAW and (named is None or continues(named)):
            raise UsageError(
                f"problem set {self.problem_set.name} asks in words for a program, and {self.model} would go on with "
                f"the words, as it sees prompts `{RAW}`; give --prompt-format {CHAT}, or a set whose prompts are code"
            )
        if not self.methods:
            raise UsageError("--methods names no perturbation; give some, as in C1,C2,C3")
        for method in self.members:
            if method.level not in ("character", "word") or not method.keeps_segments:
                raise UsageError(
                    f"--methods: {method.name} isn't about single words; name methods of characters or words"
                )

    @property
    def members(self) -> list[Perturbation]:
        """The methods, with a mix's members in its place."""
        return [member for method in self.methods for member in members_of(PERTURBATIONS.create(method))]

    @property
    def decoding(self) -> Decoding:
        """Greedy decoding, so that a prompt has one answer."""
        return Decoding(self.max_new_tokens, seed=self.seed)

    @property
    def problems(self) -> Sequence[Problem]:
        return self.problem_set.problems()[: self.limit]

    def prompter(self, model: ModelRef | None) -> Prompter:
        """Return what builds prompts; raise UsageError if the format needs a tokenizer, and there is none."""
        whole = self.extract.needs_whole_answers
        prompter = Prompter(self.prompt_format, False, PromptTemplate(self.template), whole_answers=whole)
        if not prompter.shown.needs_tokenizer:
            return prompter
        if model is None:
            raise UsageError(f"{self.model} has no tokenizer, which the template {prompter.shown.name!r} needs")
        from raysweep.models.loading import load_tokenizer

        return replace(prompter, template=replace(prompter.template, tokenizer=load_tokenizer(model)))

    @property
    def extract(self) -> Extract:
        """How programs are taken out of answers: out of those of a chat, as `evaluate` does."""
        named = named_generator(self.model)
        is_served = named is not None and GENERATORS.get(named.name).chats(named.args)
        is_chat = is_served or self._shown.needs_tokenizer or self.problem_set.asks
        return way_of(Extract.AUTO, is_chat=is_chat)

    @property
    def _shown(self) -> PromptTemplate:
        return template_shown(self.prompt_format, False, PromptTemplate(self.template))


@dataclass(frozen=True, slots=True)
class AttackRate:
    """pass@1 clean or under one search, the mean over problems, with its 95 % interval."""

    under: str  # "clean", or a search
    value: float
    low: float
    high: float
    failures: int  # problems that the model solves clean and fails under the search
    queries: int


def rates_of(rows: Sequence[AttackResult]) -> list[AttackRate]:
    """Return pass@1 with the clean prompts, then under each search; a problem that fails clean fails in all."""
    by_search = {search: [row for row in rows if row.search == search] for search in SEARCHES}
    clean = [row.outcome != AttackOutcome.SKIPPED for row in by_search[RANDOM]]
    rates = [_rate("clean", clean, failures=0, queries=len(clean))]
    for search, results in by_search.items():
        passed = [row.outcome == AttackOutcome.FAILED for row in results]
        queries = sum(row.queries for row in results)
        rates.append(_rate(search, passed, failures=sum(clean) - sum(passed), queries=queries))
    return rates


def _rate(under: str, passed: Sequence[bool], *, failures: int, queries: int) -> AttackRate:
    low, high = mean_interval([float(one) for one in passed])
    return AttackRate(under, sum(passed) / len(passed), low, high, failures, queries)


def run_attack(job: AttackJob, store: Store, report_done: Callable[[int], None]) -> list[AttackResult]:
    """Attack a model by each search; return the rows of all, those in the store read from it.

    `report_done`: called with the number of finished problems.

    Raises:
        UsageError: the model can't be found, or textattack isn't installed.
        RaysweepError: a program could not be judged.
    """
    require_textattack()
    model, identity = _model(job)
    prompter = job.prompter(model)
    node = Node(STAGE, 2, _spec(job, model, identity, prompter), (), f"attack on {job.model}, {job.problem_set.name}")
    store.require_writable()

    def log_wait(holder: Holder | None) -> None:
        if holder is not None:
            log.info("waiting for %s, which runs the same attack", holder)

    with store.making(node, lambda: store.has(node), log_wait) as missing:
        if missing:
            store.leases.await_cleaning()
            rows = _attack_problems(job, model, prompter, store, node, report_done)
            with store.writing(node) as draft:
                write_rows(draft.folder / ROWS, AttackResult, rows, ["task_id", "search"])
                draft.counts = {"rows": len(rows), "queries": sum(row.queries for row in rows)}
    stored = {(row.task_id, row.search): row for row in store.rows(node, AttackResult)}
    return [stored[problem.task_id, search] for search in SEARCHES for problem in job.problems]


def _attack_problems(
    job: AttackJob,
    model: ModelRef | None,
    prompter: Prompter,
    store: Store,
    node: Node,
    report_done: Callable[[int], None],
) -> list[AttackResult]:
    blocks, members = Blocks(store.unfinished(node), AttackResult), job.members
    finished = blocks.read()
    progress = ProgressFile(store.unfinished(node).below("progress"), STAGE)
    with LocalStages() as stages, ModelService(stages, store, progress) as service:
        for done, problem in enumerate(job.problems):
            report_done(done)
            judge = ModelJudge(job, problem, model, service, prompter)
            prompt = tuple(job.problem_set.segments(problem)), job.problem_set.protected(problem)
            for search in SEARCHES:
                key = f"{problem.task_id}/{search}"
                if key not in finished:
                    finished[key] = attack(
                        problem.task_id,
                        *prompt,
                        members,
                        judge,
                        search=search,
                        budget=job.budget,
                        max_changed=job.max_changed,
                        seed=job.seed,
                    )
                    blocks.add({key: finished[key]})
    return list(finished.values())


class ModelJudge:
    """A `Judge` for one problem: completes prompts in a batch, runs the programs, and keeps their scores."""

    def __init__(
        self, job: AttackJob, problem: Problem, model: ModelRef | None, service: ModelService, prompter: Prompter
    ) -> None:
        self._job, self._problem, self._model, self._service = job, problem, model, service
        self._prompter = prompter
        self._generator = Spec(TRANSFORMERS) if model is not None else named_generator(job.model) or Spec(TRANSFORMERS)
        self._clean: str | None = None  # the answer to the clean prompt
        self._scores: dict[str, float] = {}  # by prompt

    def __call__(self, prompts: Sequence[str]) -> list[float]:
        """The first prompt of the first call must be the clean one; raise RaysweepError if a program isn't judged."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._scores]
        request_id = f"{self._problem.task_id}/{len(self._scores)}"
        requests = [self._prompter.request(request_id, self._problem, prompt) for prompt in new]
        completions = self._service.generate(self._model, requests, self._job.decoding, self._generator)
        programs = [extracted(self._problem, answer_of(one), self._job.extract).program for one in completions]
        verdicts = self._service.execute(programs, self._job.problem_set.limits)
        for prompt, completion, verdict in zip(new, completions, verdicts, strict=True):
            if verdict.outcome is Outcome.HARNESS_ERROR:
                raise RaysweepError(f"a program could not be run: {verdict.detail}; run the same command again")
            self._clean = completion.text if self._clean is None else self._clean
            alike = difflib.SequenceMatcher(None, self._clean, completion.text, autojunk=False).ratio()
            passed = verdict.outcome is Outcome.PASSED
            self._scores[prompt] = _DISTANCE_WEIGHT * (1 - alike) if passed else FAILED_TESTS
        return [self._scores[prompt] for prompt in prompts]


def _model(job: AttackJob) -> tuple[ModelRef | None, Mapping[str, Any]]:
    """Return the model (None for a generator without weights) and its fingerprint; raise UsageError if it can't run."""
    if (generator := named_generator(job.model)) is not None:
        arguments = {"arguments": dict(generator.args)} if generator.args else {}
        return None, {"generator": generator.name, **arguments, **GENERATORS.plugin_spec(generator.name)}
    ref = resolve(job.model, None, job.trust_remote_code).ref()
    if misfit := read_traits(ref).misfit:
        raise UsageError(f"model {job.model} can't be run: {misfit}")
    is_whole = ref.base is not None and not quantization(model_config(ref.base) or {})
    if is_whole and (unlike := unlike_trained(ref.location, trained_in(ref), None)):
        log.warning("%s; an attack has no `quantize`", unlike)
    return ref, {**fingerprint(ref), "versions": versions(GENERATORS.get(TRANSFORMERS).packages)}


def _spec(job: AttackJob, model: ModelRef | None, identity: Mapping[str, Any], prompter: Prompter) -> dict[str, Any]:
    texts: dict[str, Any] = {}
    if model is not None:
        texts = {"facts": template_spec(prompter.shown, BEGINNINGS), "control_tokens": read_traits(model).kept}
    return {
        "model": identity,
        "problems": {"name": job.problem_set.name, **job.problem_set.fingerprint()},
        "limits": asdict(job.problem_set.limits),
        **runtime_key(job.problem_set.runtime),
        "methods": [method_spec(method, PERTURBATIONS.create(method)) for method in job.methods],
        "budget": job.budget,
        "max_changed": job.max_changed,
        "textattack": versions(("textattack",)),
        "prompt": {
            "format": job.prompt_format,
            "template": job.template,
            "max_new_tokens": job.max_new_tokens,
            **{name: value for name, value in texts.items() if value},
        },
        "limit": job.limit,
        "seed": job.seed,
        **job.extract.key,
        "stops": job.problem_set.stops,
        "words": job.problem_set.words,
    }
