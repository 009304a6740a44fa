"""The schema of a sweep's config, without its models, recipes and training rows.

Models and recipes are in `raysweep.config.models`, training rows in `raysweep.config.training`, resources in
`raysweep.config.resources`, the building blocks of all in `raysweep.config.fields`. The line below a field is its
meaning in docs/config.md. The sections `resources`, `recovery` and `ray`, and the key `keep_models`, are part of no
artefact's key.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Discriminator, Field, PrivateAttr, Tag, field_validator

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.config.fields import (
    Amount,
    AmountOrZero,
    Count,
    CountOrZero,
    DescribedCheck,
    Factor,
    Name,
    Parts,
    ProblemsSpec,
    PromptFormat,
    Seed,
    SourceConfig,
    SpecConfig,
    Strict,
    SweepName,
    UnitMark,
    WeightsGeneratorSpec,
    form,
    registered,
    unregistered,
)
from raysweep.config.loggers import LoggerSpec
from raysweep.config.models import ModelConfig, RecipeConfig
from raysweep.config.resources import BY_PREDICTION, ResourcesConfig, StageConfig, StagesConfig
from raysweep.config.training import (
    CHOICE,
    ONLY,
    EditsConfig,
    PerturbationName,
    RowSource,
    TrainingConfig,
    TrainingSetConfig,
)
from raysweep.errors import UsageError
from raysweep.execution.environments import path_of_python
from raysweep.generators.base import GENERATORS, TRANSFORMERS
from raysweep.language.synonyms.base import DEFAULT_SYNONYMS, SYNONYMS
from raysweep.language.tagging.base import DEFAULT_TAGGER, TAGGERS
from raysweep.language.translation.base import AUTO, IF_READY, TRANSLATORS
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.mixes import NO_TRANSLATOR
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.programs import LANGUAGES, MIN_MEMORY_MIB, Lane, Level, Limits, Oracle, Sandbox
from raysweep.prompts.templates import NATIVE
from raysweep.quality.sampling import MARGIN
from raysweep.records import CLEAN, Decoding, Recovery, Spec
from raysweep.registry import Registry
from raysweep.seeding import DEFAULT_SEED
from raysweep.trainers.base import OBJECTIVES, Objective, Recipe
from raysweep.trainers.editors.base import EDITORS, Editor
from raysweep.trainers.kinds import fine_tunes
from raysweep.training_sets.base import SOURCES, TrainingSource
from raysweep.units import seconds_of

T = TypeVar("T")
DECODING: Any = Decoding()
RECOVERY: Any = Recovery()
SANDBOX: Any = Sandbox()
"""The records that travel to workers: their defaults are the config's."""


def _duration(text: str) -> str:
    seconds_of(text)
    return text


def _absolute_folder(text: str) -> str:
    if not Path(text).expanduser().is_absolute():
        raise ValueError(f"{text!r} is no absolute path; write it from the root, as in /scratch/ray")
    return text


Interval = Annotated[
    Annotated[str, AfterValidator(_duration), Tag("rule")] | Annotated[CountOrZero, Tag("written")],
    Discriminator(form),
]


class RecoveryConfig(Strict):
    """How a cell or a shared input is tried again after it failed."""

    retries: Annotated[int, Field(ge=0, le=100), UnitMark("attempts")] = RECOVERY.retries
    """Attempts after the first."""
    backoff_seconds: Annotated[AmountOrZero, UnitMark("seconds")] = RECOVERY.backoff_seconds
    """Pause before the second attempt; it doubles before each further one."""
    stall_seconds: Annotated[AmountOrZero, UnitMark("seconds")] = RECOVERY.stall_seconds
    """An attempt without progress for so long is ended; 0 ends none."""


class RayConfig(Strict):
    """The Ray that raysweep starts when there is none to connect to."""

    cpus: Annotated[Count, UnitMark("CPUs")] | None = None
    """CPUs of that Ray; null: all that this process may use."""
    object_store_mib: Annotated[int, Field(ge=80, lt=2**31), UnitMark("MiB")] = 300
    """Shared memory of Ray's object store."""
    dashboard: bool = True
    """Whether Ray starts its dashboard."""
    spill_folder: Annotated[str, DescribedCheck(_absolute_folder, "absolute path")] | None = None
    """Folder on a large disk, for objects that the object store has no room for; null: beside Ray's sockets."""


OwnName = Annotated[Name, unregistered(PERTURBATIONS)]


def _pairs_form(pairs: Any) -> str:
    return "written" if isinstance(pairs, Mapping) else "rule"


Pairs = Annotated[
    Annotated[Literal["all", "paper", "figures"], Tag("rule")] | Annotated[dict[str, list[str]], Tag("written")],
    Discriminator(_pairs_form),
]
"""Which models are evaluated on which test sets: a rule's name, or the perturbations of each training set."""


class QualityConfig(Strict):
    """Code quality: what a linter reports on a sample of the completions of clean prompts."""

    linter: Literal["pylint"] = "pylint"
    """What reads the files; it needs the extra `quality`."""
    margin: Annotated[float, Field(gt=0, lt=1), UnitMark("share of the files")] = MARGIN
    """Margin of error at 95 % confidence, which gives the number of files of each problem set by Cochran's formula."""


class EvaluationConfig(Strict):
    """Which models are evaluated on which test sets, and how completions are sampled."""

    problems: Annotated[list[ProblemsSpec], Field(min_length=1)]
    """Problem sets that every model is evaluated on."""
    perturbations: list[PerturbationName] = [CLEAN]
    """Perturbations of the prompts; each makes a test set of each problem set, and `clean` is always there."""
    pairs: Pairs = "all"
    """Which models are evaluated on which test sets: a rule's name, or the perturbations for each training set."""
    prompt_format: PromptFormat = NATIVE
    """A template for all models, base models too; `native`: each as it was trained."""
    date: str | None = None
    """Day of chat templates that show one, such as 2025-01-31, in training too; null: 2024-07-26, never the clock's."""
    compat: Literal["recode"] | None = None
    """`recode` perturbs bit for bit as ReCode does."""
    compose: Literal["draw", "stack"] = CHOICE.compose
    """A mix's methods: one selected at random for each prompt, or all in turn on each prompt."""
    draws: Annotated[Count, UnitMark("test sets")] = 1
    """Perturbation samples, each a test set with other random choices; from 2 on they also give robust pass_s@k."""
    audit: str | None = None
    """A rater's answers to a sheet of `raysweep audit`, or the sheet's folder: RD over the prompts rated valid, too."""
    max_new_tokens: Annotated[Count, UnitMark("tokens")] = DECODING.max_new_tokens
    """Longest completion."""
    samples: Annotated[Count, UnitMark("completions")] = DECODING.samples
    """Completions of each prompt."""
    pass_at: Annotated[list[Count], Field(min_length=1)] | None = None
    """The k of pass@k, RP_s@k and plausible@k, up to `samples`, and 1 in any case; null: 1, 10, 100 up to `samples`."""
    temperature: Annotated[float, Field(ge=0, le=5)] = DECODING.temperature
    """Randomness of the completions; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1), UnitMark("probability")] = DECODING.top_p
    """Tokens are sampled among the likeliest that together have this probability; counts only above temperature 0."""
    beams: Annotated[Count, UnitMark("texts")] = DECODING.beams
    """Above 1: beam search, at temperature 0; a prompt's `samples` are the best texts of so many, the best first."""
    early_stopping: bool = DECODING.early_stopping
    """A search ends with as many finished texts as it has `beams`; false: once no beam can be better than those."""
    extract: Literal["auto", "none", "first", "last", "study", "evalplus"] = "auto"
    """How an answer becomes a program; `auto`: of a chat the code that defines the function, a completion as it is."""
    generator: WeightsGeneratorSpec = SpecConfig(name=TRANSFORMERS)
    """What runs the weights of models that name no generator."""
    batch_tokens: Annotated[Count, UnitMark("tokens")] | None = None
    """Tokens, of prompts and completions, that a model holds at a time; null: 24,576 on CPUs, what fits on a GPU."""
    limit: Annotated[Count, UnitMark("problems")] | None = None
    """Only the first problems of every problem set; null: all."""
    quality: QualityConfig | None = None
    """Code quality of a sample of the completions; null: no file is linted."""

    @field_validator("audit")
    @classmethod
    def _absolute(cls, path: str | None) -> str | None:
        file = Path(path).expanduser() if path else None
        return str(file.absolute()) if file and file.exists() else path

    @field_validator("date", mode="before")
    @classmethod
    def _day(cls, value: object) -> object:
        text = str(value) if value is not None else None  # YAML reads a date
        if text is not None:
            try:
                return datetime.date.fromisoformat(text).isoformat()  # one day, one key
            except ValueError:
                raise ValueError(f"{text!r} is no day; write it as 2025-01-31") from None
        return text

    @field_validator("perturbations")
    @classmethod
    def _clean_first(cls, names: list[str]) -> list[str]:
        if twice := [name for at, name in enumerate(names) if name in names[:at] and name != CLEAN]:
            raise ValueError(f"the perturbation {twice[0]!r} is listed twice; each must differ")
        return [CLEAN, *(name for name in names if name != CLEAN)]

    @property
    def ks(self) -> list[int] | None:
        """The k of pass@k in order, 1 among them; None: the usual ones."""
        return None if self.pass_at is None else sorted({1, *self.pass_at})

    @property
    def searched(self) -> str:
        early = "" if self.early_stopping else ", without early stopping"
        return "greedy" if self.beams == 1 else f"{self.beams} beams{early}"

    def decoding(self, seed: int) -> Decoding:
        return Decoding(
            self.max_new_tokens, self.temperature, self.top_p, self.samples, seed, self.beams, self.early_stopping
        )


def _no_language(name: str) -> str:
    if name in LANGUAGES:
        raise ValueError(f"{name!r} is the name of a language; choose another name")
    return name


class ExecutionConfig(Strict):
    """Limits and isolation of a program; a limit that is null comes from the problem set."""

    timeout: Annotated[Amount, UnitMark("seconds")] | None = None
    """Limit of effective time, which is CPU time, or wall time without the waiting for a core."""
    wall_factor: Annotated[Factor, UnitMark("x timeout")] | None = None
    """Limit of wall time."""
    memory_mib: Annotated[int, Field(ge=MIN_MEMORY_MIB, lt=2**31), UnitMark("MiB")] | None = None
    """Limit of memory."""
    output_kib: Annotated[Count, UnitMark("KiB")] | None = None
    """Limit of stdout, and of stderr."""
    reference_factor: Annotated[Factor, UnitMark("x the reference's time")] | None = 4.0
    """Limit where a problem has a reference, at least 1 s (bigcodebench: 30 s), at most `timeout`; null: `timeout`."""
    lane: Literal["strict", "shared"] = SANDBOX.lane.value
    """`strict`: isolated mode, a process for each program; `shared`: batched mode, harmless programs share one."""
    require: Literal["limits", "partial", "filtered", "strong"] = SANDBOX.require.value
    """Lowest level of isolation at which programs are run (docs/execution.md)."""

    require_oracle: Literal["inside", "outside"] = SANDBOX.require_oracle.value
    """`outside`: refuse problems with in-process tests, which can't run in a process that no program enters."""
    cpp_standard: Literal["c++11", "c++14", "c++17", "c++20", "c++23"] | None = SANDBOX.cpp_standard
    """Standard of C++ (`-std`); null: g++'s own, such as C++17 with GNU's extensions."""
    cpp_optimise: Annotated[int, Field(ge=0, le=3)] = SANDBOX.cpp_optimise
    """How far g++ optimises programs in C++ (`-O`)."""
    environments: dict[
        Annotated[Name, AfterValidator(_no_language)], Annotated[str, AfterValidator(path_of_python)]
    ] = {}
    """Pythons of other environments, by a name of your choice, by which a problem set's `environment` names one."""

    @property
    def sandbox(self) -> Sandbox:
        accepted = Lane(self.lane), Level(self.require), Oracle(self.require_oracle)
        return Sandbox(*accepted, self.cpp_standard, self.cpp_optimise, tuple(sorted(self.environments.items())))

    def limits(self, default: Limits) -> Limits:
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(Limits)}
        return dataclasses.replace(default, **{name: value for name, value in settings.items() if value is not None})


class LanguageConfig(Strict):
    """The language resources that word and sentence methods use; a set's manifest names those that made it."""

    tagger: Annotated[str, registered(TAGGERS)] = DEFAULT_TAGGER
    """Tagger of the words of a text."""
    synonyms: Annotated[str, registered(SYNONYMS)] = DEFAULT_SYNONYMS
    """Source of the synonyms of W1 and W2."""
    translator: Annotated[str, registered(TRANSLATORS, AUTO, IF_READY, NO_TRANSLATOR)] = AUTO
    """Translator of S1; `auto`: the best that is ready; `none`: no S1, nor in S and mix_all; `if_ready`: either."""
    participles: bool = False
    """Whether S2 and S3 also conjugate lone participles, as ReCode does."""

    @property
    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_defaults=True)


class ReportConfig(Strict):
    """Texts and samples of the report."""

    title: str = ""
    """Title of the report; empty: the sweep's name."""
    notice: str = ""
    """A warning that the report shows first, of conclusions not to draw; empty: what problem sets say of themselves."""
    headline: str | None = None
    """Perturbation of the primary metric; null: the mix of most methods, without a mix the one that costs most."""
    samples_per_pair: Annotated[CountOrZero, UnitMark("completions")] | None = None
    """Completions of each evaluation in the viewer; null: 20,000 over all evaluations."""
    each_seed: bool = False
    """Whether tables and figures have a row for each of several `seeds`, in place of their mean."""


class SweepConfig(Strict):
    """A whole sweep."""

    name: SweepName
    """Name of the sweep and of its folder."""
    seed: Seed = DEFAULT_SEED
    """Seed of texts, random choices, generated worlds and pre-training."""
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None
    """Seeds of fine-tuning, a cell for each; null: only `seed`."""
    allow_code_execution: bool = False
    """Whether programs that the models write may run on this machine."""
    models: Annotated[list[ModelConfig], Field(min_length=1)]
    recipes: dict[Name, RecipeConfig] = {}
    training: TrainingConfig | None = None
    edits: EditsConfig | None = None
    evaluation: EvaluationConfig
    language: LanguageConfig = LanguageConfig()
    perturbations: dict[OwnName, SpecConfig] = {}
    """Perturbations with arguments, by a name of your choice: `{typos: {name: mix, members: [C1, C2]}}`."""
    strengths: dict[PerturbationName, Annotated[float, Field(ge=0, le=20), UnitMark("x the study's rates")]] = {}
    """How strongly each perturbation changes texts; 0 changes nothing."""
    execution: ExecutionConfig = ExecutionConfig()
    resources: ResourcesConfig = ResourcesConfig()
    prices: dict[str, AmountOrZero] = {}
    """Price of an hour of one accelerator, by its label, in any currency: `{A100: 2.5}`; `raysweep plan` adds up."""
    recovery: RecoveryConfig = RecoveryConfig()
    loggers: Annotated[list[LoggerSpec], Field(validate_default=True)] = ["tensorboard"]  # type: ignore[list-item]
    """Loggers of Ray Tune beside its result.json: of loss and speed while a model trains, then of its pass@1."""
    ray: RayConfig = RayConfig()
    report: ReportConfig = ReportConfig()
    checkpoint_every: Annotated[Interval, UnitMark("optimizer steps, or a time")] = 100
    """Training writes a checkpoint each time after so many steps, or after a time such as `10min`; 0: never."""

    keep_models: Literal["all", "adapters", "chosen"] = "all"
    """`adapters` drops full weights once evaluated or not chosen (`select`), `chosen` all that aren't chosen."""

    _parts: Parts = PrivateAttr(default_factory=Parts)

    def part(self, registry: Registry[T], spec: Spec) -> T:
        """Return a part that the config names, built when it is first asked for; raise UsageError if it can't be."""
        key = registry.kind, repr(spec)
        if key not in self._parts:
            self._parts[key] = registry.create(spec)
        part: T = self._parts[key]
        return part

    def source(self, rows: SourceConfig) -> TrainingSource:
        return self.part(SOURCES, rows.spec(SOURCES, self.seed))

    def problem_set(self, problems: SpecConfig) -> ProblemSet:
        return self.part(PROBLEMS, problems.spec(PROBLEMS, self.seed))

    def method(self, name: str, compose: str = "draw") -> Perturbation:
        return self.part(PERTURBATIONS, self.perturbation(name, compose))

    def objective(self, recipe: Recipe | RecipeConfig) -> Objective:
        return self.part(OBJECTIVES, Spec(recipe.objective, dict(recipe.objective_args)))

    def editor(self, recipe: Recipe | RecipeConfig) -> Editor:
        return self.part(EDITORS, Spec(recipe.trainer, dict(recipe.edit)))

    @property
    def judged_models(self) -> list[ModelConfig]:
        """The models that are judged: all but those that only teach."""
        return [model for model in self.models if model.judged]

    def sets_of(self, model: ModelConfig) -> list[TrainingSetConfig]:
        trains = any(fine_tunes(self.recipes[recipe].trainer) for recipe in model.recipes if recipe in self.recipes)
        sets = self.training.sets if self.training is not None and trains else []
        return [trained for trained in sets if model.sets is None or trained.name in model.sets]

    def recipes_of(self, source: RowSource) -> list[str]:
        sets = {model.name: {trained.source or ONLY for trained in self.sets_of(model)} for model in self.models}
        of_it = [model.recipes for model in self.models if source.name in sets[model.name]]
        names = dict.fromkeys(recipe for recipes in of_it for recipe in recipes)
        return [recipe for recipe in names if fine_tunes(self.recipes[recipe].trainer)]

    @property
    def in_tf32(self) -> str:
        """The models and recipes whose float32 is TF32 in matrix products, in words; empty if there are none."""
        named = [f"model {model.name}" for model in self.models if model.dtype == "tf32"]
        used = dict.fromkeys(name for model in self.models for name in model.recipes)
        named += [f"recipe {name}" for name in used if name in self.recipes and self.recipes[name].precision == "tf32"]
        return f"matrix products in tf32 ({', '.join(named)})" if named else ""

    @property
    def in_few_bits(self) -> str:
        """The models whose bases are quantized as they are loaded, in words; empty if there are none."""
        held = [f"{model.name} in {model.quantize}" for model in self.models if model.quantize]
        return f"bases quantized by bitsandbytes ({', '.join(held)})" if held else ""

    def recipe_of(self, name: str) -> RecipeConfig | None:
        """Return a recipe, or one of a group's, which differ in numbers only; None if there is none of the name."""
        if name in self.recipes:
            return self.recipes[name]
        return next((recipe for recipe in self.recipes.values() if recipe.group == name), None)

    def candidates_of(self, model: ModelConfig) -> dict[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for name in model.recipes:
            recipe = self.recipes[name]
            if recipe.is_candidate and recipe.group is not None:
                groups.setdefault(recipe.group, []).append(name)
        return groups

    def sharing(self, model: ModelConfig) -> int:
        """Return among how many accelerators of one node a model is shared where it writes, mostly 1."""
        generator = (model.generator or self.evaluation.generator).spec(GENERATORS, self.seed)
        return GENERATORS.get(generator.name).accelerators(generator.args)

    def asked(self, stage: str, model: str, recipe: str) -> StageConfig:
        """Return what the processes of a stage ask for in a model's cells with a recipe; all its values are given.

        A recipe's own values override its model's, these the stage's, and these `resources` itself. Execution takes
        nothing from the latter. A model's `accelerator` is a label, and asks for the predicted share of one.
        """
        # the defaults of raysweep.planning.predictions.needs.Needs, which a config can't import
        values: dict[str, Any] = {"cpus": 1.0, "gpus": 0.0, "memory_gib": 0.0, "custom": {}, "labels": {}}
        if stage != "execution":
            values = {name: getattr(self.resources, name) for name in values}
        levels: list[StagesConfig] = [
            self.resources,
            *(entry.resources for entry in self.models if entry.name == model),
        ]
        levels += [named.resources] if (named := self.recipe_of(recipe)) else []
        for level in levels:
            settings = getattr(level, stage).model_dump()
            values |= {name: value for name, value in settings.items() if value is not None}
        types = next((entry.accelerator for entry in self.models if entry.name == model), None)
        if types and stage != "execution":
            values["labels"] = {**values["labels"], ACCELERATOR_LABEL: f"in({','.join(types)})"}
            given_gpus = [getattr(level, stage).gpus for level in levels]
            if "gpus" not in self.resources.model_fields_set and given_gpus == [None] * len(levels):
                values["gpus"] = BY_PREDICTION
        return StageConfig.model_construct(**values)

    def perturbation(self, name: str, compose: str = "draw") -> Spec:
        """Return the spec of a perturbation with the sweep's strengths and language resources.

        Arguments under `perturbations:` override both. `compose`: how an aggregate applies its members to a text;
        ``union`` is left to the training set.
        """
        spec = self.perturbations[name].spec(PERTURBATIONS, self.seed) if name in self.perturbations else Spec(name)
        name = spec.name
        args: dict[str, Any] = {"strength": self.strengths[name]} if name in self.strengths else {}
        language, takes = self.language.given, PERTURBATIONS.parameters(name)
        args |= {key: value for key, value in language.items() if key in takes}
        members = spec.args.get("members", getattr(PERTURBATIONS.get(name), "members", ()))
        listed = list(members) if isinstance(members, Sequence) else []  # create() refuses anything else
        strengths = {member: value for member, value in self.strengths.items() if member in listed}
        args |= {"strengths": strengths} if strengths else {}
        args |= {"language": language} if language and "language" in takes else {}
        args |= {"compose": compose} if compose == "stack" and "compose" in takes else {}
        return Spec(name, {**args, **spec.args})

    def draws_of(self, name: str) -> range:
        """Return the draws of a perturbation's test sets: one where a second draw would give the same texts."""
        evaluation = self.evaluation
        if evaluation.draws == 1 or name == CLEAN:
            return range(1)
        if evaluation.compat is not None:  # ReCode's methods all draw
            return range(evaluation.draws)
        try:
            return range(1 if self.method(name, evaluation.compose).deterministic else evaluation.draws)
        except UsageError:  # a check of its own reports it
            return range(evaluation.draws)
