"""Words the lines of a report on what a config doesn't say itself, on the execution of programs, and on leaked rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from raysweep.analysis.tables.order import labelled
from raysweep.analysis.tables.trainings import NOT_RECORDED
from raysweep.config.schema import ExecutionConfig, SweepConfig
from raysweep.errors import UsageError
from raysweep.execution.oracle import BY_CASES, NO_BOUNDARY, with_reasons
from raysweep.language.translation.base import TRANSLATORS
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.mixes import NO_TRANSLATOR
from raysweep.planning.plan import LeakagePlan
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Lane, Level, Oracle, Outcome
from raysweep.prompts.answers.found import in_words
from raysweep.records import Leak, ReferenceRun
from raysweep.storage.store import Store
from raysweep.sweep.report.names import words_of
from raysweep.training_sets.leakage import DEVELOPER_PATCH
from raysweep.units import count, share

Line = tuple[str, str]
"""A label and its text."""


def settings_lines(config: SweepConfig) -> list[Line]:
    """Return what the resolved config doesn't say itself: rates of perturbations, cautions, limits of programs."""
    return [*_perturbations(config), *_cautions(config), *_limits(config)]


def translators_by_test(test_sets: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return test perturbations by their translator with version. `test_sets`: a manifest for each perturbation."""
    tests: dict[str, list[str]] = {}
    for name, manifest in test_sets.items():
        if translator := _of_perturbation(manifest).get("resources", {}).get("translator"):
            tests.setdefault(translator, []).append(name)
    return tests


def translation_lines(test_sets: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    """Return the line on who translated which test sets, and what the numbers on them are not good for.

    `test_sets`: a manifest for each perturbation.
    """
    parts = []
    for translator, names in translators_by_test(test_sets).items():
        args = _of_perturbation(test_sets[names[0]])["args"]
        engine = {**args.get("language", {}), **args}.get("translator", "")
        caution = TRANSLATORS.get(engine).caution if engine in TRANSLATORS.names() else ""
        parts.append(f"{', '.join(names)} by {translator}" + (f" ({caution})" if caution else ""))
    return [("translated", "; ".join(parts))] if parts else []


def _of_perturbation(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = manifest["spec"].get("perturbation") or {}
    return spec


def _perturbations(config: SweepConfig) -> Iterator[Line]:
    sets = config.training.sets if config.training else []
    for name in dict.fromkeys([*config.evaluation.perturbations, *(entry.perturbation for entry in sets)]):
        label = labelled(name, {name: words_of(config, name)})
        try:
            method = config.method(name)
        except UsageError:  # the report may be written on a machine without a translator
            yield label, PERTURBATIONS.get(config.perturbation(name).name).title
            continue
        if method.level != "none":
            parts = (method.title, f"strength {method.strength:g}", method.rate_text())
            yield label, ", ".join(filter(None, parts))


def _cautions(config: SweepConfig) -> Iterator[Line]:
    if config.language.translator == NO_TRANSLATOR:
        yield "left out", "methods that translate, such as S1, also of mixes: language.translator is none"
    if config.evaluation.compat:
        yield "compat", f"{config.evaluation.compat}: its code perturbs the test prompts, without regard to strengths"
    if config.resources.allow_mixed:
        yield "devices", "models with the same weights may have run on unlike accelerators and versions"


def _limits(config: SweepConfig) -> Iterator[Line]:
    for problems in config.evaluation.problems:
        problem_set, factor = PROBLEMS.get(problems.name), config.execution.reference_factor
        limits, reference = config.execution.limits(problem_set.limits), ""
        if factor and limits.timeout > problem_set.least_timeout:
            least = f"{problem_set.least_timeout:g} s at least"
            reference = f", or {factor:g} times its reference solution's time if that is less, but {least}"
        yield (
            f"limits of a program on {problems.label}",
            f"{limits.timeout:g} s of effective time{reference}, {limits.wall_factor:g} times that in all, "
            f"{limits.memory_mib} MiB of memory, {limits.output_kib} KiB of output",
        )


def limit_text(config: SweepConfig) -> str:
    """Return the sentence that a limited run begins with; empty if all problems are judged."""
    if config.evaluation.limit is None:
        return ""
    return f"evaluated on the first {count(config.evaluation.limit, 'problem')} of every problem set, not on all."


def modules_lines(modules: Mapping[str, Mapping[str, Sequence[str]]]) -> list[Line]:
    return [
        (
            f"adapters of recipe {recipe}",
            "; ".join(f"{', '.join(names) or NOT_RECORDED} ({model})" for model, names in by_model.items()),
        )
        for recipe, by_model in modules.items()
    ]


TOTALS = ("rows", "programs_run", "near_limit", "programs_shared", "programs_judged_again", "programs_judged_otherwise")


def execution_lines(config: ExecutionConfig, counts: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Return the lines on isolation, lanes, completions that were not run, verdicts near the limit, second verdicts.

    `counts`: of each results artefact, see `raysweep.stages.judging`.
    """
    usable = [manifest for manifest in counts if manifest.get("rows")]
    if not usable:
        return []
    totals = {name: sum(int(manifest.get(name, 0)) for manifest in usable) for name in TOTALS}
    levels, lanes, oracles = (_summed(usable, name) for name in ("levels", "lanes", "oracles"))
    rows, shared = totals["rows"], lanes[Lane.SHARED]
    return [
        ("isolation", f"level {_levels(levels)}; required: {config.require}"),
        ("tests", f"{share(oracles[Oracle.OUTSIDE], rows)} of verdicts are from a process that no program enters"),
        (
            "mode",
            f"{Lane(config.lane).mode} (lane {config.lane}); {share(shared, rows)} of verdicts are from processes that "
            "programs shared",
        ),
        (
            "completions that were not run",
            f"{share(rows - totals['programs_run'], rows)} of {rows:,}: "
            "an equal program had been run, in this sweep or in another",
        ),
        (
            "verdicts near the limit",
            f"{share(totals['near_limit'], rows)} took half of the limit or more, stopped programs included",
        ),
        *_judged_again(totals["programs_shared"], totals["programs_judged_again"], totals["programs_judged_otherwise"]),
    ]


UNKNOWN_GENERATOR = "what is no longer known"
"""Stands for the generator of completions that have left the store."""


def signature(
    config: SweepConfig,
    results: Iterable[Mapping[str, Any]],
    completions: Iterable[Mapping[str, Any] | None] = (),
    linter: str = "",
    seeds: Sequence[int] = (),
    test_sets: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> str:
    """Return what numbers of a sweep rest on, beside the problem set that a table names.

    `results`: their manifests, for the levels of isolation and the versions that made them. `completions`: likewise,
    for what generated them, and with which versions; None: of some that are gone. `linter`: with its version; empty
    where nothing was linted.
    """
    evaluation, versions, levels = config.evaluation, defaultdict[str, set[str]](set), set[str]()
    generators: dict[str, None] = {}
    for manifest in results:
        levels.update(manifest["counts"].get("levels", ()))
        _add_versions(versions, manifest)
    for artefact in completions:
        generators |= dict.fromkeys(_generators(artefact) if artefact else [UNKNOWN_GENERATOR])
        _add_versions(versions, artefact or {})
    sampling = (
        f"T {evaluation.temperature:g}, top-p {evaluation.top_p:g}" if evaluation.temperature else evaluation.searched
    )
    stated = {number for name in generators for number in name.partition(" (")[2].removesuffix(")").split(", ")}
    others = [
        text for name, numbers in versions.items() if (text := f"{name} {' and '.join(sorted(numbers))}") not in stated
    ]
    parts = [
        f"{count(evaluation.samples, 'sample')} for each prompt",
        f"{sampling}, at most {evaluation.max_new_tokens} tokens",
        f"completions by {' and '.join(generators)}" if generators else "",
        f"{count(evaluation.draws, 'draw')} of a perturbation",
        *(f"{', '.join(names)} translated by {by}" for by, names in translators_by_test(test_sets).items()),
        f"training {'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}" if seeds else "",
        f"sweep seed {config.seed}",
        f"programs run at isolation level {' and '.join(sorted(levels)) or 'unknown'}",
        ", ".join(others),
        f"linted by {linter}" if linter else "",
        config.in_tf32,
        config.in_few_bits,
        f"limited to the first {count(evaluation.limit, 'problem')} of a set" if evaluation.limit is not None else "",
    ]
    return "; ".join(filter(None, parts))


def _add_versions(versions: dict[str, set[str]], manifest: Mapping[str, Any]) -> None:
    for name, number in ((manifest.get("made") or {}).get("versions") or {}).items():
        versions[name].add(number)


def _generators(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the generator of completions with the versions in their key: ``transformers (torch 2.13.0)``."""
    spec = manifest["spec"].get("generator") or {}
    if "name" in spec:
        versions = ", ".join(f"{name} {number}" for name, number in (spec.get("versions") or {}).items())
        yield f"{spec['name']} ({versions})" if versions else spec["name"]


UNCHECKED = "tests that check nothing"
INSIDE_SHOWN = 20
"""Problems judged inside that the report lists, of each set, and problems left out."""
FAILED_SHOWN = 100
"""Problems whose reference solution fails that the report lists, of each set."""


def generation_lines(counts: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return the line on completions; none where there are none. `counts`: of each pair."""
    counts = [of_pair for of_pair in counts if of_pair]
    if not counts:
        return []
    asked, distinct, reused, tokens, read = (
        sum(int(of_pair[name]) for of_pair in counts)
        for name in ("rows", "distinct", "reused", "tokens", "prompt_tokens")
    )
    made = [f"{distinct - reused:,} generated"]
    made += [f"{reused:,} found in the store"] if reused else []
    made += [f"{asked - distinct:,} copied (same prompt as another)"] if asked > distinct else []
    parts = [f"{asked:,} completions: {', '.join(made)}"]
    counted = f", {read:,} tokens of prompts counted by the server" if read else ""
    parts += [f"{tokens:,} tokens written{counted}"]
    if too_long := sum(int(of_pair.get("prompts_too_long", 0)) for of_pair in counts):
        parts.append(f"{count(too_long, 'prompt')} longer than the model's positions, so their completions are empty")
    return [("generation", "; ".join(parts))]


def answer_lines(counts: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Return the line on the programs that were taken out of answers; none where answers are programs as they are."""
    found = _summed(list(counts), "found")
    return [("programs", in_words(found))] if found else []


def problem_lines(runs: Mapping[str, Sequence[ReferenceRun]]) -> list[Line]:
    """Return the lines on problems that no program can solve or fail: without packages, or with tests of nothing.

    `runs`: the verdicts on reference solutions by problem set.
    """
    facts: dict[str, tuple[dict[str, str], int]] = {}
    for name, of_set in runs.items():
        untested = {run.task_id: run.detail for run in of_set if run.outcome == Outcome.UNTESTED}
        unchecked = {run.task_id: run.unchecked for run in of_set if run.unchecked}
        facts |= {f"left out of {name}": (untested, len(of_set)), f"{UNCHECKED} on {name}": (unchecked, len(of_set))}
    return [
        (label, f"{len(reasons):,} of {count(number, 'problem')}: {with_reasons(reasons, INSIDE_SHOWN)}")
        for label, (reasons, number) in facts.items()
        if reasons
    ]


def reference_lines(runs: Mapping[str, Sequence[ReferenceRun]]) -> list[Line]:
    """Return the lines on problems whose reference solution fails here, with the reasons; `runs` by problem set."""
    lines = []
    for problems, of_set in runs.items():
        judged = [run for run in of_set if run.outcome != Outcome.UNTESTED]
        failed = {run.task_id: _failure(run) for run in judged if run.outcome != Outcome.PASSED}
        if failed:
            passed = f"{len(judged) - len(failed):,} of {count(len(judged), 'reference solution')} pass"
            lines.append((f"references of {problems}", f"{passed}; not those of {with_reasons(failed, FAILED_SHOWN)}"))
    return lines


def _failure(run: ReferenceRun) -> str:
    outcome = run.outcome.replace("_", " ")
    return f"{outcome}: {run.detail:.200}" if run.detail else outcome


def inside_lines(judged_inside: Mapping[str, Mapping[str, str]]) -> list[Line]:
    return [
        (
            f"in-process tests on {problems}",
            f"{count(len(reasons), 'problem')} tested in the program's process, {NO_BOUNDARY}: {_inside(reasons)}",
        )
        for problems, reasons in judged_inside.items()
    ]


def _inside(reasons: Mapping[str, str]) -> str:
    return BY_CASES if {*reasons.values()} == {BY_CASES} else with_reasons(reasons, INSIDE_SHOWN)


def runtime_lines(runtimes: Mapping[str, str]) -> list[Line]:
    """Return a line on the compiler or environment of each problem set that has one."""
    return [
        (f"programs on {problems}", runtime.rpartition(", ")[0] or runtime) for problems, runtime in runtimes.items()
    ]


def _summed(counts: Sequence[Mapping[str, Any]], name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for manifest in counts:
        total.update({key: int(number) for key, number in dict(manifest.get(name) or {}).items()})
    return total


def _levels(levels: Counter[str]) -> str:
    present = [level for level in Level if levels[level]]
    if len(present) == 1:
        return present[0].value
    listed = ", ".join(f"{level.value} ({share(levels[level], levels.total())})" for level in present)
    return listed or "unknown, since no program ran"


def _judged_again(shared: int, again: int, otherwise: int) -> Iterator[Line]:
    if not shared:
        return
    programs = f"{count(shared, 'program')} that shared a process"
    if not again:
        yield "run again", f"each of the {programs} had a 1 % chance of it; none was selected"
        return
    outcome = "no verdict differed" if not otherwise else f"{count(otherwise, 'verdict')} differed"
    drawn = f"{again:,} of {programs} ({share(again, shared)}; the chance is 1 %)"
    yield "run again", f"{drawn}, alone; {outcome}"


def leakage_text(config: SweepConfig, plans: Sequence[LeakagePlan], store: Store) -> str:
    """Return a sentence on the leaked training rows of each source: how many, by which rules, kept or left out.

    It is empty if the sweep doesn't look for leaks, or has not done so yet.
    """
    found = [(plan.source, _leakage_of(config, plan, store)) for plan in plans if store.has(plan.node)]
    return ". ".join(f"{source}: {text}" if source else text for source, text in found)


def _leakage_of(config: SweepConfig, plan: LeakagePlan, store: Store) -> str:
    assert config.training is not None
    leaks = store.rows(plan.node, Leak)
    limit = config.evaluation.limit
    if limit is not None and config.training.decontaminate != "drop":  # rows are dropped for problems beyond it, too
        judged = {
            (name, one.task_id) for name, of in plan.problems for one in config.part(PROBLEMS, of).problems()[:limit]
        }
        leaks = [leak for leak in leaks if (leak.problem_set, leak.task_id) in judged or leak.rule == DEVELOPER_PATCH]
    rows, problems = {leak.row_id: leak.rule for leak in leaks}, {(leak.problem_set, leak.task_id) for leak in leaks}
    treatment = (
        "left out" if config.training.decontaminate == "drop" else "kept (training.decontaminate: drop leaves them out)"
    )
    searched = count(int(store.counts(plan.node)["rows"]), "training row")
    if plan.rejected is not None:
        searched += ", rejected responses included,"
    if not rows:
        return f"none of {searched} gives an evaluated problem away"
    rules = ", ".join(f"{rule} {number:,}" for rule, number in Counter(rows.values()).most_common())
    give, they = ("gives", "it is") if len(rows) == 1 else ("give", "they are")
    return (
        f"{len(rows):,} of {searched} {give} {count(len(problems), 'evaluated problem')} away "
        f"(rows by what they share with a problem: {rules}); {they} {treatment}; `raysweep leaks CONFIG` lists them"
    )
