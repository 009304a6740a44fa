"""`raysweep attack`: one model, attacked problem by problem, against as many random perturbations.

Each problem's result is kept in the store as it comes, under a key made of all that it depends on: the same command
goes on after a kill, and asks no model twice. Rows hold after how many queries the model failed first, so that one run
also tells how it stands under every smaller budget, and under a single random perturbation, the first that was drawn.

Not covered: fine-tuned models under the native prompt format (name their template with ``--prompt-format instruct``);
more than one completion a prompt.
"""

from __future__ import annotations

import difflib
import logging
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import RaysweepError, UnknownName, UsageError
from raysweep.execution.pool import Executor
from raysweep.generators.base import GENERATORS, Generator
from raysweep.metrics.intervals import mean_interval
from raysweep.models.loading import fingerprint, resolve
from raysweep.models.prompts import FORMATS, TEMPLATES, evaluation_prompt
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.queries import AttackOutcome, Finding, Reach, Reaction, Target
from raysweep.perturbations.regions import protected_words
from raysweep.perturbations.search import RANDOM, SEARCHES, attack
from raysweep.plan_keys import method_spec
from raysweep.problems.base import ProblemSet
from raysweep.programs import DEFAULT_SANDBOX, Outcome
from raysweep.provenance import versions
from raysweep.records import Decoding, GenerationRequest, ModelRef, Problem, Spec
from raysweep.storage.artefacts import Node
from raysweep.storage.blocks import Blocks
from raysweep.storage.holders import Holder
from raysweep.storage.store import Store
from raysweep.tables import ROWS, write_rows

log = logging.getLogger("raysweep")

TRANSFORMERS = "transformers"
STAGE = "attack"
_ONE_DRAW = 2
"""Queries for one random perturbation of a problem: the clean prompt and the first draw."""


@dataclass(frozen=True)
class AttackJob:
    """What is attacked, and how. `model`: a folder, a hub id, or a generator that needs no weights."""

    model: str
    problem_set: ProblemSet
    methods: tuple[Spec, ...]
    reach: Reach
    search: str
    prompt_format: str = "raw"
    template: str = "instruct"
    max_new_tokens: int = 256
    limit: int | None = None
    seed: int = 42
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("search", self.search, SEARCHES),
            ("prompt format", self.prompt_format, FORMATS),
            ("template", self.template, TEMPLATES),
        ):
            if value not in known:
                raise UnknownName(kind, value, known)
        if not self.methods:
            raise UsageError("--methods names no perturbation; give some, as in C1,C2,C3")
        for method in self.methods:
            PERTURBATIONS.create(method)

    @property
    def decoding(self) -> Decoding:
        """How completions are made: greedily."""
        return Decoding(self.max_new_tokens, seed=self.seed)

    @property
    def problems(self) -> Sequence[Problem]:
        """The problems to attack."""
        return self.problem_set.problems()[: self.limit]

    def shown(self, problem: Problem, prompt: str) -> str:
        """Return the text that the model sees for a problem's prompt."""
        wanted = {"prompt_format": self.prompt_format, "tuned": False, "template": self.template}
        return evaluation_prompt(problem, prompt, **wanted)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Rate:
    """pass@1 as the mean over problems, with its 95 % interval (bootstrap over problems)."""

    value: float
    low: float
    high: float


def rate_under(rows: Sequence[Finding], budget: int) -> Rate:
    """Return pass@1 where a problem counts as failed once an attack with so many queries makes the model fail."""
    passed = [float(row.outcome != AttackOutcome.SKIPPED and not 0 < row.found_after <= budget) for row in rows]
    low, high = mean_interval(passed)
    return Rate(sum(passed) / len(passed) if passed else math.nan, low, high)


def rate_of_one_draw(rows: Sequence[Finding], budget: int) -> Rate:
    """Return pass@1 where each prompt is perturbed once, as in an evaluation: by the first of the random draws.

    Args:
        rows: those of the random strategy; a prompt that no draw changes counts as it is.
        budget: that they were made with; NaN where it allowed no draw.
    """
    return rate_under(rows, _ONE_DRAW) if budget >= _ONE_DRAW else Rate(math.nan, math.nan, math.nan)


def failures_under(rows: Sequence[Finding], budget: int) -> int:
    """Return how many problems an attack with so many queries makes the model fail on that it solves clean."""
    return sum(0 < row.found_after <= budget for row in rows)


def run_attack(job: AttackJob, store: Store, tell: Callable[[int], None]) -> list[Finding]:
    """Attack a model, with a search and at random, and return both strategies' rows.

    Args:
        job: what to attack.
        store: keeps the rows, and has them where the same was asked before.
        tell: told how many problems are done.

    Raises:
        UsageError: the model can't be had; textattack isn't installed.
        RaysweepError: a program could not be judged.
    """
    if job.search != RANDOM:
        from raysweep.textattack.loading import require_textattack

        require_textattack()
    model, identity = _model(job)
    node = Node(STAGE, 1, _spec(job, identity), (), f"attack on {job.model}, {job.problem_set.name}")
    store.require_writable()
    with store.making(node, lambda: store.has(node), _waits) as missing:
        if missing:
            rows = _attack_problems(job, model, Blocks(store.work(node), Finding), tell)
            with store.writing(node) as draft:
                write_rows(draft.folder / ROWS, Finding, rows, ["task_id", "strategy"])
                draft.counts = {"rows": len(rows), "queries": sum(row.queries for row in rows)}
    found = {(row.task_id, row.strategy): row for row in store.rows(node, Finding)}
    return [found[problem.task_id, name] for name in _strategies(job) for problem in job.problems]


def _attack_problems(
    job: AttackJob, model: ModelRef | None, blocks: Blocks[Finding], tell: Callable[[int], None]
) -> list[Finding]:
    made = blocks.read()
    name = job.model if model is None else TRANSFORMERS
    methods = [PERTURBATIONS.create(method) for method in job.methods]
    generator = GENERATORS.create(Spec(name), model=model, decoding=job.decoding)
    with Executor(len(os.sched_getaffinity(0)), DEFAULT_SANDBOX) as executor:
        for done, problem in enumerate(job.problems):
            tell(done)
            judge = ModelJudge(job, problem, generator, executor)
            target = Target(problem.task_id, tuple(job.problem_set.segments(problem)), protected_words(problem.prompt))
            for strategy in _strategies(job):
                key = f"{problem.task_id}/{strategy}"
                if key not in made:
                    made[key] = attack(target, methods, judge, job.reach, strategy=strategy, seed=job.seed)
                    blocks.add({key: made[key]})
    return list(made.values())


class ModelJudge:
    """A `Judge` for one problem: completes prompts in a batch and runs the programs; knows what it was asked before."""

    def __init__(self, job: AttackJob, problem: Problem, generator: Generator, executor: Executor) -> None:
        self._job, self._problem, self._generator, self._executor = job, problem, generator, executor
        self._answers: dict[str, tuple[str, bool]] = {}  # (completion, passed) by prompt
        self._passed: dict[str, bool] = {}  # by program

    def __call__(self, prompts: Sequence[str]) -> list[Reaction]:
        """Return the reactions; the first prompt ever asked is the clean one.

        Raises:
            RaysweepError: a program could not be judged.
        """
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._answers]
        completions = self._generator.generate([self._request(prompt) for prompt in new]) if new else []
        programs = [self._problem.assemble(completion.text) for completion in completions]
        fresh = {program.sha: program for program in programs if program.sha not in self._passed}
        limits = self._job.problem_set.limits
        for sha, verdict in zip(fresh, self._executor.run(list(fresh.values()), limits), strict=True):
            if verdict.outcome is Outcome.HARNESS_ERROR:
                raise RaysweepError(f"a program could not be judged: {verdict.detail}; give the same command again")
            self._passed[sha] = verdict.outcome is Outcome.PASSED
        for prompt, completion, program in zip(new, completions, programs, strict=True):
            self._answers[prompt] = completion.text, self._passed[program.sha]
        return [self._reaction(prompt) for prompt in prompts]

    def _reaction(self, prompt: str) -> Reaction:
        clean, _ = next(iter(self._answers.values()))
        text, passed = self._answers[prompt]
        return Reaction(passed, 1 - difflib.SequenceMatcher(None, clean, text, autojunk=False).ratio())

    def _request(self, prompt: str) -> GenerationRequest:
        problem = self._problem
        shown = self._job.shown(problem, prompt)
        return GenerationRequest(
            f"{problem.task_id}/{len(self._answers)}", problem.task_id, shown, 0, problem.stop, problem.reference
        )


def _strategies(job: AttackJob) -> list[str]:
    return list(dict.fromkeys([job.search, RANDOM]))


def _model(job: AttackJob) -> tuple[ModelRef | None, Mapping[str, Any]]:
    """Return how to load the model, None for a generator without weights, and what its content is."""
    if job.model in GENERATORS.names() and job.model != TRANSFORMERS and not Path(job.model).exists():
        return None, {"generator": job.model}
    ref = resolve(job.model, None, job.trust_remote_code).ref()
    return ref, {**fingerprint(ref), "versions": versions(("transformers", "torch"))}


def _spec(job: AttackJob, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the rows depend on."""
    return {
        "model": identity,
        "problems": {"name": job.problem_set.name, **job.problem_set.fingerprint()},
        "limits": asdict(job.problem_set.limits),
        "python": platform.python_version(),
        "methods": [method_spec(method) for method in job.methods],
        "reach": asdict(job.reach),
        "search": job.search,
        "textattack": versions(("textattack",)) if job.search != RANDOM else {},
        "prompt": {"format": job.prompt_format, "template": job.template, "max_new_tokens": job.max_new_tokens},
        "limit": job.limit,
        "seed": job.seed,
    }


def _waits(holder: Holder | None) -> None:
    if holder is not None:
        log.info("waits for %s, which makes the same attack", holder)
