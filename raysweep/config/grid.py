"""Computes the grid of a config: its cells and evaluation pairs.

Reads no files but those of several problem sets where `edits` names problems, and writes none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from raysweep.config.fields import SpecConfig
from raysweep.config.models import ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.records import BASE, CLEAN, EXAMPLES, NOT_TUNED, REWRITTEN
from raysweep.trainers.kinds import edits, rewrites

LEVELS: Mapping[str, tuple[str, ...]] = {"C": ("C1", "C2", "C3"), "W": ("W1", "W2", "W3"), "S": ("S1", "S2", "S3")}
"""The study's aggregates and their members."""


@dataclass(frozen=True, order=True)
class PairToEdit:
    """Which edit examples a model is edited from: mostly one.

    `numbers`: from 1, among the pairs that are drawn of the problem set and perturbation; none: `problems` names them.
    """

    problem_set: str
    perturbation: str
    numbers: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What stands in the place of a training set's name: ``humaneval-C1-pair2``, ``humaneval-C1-HumanEval_49``.

        Of several examples it is such as ``humaneval-C1-pair1-to-5``.
        """
        names = [re.sub(r"[^\w.]+", "_", problem) for problem in self.problems] or list(map(str, self.numbers))
        which = "-to-".join([names[0], *names[-1:]] if self.examples > 1 else names)
        return f"{self.problem_set}-{self.perturbation}-{'' if self.problems else 'pair'}{which}"

    @property
    def examples(self) -> int:
        return len(self.problems or self.numbers)


@dataclass(frozen=True, order=True)
class Cell:
    """One model of the grid: a base model, or one that a recipe makes of it with a seed.

    A recipe fine-tunes it on a training set, edits it from an edit example, or has it rewrite its prompts.
    """

    model: str
    recipe: str  # `NOT_TUNED` for a base model's own evaluation; the group's name where a recipe of it is chosen
    training_set: str  # `BASE` for a base model's own evaluation, else the name of the pair, or `REWRITTEN`
    seed: int
    edit: PairToEdit | None = None  # the pair that it is edited from

    @cached_property
    def id(self) -> str:
        """A name that is unique in the sweep, stable, and a valid file name: ``llama.full.C1.s42``."""
        if self.training_set == BASE:
            return f"{self.model}.{BASE}"
        if self.training_set == EXAMPLES:
            return f"{self.model}.examples.{BASE}"
        return f"{self.model}.{self.recipe}.{self.training_set}.s{self.seed}"


@dataclass(frozen=True, order=True)
class Pair:
    """A model judged on a test set."""

    cell: Cell
    problem_set: str
    perturbation: str
    draw: int = 0  # of the test set's noise

    @property
    def test_set(self) -> str:
        return test_set_name(self.problem_set, self.perturbation, self.draw)


def test_set_name(problem_set: str, perturbation: str, draw: int) -> str:
    """Return the name of a test set; the first draw, which is the study's, has no number."""
    return " ".join([problem_set, perturbation, *([f"draw {draw}"] if draw else [])])


@dataclass(frozen=True)
class TrainedOn:
    """The facts about a training set on which evaluation rules depend."""

    name: str
    perturbation: str
    ratio: float = 1.0


@dataclass(frozen=True)
class Grid:
    """All cells, base models first, and all pairs, in the config's order."""

    cells: tuple[Cell, ...]
    pairs: tuple[Pair, ...]

    @cached_property
    def _by_cell(self) -> dict[Cell, list[Pair]]:
        pairs_of: dict[Cell, list[Pair]] = {}
        for pair in self.pairs:
            pairs_of.setdefault(pair.cell, []).append(pair)
        return pairs_of

    def pairs_of(self, cell: Cell) -> tuple[Pair, ...]:
        return tuple(self._by_cell.get(cell, ()))


Rule = Callable[[TrainedOn, Sequence[str]], list[str]]


def build_grid(config: SweepConfig) -> Grid:
    """Return the grid of a config; raise UsageError when two cells would share an id, and so their files."""
    seeds = config.seeds or [config.seed]
    trained_on = config.training.sets if config.training else []
    sets = {s.name: TrainedOn(s.name, s.perturbation, s.ratio) for s in trained_on}
    bases = [Cell(model.name, NOT_TUNED, BASE, config.seed) for model in config.judged_models]
    tuned = [
        Cell(model.name, name, trained, seed, pair)
        for model in config.models
        for name, recipe in _cells_of(config, model)
        for seed, trained, pair in _inputs(config, model, recipe, seeds)
    ]
    by_id: dict[str, Cell] = {}
    for cell in (*bases, *tuned):
        if (other := by_id.setdefault(cell.id, cell)) != cell:
            first, second = (f"model {c.model!r} with recipe {c.recipe!r} on {c.training_set!r}" for c in (other, cell))
            raise UsageError(f"{first} and {second} would both be called {cell.id!r}; rename one of them")
    pairs = [
        Pair(cell, problems.label, perturbation, draw)
        for cell in [*bases, *tuned]
        if cell.recipe not in config.recipes or not config.recipes[cell.recipe].is_candidate
        for problems in config.evaluation.problems
        if _is_judged_on(config, cell.recipe, problems.label)
        for perturbation in _perturbations(config, cell, problems.label, sets)
        for draw in config.draws_of(perturbation)
    ]
    return Grid(tuple(bases + tuned), tuple(pairs))


def _cells_of(config: SweepConfig, model: ModelConfig) -> Iterator[tuple[str, str]]:
    """Yield the recipes of a model's cells, and after those of a group from which one is chosen the group itself.

    Each is the name in the place of a recipe's, and a recipe that makes models of the same inputs.
    """
    groups = config.candidates_of(model)
    for name in model.recipes:
        yield name, name
        group = config.recipes[name].group
        if group in groups and groups[group][-1] == name:
            yield group, name


def _inputs(
    config: SweepConfig, model: ModelConfig, recipe: str, seeds: Sequence[int]
) -> Iterator[tuple[int, str, PairToEdit | None]]:
    trainer = config.recipes[recipe].trainer
    if rewrites(trainer):
        yield from ((seed, REWRITTEN, None) for seed in seeds)
    elif edits(trainer):
        of = config.recipes[recipe].examples
        pairs = [pair for pair in pairs_to_edit(config, of) if _is_judged_on(config, recipe, pair.problem_set)]
        yield from ((seed, pair.name, pair) for pair in pairs for seed in seeds)
    else:
        yield from ((seed, trained.name, None) for trained in config.sets_of(model) for seed in seeds)


def pairs_to_edit(config: SweepConfig, examples: int = 1) -> list[PairToEdit]:
    """`examples`: how many each edit is made from; those that are left over make none."""
    asked = config.edits
    if asked is None:
        return []
    pairs: list[PairToEdit] = []
    for problems in config.evaluation.problems:
        named = asked.problems and _known(config, problems, asked.problems)
        for of in [partial(PairToEdit, problems.label, perturbation) for perturbation in asked.perturbations]:
            numbers = range(1, asked.pairs + 1)
            last = len(numbers if named is None else named) - examples + 1
            for at in range(0, last, examples):
                group = slice(at, at + examples)
                pairs.append(of(tuple(numbers[group])) if named is None else of(problems=tuple(named[group])))
    return pairs


def _known(config: SweepConfig, problems: SpecConfig, named: list[str]) -> list[str]:
    """Return those of some problems that a set has."""
    if len(config.evaluation.problems) == 1:
        return named  # each is one of this set, or else refused
    try:
        known = {problem.task_id for problem in config.problem_set(problems).problems()}
    except UsageError:
        return named
    return [name for name in named if name in known]


def _perturbations(config: SweepConfig, cell: Cell, problem_set: str, sets: Mapping[str, TrainedOn]) -> list[str]:
    if cell.edit is not None:
        if cell.edit.problem_set != problem_set:
            return []
        others = config.edits.perturbations if config.edits and config.edits.transfer else ()
        return list(dict.fromkeys((CLEAN, cell.edit.perturbation, *others)))
    if cell.training_set == REWRITTEN:
        return [CLEAN, *(config.edits.perturbations if config.edits else config.evaluation.perturbations[1:])]
    trained, tests = sets.get(cell.training_set, TrainedOn(BASE, BASE)), config.evaluation.perturbations
    pairs = config.evaluation.pairs
    if isinstance(pairs, str):
        return RULES[pairs](trained, tests)
    return [name for name in tests if name == CLEAN or name in pairs.get(trained.name, tests)]


def _is_judged_on(config: SweepConfig, recipe: str, problem_set: str) -> bool:
    named = config.recipe_of(recipe) if recipe != NOT_TUNED else None
    judged_on = named.problems if named is not None else None
    return judged_on is None or problem_set in judged_on


def everything(trained: TrainedOn, tests: Sequence[str]) -> list[str]:
    return list(tests)


def paper(trained: TrainedOn, tests: Sequence[str]) -> list[str]:
    """``paper``: each model on the test sets of the study."""
    level = next((members for members in LEVELS.values() if trained.perturbation in members), None)
    if level is not None:  # C1..S3: clean and the single methods of the same level
        return [t for t in tests if t == CLEAN or t in level]
    if trained.perturbation in LEVELS:  # C, W, S: clean and the aggregates
        return [t for t in tests if t == CLEAN or t in LEVELS or t == "mix_all"]
    return list(tests)


def figures(trained: TrainedOn, tests: Sequence[str]) -> list[str]:
    """``figures``: only the pairs in the paper's tables 2-11 and figures 3-6."""
    if trained.perturbation != "mix_all":
        return paper(trained, tests)
    if trained.ratio < 1:  # RQ2, RQ3
        return [t for t in tests if t in (CLEAN, "mix_all")]
    return [t for t in tests if t == CLEAN or t in LEVELS or t == "mix_all"]


RULES: Mapping[str, Rule] = {"all": everything, "paper": paper, "figures": figures}
