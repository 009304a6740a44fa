"""What a config file may say: the schema of a sweep, with its defaults.

Every key is checked here, unknown ones are refused, and names are looked up in their registries, so that a sweep that
starts can finish. Reading files, line numbers and ``--set`` are in `raysweep.config_file`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from raysweep.config_models import ModelConfig, RecipeConfig
from raysweep.config_running import RayConfig, RecoveryConfig, ResourcesConfig
from raysweep.config_types import (
    Amount,
    Count,
    CountOrZero,
    Factor,
    Name,
    ProblemsSpec,
    Seed,
    Share,
    SourceSpec,
    SpecConfig,
    Strict,
    SweepName,
    registered,
    registered_or_declared,
    unregistered,
)
from raysweep.language.synonyms.base import SYNONYMS
from raysweep.language.tagging.base import TAGGERS
from raysweep.language.translation.base import AUTO, TRANSLATORS
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.mixes import NO_TRANSLATOR
from raysweep.programs import Lane, Level, Limits, Sandbox
from raysweep.records import Decoding, Spec
from raysweep.training_sets.choice import Choice

PerturbationName = Annotated[str, registered_or_declared(PERTURBATIONS, "perturbations")]
OwnName = Annotated[Name, unregistered(PERTURBATIONS)]


class TrainingSetConfig(Strict):
    """One column of the grid. A bare name means that perturbation on every row."""

    name: Name
    perturbation: PerturbationName
    ratio: Share = 1.0  # share of the rows that are perturbed
    draw: CountOrZero = 0  # which draw of those rows
    size: Amount = 1.0  # rows as a multiple of the source's
    compose: Literal["draw", "union", "stack"] = "draw"  # an aggregate's methods: one a row, a row each, or all in turn

    @property
    def choice(self) -> Choice:
        """Which rows the set takes."""
        return Choice(self.ratio, self.draw, self.size, self.compose)

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value, "perturbation": value}
        if isinstance(value, Mapping) and "perturbation" not in value and "name" in value:
            return {**value, "perturbation": value["name"]}
        return value


class TrainingConfig(Strict):
    """Where rows come from and which sets are made of them."""

    source: SourceSpec
    decontaminate: Literal["report", "drop"] = (
        "report"  # rows that give evaluated problems away: listed, or left out too
    )
    sets: Annotated[list[TrainingSetConfig], Field(min_length=1)]


def _form(pairs: Any) -> str:
    return "written" if isinstance(pairs, Mapping) else "rule"


Pairs = Annotated[
    Annotated[Literal["all", "paper", "figures"], Tag("rule")] | Annotated[dict[str, list[str]], Tag("written")],
    Discriminator(_form),
]
"""Who is judged on what: a rule's name, or the perturbations of each training set."""


class EvaluationConfig(Strict):
    """Who is judged on what, and how completions are drawn."""

    problems: Annotated[list[ProblemsSpec], Field(min_length=1)]
    perturbations: list[PerturbationName] = ["clean"]
    pairs: Pairs = "all"
    prompt_format: Literal["native", "raw", "instruct"] = "native"
    compat: Literal["recode"] | None = None
    compose: Literal["draw", "stack"] = "draw"  # an aggregate's methods: one for a prompt, or all in turn
    draws: Count = 1  # test sets of each perturbation, with noise of their own; above 1 they give robust pass_s@k
    max_new_tokens: Count = 256
    samples: Count = 1
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    batch_size: Count = 64
    limit: Count | None = None  # the first problems of every set

    @field_validator("perturbations")
    @classmethod
    def _clean_first(cls, names: list[str]) -> list[str]:
        return ["clean", *(name for name in dict.fromkeys(names) if name != "clean")]

    def draws_of(self, perturbation: str) -> range:
        """Return the draws of a perturbation's test sets; the clean one draws nothing."""
        return range(1 if perturbation == "clean" else self.draws)

    def decoding(self, seed: int) -> Decoding:
        """Return how completions are drawn."""
        return Decoding(self.max_new_tokens, self.temperature, self.top_p, self.samples, seed)


class ExecutionConfig(Strict):
    """What one program may use, and how it is isolated; limits that are left out come from the problem set."""

    timeout: Amount | None = None  # seconds of effective time
    wall_factor: Factor | None = None
    memory_mib: Annotated[int, Field(ge=64, lt=2**31)] | None = None
    output_kib: Count | None = None
    reference_factor: Factor | None = None  # a problem's limit as a multiple of its reference solution's time
    lane: Literal["strict", "shared"] = "shared"  # strict: a process for each program
    require: Literal["limits", "partial", "filtered", "strong"] = "partial"  # isolation below which nothing is run

    @property
    def sandbox(self) -> Sandbox:
        """What programs are run in."""
        return Sandbox(Lane(self.lane), Level(self.require))

    def limits(self, default: Limits) -> Limits:
        """Return the limits of a problem set with this section's settings over them."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(Limits)}
        return dataclasses.replace(default, **{name: value for name, value in given.items() if value is not None})


class LanguageConfig(Strict):
    """What word and sentence methods know of English; a set's manifest says which resources made it."""

    tagger: Annotated[str, registered(TAGGERS)] = "hanta"
    synonyms: Annotated[str, registered(SYNONYMS)] = "wordnet"
    translator: Annotated[str, registered(TRANSLATORS, AUTO, NO_TRANSLATOR)] = AUTO  # none: S and mix_all without S1
    participles: bool = False  # S2 and S3 conjugate lone participles too, as ReCode does

    @property
    def given(self) -> dict[str, Any]:
        """What is not as by default."""
        return self.model_dump(exclude_defaults=True)


class ReportConfig(Strict):
    """What the report shows beside the numbers."""

    title: str = ""  # none: the sweep's name
    notice: str = ""  # what a reader must not conclude; shown first
    samples_per_pair: CountOrZero | None = None  # shown in the viewer; none: 20,000 over all pairs


class SweepConfig(Strict):
    """A whole sweep."""

    name: SweepName
    seed: Seed = 42  # texts, draws, generated worlds, pre-training
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None  # of fine-tuning; none: [seed]
    allow_code_execution: bool = False
    models: Annotated[list[ModelConfig], Field(min_length=1)]
    recipes: dict[Name, RecipeConfig] = {}
    training: TrainingConfig | None = None
    evaluation: EvaluationConfig
    language: LanguageConfig = LanguageConfig()
    perturbations: dict[OwnName, SpecConfig] = {}  # with arguments of their own, by names to use like registered ones
    strengths: dict[PerturbationName, Annotated[float, Field(ge=0, le=20)]] = {}
    execution: ExecutionConfig = ExecutionConfig()
    resources: ResourcesConfig = ResourcesConfig()
    recovery: RecoveryConfig = RecoveryConfig()
    ray: RayConfig = RayConfig()
    report: ReportConfig = ReportConfig()
    checkpoint_every: CountOrZero = 100  # optimizer steps; 0: none

    def perturbation(self, name: str, compose: str = "draw") -> Spec:
        """Return the spec of a perturbation with the sweep's strengths and language resources.

        What `perturbations:` says of it stands above both. `compose`: how an aggregate's members come to a text;
        ``union`` is up to the training set that takes from all.
        """
        own = self.perturbations[name].spec(PERTURBATIONS, self.seed) if name in self.perturbations else Spec(name)
        name = own.name
        args: dict[str, Any] = {"strength": self.strengths[name]} if name in self.strengths else {}
        language, takes = self.language.given, PERTURBATIONS.parameters(name)
        args |= {key: value for key, value in language.items() if key in takes}
        members = own.args.get("members", getattr(PERTURBATIONS.get(name), "members", ()))
        listed = list(members) if isinstance(members, Sequence) else []  # else: create() says what is wrong with it
        strengths = {member: value for member, value in self.strengths.items() if member in listed}
        args |= {"strengths": strengths} if strengths else {}
        args |= {"language": language} if language and "language" in takes else {}
        args |= {"compose": compose} if compose == "stack" and "compose" in takes else {}
        return Spec(name, {**args, **own.args})
