"""What a plan takes: cells and pairs, which of them exist, memory, disk, hours, and whether this machine has that.

Sums are over the cells of a base model and recipe, and over what is still to do.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.config.fields import ProblemsConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.execution.runtimes import identity
from raysweep.planning.control_texts import ControlTexts, require_readable
from raysweep.planning.missing import by_cell, end_of, missing
from raysweep.planning.models import ModelFacts, could_generate, model_facts, unused_settings
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
from raysweep.planning.predictions.costs import MEASURED, CellCost, PairsCost, PlanCosts, base_shape, plan_costs
from raysweep.planning.predictions.faster import faster_ways
from raysweep.planning.predictions.needs_planner import NeedsPlanner, doubtful_types
from raysweep.planning.predictions.parts import TrainingParts, training_parts
from raysweep.planning.predictions.sizes import problem_count
from raysweep.planning.predictions.trainable import require_fit
from raysweep.planning.rows_read import RowsRead, rows_read
from raysweep.problems.base import PROBLEMS
from raysweep.problems.packages import EnvironmentFacts
from raysweep.programs import COMPILED, Lane
from raysweep.records import BASE, CLEAN, NOT_TUNED, REWRITTEN
from raysweep.stages.references import unchecked_tests
from raysweep.storage.store import Store, open_store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.guards import environments_of, require_comparable, require_oracle, require_resources
from raysweep.sweep.overview.accelerators import PricedHours, priced, too_small_types

if TYPE_CHECKING:
    import pandas

WITHOUT_GPUS = (
    "no GPU is asked for (`resources.gpus`); hours on CPUs are known once a training of the same model by the same "
    "recipe was measured"
)
DROPPED_LATER = {
    "adapters": "disk counts all models; full weights go once they are evaluated (keep_models: adapters)",
    "chosen": "disk counts all models; those that aren't chosen go once the choice is made (keep_models: chosen)",
}
"""What becomes of models, by `keep_models`."""
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
class Asked:
    """What the processes of a model's cells with one recipe ask Ray for, by stage: amounts by Ray's names."""

    model: str
    recipe: str  # empty: the base model's cell
    training: Mapping[str, float]
    generation: Mapping[str, float]
    execution: Mapping[str, float]


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
class LintedFacts:
    """The files of one problem set that a linter reads: those of fine-tuned models, those of base models."""

    problem_set: str
    tuned: int
    bases: int
    to_lint: int  # of both


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
class PairsFacts:
    """The pairs of a training set that are still to be encoded for a model, on a CPU, before the cells."""

    rows: str  # which, in words
    takes: PairsCost


@dataclass(frozen=True)
class StepFacts:
    """What trainings by one recipe do on sets of one size. `left_over`: rows of each epoch that no step takes."""

    recipe: str
    rows: int
    batch_size: int
    steps: int
    left_over: int


@dataclass(frozen=True)
class PlanFacts:
    """A plan compared with a store. `here`: why this machine can't run it; empty if it can."""

    summary: Summary
    cells: tuple[CellFacts, ...]
    models: tuple[ModelFacts, ...]
    shared_missing: tuple[str, ...]  # inputs that several cells share; they are made first
    rule: str
    asks: tuple[Asked, ...]
    lane: str
    require: str  # isolation below which no program is run
    allowed: bool  # whether the config lets programs run that a model wrote
    timeouts: Mapping[str, float]  # seconds of effective time of a program, by problem set
    here: str
    refusal: str  # why this config can't take the name of the sweep in the store; empty if it can
    storage: str
    missing_inputs: tuple[str, ...]  # files, models, translators that aren't here: a run would stop there
    download_bytes: Mapping[str, int]  # weights that the hub gives, by model
    assumptions: tuple[str, ...]  # of the estimates
    linted: tuple[LintedFacts, ...] = ()  # the sample of code quality, by problem set
    control_texts: tuple[ControlTexts, ...] = ()  # in training rows and prompts
    rows_read: tuple[RowsRead, ...] = ()  # what is read of training rows, by source
    unused_settings: tuple[str, ...] = ()  # of models' generation_configs, in words
    faster: tuple[str, ...] = ()  # settings with which it takes fewer accelerator hours, in words
    steps: tuple[StepFacts, ...] = ()  # of trainings
    parts: tuple[TrainingParts, ...] = ()  # of trainings' memory, on accelerators of known size
    doubtful_types: tuple[str, ...] = ()  # accelerators that may be misspelt, each with the one that may be meant
    teachers: tuple[TeacherFacts, ...] = ()  # of rejected responses
    encoded: tuple[PairsFacts, ...] = ()  # pairs
    compilers: Mapping[str, str] = field(default_factory=dict)  # by problem set in Java or C++; "": not on this machine
    environments: tuple[EnvironmentFacts, ...] = ()  # of problem sets that run in one, where it is on this machine
    unchecked: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Why tests check nothing, by problem set and task id, as far as that is known before programs run."""
    has_rd: bool = True  # whether perturbed prompts are evaluated, beside the clean ones, which always are
    costs: tuple[PricedHours, ...] = ()  # of all that is to do, by `prices`


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
    costs = plan_costs(plan, store)
    shared = [item for item in lacking if not isinstance(item, CellArtefactPlan) and not item.after_cells]
    encoded = [item for item in lacking if isinstance(item, EncodedPairsPlan)]
    return PlanFacts(
        **_of_config(plan.config),
        summary=_summary(plan, store),
        has_rd=any(pair.pair.perturbation != CLEAN for cell in plan.cells for pair in cell.pairs),
        cells=_cells(plan, missing_of, costs.cells, store),
        models=model_facts(plan),
        shared_missing=tuple(item.node.label for item in shared if item.node),
        asks=_asks(plan),
        here=_reason_against_this_machine(plan, lacking, missing_of),
        refusal=SweepFolder(store, plan.config.name).refusal(plan, lacks_inputs=bool(missing_inputs)),
        storage=str(store.files),
        missing_inputs=tuple(missing_inputs),
        download_bytes=_downloads(plan),
        assumptions=tuple(_assumptions(plan, costs, missing_of)),
        linted=_linted(plan, {item.node.key for item in lacking if item.node}),
        control_texts=tuple(require_readable(plan.config, plan.cells)),
        unused_settings=tuple(unused_settings([*plan.cells, *plan.teachers])),
        faster=tuple(faster_ways(plan.config, plan.cells, could_generate)),
        steps=_steps(plan, costs.cells),
        parts=training_parts(plan.config, plan.cells, costs.rows),
        teachers=_teachers(plan, lacking, costs),
        encoded=tuple(PairsFacts(item.node.label, costs.pairs[item.node.key]) for item in encoded),
        unchecked=_unchecked(plan, store),
        costs=_priced(plan, lacking, costs),
    )


def _of_config(config: SweepConfig) -> dict[str, Any]:
    rule, execution = config.evaluation.pairs, config.execution
    return {
        "rule": rule if isinstance(rule, str) else "as written",
        "lane": execution.lane if any(_may_share(config, one) for one in config.evaluation.problems) else Lane.STRICT,
        "require": execution.require,
        "allowed": config.allow_code_execution,
        "timeouts": {
            problems.label: execution.limits(PROBLEMS.get(problems.name).limits).timeout
            for problems in config.evaluation.problems
        },
        "doubtful_types": tuple(doubtful_types(config)),
        "compilers": _compilers(config),
        "environments": tuple(environments_of(config)),
        "rows_read": tuple(rows_read(config)),
    }


def _priced(plan: SweepPlan, lacking: Sequence[ArtefactPlan], costs: PlanCosts) -> tuple[PricedHours, ...]:
    needs = NeedsPlanner(plan.config, on_accelerators=True)
    cells = [(costs.cells[cell.cell.id], needs.of_cell(cell)) for cell, _ in by_cell(lacking)]
    teachers = [
        (costs.teachers[item.task], needs.of_teacher(item.base))
        for item in lacking
        if isinstance(item, TeacherAnswersPlan)
    ]
    return priced(plan.config.prices, [*cells, *teachers])


def _assumptions(plan: SweepPlan, costs: PlanCosts, to_do: Collection[str]) -> Iterator[str]:
    if any(costs.cells[cell].hours for cell in to_do):
        yield costs.of_hours
        needs = [needs for _, needs in NeedsPlanner(plan.config).distinct(plan.cells)]
        is_measured = any(costs.cells[cell].basis == MEASURED for cell in to_do)
        if not is_measured and not any(of.training.gpus or of.generation.gpus for of in needs):
            yield WITHOUT_GPUS
    yield from costs.assumptions
    yield from filter(None, [plan.config.in_tf32, plan.config.in_few_bits])
    if plan.config.keep_models in DROPPED_LATER:
        yield DROPPED_LATER[plan.config.keep_models]


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


def _steps(plan: SweepPlan, costs: Mapping[str, CellCost]) -> tuple[StepFacts, ...]:
    facts: dict[StepFacts, None] = {}
    for cell in plan.cells:
        if (recipe := cell.recipe) is not None and cell.is_fine_tuned:
            takes, batch = costs[cell.cell.id], recipe.batch_size
            left_over = 0 if recipe.compat == "safecoder" else takes.rows % batch  # it takes them in the next epoch
            name = _group_of(plan.config, cell.cell.recipe) or cell.cell.recipe
            facts[StepFacts(name, takes.rows, batch, takes.steps, left_over)] = None
    return tuple(facts)


def _reason_against_this_machine(plan: SweepPlan, lacking: Sequence[ArtefactPlan], cells: Collection[str]) -> str:
    try:
        teachers = [item for item in lacking if isinstance(item, TeacherAnswersPlan)]
        require_resources(plan.config, [cell for cell in plan.cells if cell.cell.id in cells], teachers=teachers)
        require_fit(plan.config, lacking)
    except UsageError as error:
        return str(error)
    return ""


def _may_share(config: SweepConfig, problems: ProblemsConfig) -> bool:
    """Return whether programs on a problem set may share a process."""
    return _language(config, problems) not in COMPILED and not PROBLEMS.get(problems.name).cases


def _language(config: SweepConfig, problems: ProblemsConfig) -> str:
    """Return a problem set's language; of a file that isn't here it is known only where the config names it."""
    try:
        return config.problem_set(problems).language
    except UsageError:
        return str((problems.model_extra or {}).get("language", ""))


def _compilers(config: SweepConfig) -> dict[str, str]:
    """Return the compilers of problem sets that have one, in words; "" where this machine lacks it."""
    compilers = {}
    for problems in config.evaluation.problems:
        language = _language(config, problems)
        if language in COMPILED:
            compilers[problems.label] = ""
            with suppress(UsageError):
                compilers[problems.label] = identity(
                    language, config.execution.sandbox.setting_of(language)
                ).rpartition(", ")[0]
    return compilers


def _unchecked(plan: SweepPlan, store: Store) -> dict[str, dict[str, str]]:
    references = {pair.pair.problem_set: pair.references for cell in plan.cells for pair in cell.pairs}
    unchecked: dict[str, dict[str, str]] = {}
    for name, of_set in references.items():
        with suppress(UsageError):  # the check of the config tells it
            unchecked[name] = unchecked_tests(of_set, store)
    return {name: reasons for name, reasons in unchecked.items() if reasons}


def _linted(plan: SweepPlan, lacking: Collection[str]) -> tuple[LintedFacts, ...]:
    files: dict[str, Counter[str]] = {}
    for sampled in plan.quality:
        counts = files.setdefault(sampled.pair.pair.problem_set, Counter())
        counts["bases" if sampled.cell.cell.training_set == BASE else "tuned"] += len(sampled.problems)
        counts["to lint"] += len(sampled.problems) if sampled.node.key in lacking else 0
    return tuple(LintedFacts(name, c["tuned"], c["bases"], c["to lint"]) for name, c in files.items())


def _asks(plan: SweepPlan) -> tuple[Asked, ...]:
    needs, asks = NeedsPlanner(plan.config), {}
    for cell in plan.cells:
        if cell.selection is not None:
            continue  # its candidates are of the same model, and ask for as much
        recipe = _group_of(plan.config, cell.cell.recipe) or cell.cell.recipe
        needed, names = needs.of_cell(cell), (cell.base.name, recipe if cell.recipe else "")
        training = needed.training.amounts if cell.is_fine_tuned else {}
        asked = Asked(*names, training, needed.generation.amounts, needed.execution.amounts)
        asks[(*names, repr(asked))] = asked
    return tuple(asks.values())


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


@dataclass(frozen=True)
class RecipeSums:
    """The cells of one base model and recipe, or group of recipes. `recipe`: empty for the base model's own cell.

    Memory is the most that one of the cells takes, disk and hours are of all together.
    """

    base_model: str
    recipe: str
    cells: int
    tuned: int  # cells with a fine-tuned model
    trained: int  # of these, models that exist or were dropped after use
    pairs: int
    pairs_done: int
    peak_memory_bytes: int
    generation_memory_bytes: int
    disk_bytes: int
    hours: Mapping[str, float]  # by accelerator
    basis: tuple[str, ...]  # of the hours
    too_small: tuple[str, ...]  # the accelerators that can't hold one of the cells
    unknown: bool  # whether memory, hours and disk of the model are not known


@dataclass(frozen=True)
class WorkSums:
    """What is still to do. `retrained`: models whose weights were dropped and are needed again."""

    cells: int
    retrained: int
    disk_bytes: int  # models and completions
    checkpoint_bytes: int  # of the largest training
    unknown: bool  # whether there are models of which disk is not known


def recipe_sums(cells: Sequence[CellFacts]) -> list[RecipeSums]:
    """Return the sums for each base model and recipe, or group of recipes; the recipes of a model follow it."""
    groups: dict[tuple[str, str], list[CellFacts]] = {}
    models = list(dict.fromkeys(cell.base_model for cell in cells))
    for cell in sorted(cells, key=lambda cell: models.index(cell.base_model)):
        groups.setdefault((cell.base_model, cell.group or cell.recipe), []).append(cell)
    sums = []
    for (base, _), of_group in groups.items():
        tuned = [cell for cell in of_group if cell.model not in ("base", TO_CHOOSE, CHOSEN)]
        group = RecipeSums(
            base,
            "" if of_group[0].recipe == NOT_TUNED else of_group[0].group or of_group[0].recipe,
            len(of_group),
            len(tuned),
            sum(cell.model in ("exists", "dropped") for cell in tuned),
            sum(cell.pairs for cell in of_group),
            sum(cell.pairs_done for cell in of_group),
            max(cell.takes.peak_memory_bytes or 0 for cell in of_group),
            max(cell.takes.generation_memory_bytes or 0 for cell in of_group),
            sum(cell.takes.disk_bytes for cell in of_group),
            hour_sums(of_group),
            tuple(dict.fromkeys(cell.takes.basis for cell in of_group)),
            tuple(dict.fromkeys(device for cell in of_group for device in cell.too_small)),
            any(cell.takes.unknown for cell in of_group),
        )
        sums.append(group)
    return sums


def hour_sums(cells: Sequence[CellFacts]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for cell in cells:
        for device, hours in cell.takes.hours.items():
            sums[device] = sums.get(device, 0) + hours
    return sums


def work_sums(cells: Sequence[CellFacts]) -> WorkSums:
    to_do = [cell for cell in cells if cell.missing]
    return WorkSums(
        len(to_do),
        sum(cell.model == "to train again" for cell in cells),
        sum(cell.takes.disk_bytes for cell in to_do),
        max((cell.takes.checkpoint_bytes for cell in to_do), default=0),
        any(cell.takes.unknown for cell in to_do),
    )
