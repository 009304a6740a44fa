"""What a plan takes: cells and pairs, which of them exist, memory, disk, hours, and whether this machine has that.

Sums are over the cells of a base model and recipe, and over what is still to do.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.config.fields import ProblemsConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.execution.oracle import with_reasons
from raysweep.execution.runtimes import identity
from raysweep.planning.control_texts import require_readable
from raysweep.planning.missing import by_cell, end_of, missing
from raysweep.planning.models import could_generate, model_lines, unused_settings
from raysweep.planning.plan import (
    ArtefactPlan,
    CellArtefactPlan,
    CellPlan,
    EncodedPairsPlan,
    ModelPlan,
    PairSearch,
    ResultsPlan,
    SweepPlan,
    TeacherAnswersPlan,
)
from raysweep.planning.predictions.costs import CellCost, PlanCosts, base_shape, plan_costs
from raysweep.planning.predictions.faster import faster_ways
from raysweep.planning.predictions.needs import amounts_text
from raysweep.planning.predictions.needs_planner import NeedsPlanner, doubtful_types
from raysweep.planning.predictions.parts import training_parts
from raysweep.planning.predictions.sizes import problem_count
from raysweep.planning.predictions.trainable import require_fit
from raysweep.planning.rows_read import rows_read
from raysweep.problems.base import PROBLEMS
from raysweep.problems.packages import EnvironmentFacts
from raysweep.programs import COMPILED, Lane
from raysweep.records import BASE, CLEAN, NOT_TUNED, REWRITTEN
from raysweep.stages.references import unchecked_tests
from raysweep.storage.store import Store, open_store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.guards import environments_of, require_comparable, require_oracle, require_resources
from raysweep.sweep.overview.accelerators import PricedHours, priced, too_small_types
from raysweep.sweep.report.notes import UNCHECKED
from raysweep.units import by_text, count, duration, size

if TYPE_CHECKING:
    import pandas

COUNTED = {
    "base_models": "base models",
    "training_sets": "training sets",
    "fine_tuned_models": "fine-tuned models",
    "edited_models": "edits at most",
    "ended_edits": "edits that ended without a model",
    "rewriters": "models that rewrite their prompts",
    "choices": "models to choose (`select`)",
    "candidates": "candidates for that",
    "test_sets": "test sets",
    "pairs": "evaluations",
}
"""The fields of a summary, in words."""
TO_CHOOSE, CHOSEN = "to choose", "chosen"
"""The states of a model that is chosen among others."""


@dataclass(frozen=True)
class CellFacts:
    """One cell.

    `model`: base, exists, to train, dropped (its weights were, and nothing needs them), or to train again (something
    does); where it is chosen among others', to choose or chosen.
    """

    cell: str
    base_model: str
    recipe: str
    pairs: int
    model: str
    pairs_done: int
    missing: bool
    takes: CellCost  # memory, disk and hours
    group: str = ""  # of recipes that its recipe is one of, or that one is chosen of
    too_small: tuple[str, ...] = ()  # the known accelerators that can't hold it


@dataclass(frozen=True)
class Summary:
    """How large a plan is. `pairs`: evaluation pairs, each a model on a test set."""

    base_models: int
    training_sets: int
    fine_tuned_models: int
    test_sets: int
    pairs: int
    edited_models: int = 0  # the most: at most one for each problem, and a base may have fewer edit examples
    ended_edits: int = 0  # of them, without an edit example, or not reproduced
    rewriters: tuple[str, ...] = ()  # cells whose base rewrites its prompts
    choices: int = 0  # cells whose model is chosen among others
    candidates: int = 0  # models that are trained to be chosen from
    edit_cells: int = 0  # cells that edit, of which those beyond `edited_models` find no pair


@dataclass(frozen=True)
class TeacherFacts:
    """The answers of a teacher that are still to be written. `tokens`: most of an answer. `asks`: of a process."""

    teacher: str
    rows: str  # of which source, in words
    answers: int
    tokens: int
    takes: CellCost
    asks: Mapping[str, float]  # amounts by Ray's names
    too_small: tuple[str, ...]  # the known accelerators that can't hold the teacher


@dataclass(frozen=True)
class PlanFacts:
    """A plan compared with a store. `here`: why this machine can't run it; empty if it can."""

    summary: Summary
    cells: tuple[CellFacts, ...]
    shared_missing: tuple[str, ...]  # inputs that several cells share; they are made first
    here: str
    refusal: str  # why this config can't take the name of the sweep in the store; empty if it can
    storage: str
    missing_inputs: tuple[str, ...]  # files, models, translators that aren't here: a run would stop there
    download_bytes: Mapping[str, int]  # weights that the hub gives, by model
    teachers: tuple[TeacherFacts, ...]  # of rejected responses
    environments: tuple[EnvironmentFacts, ...]  # of problem sets that run in one, where it is on this machine
    costs: tuple[PricedHours, ...]  # of all that is to do, by `prices`
    warnings: tuple[str, ...]
    lines: tuple[str, ...]  # what else is known, in words


@dataclass(frozen=True)
class ComparedPlan(SweepPlan):
    """A plan beside a store. `storage`: the store's folder or URI; None: $RAYSWEEP_STORAGE, else ./raysweep-store."""

    storage: str | None = None

    @classmethod
    def of(cls, plan: SweepPlan, storage: str | None) -> ComparedPlan:
        return cls(**{field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}, storage=storage)

    @functools.cached_property
    def facts(self) -> PlanFacts:
        """What the plan takes, and what of it the store has; see `plan_facts`. Nothing is made or written."""
        return plan_facts(self, open_store(self.storage))

    def frame(self) -> pandas.DataFrame:
        """Return the cells as a table with a cell in each row.

        Columns: cell, base_model, recipe, pairs and pairs_done (evaluations), model (its state, see `CellFacts`),
        missing (whether something of it is); peak_memory_bytes (of a training worker), generation_memory_bytes,
        disk_bytes, checkpoint_bytes (while it trains), training_tokens, rows and steps (of training), cpu_seconds (of
        training, where they were measured), basis (of the hours: estimated or measured); and a column for each known
        accelerator, such as hours_A100 (of training and generation, all workers' together) and training_hours_A100 (of
        training alone). What is not known is missing or NaN.
        """
        import pandas

        rows = []
        for cell in self.facts.cells:
            row = dataclasses.asdict(cell)
            takes = row.pop("takes")
            for name in ("hours", "training_hours"):
                takes |= {f"{name}_{accelerator}": hours for accelerator, hours in takes.pop(name).items()}
            rows.append({**row, **takes})
        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        """Return its name and size: all that it holds would be some hundred thousand characters."""
        pairs = sum(len(cell.pairs) for cell in self.cells)
        return f"<plan of {self.config.name}: {len(self.cells)} cells, {pairs} evaluations>"


def plan_facts(plan: SweepPlan, store: Store, missing_inputs: Sequence[str] = ()) -> PlanFacts:
    """Count a plan's cells, pairs and missing artefacts, and what they take. Writes nothing.

    `missing_inputs`: what isn't here, in words, of a tolerant plan.

    Raises UsageError if a training needs more memory than the config gives a worker, or the config refuses the problems
    that are judged inside; OtherSchema if another raysweep wrote the store.
    """
    store.files.require_known()
    require_oracle(plan, store)
    require_comparable(plan, store)
    lacking = missing(plan.targets, store, repair=True)
    missing_of = {cell.cell.id: plans for cell, plans in by_cell(lacking)}
    require_fit(plan.config, lacking, is_here=False)  # another machine may do the work
    costs, summary, downloads = plan_costs(plan, store), _summary(plan, store), _downloads(plan)
    shared = [item for item in lacking if not isinstance(item, CellArtefactPlan) and not item.after_cells]
    environments = tuple(environments_of(plan.config))
    cells = _cells(plan, missing_of, costs.cells, store)
    warnings = [texts.words for texts in require_readable(plan.config, plan.cells)]
    lines = [
        *_totals(plan, summary, cells, lacking, costs, sum(downloads.values())),
        *_assumptions(plan.config, costs, missing_of),
        *model_lines(plan),
        *rows_read(plan.config),
        *_steps(plan, costs.cells),
        *_linted(plan, {item.node.key for item in lacking if item.node}),
        *training_parts(plan.config, plan.cells, costs.rows),
        *_asks(plan),
        *(f"faster: {way}" for way in faster_ways(plan.config, plan.cells, could_generate)),
        *(f"no known accelerator is called {name}" for name in doubtful_types(plan.config)),
        *by_text(_programs(plan.config, environments)),
        *_unchecked(plan, store),
    ]
    return PlanFacts(
        summary,
        cells,
        tuple(dict.fromkeys(item.node.label for item in shared if item.node)),
        _reason_against_this_machine(plan, lacking, missing_of),
        SweepFolder(store, plan.config.name).refusal(plan, lacks_inputs=bool(missing_inputs)),
        str(store.files),
        tuple(missing_inputs),
        downloads,
        _teachers(plan, lacking, costs),
        environments,
        _priced(plan, lacking, costs),
        (*warnings, *unused_settings([*plan.cells, *plan.teachers])),
        tuple(lines),
    )


def _totals(
    plan: SweepPlan,
    summary: Summary,
    cells: Sequence[CellFacts],
    lacking: Sequence[ArtefactPlan],
    costs: PlanCosts,
    download: int,
) -> Iterator[str]:
    """Yield how large a plan is, which disk it takes, and what is encoded before the cells."""
    counts = {COUNTED[name]: number for name, number in vars(summary).items() if name in COUNTED}
    to_do = [cell for cell in cells if cell.missing]
    again = sum(cell.model == "to train again" for cell in cells)
    counts |= {"models dropped before, to train again": again, "cells": len(cells)}
    sizes = {name: len(number) if isinstance(number, tuple) else number for name, number in counts.items()}
    rule = plan.config.evaluation.pairs
    shown = [f"{name}: {number:,}" for name, number in sizes.items() if number]
    rules = rule if isinstance(rule, str) else "as written"
    yield ", ".join([*shown, f"cells to do: {len(to_do):,}, rule of the evaluations: {rules}"])
    if all(pair.pair.perturbation == CLEAN for cell in plan.cells for pair in cell.pairs):
        yield "no RD: clean prompts alone are evaluated; name others in `evaluation.perturbations`"
    encoded = {item.node.label: costs.pairs[item.node.key] for item in lacking if isinstance(item, EncodedPairsPlan)}
    before = [of.disk_bytes for of in encoded.values()]
    before += [costs.teachers[of.task].disk_bytes for of in lacking if isinstance(of, TeacherAnswersPlan)]
    disk = {
        "models and completions": sum(cell.takes.disk_bytes for cell in to_do),
        "checkpoints of a training, at most": max((cell.takes.checkpoint_bytes for cell in to_do), default=0),
        "teachers' answers and encoded pairs": sum(before),
        "weights from the hub, in its cache": download,
    }
    sums = ", ".join(f"{name}: {size(amount)}" for name, amount in disk.items() if amount)
    yield f"disk, estimated (of all models; keep_models: {plan.config.keep_models}): {sums or 'none'}"
    for rows, takes in encoded.items():
        spent = f"{size(takes.disk_bytes)}, about {duration(takes.cpu_seconds)} of a CPU"
        yield f"{rows}: preference pairs to encode before the cells, at most {takes.pairs:,}: {spent}"


def _priced(plan: SweepPlan, lacking: Sequence[ArtefactPlan], costs: PlanCosts) -> tuple[PricedHours, ...]:
    needs = NeedsPlanner(plan.config, on_accelerators=True)
    cells = [(costs.cells[cell.cell.id], needs.of_cell(cell)) for cell, _ in by_cell(lacking)]
    teachers = [
        (costs.teachers[item.task], needs.of_teacher(item.base))
        for item in lacking
        if isinstance(item, TeacherAnswersPlan)
    ]
    return priced(plan.config.prices, [*cells, *teachers])


def _assumptions(config: SweepConfig, costs: PlanCosts, to_do: Collection[str]) -> Iterator[str]:
    if any(costs.cells[cell].hours for cell in to_do):
        yield costs.of_hours
    yield from (*costs.assumptions, *filter(None, [config.in_tf32, config.in_few_bits]))


def _teachers(plan: SweepPlan, lacking: Sequence[ArtefactPlan], costs: PlanCosts) -> tuple[TeacherFacts, ...]:
    needs, supposed = NeedsPlanner(plan.config), NeedsPlanner(plan.config, on_accelerators=True)
    return tuple(
        TeacherFacts(
            answers.base.name,
            answers.rows.node.label,
            costs.teachers[answers.task].rows,
            answers.decoding.max_new_tokens,
            costs.teachers[answers.task],
            needs.of_teacher(answers.base).generation.amounts,
            too_small_types(supposed.of_teacher(answers.base)),
        )
        for answers in lacking
        if isinstance(answers, TeacherAnswersPlan)
    )


def _steps(plan: SweepPlan, costs: Mapping[str, CellCost]) -> list[str]:
    lines: dict[str, None] = {}
    for cell in plan.cells:
        if (recipe := cell.recipe) is not None and cell.is_fine_tuned:
            takes, name = costs[cell.cell.id], _group_of(plan.config, cell.cell.recipe) or cell.cell.recipe
            steps = f"recipe {name}: {count(takes.steps, 'step')} of {recipe.batch_size:,}"
            lines[f"{steps} on at most {count(takes.rows, 'row')}"] = None
    return list(lines)


def _reason_against_this_machine(plan: SweepPlan, lacking: Sequence[ArtefactPlan], cells: Collection[str]) -> str:
    try:
        teachers = [item for item in lacking if isinstance(item, TeacherAnswersPlan)]
        require_resources(plan.config, [cell for cell in plan.cells if cell.cell.id in cells], teachers=teachers)
        require_fit(plan.config, lacking)
    except UsageError as error:
        return str(error)
    return ""


def _language(config: SweepConfig, problems: ProblemsConfig) -> str:
    """Return a problem set's language; of a file that isn't here it is known only where the config names it."""
    try:
        return config.problem_set(problems).language
    except UsageError:
        return str((problems.model_extra or {}).get("language", ""))


def _programs(config: SweepConfig, environments: Iterable[EnvironmentFacts]) -> Iterator[tuple[str, str]]:
    """Yield how programs are run, for each problem set."""
    execution, words = config.execution, {facts.problem_set: facts.words for facts in environments}
    allowed = "allowed" if config.allow_code_execution else "not allowed without --allow-code-execution"
    for problems in config.evaluation.problems:
        language, known = _language(config, problems), PROBLEMS.get(problems.name)
        lane = Lane.STRICT if language in COMPILED or known.cases else Lane(execution.lane)
        by = words.get(problems.label, "")
        if language in COMPILED:
            by = "no compiler for them is here"
            with suppress(UsageError):
                by = identity(language, execution.sandbox.setting_of(language)).rpartition(", ")[0]
        seconds = f"at most {execution.limits(known.limits).timeout:g} s each"
        how = f"{lane.mode} mode (lane {lane}), isolation level {execution.require} or better, {seconds}"
        yield problems.label, "; ".join(filter(None, [f"programs: {allowed}, {how}", by]))


def _unchecked(plan: SweepPlan, store: Store) -> Iterator[str]:
    """Yield why tests check nothing, by problem set, as far as that is known before programs run."""
    references = {pair.pair.problem_set: pair.references for cell in plan.cells for pair in cell.pairs}
    for name, of_set in references.items():
        with suppress(UsageError):  # the check of the config tells it
            if reasons := unchecked_tests(of_set, store):
                yield f"{UNCHECKED} on {name}: {count(len(reasons), 'problem')}: {with_reasons(reasons, 5)}"


def _linted(plan: SweepPlan, lacking: Collection[str]) -> list[str]:
    files: dict[str, Counter[str]] = {}
    for sampled in plan.quality:
        counts = files.setdefault(sampled.pair.pair.problem_set, Counter())
        counts["files"] += len(sampled.problems)
        counts["to lint"] += len(sampled.problems) * (sampled.node.key in lacking)
    numbers = {name: [f"{what}: {number:,}" for what, number in of.items()] for name, of in files.items()}
    return [f"code quality on {name}: {', '.join(of_set)}" for name, of_set in numbers.items()]


def _asks(plan: SweepPlan) -> list[str]:
    needs, asks = NeedsPlanner(plan.config), []
    for cell in plan.cells:
        if cell.selection is None:  # candidates are of the same model, and ask for as much
            recipe = _group_of(plan.config, cell.cell.recipe) or cell.cell.recipe
            stages = [stage for stage in needs.of_cell(cell).stages if cell.is_fine_tuned or stage[0] != "training"]
            asked = "; ".join(f"{name} {amounts_text(of.amounts)}" for name, of, _ in stages)
            asks.append((f"{cell.base.name}.{recipe if cell.recipe else BASE}", f"a process asks for: {asked}"))
    return by_text(asks)


def _cells(
    plan: SweepPlan,
    missing_of: Mapping[str, Sequence[ArtefactPlan]],
    costs: Mapping[str, CellCost],
    store: Store,
) -> tuple[CellFacts, ...]:
    too_small: dict[str, tuple[str, ...]] = {}
    for names, needs in NeedsPlanner(plan.config, on_accelerators=True).distinct(plan.cells):
        too_small |= dict.fromkeys(names, too_small_types(needs))
    facts = []
    for cell in plan.cells:
        lacking, name = missing_of.get(cell.cell.id, []), cell.cell.id
        done = len(cell.pairs) - sum(isinstance(item, ResultsPlan) for item in lacking)
        model = _model_state(cell, any(isinstance(item, ModelPlan) for item in lacking), store)
        of_cell = (name, cell.base.name, cell.cell.recipe, len(cell.pairs), model, done, bool(lacking), costs[name])
        facts.append(CellFacts(*of_cell, _group_of(plan.config, cell.cell.recipe), too_small[name]))
    return tuple(facts)


def _group_of(config: SweepConfig, recipe: str) -> str:
    named = config.recipe_of(recipe)
    return (named.group or "") if named else ""


def _model_state(cell: CellPlan, is_missing: bool, store: Store) -> str:
    if cell.selection is not None:
        return CHOSEN if store.has(cell.selection.node) else TO_CHOOSE
    if cell.model is None:
        return "base"
    if store.has(cell.model):
        return "exists"
    if store.is_dropped(cell.model):
        return "to train again" if is_missing else "dropped"
    return "to train"


def _summary(plan: SweepPlan, store: Store) -> Summary:
    config, cells = plan.config, plan.cells
    tests = {(pair.pair.problem_set, pair.pair.perturbation, pair.pair.draw) for cell in cells for pair in cell.pairs}
    return Summary(
        len(config.judged_models),
        len(config.training.sets) if config.training else 0,
        sum(cell.model is not None and cell.is_fine_tuned for cell in cells),
        len(tests),
        sum(len(cell.pairs) for cell in cells),
        _most_edits(cells, config),
        sum(bool(end_of(cell, store)) for cell in cells),
        tuple(cell.cell.id for cell in cells if cell.cell.training_set == REWRITTEN),
        sum(cell.selection is not None for cell in cells),
        sum(cell.is_candidate for cell in cells),
        sum(cell.pair_search is not None for cell in cells),
    )


def _most_edits(cells: Sequence[CellPlan], config: SweepConfig) -> int:
    """Return how many edits there can be: as many of a problem set and perturbation as it has problems."""
    asked: dict[tuple[str, ...], list[PairSearch]] = {}
    for cell in cells:
        if (search := cell.pair_search) is not None:
            made, wanted = cell.cell, search.wanted
            key = made.model, made.recipe, str(made.seed), wanted.problem_set, wanted.perturbation
            asked.setdefault(key, []).append(search)
    sets = {of[0].wanted.problem_set: of[0].perturbed.test_set.problem_set for of in asked.values()}
    problems = {name: problem_count(config, spec) for name, spec in sets.items()}
    limit = config.evaluation.limit
    most = {name: min(number, limit or number) for name, number in problems.items()}
    return sum(min(len(of), most[of[0].wanted.problem_set] // of[0].wanted.examples) for of in asked.values())


def _downloads(plan: SweepPlan) -> dict[str, int]:
    """Return the bytes of the weights that come from the hub, by model; of one that two entries name, once."""
    sizes: dict[str, int] = {}
    seen: set[str] = set()
    paths = {model.name: model.path or "" for model in plan.config.models}
    bases = [*(cell.base for cell in plan.cells), *(teacher.base for teacher in plan.teachers)]
    for base in {base.name: base for base in bases}.values():
        path = paths[base.name]
        shape = base_shape(base) if path and not Path(path).expanduser().is_dir() else None
        if shape is not None and path not in seen:
            sizes[base.name] = shape.weights * shape.stored_bytes
            seen.add(path)
    return sizes


def cell_groups(cells: Sequence[CellFacts]) -> dict[tuple[str, str], list[CellFacts]]:
    """Return the cells by base model and recipe, or group of recipes; those of a model follow it.

    The recipe is empty for the base model's own cell.
    """
    groups: dict[tuple[str, str], list[CellFacts]] = {}
    models = list(dict.fromkeys(cell.base_model for cell in cells))
    for cell in sorted(cells, key=lambda cell: models.index(cell.base_model)):
        recipe = "" if cell.recipe == NOT_TUNED else cell.group or cell.recipe
        groups.setdefault((cell.base_model, recipe), []).append(cell)
    return groups
