"""The records of a plan: cells, pairs and shared artefacts, each with its key and its inputs.

Records are sent to workers, which open the store themselves. `raysweep.planning.planner` builds them from a config,
`raysweep.planning.missing` compares them with a store, and `raysweep.pipeline.MAKERS` has a function for each class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import Any, ClassVar

from typing_extensions import override

from raysweep.config.grid import Cell, Grid, Pair, PairToEdit
from raysweep.config.schema import SweepConfig
from raysweep.hashing import canonical_json, text_sha
from raysweep.models.families.base import FAMILIES
from raysweep.models.traits import Traits
from raysweep.programs import Level, Limits, Sandbox
from raysweep.prompts.answers.ways import Extract
from raysweep.records import EXAMPLES, Decoding, ModelRef, Spec
from raysweep.storage.artefacts import Artefact, Node, Unit
from raysweep.trainers.base import Recipe
from raysweep.trainers.editors.planted import Damage
from raysweep.training_sets.rejected.pair_filters import PairFilters
from raysweep.training_sets.rejected.teacher import BLOCK
from raysweep.training_sets.selection import Choice


class ArtefactPlan:
    """An artefact to make, and the artefacts that it is made from.

    `node` names it in the store; it is None if there is nothing to make, such as for a base model from the hub.
    """

    node: Node | None
    uses_other_processes: ClassVar[bool] = False  # its task holds no CPU, since other processes do its work
    after_cells: ClassVar[bool] = False  # its task runs after those of all cells, and no cell waits for it

    @property
    def inputs(self) -> tuple[ArtefactPlan, ...]:
        """The artefacts that this one is made from, in build order: the plans among its fields."""
        values = [getattr(self, field.name) for field in fields(self)]  # type: ignore[arg-type]
        listed = (item for value in values for item in (value if isinstance(value, tuple) else (value,)))
        return tuple(item for item in listed if isinstance(item, ArtefactPlan))

    @property
    def task(self) -> str:
        """Id of the task that makes this artefact, and name of its progress file. Plans with equal ids share a task."""
        assert self.node is not None
        return _task_of(self.node.label, self.node.key)

    @property
    def unit(self) -> Artefact:
        """The unit of work that only one process may do at a time; by default the artefact itself."""
        assert self.node is not None
        return self.node

    @property
    def workers(self) -> int:
        """Number of training workers that make this artefact; 0: it trains nothing."""
        return 0

    @property
    def level(self) -> Level | None:
        """Lowest isolation level at which the artefact's programs may have run; None: it comes from no programs.

        The level is not part of the key: a stronger sandbox gives the same verdicts, so its artefacts are used;
        a weaker one may give wrong verdicts.
        """
        return None


@cache
def _task_of(label: str, key: str) -> str:
    name = "".join(char if char.isalnum() or char in ".@%" else "-" for char in label)
    return f"{name}-{key[:8]}"


def keys_of(*made_from: ArtefactPlan | Node | None) -> tuple[str, ...]:
    """Return the keys of a node's inputs, without those that are None or of which nothing is made."""
    nodes = (item.node if isinstance(item, ArtefactPlan) else item for item in made_from)
    return tuple(node.key for node in nodes if node is not None)


@dataclass(frozen=True)
class SourceRowsPlan(ArtefactPlan):
    """The clean rows of a source, written once so that any block of them can be read.

    `leaks`: the rows that leak evaluated problems, which are left out; None: keep all rows.
    """

    node: Node
    source: Spec
    leaks: LeakagePlan | None = None


@dataclass(frozen=True)
class LeakagePlan(ArtefactPlan):
    """The list of a source's rows that leak evaluated problems.

    `problems`: names and specs of the problem sets. `source`: the source's name, empty where a config has one alone.
    `rejected`: responses made for the rows, which are searched too.
    """

    node: Node
    rows: SourceRowsPlan
    problems: tuple[tuple[str, Spec], ...]
    source: str
    rejected: RejectedRowsPlan | None = None


@dataclass(frozen=True)
class PerturbedRowsPlan(ArtefactPlan):
    """The texts of all rows of a source after one method; training sets draw from them."""

    node: Node
    rows: SourceRowsPlan
    method: Spec
    seed: int

    uses_other_processes: ClassVar[bool] = True

    @property
    def task(self) -> str:
        """One task perturbs a source by all methods, since the methods share the analysis of a text."""
        return f"perturbed-{self.rows.task}"


@dataclass(frozen=True)
class RejectedRowsPlan(ArtefactPlan):
    """Rejected responses of a source's rows, near misses of their own; all training sets of the source share them.

    `answers`: a teacher's, which they are taken from; None: the rows' Python code is changed. `seed`: of these changes.
    `text`: what of an answer becomes the response (`training_sets/rejected`). `filters`: which responses are
    left out. `limits`: of the programs that run a row's tests, if it has some. `problems`: names and specs of problem
    sets; a response that gives one of their problems away is left out.
    """

    node: Node
    rows: SourceRowsPlan
    seed: int
    filters: PairFilters
    limits: Limits
    answers: TeacherAnswersPlan | None = None
    text: str = BLOCK
    problems: tuple[tuple[str, Spec], ...] = ()

    uses_other_processes: ClassVar[bool] = True


@dataclass(frozen=True)
class TrainingSetPlan(ArtefactPlan):
    """A training set: rows chosen from a source and its perturbed rows.

    `perturbation`: a method, or an aggregate whose methods perturbed `texts`. `rejected`: of rows whose source doesn't
    bring rejected responses itself. `paired_only`: rows without a rejected response are left out.
    """

    node: Node
    rows: SourceRowsPlan
    rejected: RejectedRowsPlan | None
    texts: tuple[PerturbedRowsPlan, ...]
    perturbation: Spec
    choice: Choice
    seed: int
    paired_only: bool = False


@dataclass(frozen=True)
class TestSetPlan(ArtefactPlan):
    """A test set: the perturbed prompts of a problem set.

    `draw`: number of the random draw. `limit`: number of problems, from the first; None: all.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    node: Node
    problem_set: Spec
    perturbation: Spec
    seed: int
    draw: int
    compat: str | None
    limit: int | None


@dataclass(frozen=True)
class BasePlan(ArtefactPlan):
    """A base model. `ref` locates one that exists; `node` and `training_set` are set if the sweep pre-trains it.

    `identity` is part of the keys of completions and models made from an existing base model. A generator without
    weights has neither `ref` nor `node`.
    """

    name: str
    family: str
    identity: dict[str, Any]
    ref: ModelRef | None = None
    node: Node | None = None
    training_set: TrainingSetPlan | None = None
    recipe: Recipe | None = None
    vocab_size: int = 0
    special_tokens: tuple[str, ...] = ()  # of the tokenizer that the sweep trains, beside the end of text
    size: tuple[tuple[str, Any], ...] = ()
    planted: Damage | None = None
    dtype: str = "float32"  # in which a base model that the sweep pre-trains generates
    traits: Traits | None = None  # of one that exists
    quantize: str | None = None  # what its linear layers are held in
    attention: str | None = None  # see `ModelRef`

    @property
    @override
    def workers(self) -> int:
        return self.recipe.workers if self.recipe else 0

    @property
    def is_known(self) -> bool:
        """Return False for a model that is not here, or has no weights."""
        return self.ref is not None or self.node is not None

    @property
    def architecture(self) -> str:
        if self.ref is not None:
            return self.ref.architecture
        return FAMILIES.get(self.family).architecture if self.family in FAMILIES.names() else "causal"


@dataclass(frozen=True)
class AskingPlan(ArtefactPlan):
    """What a base model answers outside of all cells, in the form of an evaluation's completions.

    `template`: of its prompts, a name of `raysweep.prompts.templates` or a Jinja string; `system`: the prompt above
    them; `day`, `template_arguments`: of a chat template. `stop`: further texts that end an answer.
    """

    node: Node
    base: BasePlan
    generator: Spec
    template: str
    system: str
    day: str
    template_arguments: Mapping[str, Any]
    stop: tuple[str, ...]
    batch_tokens: int | None

    uses_other_processes: ClassVar[bool] = True

    @cached_property
    def pool(self) -> str:
        """As `CellPlan.pool`; the answers about other rows and test sets are in it, too."""
        return _hash_of_completions(self.base.node, self.node.spec, self.node.version)


@dataclass(frozen=True)
class TeacherAnswersPlan(AskingPlan):
    """A teacher's answers, one about each row of a source.

    Settings that only say what becomes of the answers are no part of their key, so that changing one doesn't ask the
    teacher again: nor is `needs_fences`, whether most of them must have a block of code.
    """

    rows: SourceRowsPlan
    decoding: Decoding
    needs_fences: bool

    @property
    @override
    def task(self) -> str:
        """It begins with the model's name and a point, as those of the model's cells do."""
        return f"{self.base.name}.teacher-{self.node.key[:8]}"


@dataclass(frozen=True)
class RewrittenTextsPlan(AskingPlan):
    """What a base model answers when it is asked to rewrite the prompts of a test set."""

    test_set: TestSetPlan

    @property
    @override
    def task(self) -> str:
        """One task asks a model about all test sets; its name begins as a teacher's."""
        return f"{self.base.name}.rewriting"


@dataclass(frozen=True)
class RewrittenSetPlan(ArtefactPlan):
    """A test set whose prompts a base model has rewritten (`raysweep.prompts.rewriting`)."""

    node: Node
    texts: RewrittenTextsPlan
    test_set: TestSetPlan

    @property
    def problem_set(self) -> Spec:
        return self.test_set.problem_set


@dataclass(frozen=True)
class EncodedPairsPlan(ArtefactPlan):
    """A training set's responses and rejected ones as tokens of a base model, with marks where the two differ.

    All recipes that train on pairs read it, so it is part of no model's key: what it holds follows from the others.
    """

    node: Node
    base: BasePlan
    training_set: TrainingSetPlan
    template: str
    system: str
    day: str
    template_arguments: Mapping[str, Any]


@dataclass(frozen=True)
class ReferencesPlan(ArtefactPlan):
    """The verdicts on a problem set's reference solutions: where each problem's tests run, and its time limit.

    `limits`: limits of the reference solutions, and of problems without one. `factor`: time limit divided by the
    reference solution's time; None: all problems have the limit of `limits`. `least`: see `ProblemSet.least_timeout`.
    `limit`: number of problems, from the first; None: all.
    """

    node: Node
    problem_set: Spec
    limits: Limits
    factor: float | None
    least: float
    sandbox: Sandbox
    limit: int | None


@dataclass(frozen=True)
class PairPlan:
    """One evaluation pair: a model's completions on a test set, and the verdicts on them.

    `references`: where the tests of single problems run, and their time limits. `extract`: how programs are taken out
    of the completions.
    """

    pair: Pair
    test_set: TestSetPlan | RewrittenSetPlan | BrokenSetPlan
    completions: Node
    results: Node
    limits: Limits
    references: ReferencesPlan
    sandbox: Sandbox
    extract: Extract = Extract.NONE


@dataclass(frozen=True)
class PairSearch:
    """Which edit examples a model is edited from, mostly one: of those of its base on two test sets.

    `node`: of the pairs, `PromptPair`. `base`: the base's own cell. `found_in`: the cell whose samples show what broke,
    the base's own or one for that. `original`, `perturbed`: its evaluation pairs on the clean and on the perturbed
    test set. `scored`: those of the base's own cell. `wanted`: which of them.
    """

    node: Node
    base: CellPlan
    found_in: CellPlan
    scored: tuple[PairPlan, PairPlan]
    original: PairPlan
    perturbed: PairPlan
    wanted: PairToEdit
    seed: int  # of the draw
    least_lost: float  # of the samples of a clean prompt that pass, which share must fail with the perturbed one

    @property
    def inputs(self) -> tuple[ArtefactPlan, ...]:
        pairs = (self.original, self.perturbed)
        return (
            *(CompletionsPlan(pair.completions, self.found_in, pair) for pair in pairs),
            *(ResultsPlan(pair.results, self.found_in, pair) for pair in pairs),
            *(ResultsPlan(pair.results, self.base, pair) for pair in self.scored),
            *(pair.test_set for pair in pairs),
        )


@dataclass(frozen=True)
class BrokenSetPlan(ArtefactPlan):
    """The prompts of a test set whose problems broke: their base loses `least_lost` of its samples, as in a search."""

    node: Node
    test_set: TestSetPlan
    search: PairSearch

    @property
    def problem_set(self) -> Spec:
        return self.test_set.problem_set

    @property
    @override
    def inputs(self) -> tuple[ArtefactPlan, ...]:
        return (self.test_set, *self.search.inputs)


@dataclass(frozen=True)
class ModelChoice:
    """Among which cells the model of another cell is chosen, and by what.

    `node`: of the choice, a `SelectionPlan`. `candidates`: cells without pairs, which only train.
    """

    node: Node
    candidates: tuple[CellPlan, ...]
    by: str  # validation_loss


@dataclass(frozen=True)
class CellPlan:
    """One cell: a model, which is None if the base model is evaluated, and its pairs.

    `keeps_model`: False if the sweep needs the model only until all its pairs are judged, see `keep_models`.
    `keeps_unchosen`: of a candidate, whether its model stays where another one was chosen. `selection`: how the cell's
    model is chosen among others'; `model` and `recipe` are None until it is (`raysweep.planning.choice.with_choice`).
    """

    cell: Cell
    base: BasePlan
    pairs: tuple[PairPlan, ...]
    generator: Spec
    decoding: Decoding
    prompt_format: str
    template: str
    system: str
    stop: tuple[str, ...]
    batch_tokens: int | None
    model: Node | None = None
    training_set: TrainingSetPlan | None = None
    recipe: Recipe | None = None
    validation: TrainingSetPlan | None = None  # part of the model's key only with `keep: best`
    pairs_of_rows: EncodedPairsPlan | None = None  # the training set's, where the objective reads them
    keeps_model: bool = True
    pair_search: PairSearch | None = None  # of the edit example from which the model is edited
    is_candidate: bool = False
    keeps_unchosen: bool = True
    day: str = ""  # of a chat template that shows one
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    selection: ModelChoice | None = None

    @property
    def workers(self) -> int:
        return self.recipe.workers if self.recipe and self.is_fine_tuned and not self.selection else 0

    @property
    def writer(self) -> Node | None:
        """The artefact that stands for the weights of its model in keys: a model, or the choice among several."""
        return self.selection.node if self.selection else self.model or self.base.node

    def pair_on(self, problem_set: str, perturbation: str) -> PairPlan:
        """Return its pair on the first draw of a test set that it is evaluated on."""
        name = (problem_set, perturbation, 0)
        of = (one for one in self.pairs if (one.pair.problem_set, one.pair.perturbation, one.pair.draw) == name)
        return next(of)

    @property
    def is_scored(self) -> bool:
        """Whether its results are reported; else they only show where the base breaks."""
        return self.cell.training_set != EXAMPLES

    @property
    def is_fine_tuned(self) -> bool:
        """Whether its model was trained on rows; an edited one gets its prompts as its base does."""
        return self.training_set is not None

    @property
    def artefacts(self) -> tuple[CellArtefactPlan, ...]:
        """The artefacts that belong to this cell alone and stay when it is done, in build order.

        A candidate's model that may go is made where a choice needs it.
        """
        keeps = self.keeps_unchosen if self.is_candidate else self.keeps_model or not self.pairs
        is_own = self.selection is None  # else its model is a candidate's
        return (
            *([PromptPairPlan(self.pair_search.node, self)] if self.pair_search else []),
            *([SelectionPlan(self.selection.node, self)] if self.selection else []),
            *([ModelPlan(self.model, self)] if self.model and keeps and is_own else []),
            *(CompletionsPlan(pair.completions, self, pair) for pair in self.pairs),
            *(ResultsPlan(pair.results, self, pair) for pair in self.pairs),
        )

    @property
    def to_make(self) -> tuple[CellArtefactPlan, ...]:
        """What its task makes: a candidate's model also where it may go later."""
        return self.artefacts or ((ModelPlan(self.model, self),) if self.model else ())

    @property
    def passing_models(self) -> tuple[Node, ...]:
        """The models that the sweep may need no more when the cell is done: its own, and those it is chosen among."""
        if self.selection is not None:
            return tuple(node for cell in self.selection.candidates for node in cell._passing)
        return () if self.is_candidate else self._passing

    @property
    def _passing(self) -> tuple[Node, ...]:
        is_kept = self.keeps_model and (self.keeps_unchosen or not self.is_candidate)
        return (self.model,) if self.model is not None and not is_kept else ()

    @cached_property
    def evaluation(self) -> Unit:
        """The generation and execution of all pairs as one unit, for one process at a time, whatever the test sets."""
        return Unit("evaluation", self._hash_of(self.writer, self._how), f"evaluation of {self.cell.id}")

    @cached_property
    def pool(self) -> str:
        """A hash of what completions depend on beside prompt, task and sample: equal ones are not generated again."""
        how = self._how
        decoding = {name: value for name, value in how["decoding"].items() if name != "samples"}
        return self._hash_of(self.model or self.writer, {**how, "decoding": decoding})

    @property
    def _how(self) -> dict[str, Any]:
        """What the completions of all pairs depend on; stop strings of problems are in the keys of requests."""
        return {name: value for name, value in self.pairs[0].completions.spec.items() if name != "stops"}

    def _hash_of(self, model: Node | None, how: dict[str, Any]) -> str:
        return _hash_of_completions(model, how, self.pairs[0].completions.version)


def _hash_of_completions(model: Node | None, how: Mapping[str, Any], version: int) -> str:
    content = {"model": model.key if model else "", "how": how, "version": version}
    return text_sha(canonical_json(content))


@dataclass(frozen=True)
class CellArtefactPlan(ArtefactPlan):
    """An artefact that belongs to one cell and is made in the cell's task."""

    node: Node
    cell: CellPlan

    @property
    @override
    def task(self) -> str:
        return self.cell.cell.id


@dataclass(frozen=True)
class PromptPairPlan(CellArtefactPlan):
    """The edit example from which a cell's model is edited, found among the results of its base."""

    @property
    def search(self) -> PairSearch:
        assert self.cell.pair_search is not None
        return self.cell.pair_search

    @property
    @override
    def inputs(self) -> tuple[ArtefactPlan, ...]:
        return self.search.inputs


@dataclass(frozen=True)
class ModelPlan(CellArtefactPlan):
    """The model of a cell that a recipe makes of its base."""

    @property
    @override
    def inputs(self) -> tuple[ArtefactPlan, ...]:
        cell = self.cell
        rows = (cell.training_set, cell.validation, cell.pairs_of_rows)
        pair = [PromptPairPlan(cell.pair_search.node, cell)] if cell.pair_search else []
        return (cell.base, *(each for each in rows if each), *pair)

    @property
    @override
    def workers(self) -> int:
        return self.cell.workers


@dataclass(frozen=True)
class SelectionPlan(CellArtefactPlan):
    """Which of several models is that of a cell: the one with the lowest loss on validation rows."""

    @property
    def selection(self) -> ModelChoice:
        assert self.cell.selection is not None
        return self.cell.selection

    @property
    @override
    def inputs(self) -> tuple[ArtefactPlan, ...]:
        return tuple(ModelPlan(cell.model, cell) for cell in self.selection.candidates if cell.model)


@dataclass(frozen=True)
class CompletionsPlan(CellArtefactPlan):
    """The completions of one evaluation pair."""

    pair: PairPlan

    @property
    @override
    def inputs(self) -> tuple[ArtefactPlan, ...]:
        """Only a store knows which model was chosen (`raysweep.planning.choice`)."""
        models: list[ArtefactPlan] = [ModelPlan(self.cell.model, self.cell)] if self.cell.model else []
        if self.cell.selection:
            models = [SelectionPlan(self.cell.selection.node, self.cell)]
        return (self.cell.base, *models, self.pair.test_set)  # an adapter is loaded onto its base

    @property
    def unit(self) -> Artefact:
        """The cell's evaluation: its pairs share prompts, programs and unfinished blocks."""
        return self.cell.evaluation


@dataclass(frozen=True)
class ResultsPlan(CellArtefactPlan):
    """The verdicts on the completions of one evaluation pair."""

    pair: PairPlan

    @property
    @override
    def inputs(self) -> tuple[ArtefactPlan, ...]:
        completions = CompletionsPlan(self.pair.completions, self.cell, self.pair)
        return completions, self.pair.references

    @property
    @override
    def unit(self) -> Artefact:
        return self.cell.evaluation

    @property
    @override
    def level(self) -> Level | None:
        return self.pair.sandbox.require


@dataclass(frozen=True)
class QualityPlan(ArtefactPlan):
    """What a linter says of those of a cell's completions on one problem set that are in the sample.

    It belongs to no cell's task: files of many cells are linted in one process, after the cells are done, so that no
    linter starts for the two files that a cell of a large sweep has in the sample.
    """

    node: Node
    cell: CellPlan
    pair: PairPlan  # the cell's pair on the problem set's clean prompts
    problems: tuple[int, ...]  # whose sample 0 is linted: their places in the problem set, from 0
    batch: str  # name of the task; plans of one batch are linted in one process

    after_cells: ClassVar[bool] = True

    @property
    @override
    def inputs(self) -> tuple[ArtefactPlan, ...]:
        return (CompletionsPlan(self.pair.completions, self.cell, self.pair),)

    @property
    @override
    def task(self) -> str:
        return self.batch


@dataclass(frozen=True)
class SweepPlan:
    """A whole sweep.

    `leakages`: the leaks in the rows of each source that models are fine-tuned on; none where nothing can leak.
    `quality`: the linting of a sample of the completions; empty if the config asks for none.
    `further`: artefacts that no cell needs.
    """

    config: SweepConfig
    grid: Grid
    cells: tuple[CellPlan, ...]
    leakages: tuple[LeakagePlan, ...] = ()
    quality: tuple[QualityPlan, ...] = ()
    further: tuple[ArtefactPlan, ...] = ()

    @property
    def teachers(self) -> tuple[TeacherAnswersPlan, ...]:
        """The answers from which rejected responses of training and validation sets are made."""
        sets = [rows for cell in self.cells for rows in (cell.training_set, cell.validation) if rows]
        answers = [rows.rejected.answers for rows in sets if rows.rejected and rows.rejected.answers]
        return tuple({plan.node.key: plan for plan in answers}.values())

    @property
    def encoded_pairs(self) -> tuple[EncodedPairsPlan, ...]:
        return tuple({pairs.node.key: pairs for cell in self.cells if (pairs := cell.pairs_of_rows)}.values())

    @property
    def targets(self) -> tuple[ArtefactPlan, ...]:
        """The artefacts of a finished sweep, including test sets, since reports show their prompts."""
        test_sets = {pair.test_set.node.key: pair.test_set for cell in self.cells for pair in cell.pairs}
        return (
            *(artefact for cell in self.cells for artefact in cell.artefacts),
            *test_sets.values(),
            *self.leakages,
            *self.quality,
            *self.further,
        )
