"""Attacks one model problem by problem, and the same problems with as many random perturbations (`raysweep attack`).

The store receives each problem's result as soon as it is finished, under a key of everything that it depends on. After
an interruption the same command resumes with the next problem. A row has the number of queries up to the first
failure, so that one run also gives the numbers for every smaller budget, and for a single random perturbation.

Not covered: the native prompt format of fine-tuned models (name their template with ``--prompt-format``), and more than
one completion of a prompt.
"""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.engine.services import ModelService
from raysweep.errors import RaysweepError, UnknownName, UsageError
from raysweep.execution.runtimes import runtime_key
from raysweep.generators.base import GENERATORS, TRANSFORMERS, answer_of, continues, named_generator
from raysweep.machine import versions
from raysweep.models.finding import resolve
from raysweep.models.hub import model_config, quantization
from raysweep.models.identity import fingerprint
from raysweep.models.quantizing import trained_in, unlike_trained
from raysweep.models.traits import read_traits
from raysweep.perturbations.base import PERTURBATIONS
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
    strips_prompts,
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
from raysweep.tools.attack.queries import AttackLimits, AttackOutcome, AttackResult, Reaction, Target
from raysweep.tools.attack.search import BEAM, GREEDY, RANDOM, SEARCHES, attack
from raysweep.trainers.base import Recipe

log = logging.getLogger("raysweep")

STAGE = "attack"
_ONE_DRAW = 2
"""Number of queries for one random perturbation of a problem: the clean prompt and the first draw."""


@dataclass(frozen=True)
class AttackJob:
    """The model, the problems and the settings of an attack."""

    model: str  # a folder, a hub id, or a generator that needs no weights
    problem_set: ProblemSet
    methods: tuple[Spec, ...]  # perturbations
    limits: AttackLimits
    search: str  # a strategy of `raysweep.tools.attack.search`
    prompt_format: str = NATIVE
    template: str = Recipe.template
    max_new_tokens: int = Decoding().max_new_tokens
    limit: int | None = None
    seed: int = DEFAULT_SEED
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.search not in SEARCHES:
            raise UnknownName("search", self.search, SEARCHES)
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
        for method in self.methods:
            if not PERTURBATIONS.create(method).keeps_segments:
                raise UsageError(
                    f"--methods: {method.name} writes other descriptions, and an attack changes single words"
                )

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
class Share:
    """pass@1, the mean over problems, with its 95 % interval."""

    value: float
    low: float
    high: float


def rate_under(rows: Sequence[AttackResult], budget: int) -> Share:
    """Return pass@1, counting a problem as failed if an attack with this budget makes the model fail."""
    passed = [float(row.outcome != AttackOutcome.SKIPPED and not 0 < row.found_after <= budget) for row in rows]
    low, high = mean_interval(passed)
    return Share(sum(passed) / len(passed) if passed else math.nan, low, high)


def rate_of_one_draw(rows: Sequence[AttackResult], budget: int) -> Share:
    """Return pass@1 with one random perturbation of each prompt, as in an evaluation: the first random draw.

    `rows`: of the random strategy; a prompt that no draw changes counts as solved or failed without a change. NaN if
    their `budget` allowed no draw.
    """
    return rate_under(rows, _ONE_DRAW) if budget >= _ONE_DRAW else Share(math.nan, math.nan, math.nan)


def failures_under(rows: Sequence[AttackResult], budget: int) -> int:
    """Return the number of problems that the model solves clean and fails under an attack with this budget."""
    return sum(0 < row.found_after <= budget for row in rows)


def run_attack(job: AttackJob, store: Store, report_done: Callable[[int], None]) -> list[AttackResult]:
    """Attack a model with the job's search and at random; return the rows of both, those in the store read from it.

    `report_done`: called with the number of finished problems.

    Raises:
        UsageError: the model can't be found, or textattack is needed and not installed.
        RaysweepError: a program could not be judged.
    """
    if job.search == BEAM:
        from raysweep.perturbations.textattack.loading import require_textattack

        try:
            require_textattack()
        except UsageError as error:
            raise UsageError(f"{error}; --search {GREEDY} needs no package") from None
    model, identity = _model(job)
    texts: dict[str, Any] = {}
    if model is not None:
        texts = {
            "prompt_facts": template_spec(job.prompter(model).shown, BEGINNINGS),
            "control_tokens": read_traits(model).kept,
        }
    spec = {**_spec(job, identity), **{name: value for name, value in texts.items() if value}}
    node = Node(STAGE, 1, spec, (), f"attack on {job.model}, {job.problem_set.name}")
    store.require_writable()

    def log_wait(holder: Holder | None) -> None:
        if holder is not None:
            log.info("waiting for %s, which runs the same attack", holder)

    with store.making(node, lambda: store.has(node), log_wait) as missing:
        if missing:
            store.leases.await_cleaning()
            rows = _attack_problems(job, model, store, node, report_done)
            with store.writing(node) as draft:
                write_rows(draft.folder / ROWS, AttackResult, rows, ["task_id", "strategy"])
                draft.counts = {"rows": len(rows), "queries": sum(row.queries for row in rows)}
    stored = {(row.task_id, row.strategy): row for row in store.rows(node, AttackResult)}
    return [stored[problem.task_id, name] for name in _strategies(job) for problem in job.problems]


def _attack_problems(
    job: AttackJob, model: ModelRef | None, store: Store, node: Node, report_done: Callable[[int], None]
) -> list[AttackResult]:
    blocks = Blocks(store.unfinished(node), AttackResult)
    finished = blocks.read()
    progress = ProgressFile(store.unfinished(node).below("progress"), STAGE)
    methods, prompter = [PERTURBATIONS.create(method) for method in job.methods], job.prompter(model)
    with LocalStages() as stages, ModelService(stages, store, progress) as service:
        for done, problem in enumerate(job.problems):
            report_done(done)
            judge = ModelJudge(job, problem, model, service, prompter)
            target = Target(
                problem.task_id, tuple(job.problem_set.segments(problem)), job.problem_set.protected(problem)
            )
            for strategy in _strategies(job):
                key = f"{problem.task_id}/{strategy}"
                if key not in finished:
                    finished[key] = attack(target, methods, judge, job.limits, strategy=strategy, seed=job.seed)
                    blocks.add({key: finished[key]})
    return list(finished.values())


class ModelJudge:
    """A `Judge` for one problem: completes prompts in a batch, runs the programs, and caches the answers."""

    def __init__(
        self, job: AttackJob, problem: Problem, model: ModelRef | None, service: ModelService, prompter: Prompter
    ) -> None:
        self._job, self._problem, self._model, self._service = job, problem, model, service
        self._prompter = prompter
        self._answers: dict[str, tuple[str, bool]] = {}  # (completion, passed) by prompt

    def __call__(self, prompts: Sequence[str]) -> list[Reaction]:
        """The first prompt of the first call must be the clean one; raise RaysweepError if a program isn't judged."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._answers]
        request_id = f"{self._problem.task_id}/{len(self._answers)}"
        requests = [self._prompter.request(request_id, self._problem, prompt) for prompt in new]
        generator = named_generator(self._job.model) if self._model is None else None
        completions = self._service.generate(self._model, requests, self._job.decoding, generator or Spec(TRANSFORMERS))
        programs = [extracted(self._problem, answer_of(one), self._job.extract).program for one in completions]
        verdicts = self._service.execute(programs, self._job.problem_set.limits)
        for prompt, completion, verdict in zip(new, completions, verdicts, strict=True):
            if verdict.outcome is Outcome.HARNESS_ERROR:
                raise RaysweepError(f"a program could not be run: {verdict.detail}; run the same command again")
            self._answers[prompt] = completion.text, verdict.outcome is Outcome.PASSED
        return [self._reaction(prompt) for prompt in prompts]

    def _reaction(self, prompt: str) -> Reaction:
        clean, _ = next(iter(self._answers.values()))
        text, passed = self._answers[prompt]
        return Reaction(passed, 1 - difflib.SequenceMatcher(None, clean, text, autojunk=False).ratio())


def _strategies(job: AttackJob) -> list[str]:
    return list(dict.fromkeys([job.search, RANDOM]))


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


def _spec(job: AttackJob, identity: Mapping[str, Any]) -> dict[str, Any]:
    is_stripped = strips_prompts(job.prompt_format, False, PromptTemplate(job.template))
    shown = {"format": RAW if is_stripped else job.prompt_format, "template": job.template}
    shown |= {"blanks": "kept"} if job.prompt_format == RAW != job.template else {}
    return {
        "model": identity,
        "problems": {"name": job.problem_set.name, **job.problem_set.fingerprint()},
        "limits": asdict(job.problem_set.limits),
        **runtime_key(job.problem_set.runtime),
        "methods": [method_spec(method, PERTURBATIONS.create(method)) for method in job.methods],
        "reach": asdict(job.limits),
        "search": job.search,
        "textattack": versions(("textattack",)) if job.search == BEAM else {},
        "prompt": {**shown, "max_new_tokens": job.max_new_tokens},
        "limit": job.limit,
        "seed": job.seed,
        **job.extract.key,
        "stops": job.problem_set.stops,
        "words": job.problem_set.words,
    }
