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
from raysweep.config.checks.meaning import check_meaning
from raysweep.config.checks.mistakes import Mistake, first_rows, has_rejected, row_sources, told_by
from raysweep.config.checks.models import check_models
from raysweep.config.checks.recipes import check_recipes
from raysweep.config.document import KeyPath, shown
from raysweep.config.fields import SpecConfig
from raysweep.config.grid import build_grid
from raysweep.config.models import ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import Doubt, MissingInput, UsageError, did_you_mean
from raysweep.execution.oracle import inside_refused
from raysweep.generators.base import GENERATORS
from raysweep.generators.environments import environment_of
from raysweep.generators.fake import Fake
from raysweep.generators.reference import Reference
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.characters.recode import require_recode
from raysweep.perturbations.mixes import row_methods
from raysweep.problems.base import ProblemSet
from raysweep.problems.inside import inside_reasons
from raysweep.problems.packages import environment_facts
from raysweep.problems.runtimes import check_runtime
from raysweep.programs import PYTHON, Oracle
from raysweep.quality.linting import require_pylint
from raysweep.records import BASE, CLEAN, Decoding, Spec
from raysweep.rows.rated_sheets import read_rated
from raysweep.trainers.base import OBJECTIVES
from raysweep.trainers.kinds import fine_tunes
from raysweep.trainers.objectives.differences import NEEDS_RAPIDFUZZ
from raysweep.training_sets.developer_patches import DeveloperPatches
from raysweep.training_sets.leakage import LeakFinder
from raysweep.training_sets.rejected.rejecting import has_python
from raysweep.units import count

VALIDATION = ("validation", "validations")
"""The keys of `training` with validation rows."""
LOOKED_AT = 64
"""Rows of a source in which Python code is looked for."""


def check_inputs(config: SweepConfig, *, with_models: bool = True) -> list[Mistake]:
    """Return all mistakes and doubts; a check ends at a part that can't be built, of which another one tells.

    `with_models`: False if only training and test sets will be made.
    """
    checks: list[Callable[[SweepConfig], Iterator[Mistake]]] = [
        _doubled,
        _cells,
        _pairs,
        _perturbations,
        _sizes,
        check_recipes,
        _rejected,
        check_edits,
        _sources,
        _developer_patches,
        _validation,
        partial(_problems, judged=with_models),
    ]
    if with_models:  # a sheet is made from the sets
        checks += [_audit_and_quality, check_models, _generators, _references, check_meaning]
    mistakes: list[Mistake] = []
    ends: list[UsageError] = []
    for check in checks:
        try:
            mistakes += check(config)
        except UsageError as error:
            ends.append(error)
    is_told = any(not isinstance(text, Doubt) for _, text in mistakes)
    return [*mistakes, *(((), error) for error in ends if not is_told)]


def _doubled(config: SweepConfig) -> Iterator[Mistake]:
    """Find repeated names and numbers: each names its own artefact or file."""
    lists: list[tuple[KeyPath, str, Sequence[Any]]] = [
        (("seeds",), "seed", config.seeds or []),
        (("models",), "model name", [model.name for model in config.models]),
        (("evaluation", "problems"), "problem set", [problems.label for problems in config.evaluation.problems]),
    ]
    if config.training is not None:
        lists.append((("training", "sets"), "training set name", [s.name for s in config.training.sets]))
    if config.edits is not None:
        lists.append((("edits", "perturbations"), "perturbation", config.edits.perturbations))
        lists.append((("edits", "problems"), "problem", config.edits.problems or []))
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
    for at, trained in enumerate(sets):
        if trained.name == BASE:
            yield (
                ("training", "sets", at),
                f"{BASE!r} is the name for models that are not fine-tuned; give the set another name, as in "
                f"{{name: other, perturbation: {trained.perturbation}}}",
            )
        elif trained.is_clean and trained.source is None and trained.name != CLEAN:
            yield (
                ("training", "sets", at),
                f"{trained.name!r} has all rows as they are, and others are compared with that set by its name; call "
                f"it {CLEAN!r}",
            )
    if not config.judged_models:
        why = "none is evaluated, so there is nothing to report; leave out `judged: false` where one should be"
        yield ("models",), why
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
        if BASE not in [trained.name for trained in sets]:  # else that is why
            yield ("models",), str(error)


def _pairs(config: SweepConfig) -> Iterator[Mistake]:
    pairs = {} if isinstance(config.evaluation.pairs, str) else config.evaluation.pairs
    sets = [BASE, *(s.name for s in (config.training.sets if config.training else []))]
    tests = config.evaluation.perturbations
    for name, wanted in pairs.items():
        path: KeyPath = ("evaluation", "pairs", name)
        if name not in sets:
            yield path, f"no training set called {name!r}{did_you_mean(name, sets)}; there are: {', '.join(sets)}"
        for at, test in enumerate(wanted):
            if test not in tests:
                near = did_you_mean(test, tests)
                yield (*path, at), f"{test!r} is not among `evaluation.perturbations`{near}: {', '.join(tests)}"
    tests = [name for name in config.evaluation.perturbations if name != CLEAN]
    headline = config.report.headline
    if headline is not None and headline not in tests:
        why = f"{headline!r} is not among `evaluation.perturbations`{did_you_mean(headline, tests)}"
        yield ("report", "headline"), f"{why}; perturbed ones: {', '.join(tests) or 'none'}"


def _audit_and_quality(config: SweepConfig) -> Iterator[Mistake]:
    try:
        if config.evaluation.audit is not None:
            read_rated(Path(config.evaluation.audit).expanduser())
    except UsageError as error:
        yield ("evaluation", "audit"), str(error)
    try:
        if config.evaluation.quality is not None:
            require_pylint()
    except MissingInput as error:
        yield ("evaluation", "quality"), error


def _generators(config: SweepConfig) -> Iterator[Mistake]:
    """A teacher that isn't judged writes by the decoding of `rejected`, which has no beams."""
    judged = dict(_generators_of(config, config.judged_models))
    for path, generator in _generators_of(config, config.models):
        spec = generator.spec(GENERATORS, config.seed)
        decoding = config.evaluation.decoding(config.seed) if path in judged else Decoding()
        kind = GENERATORS.get(spec.name)
        yield from told_by(f"generator {spec.name!r}", partial(kind.check, decoding), ("evaluation",), path)
        try:
            environment_of(spec)
            if not kind.needs_model:
                GENERATORS.create(spec, model=None, decoding=decoding)
        except UsageError as error:
            yield path, error


def _references(config: SweepConfig) -> Iterator[Mistake]:
    """Find problems that a generator answers with their reference solution and that have none."""
    names = [model.name for model in config.judged_models if _answers_with_references(model)]
    for at, problems in enumerate(config.evaluation.problems if names else []):
        with suppress(UsageError):  # reported by _problems
            asked = config.problem_set(problems).problems()[: config.evaluation.limit]
            lacking = [problem.task_id for problem in asked if problem.reference is None]
            if lacking:
                more = f" and {len(lacking) - 1:,} more have" if lacking[1:] else " has"
                yield (
                    ("evaluation", "problems", at),
                    f"{lacking[0]}{more} no reference solution (`canonical_solution`), with which {', '.join(names)} "
                    "answers; add it, take such problems out of the file, or evaluate another model",
                )


def _answers_with_references(model: ModelConfig) -> bool:
    return model.generator is not None and model.generator.name in (Reference.name, Fake.name)


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
    cautions: dict[str, dict[str, None]] = {}  # the names of each
    for path, name, compose in used:
        try:
            if name not in config.perturbations and (needed := PERTURBATIONS.required_arguments(name)):
                entry = ", ".join([f"name: {name}", *(f"{argument}: ..." for argument in needed)])
                raise UsageError(
                    f"perturbation {name!r} needs arguments; name it with them, as in `perturbations: {{mine: "
                    f"{{{entry}}}}}`, and put that name here"
                )
            method = config.method(name, compose)
            if method.caution and path[0] in ("training", "evaluation"):
                cautions.setdefault(method.caution, {})[name] = None
            if tests.compat is not None and path[0] == "evaluation":
                require_recode(method)
        except UsageError as error:
            if str(error) not in reported:
                yield path, error
            reported.add(str(error))
    for caution, of in cautions.items():
        yield ("language", "translator"), Doubt(f"{', '.join(of)} {'are' if len(of) > 1 else 'is'} {caution}")


def _sizes(config: SweepConfig) -> Iterator[Mistake]:
    for at, wanted in enumerate(config.training.sets if config.training else []):
        if wanted.perturbation == CLEAN or wanted.size == 1:
            continue
        with suppress(UsageError):  # reported by _perturbations
            method = config.method(wanted.perturbation, wanted.compose)
            methods = len(row_methods(method, Spec(wanted.perturbation)))
            if wanted.ratio * wanted.size > methods:
                yield (
                    ("training", "sets", at, "size"),
                    f"{wanted.size:g} times the source's rows, {wanted.ratio:g} of them perturbed, are more than each "
                    f"row once after each of {count(methods, 'method')}; give a size of at most "
                    f"{methods / wanted.ratio:.4g}",
                )


def _rejected(config: SweepConfig) -> Iterator[Mistake]:
    models = {model.name: model for model in config.models}
    for place, source, recipes in row_sources(config):
        is_pretraining = place[0] == "models"
        names = sorted(name for name in recipes if OBJECTIVES.get(config.recipes[name].objective).prefers)
        if names and not has_rejected(config, source):
            objectives = sorted({config.recipes[name].objective for name in names})
            compare = f"{', '.join(objectives)} ({', '.join(names)}) compare{'s' * (len(objectives) == 1)}"
            way = (
                "name the field that has one, as in `rejected: {field: rejected}`, have their Python code changed "
                "(`rejected: {mutator: python}`) or a model write some (`rejected: {teacher: MODEL}`), or take "
            )
            if is_pretraining:
                way = "a model from scratch is trained on responses alone: take "
            yield (
                place,
                f"its rows have no rejected response, with which {compare} each response; {way}`objective: sft`",
            )
        made = source.rejected
        if made is None or made.field is not None:
            continue
        if importlib.util.find_spec("rapidfuzz") is None:
            yield (*place, "rejected"), MissingInput(f"filtering rejected responses {NEEDS_RAPIDFUZZ}")
        if is_pretraining:
            yield (*place, "rejected"), "a model from scratch is trained on responses alone; remove it"
        elif made.teacher is not None and made.teacher not in models:
            near = did_you_mean(made.teacher, models)
            why = f"no model is called {made.teacher!r}{near}; `models` has {', '.join(models)}"
            yield (*place, "rejected", "teacher"), why
        elif made.teacher is not None:
            generator = models[made.teacher].generator
            if generator is not None and generator.name == Reference.name:
                why = f"gives reference solutions (`generator: {generator.name}`) and writes no variants"
                yield (*place, "rejected", "teacher"), f"model {made.teacher!r} {why}"
        elif (rows := first_rows(config, source, LOOKED_AT)) and not any(map(has_python, rows)):
            yield (
                (*place, "rejected", "mutator"),
                f"it changes Python code, and none of the first {count(len(rows), 'response')} is Python or has a "
                "block of it; have a model write variants, as in `rejected: {teacher: MODEL}`",
            )


def _sources(config: SweepConfig) -> Iterator[Mistake]:
    for path, spec, recipes in row_sources(config):
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
                yield ("recipes", name, "batch_size"), f"{batch} is more than the {rows} rows of `{shown(path)}`{way}"


def _developer_patches(config: SweepConfig) -> Iterator[Mistake]:
    patches = DeveloperPatches(map(config.problem_set, config.evaluation.problems))
    leaves_out = config.training is not None and config.training.decontaminate == "drop"
    for place, source, _ in row_sources(config) if patches else ():
        is_pretraining = place[0] == "models"
        if not is_pretraining and (leaves_out or place[1] in VALIDATION):
            continue
        way = "" if is_pretraining else ", or give `decontaminate: drop`, which leaves them out"
        found = [(row.row_id, patch) for row in config.source(source).rows() if (patch := patches.found(row))]
        if found:
            row_id, patch = found[0]
            yield (
                place,
                f"{count(len(found), 'row')} {'is a patch' if len(found) == 1 else 'are patches'} by developers of "
                f"projects that models are evaluated on, first {row_id!r} ({patch}); remove them{way}",
            )


def _validation(config: SweepConfig) -> Iterator[Mistake]:
    """The loss of rows that are trained on says nothing; to choose by that of leaking rows is to choose by the test."""
    evaluated = config.evaluation.problems
    for of in config.training.row_sources if config.training else ():
        if of.validation is None:
            continue
        with suppress(UsageError):  # the checks of sources and problems report it
            source = config.source(of.validation)
            finder = LeakFinder({p.label: config.problem_set(p) for p in evaluated if p.name not in source.apart_from})
            leaks = list(finder.leaks(source.rows()))
            rows, trained_on = (
                {(*row.prompt_texts, row.output) for row in some.rows()} for some in (source, config.source(of.rows))
            )
            known = rows & trained_on
            if known:
                text = f"{len(known):,} of its {count(len(rows), 'row')} are rows of `{of.words}`"
                way = "their loss isn't that of new rows; remove them, unless they are few and equal by chance"
                yield of.validation_place, f"{text}; take others" if known == rows else Doubt(f"{text}: {way}")
            if leaks:
                number, first = len({leak.row_id for leak in leaks}), leaks[0]
                yield (
                    of.validation_place,
                    f"{count(number, 'row')} {'leaks' if number == 1 else 'leak'} test problems, first "
                    f"{first.row_id!r}: it has the {first.rule} of {first.task_id} of {first.problem_set!r}; remove "
                    "such rows, or take another source",
                )


def _environment(config: SweepConfig, at: int, problem_set: ProblemSet) -> Iterator[Mistake]:
    name, known = problem_set.environment, config.execution.environments
    if name not in known:
        there = f"there are: {', '.join(known)}" if known else f"name its Python: {{{name}: PATH}}"
        why = f"no environment is called {name!r}{did_you_mean(name, known)} under `execution.environments`; {there}"
        yield ("evaluation", "problems", at, "environment"), why
        return
    try:
        facts = environment_facts(
            config.evaluation.problems[at].label, problem_set, config.execution.sandbox, config.evaluation.limit
        )
    except UsageError as error:  # the same one for all sets in it
        yield ("execution", "environments", name), error
        return
    if facts.problems and len(facts.lacking) == facts.problems:
        why = f"{facts.words}; {facts.advice}, or name another environment"
        yield ("evaluation", "problems", at), why


def _problems(config: SweepConfig, judged: bool) -> Iterator[Mistake]:
    """What only reference solutions show is refused before work where they were judged (raysweep/sweep/guards.py)."""
    sandbox, reasons = config.execution.sandbox, dict[str, str]()
    for at, problems in enumerate(config.evaluation.problems):
        try:
            problem_set = config.problem_set(problems)
            if why := config.execution.limits(problem_set.limits).unusable(problem_set.language):
                yield ("execution",), why
            problem_set.check(judged=judged)
            if judged and problem_set.environment:
                yield from _environment(config, at, problem_set)
            elif judged and (problem_set.runtime != PYTHON or problem_set.cases):
                asked = problem_set.problems()[: config.evaluation.limit]
                check_runtime(problem_set.runtime, asked, sandbox)
            if judged and sandbox.require_oracle is Oracle.OUTSIDE:
                reasons |= inside_reasons(problem_set.problems(), {})
        except UsageError as error:
            yield ("evaluation", "problems", at), error
    if reasons:
        yield ("execution", "require_oracle"), inside_refused(reasons)
