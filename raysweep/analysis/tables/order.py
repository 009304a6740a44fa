"""The names in a sweep in the order of its config, with words for them: what its tables have for rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raysweep.records import CLEAN, NOT_TUNED

LEFT_OUT = "each without the problem that it was edited from"
"""What an edited model is judged on, beside its base, which is judged on all problems."""
BROKEN = "each on the problems that broke under its perturbation, but for the one that it was edited from"
"""The same with `edits.judged_on: broken`."""


@dataclass(frozen=True)
class RowChoice:
    """How the rows of a training set are chosen.

    Attributes:
        ratio: share of the rows that are perturbed.
        size: number of rows, as a multiple of the source's.
    """

    ratio: float = 1.0
    size: float = 1.0


@dataclass(frozen=True)
class RecipeChoice:
    """What a recipe trains for.

    Attributes:
        objective: the name of its loss.
        args: the objective's arguments that the config names.
        rest: all other settings of the recipe, as one text.
        trainer: what trains, such as ``lora``; empty where recipes of several trainers are one group.
        alike: the settings that recipes of different trainers can have in common, as one text: all of `rest` but the
            trainer, its adapter, and what only changes speed and memory.
        is_chosen: whether it stands for the model that was chosen among a group's.
    """

    objective: str
    args: Mapping[str, float | str | bool] = field(default_factory=dict)
    rest: str = ""
    trainer: str = ""
    alike: str = ""
    is_chosen: bool = False


@dataclass(frozen=True)
class FaultShown:
    """How a model that repairs is shown a fault.

    Attributes:
        form: names the form of its prompts, which says nothing of the faulty lines.
        before: whether the faulty lines are in the prompts of the base model.
        after: whether they are in those of its fine-tuned versions.
    """

    form: str
    before: bool
    after: bool


@dataclass(frozen=True)
class Order:
    """The names in a sweep, in the order of its config. Names that only scores have come last, in the scores' order.

    `perturbations` are those of the test sets and may include ``clean``. `headline` is the perturbation of the
    findings' sentences; if empty, it is the first of `mixes`, and without a mix the perturbation that costs most.
    """

    models: tuple[str, ...] = ()
    training_sets: tuple[str, ...] = ()
    problem_sets: tuple[str, ...] = ()
    perturbations: tuple[str, ...] = ()
    headline: str = ""
    mixes: tuple[str, ...] = ()  # test perturbations that draw from several methods, the one with the most first
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # mix -> methods of which each prompt has one
    words: Mapping[str, str] = field(default_factory=dict)  # for test perturbations and members: "typos" for C
    training_words: Mapping[str, str] = field(default_factory=dict)  # likewise for training sets
    trained_with: Mapping[str, str] = field(default_factory=dict)  # training set -> its perturbation
    rows: Mapping[str, RowChoice] = field(default_factory=dict)  # training set -> how its rows are chosen
    recipes: Mapping[str, RecipeChoice] = field(default_factory=dict)  # recipe -> its objective, and all else
    clean_of: Mapping[str, str] = field(default_factory=dict)  # training set -> its source's clean one, if not `clean`
    weights: Mapping[str, str] = field(default_factory=dict)  # model -> a name of its weights; equal ones are shared
    faults: Mapping[str, FaultShown] = field(default_factory=dict)  # model -> how it is shown faults, if it repairs
    languages: Mapping[str, str] = field(default_factory=dict)  # problem set -> programming language of its problems
    draws: int = 1  # of each perturbation that draws
    seeds: int = 1  # with which each model is fine-tuned
    pairs: Mapping[str, str] = field(default_factory=dict)  # name of edit examples, as a training set -> perturbation
    ways: Mapping[str, str] = field(default_factory=dict)  # training set -> how its models were made, if not fine-tuned
    left_out: str = LEFT_OUT  # on which problems edited models are judged, beside their bases, which are on all
    undrawn: tuple[str, ...] = ()  # test perturbations that draw nothing, and have one draw however many others have

    def clean_set(self, training_set: str) -> str:
        return self.clean_of.get(training_set, CLEAN)

    @property
    def clean_sets(self) -> frozenset[str]:
        return frozenset({CLEAN, *self.clean_of.values()} - {""})

    @property
    def partial(self) -> tuple[str, ...]:
        """The training sets of which only a part is perturbed, or of another size than the source."""
        return tuple(name for name, rows in self.rows.items() if (rows.ratio, rows.size) != (1, 1))

    def place_of_recipe(self, recipe: str) -> int:
        """Return a sort key: no fine-tuning, then the config's recipes in its order, then others."""
        names = (NOT_TUNED, *self.recipes)
        return names.index(recipe) if recipe in names else len(names)

    @property
    def draws_text(self) -> str:
        if self.draws == 1:
            return ""
        single = f" (1 of {', '.join(self.undrawn)}, without random choices)" if self.undrawn else ""
        return f"{self.draws} perturbation samples of each method{single}"

    def test_label(self, name: str) -> str:
        return labelled(name, self.words)

    def training_label(self, name: str) -> str:
        return labelled(name, self.training_words)

    def way(self, name: str) -> str:
        return self.ways.get(name) or f"fine-tuned on {self.training_label(name)}"


def labelled(name: str, words: Mapping[str, str]) -> str:
    return f"{words[name]} ({name})" if words.get(name, name) != name else name
