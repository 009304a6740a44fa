"""Checks across several settings, and that the files and models a config names can be read. Runs before any work.

The schema (`raysweep.config.schema`) checks each value alone; the checks here look at several, build the registered
classes or read files. Nothing heavy is imported unless something is wrong.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from raysweep.config.checks.edits import check_edits
from raysweep.config.checks.groups import check_groups
from raysweep.config.checks.meaning import check_meaning
from raysweep.config.checks.mistakes import Doubt, Mistake, first_rows
from raysweep.config.checks.models import check_models, has_rejected
from raysweep.config.document import KeyPath
from raysweep.config.fields import SourceConfig, SpecConfig
from raysweep.config.grid import build_grid
from raysweep.config.models import ModelConfig, RecipeConfig
from raysweep.config.schema import SweepConfig
from raysweep.config.training import RowSource
from raysweep.errors import MissingInput, UsageError, did_you_mean, install_extra
from raysweep.execution.oracle import inside_refused
from raysweep.generators.base import GENERATORS
from raysweep.generators.environments import environment_of
from raysweep.generators.reference import Reference
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.characters.recode import require_recode
from raysweep.perturbations.mixes import row_methods
from raysweep.problems.compiled import check_toolchain
from raysweep.problems.inside import inside_reasons
from raysweep.programs import COMPILED, Oracle
from raysweep.quality.linting import require_pylint
from raysweep.records import BASE, CLEAN, Spec
from raysweep.rows.rated_sheets import read_rated
from raysweep.trainers.base import OBJECTIVES
from raysweep.trainers.best import BEST
from raysweep.trainers.kinds import fine_tunes
from raysweep.trainers.sharding.choice import UNSHARED, refusal, sharding_name
from raysweep.training_sets.developer_patches import DeveloperPatches
from raysweep.training_sets.leakage import LeakFinder
from raysweep.training_sets.rejecting import has_python
from raysweep.units import count

VALIDATION = ("validation", "validations")
"""The keys of `training` with validation rows."""
NEEDS_RAPIDFUZZ = "needs the package rapidfuzz: pip install 'rapidfuzz>=3.9'"


def check_inputs(config: SweepConfig, *, with_models: bool = True) -> list[Mistake]:
    """`with_models`: False if only training and test sets will be made."""
    checks: list[Callable[[SweepConfig], Iterator[Mistake]]] = [
        _doubled,
        _cells,
        _pairs,
        _headline,
        _perturbations,
        _cautions,
        _sizes,
        _recipes,
        _judged_on,
        _preferences,
        check_edits,
        check_groups,
        _rejected,
        _sources,
        _developer_patches,
        _validation,
        _kept,
        partial(_problems, judged=with_models),
    ]
    if with_models:  # a sheet is made from the sets
        checks += [_audit, _quality, check_models, _generators, _beams, check_meaning]
    return [finding for check in checks for finding in check(config)]


def _doubled(config: SweepConfig) -> Iterator[Mistake]:
    """Find repeated names and numbers: each names its own artefact or file."""
    lists: list[tuple[KeyPath, str, Sequence[Any]]] = [
        (("seeds",), "seed", config.seeds or []),
        (("models",), "model name", [model.name for model in config.models]),
        (("evaluation", "problems"), "problem set", [problems.label for problems in config.evaluation.problems]),
    ]
    if config.training is not None:
        lists.append((("training", "sets"), "training set name", [s.name for s in config.training.sets]))
    lists += [(("models", at, "recipes"), "recipe", model.recipes) for at, model in enumerate(config.models)]
    lists += [(("models", at, "sets"), "training set", model.sets or []) for at, model in enumerate(config.models)]
    if isinstance(config.evaluation.pairs, Mapping):
        lists += [(("evaluation", "pairs", k), "perturbation", v) for k, v in config.evaluation.pairs.items()]
    for path, what, values in lists:
        for at, value in enumerate(values):
            if value in values[:at]:
                way = "; rename one, as in {name: jsonl, as: mine, path: ...}" * (what == "problem set")
                yield (*path, at), f"the {what} {value!r} is listed twice; each must differ{way}"


def _cells(config: SweepConfig) -> Iterator[Mistake]:
    sets = config.training.sets if config.training else []
    based = [at for at, trained in enumerate(sets) if trained.name == BASE]
    for at in based:
        yield (
            ("training", "sets", at),
            f"{BASE!r} is the name for models that are not fine-tuned; give the set another name, as in "
            f"{{name: other, perturbation: {sets[at].perturbation}}}",
        )
    for at, trained in enumerate(sets):
        if trained.is_clean and trained.source is None and trained.name not in (BASE, CLEAN):
            yield (
                ("training", "sets", at),
                f"{trained.name!r} has all rows as they are, and others are compared with that set by its name; call "
                f"it {CLEAN!r}",
            )
    if not config.judged_models:
        yield (
            ("models",),
            "none is evaluated, so there is nothing to report; leave out `judged: false` where one should be",
        )
    for at, model in enumerate(config.models):
        trains = [name for name in model.recipes if fine_tunes(config.recipes[name].trainer)]
        if trains and config.training is None:
            yield ("models", at, "recipes"), "there is no `training:` section to fine-tune on"
        for key in ("revision", "trust_remote_code", "dtype", "eos_token"):
            has = model.path is not None or (key == "dtype" and model.pretrain is not None)
            if not has and getattr(model, key) != ModelConfig.model_fields[key].default:
                owner = "`path` or `pretrain`" if key == "dtype" else "`path`"
                yield ("models", at, key), f"only a model with a {owner} has this; leave it out"
    try:
        build_grid(config)
    except UsageError as error:
        if not based:  # else that is why
            yield ("models",), str(error)


def _pairs(config: SweepConfig) -> Iterator[Mistake]:
    if isinstance(config.evaluation.pairs, str):
        return
    sets = [BASE, *(s.name for s in (config.training.sets if config.training else []))]
    tests = config.evaluation.perturbations
    for name, wanted in config.evaluation.pairs.items():
        path: KeyPath = ("evaluation", "pairs", name)
        if name not in sets:
            yield path, f"no training set called {name!r}{did_you_mean(name, sets)}; there are: {', '.join(sets)}"
        for at, test in enumerate(wanted):
            if test not in tests:
                near = did_you_mean(test, tests)
                yield (*path, at), f"{test!r} is not among `evaluation.perturbations`{near}: {', '.join(tests)}"


def _headline(config: SweepConfig) -> Iterator[Mistake]:
    tests = [name for name in config.evaluation.perturbations if name != CLEAN]
    name = config.report.headline
    if name is not None and name not in tests:
        listed = ", ".join(tests) or "none"
        yield (
            ("report", "headline"),
            f"{name!r} is not among `evaluation.perturbations`{did_you_mean(name, tests)}; perturbed ones: {listed}",
        )


def _audit(config: SweepConfig) -> Iterator[Mistake]:
    if config.evaluation.audit is not None:
        try:
            read_rated(Path(config.evaluation.audit).expanduser())
        except UsageError as error:
            yield ("evaluation", "audit"), str(error)


def _quality(config: SweepConfig) -> Iterator[Mistake]:
    if config.evaluation.quality is not None:
        try:
            require_pylint()
        except MissingInput as error:
            yield ("evaluation", "quality"), error


def _generators(config: SweepConfig) -> Iterator[Mistake]:
    for path, generator in _generators_of(config, config.models):
        spec = generator.spec(GENERATORS, config.seed)
        try:
            environment_of(spec)
            if not GENERATORS.get(spec.name).needs_model:
                GENERATORS.create(spec, model=None, decoding=config.evaluation.decoding(config.seed))
        except UsageError as error:
            yield path, error


def _beams(config: SweepConfig) -> Iterator[Mistake]:
    decoding, found = config.evaluation.decoding(config.seed), dict[KeyPath, str]()
    for path, generator in _generators_of(config, config.judged_models) if decoding.beams > 1 else ():
        used = GENERATORS.get(generator.name)
        found[("evaluation", "beams") if used.searches else path] = used.refused_beams(decoding)
    yield from ((path, why) for path, why in found.items() if why)


def _generators_of(config: SweepConfig, models: Collection[ModelConfig]) -> Iterator[tuple[KeyPath, SpecConfig]]:
    if any(model.generator is None for model in models):
        yield ("evaluation", "generator"), config.evaluation.generator
    for at, model in enumerate(config.models):
        if model in models and model.generator is not None:
            yield ("models", at, "generator"), model.generator


def _perturbations(config: SweepConfig) -> Iterator[Mistake]:
    used: list[tuple[KeyPath, str, str]] = [(("perturbations", name), name, "draw") for name in config.perturbations]
    for name in config.strengths:
        if name in config.perturbations or PERTURBATIONS.required_arguments(name):
            yield ("strengths", name), "its strength belongs under `perturbations:`, beside its other arguments"
        else:
            used.append((("strengths", name), name, "draw"))
    tests, sets = config.evaluation, config.training.sets if config.training else []
    used += [(("training", "sets", at), s.perturbation, s.compose) for at, s in enumerate(sets)]
    used += [(("evaluation", "perturbations", at), n, tests.compose) for at, n in enumerate(tests.perturbations)]
    reported: set[str] = set()
    for path, name, compose in used:
        wrong = _wrong(config, name, compose, tests.compat is not None and path[0] == "evaluation")
        if wrong and str(wrong) not in reported:
            reported.add(str(wrong))
            yield path, wrong


def _wrong(config: SweepConfig, name: str, compose: str, as_recode: bool) -> str | UsageError:
    if name not in config.perturbations and (needed := PERTURBATIONS.required_arguments(name)):
        entry = ", ".join([f"name: {name}", *(f"{argument}: ..." for argument in needed)])
        return (
            f"perturbation {name!r} needs arguments; name it with them, as in `perturbations: {{mine: {{{entry}}}}}`, "
            "and put that name here"
        )
    try:
        method = config.method(name, compose)
        if as_recode:
            require_recode(method)
    except UsageError as error:
        return error
    return ""


def _cautions(config: SweepConfig) -> Iterator[Mistake]:
    tests, sets = config.evaluation, config.training.sets if config.training else []
    used = [(name, tests.compose) for name in tests.perturbations] + [(s.perturbation, s.compose) for s in sets]
    names: dict[str, dict[str, None]] = {}  # by caution
    for name, compose in used:
        with suppress(UsageError):  # reported by _perturbations
            if caution := config.method(name, compose).caution:
                names.setdefault(caution, {})[name] = None
    for caution, of in names.items():
        yield ("language", "translator"), Doubt(f"{', '.join(of)} {'are' if len(of) > 1 else 'is'} {caution}")


def _sizes(config: SweepConfig) -> Iterator[Mistake]:
    for at, wanted in enumerate(config.training.sets if config.training else []):
        if wanted.perturbation == CLEAN or wanted.size == 1:
            continue
        try:
            method = config.method(wanted.perturbation, wanted.compose)
            methods = len(row_methods(method, Spec(wanted.perturbation)))
        except UsageError:
            continue  # reported by _perturbations
        if wanted.ratio * wanted.size > methods:
            yield (
                ("training", "sets", at, "size"),
                f"{wanted.size:g} times the source's rows, {wanted.ratio:g} of them perturbed, are more than each row "
                f"once after each of {count(methods, 'method')}; give a size of at most {methods / wanted.ratio:.4g}",
            )


def _recipes(config: SweepConfig) -> Iterator[Mistake]:
    for name, recipe in config.recipes.items():
        try:
            config.objective(recipe)
        except UsageError as error:
            yield ("recipes", name, "objective_args"), str(error)
        if OBJECTIVES.get(recipe.objective).reads_pairs and importlib.util.find_spec("rapidfuzz") is None:
            needed = MissingInput(f"`objective: {recipe.objective}` {NEEDS_RAPIDFUZZ}")
            yield ("recipes", name, "objective"), needed
        trained = [model.name for model in config.models if name in model.recipes] or [""]
        on_gpu = all(config.asked("training", model, name).gpus for model in trained)
        mistakes = [*_sharing(recipe, on_gpu), *_settings_without_use(recipe)]
        yield from ((("recipes", name, field), text) for field, text in mistakes)


def _judged_on(config: SweepConfig) -> Iterator[Mistake]:
    labels = [problems.label for problems in config.evaluation.problems]
    for name, recipe in config.recipes.items():
        for at, label in enumerate(recipe.problems or []):
            if label not in labels:
                text = f"no problem set called {label!r}{did_you_mean(label, labels)} under `evaluation.problems`"
                yield ("recipes", name, "problems", at), f"{text}; there are: {', '.join(labels)}"


def _preferences(config: SweepConfig) -> Iterator[Mistake]:
    for place, source, recipes in _row_sources(config):
        names = sorted(name for name in recipes if OBJECTIVES.get(config.recipes[name].objective).prefers)
        if names and not has_rejected(config, source):
            objectives = " and ".join(sorted({config.recipes[name].objective for name in names}))
            way = (
                "name the field that has one, as in `rejected: {field: rejected}`, have their Python code changed "
                "(`rejected: {mutator: python}`) or a model write some (`rejected: {teacher: MODEL}`), or take "
            )
            if place[0] == "models":
                way = "a model from scratch is trained on responses alone: take "
            yield (
                place,
                f"its rows have no rejected response, with which {objectives} ({', '.join(names)}) compares each "
                f"response; {way}`objective: sft`",
            )


def _rejected(config: SweepConfig) -> Iterator[Mistake]:
    models = {model.name: model for model in config.models}
    for place, source, _ in _row_sources(config):
        made = source.rejected
        if made is None or made.field is not None:
            continue
        if importlib.util.find_spec("rapidfuzz") is None:
            yield (*place, "rejected"), MissingInput(f"filtering rejected responses {NEEDS_RAPIDFUZZ}")
        if place[0] == "models":
            yield (*place, "rejected"), "a model from scratch is trained on responses alone; remove it"
        elif made.teacher is not None and (why := _no_teacher(made.teacher, models)):
            yield (*place, "rejected", "teacher"), why
        elif made.mutator is not None:
            rows = first_rows(config, source, LOOKED_AT)
            if rows and not any(map(has_python, rows)):
                yield (
                    (*place, "rejected", "mutator"),
                    f"it changes Python code, and none of the first {count(len(rows), 'response')} is Python or has a "
                    "block of it; have a model write variants, as in `rejected: {teacher: MODEL}`",
                )


def _no_teacher(name: str, models: Mapping[str, ModelConfig]) -> str:
    if name not in models:
        return f"no model is called {name!r}{did_you_mean(name, models)}; `models` has {', '.join(models)}"
    generator = models[name].generator
    if generator is not None and generator.name == Reference.name:
        return f"model {name!r} gives reference solutions (`generator: {generator.name}`) and writes no variants"
    return ""


LOOKED_AT = 64
"""Rows of a source in which Python code is looked for."""


SAFECODERS = {
    "workers": 1,
    "parallel": None,
    "precision": "float32",
    "length_buckets": 0,
    "batching": "padded",
    "micro_batch_size": None,
    "micro_batch_tokens": None,
    "optimizer": "adamw",
    "clip_value": None,
}
"""The only values that fit to `compat: safecoder`, which takes rows one by one on one worker."""


def _settings_without_use(recipe: RecipeConfig) -> Iterator[tuple[str, str]]:
    for section in ("lora", "ia3"):
        if recipe.trainer == section or not fine_tunes(recipe.trainer) or not _says_something(recipe, section):
            continue
        if recipe.trainer in ("lora", "ia3"):
            rank = "; IA3 has no rank `r`" if section == "lora" else ""
            yield section, f"the trainer {recipe.trainer!r} takes its settings from `{recipe.trainer}:`{rank}"
        else:
            way = f"write `trainer: {section}`, or leave it out"
            yield section, Doubt(f"it counts with the trainer {section!r}, and this is {recipe.trainer!r}; {way}")
    if recipe.trainer == "lora" and recipe.lora.preset is not None:
        if recipe.lora.targets is not None:
            yield "lora", "`targets` and `preset` both name the modules; remove one of them"
        if recipe.lora.preset == "study" and recipe.lora.train_embeddings:
            yield "lora", "`preset: study` updates lm_head by low rank, `train_embeddings` trains all of it; remove one"
    if recipe.batching == "packed" and not OBJECTIVES.get(recipe.objective).packs:
        why = ", since two texts of each row go through the model" if OBJECTIVES.get(recipe.objective).prefers else ""
        yield (
            "batching",
            f"`objective: {recipe.objective}` takes no rows packed into one sequence{why}; use `batching: padded`",
        )
    if recipe.compat == "safecoder" and OBJECTIVES.get(recipe.objective).prefers:
        yield (
            "compat",
            f"SafeCoder's loop trains on responses alone, and `objective: {recipe.objective}` on preference pairs; "
            "remove one",
        )
    for field, value in SAFECODERS.items() if recipe.compat == "safecoder" else ():
        if getattr(recipe, field) != value:
            what = "trains by AdamW and clips by norm" if field in UNSHARED else "takes rows one by one on one worker"
            yield field, f"`compat: safecoder` {what}, in float32; remove `{field}`"
    if recipe.optimizer == "adafactor":
        for field in ("betas", "eps"):
            if getattr(recipe, field) != RecipeConfig.model_fields[field].default:
                yield field, "only AdamW has it, and the recipe has `optimizer: adafactor`; remove one of them"
    if recipe.clip_value is not None and recipe.clip != RecipeConfig.model_fields["clip"].default:
        yield "clip", "`clip_value` takes its place; remove one of them"


def _says_something(recipe: RecipeConfig, section: str) -> bool:
    """Return True if a section of a recipe is given with settings; a resolved config has them all, and the defaults."""
    own = getattr(recipe, section)
    is_resolved = len(recipe.model_fields_set) == len(RecipeConfig.model_fields)
    return bool(own.model_fields_set) and not (is_resolved and own == type(own)())


def _sharing(recipe: RecipeConfig, on_gpu: bool) -> Iterator[tuple[str, str | MissingInput]]:
    parallel = sharding_name(recipe.recipe("", ""), recipe.workers)
    if recipe.workers > recipe.batch_size:
        yield "workers", f"{recipe.workers} workers are more than the {recipe.batch_size} rows of a step (`batch_size`)"
    if recipe.offload and parallel == "ddp":
        yield "offload", "only ZeRO can keep the optimizer elsewhere; give `parallel: zero2` (zero1, zero3) beside it"
    if parallel != "ddp" and recipe.precision == "float16" and not on_gpu:
        yield (
            "precision",
            f"float16 with `parallel: {parallel}` needs a GPU (`resources.gpus`); use bf16, or ddp on CPUs",
        )
    if parallel != "ddp" and (why := refusal(recipe.recipe("", ""))):
        yield "parallel", why
    if parallel != "ddp" and recipe.compile:
        yield "compile", f"a model that `parallel: {parallel}` shares can't be compiled; use `parallel: ddp`"
    if parallel != "ddp" and importlib.util.find_spec("deepspeed") is None:
        setting = f"`parallel: {parallel}`" + ("" if recipe.parallel else f", the default of {recipe.workers} workers,")
        way = f"{install_extra('deepspeed')}, or give `parallel: ddp`"
        yield "parallel", MissingInput(f"{setting} needs DeepSpeed: {way}")


def _row_sources(config: SweepConfig) -> Iterator[tuple[KeyPath, SourceConfig, list[str]]]:
    """Yield each source of training and validation rows: its place, itself, and the recipes that read it."""
    for at, model in enumerate(config.models):
        if model.pretrain is not None:
            yield ("models", at, "pretrain", "source"), model.pretrain.source, [model.pretrain.recipe]
    for source in config.training.row_sources if config.training else ():
        used = config.recipes_of(source)
        yield source.place, source.rows, used
        if source.validation is not None:
            yield source.validation_place, source.validation, used


def _sources(config: SweepConfig) -> Iterator[Mistake]:
    for path, spec, recipes in _row_sources(config):
        try:
            source = config.source(spec)
            source.check()
        except UsageError as error:
            yield path, error
            continue
        rows = getattr(source, "size", None)  # only some know it before they make their rows
        for name in recipes if path[1] not in VALIDATION else ():
            batch = config.recipes[name].batch_size
            if rows is not None and rows < batch:
                way = f"; with --set recipes.{name}.batch_size={rows} they fit" if rows and "." not in name else ""
                yield ("recipes", name, "batch_size"), f"{batch} is more than the {rows} rows of {_shown(path)}{way}"


def _developer_patches(config: SweepConfig) -> Iterator[Mistake]:
    made = ((("models", at, "pretrain", "source"), model.pretrain) for at, model in enumerate(config.models))
    sources: list[tuple[KeyPath, SourceConfig, str]] = [
        (place, pretrain.source, "") for place, pretrain in made if pretrain is not None
    ]
    if config.training is not None and config.training.decontaminate != "drop":
        way = ", or give `decontaminate: drop`, which leaves them out"
        sources += [(source.place, source.rows, way) for source in config.training.row_sources]
    try:
        patches = DeveloperPatches(map(config.problem_set, config.evaluation.problems))
        for place, source, way in sources if patches else ():
            rows = config.source(source).rows()
            found = [(row.row_id, patch) for row in rows if (patch := patches.found(row))]
            if found:
                row_id, patch = found[0]
                yield (
                    place,
                    f"{count(len(found), 'row')} {'is a patch' if len(found) == 1 else 'are patches'} by developers of "
                    f"projects that models are evaluated on, first {row_id!r} ({patch}); remove them{way}",
                )
    except UsageError:
        return  # the checks of sources and problems report it


def _validation(config: SweepConfig) -> Iterator[Mistake]:
    """The loss of rows that are trained on says nothing; to choose by that of leaking rows is to choose by the test."""
    for source in config.training.row_sources if config.training else ():
        if source.validation is not None:
            for finding in _validation_rows(config, source, source.validation):
                yield source.validation_place, finding


def _kept(config: SweepConfig) -> Iterator[Mistake]:
    lacking: dict[str, str] = {}
    for model in config.models:
        if model.pretrain is not None:
            why = f"{model.name} is pre-trained without any; remove it from the recipe"
            lacking.setdefault(model.pretrain.recipe, why)
    for source in config.training.row_sources if config.training else ():
        if source.validation is None:
            key = ".".join(map(str, source.validation_place))
            for name in config.recipes_of(source):
                lacking.setdefault(name, f"the rows of `{source.words}` have none; name some as `{key}`")
    for name, why in lacking.items():
        if (
            config.recipes[name].keep == BEST and not config.recipes[name].is_candidate
        ):  # those lack rows to be chosen by
            yield (
                ("recipes", name, "keep"),
                f"`keep: {BEST}` chooses an epoch by validation rows, and {why}",
            )


def _validation_rows(config: SweepConfig, of: RowSource, validation: SourceConfig) -> Iterator[str]:
    try:
        source, evaluated = config.source(validation), config.evaluation.problems
        finder = LeakFinder({p.label: config.problem_set(p) for p in evaluated if p.name not in source.apart_from})
        leaks = list(finder.leaks(source.rows()))
        rows = {(row.instruction, row.input, row.output) for row in source.rows()}
        trained_on = config.source(of.rows).rows()
        known = rows & {(row.instruction, row.input, row.output) for row in trained_on}
    except UsageError:
        return  # the checks of sources and problems report it
    if known:
        text = f"{len(known):,} of its {count(len(rows), 'row')} are rows of `{of.words}`; take others"
        yield text if known == rows else Doubt(text)
    if leaks:
        number, first = len({leak.row_id for leak in leaks}), leaks[0]
        yield (
            f"{count(number, 'row')} {'leaks' if number == 1 else 'leak'} test problems, first {first.row_id!r}: "
            f"it has the {first.rule} of {first.task_id} of {first.problem_set!r}; remove such rows, or take another "
            "source"
        )


def _problems(config: SweepConfig, judged: bool) -> Iterator[Mistake]:
    """What only reference solutions show is refused before work where they were judged (raysweep/sweep/guards.py)."""
    reasons: dict[str, str] = {}
    for at, problems in enumerate(config.evaluation.problems):
        try:
            problem_set = config.problem_set(problems)
            if why := config.execution.limits(problem_set.limits).unusable(problem_set.language):
                yield ("execution",), why
            problem_set.check(judged=judged)
            if judged and problem_set.language in COMPILED:
                asked = problem_set.problems()[: config.evaluation.limit]
                check_toolchain(problem_set.language, asked, config.execution.sandbox.cpp_flags)
            if judged and config.execution.sandbox.require_oracle is Oracle.OUTSIDE:
                reasons |= inside_reasons(problem_set.problems(), {})
        except UsageError as error:
            yield ("evaluation", "problems", at), error
    if reasons:
        yield ("execution", "require_oracle"), inside_refused(reasons)


def _shown(path: KeyPath) -> str:
    return "`" + ".".join(map(str, path)) + "`"
