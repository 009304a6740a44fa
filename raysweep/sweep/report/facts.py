"""Reads manifests for what a report says beside scores: outcomes, losses and numbers of trainings, choices, costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from raysweep.analysis.tables.choices import ReportedCandidate, ReportedChoice
from raysweep.analysis.tables.costs import Cost
from raysweep.analysis.tables.outcomes import PairOutcomes
from raysweep.analysis.tables.trainings import ReportedNumber, ReportedTraining, ReportedValidation
from raysweep.config.schema import SweepConfig
from raysweep.engine.ledger import HOUR
from raysweep.errors import UsageError
from raysweep.generators.reference import Reference
from raysweep.hashing import as_number
from raysweep.problems.base import ENVIRONMENT
from raysweep.problems.inside import inside_reasons
from raysweep.programs import Oracle, Outcome
from raysweep.records import BASE, CandidateLoss, ModelKind, ReferenceRun, Result
from raysweep.rows.parquet import ROWS, count_values
from raysweep.storage.artefacts import ENDED, Unit
from raysweep.storage.uses import CHOSEN, read_uses
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import CandidateRow, GridArtefact, GridRow, edited_problems
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.notes import signature
from raysweep.trainers.adapters import ADAPTED
from raysweep.trainers.base import OBJECTIVES, InWords
from raysweep.trainers.full import WEIGHTS
from raysweep.trainers.kinds import kind_of
from raysweep.trainers.validation import CROSS_ENTROPY, MARGIN, PREFERRED

CUT_STOP = "length"
"""Why a completion ended that was cut at the limit of new tokens; see `Completion.stop`."""
PRE_TRAINING = "pre-training"
REJECTED = "rejected_rows"
"""The stage of a source's rejected responses."""
REFERENCES = "references"
"""The stage of verdicts on reference solutions."""
SHARED = "shared and waiting"
"""The row of GPU-hours of pre-training, and of processes that wait for work."""
LEAST_HOURS = 1e-6


def sweep_signature(folder: SweepFolder, rows: Sequence[GridRow] | None = None, *, linter: str = "") -> str:
    """Return what numbers of a sweep rest on: settings, generators, isolation, and the versions that made them.

    `rows`: the pairs that the numbers are of; None: all of the sweep. `linter`: with its version; empty where nothing
    was linted.
    """
    store, rows = folder.store, folder.grid() if rows is None else rows
    there = [row for row in rows if store.has(row.results)]
    judged = {row.results_key: row.results for row in there}
    generated = {row.completions_key: row.completions for row in there}
    kept = [artefact for artefact in generated.values() if store.has(artefact)]
    return signature(
        folder.config(),
        map(store.manifest, judged.values()),
        [*map(store.manifest, kept), *([None] if len(kept) < len(generated) else [])],
        linter,
        sorted({row.seed for row in there if row.training_set != BASE}),
        test_set_manifests(folder, there),
    )


def test_set_manifests(folder: SweepFolder, rows: Iterable[GridRow]) -> dict[str, Mapping[str, Any]]:
    """Return the manifest of one test set of each perturbation of some pairs, as far as the store has them."""
    store = folder.store
    sets = {row.perturbation: row.test_set for row in rows if store.has(row.test_set)}
    return {name: store.manifest(test_set) for name, test_set in sets.items()}


def pair_outcomes(
    folder: SweepFolder, rows: Iterable[GridRow] | None = None, known: Mapping[str, Mapping[str, int]] | None = None
) -> list[PairOutcomes]:
    """Count the outcomes of each judged evaluation pair of a sweep; of `rows` only if given.

    Of edited models those of the problem that they were edited from are left out. `known`: outcomes that are counted
    already, by the key of their results.
    """
    store = folder.store

    def counted(row: GridRow, artefact: GridArtefact, column: str) -> dict[str, int]:
        return count_values(store.use(artefact) / ROWS, column, edited_problems(row, store))

    return [
        PairOutcomes(
            row.model,
            row.recipe,
            row.training_set,
            row.seed,
            row.problem_set,
            row.perturbation,
            (known or {}).get(row.results_key) or counted(row, row.results, "outcome"),
            counted(row, row.completions, "stop").get(CUT_STOP, 0) if store.has(row.completions) else None,
        )
        for row in (folder.grid() if rows is None else rows)
        if store.has(row.results)
    ]


def reference_failures(folder: SweepFolder, config: SweepConfig) -> dict[str, dict[str, Result]]:
    """Return the problems that their own reference solution fails: results by problem set and task id.

    Only models whose generator answers with the reference solutions tell it.
    """
    references = {model.name for model in config.models if model.generator and model.generator.name == Reference.name}
    facts: dict[str, dict[str, Result]] = {}
    for row in folder.grid():
        if row.model in references and folder.store.has(row.results):
            for result in folder.store.rows(row.results, Result):
                if result.outcome not in (Outcome.PASSED, Outcome.UNTESTED):
                    facts.setdefault(row.problem_set, {}).setdefault(result.task_id, result)
    return facts


def runtimes(folder: SweepFolder) -> dict[str, str]:
    """Return what keys of results name of the compiler or environment of problem sets that have one."""
    found: dict[str, str] = {}
    for row in folder.grid():
        if row.problem_set not in found and folder.store.has(row.results):
            found[row.problem_set] = str(folder.store.manifest(row.results)["spec"].get("toolchain", ""))
    return {problems: runtime for problems, runtime in found.items() if runtime}


def reference_runs(folder: SweepFolder) -> dict[str, Sequence[ReferenceRun]]:
    """Return the verdicts on reference solutions by problem set, as far as the store has what programs ran under."""
    store, firsts = folder.store, dict[str, GridRow]()
    for row in folder.grid():
        if row.problem_set not in firsts and store.has(row.results):
            firsts[row.problem_set] = row
    inputs = {name: store.manifest(row.results)["inputs"] for name, row in firsts.items()}
    artefacts = [(name, Unit(REFERENCES, key, "")) for name, keys in inputs.items() for key in keys]
    return {name: store.rows(of, ReferenceRun) for name, of in artefacts if store.has(of)}


def solvable_tasks(folder: SweepFolder, config: SweepConfig) -> dict[str, frozenset[str]]:
    """Return the problems whose reference solution passes here, of sets in an environment where others fail."""
    named = {problems.label for problems in config.evaluation.problems if (problems.model_extra or {}).get(ENVIRONMENT)}
    solvable = {}
    for name, runs in (reference_runs(folder) if named else {}).items():
        passed = frozenset(run.task_id for run in runs if run.outcome == Outcome.PASSED)
        if name in named and any(run.outcome not in (Outcome.PASSED, Outcome.UNTESTED) for run in runs):
            solvable[name] = passed
    return solvable


def rejected_lines(folder: SweepFolder) -> list[tuple[str, str]]:
    """Return a line for each set of rejected responses that a sweep uses: where they are from, what was left out."""
    lines = []
    for use in read_uses(folder.store, folder.name) or ():
        artefact = Unit(use.stage, use.key, use.label)
        if use.stage == REJECTED and folder.store.has(artefact):
            counts = folder.store.counts(artefact)
            made, without = (Counter[str](counts[name]) for name in ("changed", "without"))
            text = f"{made.total():,} of {counts['rows']:,} rows have one ({_numbers(made)})"
            lines.append((use.label, f"{text}; left out: {_numbers(without)}" if without else text))
    return lines


def _numbers(reasons: Counter[str]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common())


def judged_inside(folder: SweepFolder, config: SweepConfig) -> dict[str, dict[str, str]]:
    """Return the problems that a sweep judged inside, by set: reasons by task id, empty where a set's file is gone."""
    specs = {problems.label: problems for problems in config.evaluation.problems}
    facts: dict[str, dict[str, str]] = {}
    for row in folder.grid():
        if row.problem_set in facts or not folder.store.counts(row.results).get("oracles", {}).get(Oracle.INSIDE):
            continue
        oracles = {result.task_id: result.oracle for result in folder.store.rows(row.results, Result)}
        inside = [task_id for task_id, oracle in oracles.items() if oracle == Oracle.INSIDE]
        try:
            reasons = inside_reasons(config.problem_set(specs[row.problem_set]).problems(), oracles)
        except UsageError:
            reasons = {}
        facts[row.problem_set] = {task_id: reasons.get(task_id, "") for task_id in inside}
    return facts


def trainings(folder: SweepFolder, config: SweepConfig) -> list[ReportedTraining]:
    """Return the trainings of a sweep whose models are in the store: each model's pre-training, then its cells."""
    order = order_of(config)
    trained = (row for row in folder.grid() if row.training_set not in (*order.pairs, *order.ways))
    distinct = {row.model_key: row for row in trained if row.weights is not None}

    def place(row: GridRow) -> tuple[int, int, int, int]:
        models, sets = order.models.index(row.model), order.training_sets.index(row.training_set)
        return models, sets, order.place_of_recipe(row.recipe), row.seed

    rows = sorted(distinct.values(), key=place)
    reported = ((row, folder.store.counts(row.weights)) for row in rows if row.weights is not None)
    return [_training(row, counts, config) for row, counts in reported if counts]


def choices(folder: SweepFolder) -> list[ReportedChoice]:
    """Return the choices of a sweep in the config's order; one that is still to be made has no candidates."""
    groups: dict[str, list[CandidateRow]] = {}
    for row in folder.candidates():
        groups.setdefault(row.chosen_for, []).append(row)
    return [_choice(folder, rows) for rows in groups.values()]


def _choice(folder: SweepFolder, rows: Sequence[CandidateRow]) -> ReportedChoice:
    first, store, candidates = rows[0], folder.store, []
    if store.has(first.selection):
        chosen = store.counts(first.selection)[CHOSEN]
        losses = {loss.model_key: loss for loss in store.rows(first.selection, CandidateLoss)}
        for row in rows:
            loss, counts = losses[row.model_key], store.counts(row.weights)
            candidates.append(
                ReportedCandidate(
                    row.recipe,
                    loss.loss,
                    loss.steps,
                    loss.kept_step,
                    row.model_key == chosen,
                    _points(counts.get("validation_losses")),
                    as_number(counts.get("seconds")),
                    as_number(counts.get("cpu_seconds")),
                )
            )
    return ReportedChoice(first.model, first.group, first.training_set, first.seed, tuple(candidates))


def modules_by_recipe(folder: SweepFolder, config: SweepConfig) -> dict[str, dict[str, list[str]]]:
    """Return the modules that adapters change, by recipe and model, as their trainings reported them.

    There are none where a trainer reports none.
    """
    kinds = {key: kind_of(of.trainer) for name, of in config.recipes.items() for key in (name, of.group) if key}
    adapts = [name for name, kind in kinds.items() if kind is ModelKind.ADAPTER]
    modules: dict[str, dict[str, list[str]]] = {}
    for row in {row.model_key: row for row in folder.grid() if row.recipe in adapts}.values():
        if row.weights is not None and (counts := folder.store.counts(row.weights)):
            modules.setdefault(row.recipe, {}).setdefault(row.model, counts.get(ADAPTED, []))
    return modules


def costs(folder: SweepFolder) -> list[Cost]:
    """Return what the cells of each base model cost, in the grid's order; models without artefacts cost nothing yet.

    What two models share counts once, for the first. GPU-hours that belong to no cell have a row of their own.
    """
    rows_of: dict[str, list[GridRow]] = {}
    for row in folder.grid():
        rows_of.setdefault(row.model, []).append(row)
    candidates: dict[str, list[CandidateRow]] = {}
    for candidate in folder.candidates():
        candidates.setdefault(candidate.model, []).append(candidate)
    hours, seen = folder.ledger().all_hours(), set[str]()
    of_models = [_cost(folder, model, rows, candidates.get(model, ()), hours, seen) for model, rows in rows_of.items()]
    shared = sum(hours.values()) - sum(cost.gpu_hours for cost in of_models)
    return [*of_models, *([Cost(SHARED, gpu_hours=shared)] if shared > LEAST_HOURS else [])]


def _cost(
    folder: SweepFolder,
    model: str,
    rows: Sequence[GridRow],
    candidates: Sequence[CandidateRow],
    hours: Mapping[str, float],
    seen: set[str],
) -> Cost:
    counts = folder.store.counts

    def of_kind(key: str, artefact: Callable[[GridRow], GridArtefact | None]) -> list[Mapping[str, Any]]:
        """Return the counts of the artefacts of one kind that no model before has."""
        new = {getattr(row, key): row for row in rows if getattr(row, key) not in seen}
        seen.update(new)
        artefacts = (artefact(row) for row in new.values())
        return [numbers for artefact in artefacts if artefact is not None and (numbers := counts(artefact))]

    models = of_kind("model_key", lambda row: row.weights)
    further = {row.model_key: row.weights for row in candidates if row.model_key not in seen}
    seen.update(further)
    models += [numbers for weights in further.values() if (numbers := counts(weights))]
    edited = [numbers for numbers in models if isinstance(numbers.get("cpu_seconds"), Mapping)]
    trained = [numbers for numbers in models if numbers not in edited and ENDED not in numbers]
    generated = of_kind("completions_key", lambda row: row.completions)
    judged = of_kind("results_key", lambda row: row.results)
    linted = of_kind("quality_key", lambda row: row.quality)

    def total(of: Sequence[Mapping[str, Any]], name: str) -> float:
        return sum(as_number(numbers.get(name)) for numbers in of)

    return Cost(
        model=model,
        trainings=len(trained),
        training_hours=total(trained, "cpu_seconds") / HOUR,
        edits=len(edited),
        edit_hours=sum(sum(numbers["cpu_seconds"].values()) for numbers in edited) / HOUR,
        generation_hours=total(generated, "cpu_seconds") / HOUR,
        program_hours=total(judged, "program_seconds") / HOUR,
        linting_hours=total(linted, "cpu_seconds") / HOUR,
        gpu_hours=sum(
            hours.get(cell, 0.0) for cell in {*(row.cell for row in rows), *(row.cell for row in candidates)}
        ),
        completions=total(generated, "rows"),
        generated=total(generated, "distinct") - total(generated, "reused"),
        tokens=total(generated, "tokens"),
        programs=total(judged, "rows"),
        programs_run=total(judged, "programs_run"),
    )


def _training(row: GridRow, counts: Mapping[str, Any], config: SweepConfig) -> ReportedTraining:
    pretrained = next((model.pretrain for model in config.models if model.name == row.model), None)
    is_base = row.model_stage == "base_model"
    recipe = pretrained.recipe if is_base and pretrained else row.recipe
    kept = _whole(counts.get("kept_step"))
    return ReportedTraining(
        model=row.model,
        training_set=PRE_TRAINING if is_base else row.training_set,
        recipe=recipe,
        seed=None if is_base else row.seed,
        rows=_whole(counts.get("rows")),
        dropped=_whole(counts.get("rows_dropped")),
        reasons={str(reason): int(number) for reason, number in dict(counts.get("dropped") or {}).items()},
        truncated=_whole(counts.get("rows_truncated")) or 0,
        steps=_whole(counts.get("steps")),
        losses=_points(counts.get("losses")),
        final_loss=as_number(counts.get("final_loss")),
        validation_losses=_points(counts.get("validation_losses")),
        numbers=_objective_numbers(counts, named.objective if (named := config.recipe_of(recipe)) else ""),
        validation=_validation(counts.get("held_out"), kept),
        kept=kept,
        weights=_whole(counts.get(WEIGHTS)),
        trained_weights=_whole(counts.get("trainable_weights")),
        memory_bytes=_whole(counts.get("memory_bytes")),
        seconds=as_number(counts.get("seconds")),
        cpu_seconds=as_number(counts.get("cpu_seconds")),
    )


def _objective_numbers(counts: Mapping[str, Any], objective: str) -> tuple[ReportedNumber, ...]:
    words = OBJECTIVES.get(objective).in_words if objective in OBJECTIVES.names() else {}
    totals, curves = counts.get("number_totals") or {}, counts.get("numbers") or {}
    numbers = []
    for name, (total, number) in totals.items():
        in_words = words.get(name, InWords(name))
        points = _points(curves.get(name))
        numbers.append(ReportedNumber(in_words.text, in_words.share_of, points, as_number(total), as_number(number)))
    return tuple(numbers)


def _validation(counts: Mapping[str, Any] | None, kept: int | None) -> ReportedValidation | None:
    """Return the measures of validation rows; None where a training had none.

    `kept`: the step whose weights are the model; None: the last.
    """
    if not counts:
        return None
    curves = {name: _points(curve) for name, curve in counts["curves"].items()}
    return ReportedValidation(
        rows=int(counts["rows"]),
        cross_entropy=curves.get(CROSS_ENTROPY, ()),
        preferred=curves.get(PREFERRED, ()),
        margin=curves.get(MARGIN, ()),
        pairs=str(counts["pairs"]),
        margins_before=tuple(map(float, counts["margins_before"])),
        margins=tuple(map(float, counts["margins"])),
        dropped={str(reason): int(number) for reason, number in counts["dropped"].items()},
        kept=kept,
    )


def _points(curve: Iterable[tuple[float, float]] | None) -> tuple[tuple[int, float], ...]:
    return tuple((int(step), as_number(value)) for step, value in curve or ())


def _whole(number: Any) -> int | None:
    """Return a count as a whole number; None for what is none, such as a text that another trainer calls so."""
    return int(number) if isinstance(number, int | float) else None
