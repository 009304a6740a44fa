"""Kind ``recipe-differences``: tables of each recipe beside one of them, on the same problems and validation pairs.

Means are over the seeds that both recipes have, and the interval of a difference is over problems or pairs and seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.comparisons.base import shared_values
from raysweep.analysis.comparisons.estimate import estimate, seeds_note
from raysweep.analysis.exhibits.base import (
    EXHIBITS,
    RECIPES,
    Counted,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Id,
    NothingToDraw,
    Text,
)
from raysweep.analysis.exhibits.selections import select_test_sets
from raysweep.analysis.tables.frame import ModelVariant
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.records import BASE
from raysweep.stats.intervals import FEWEST
from raysweep.units import count, decimal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ABOVE, BELOW, SAME = "above", "below", "no difference shown"
"""What a difference says."""
VERDICT = (
    f'A difference says "{ABOVE}" or "{BELOW}" where its 95 % interval leaves out 0 and its mean is at least 2 SD '
    f'between seeds, otherwise "{SAME}".'
)
Found = Mapping[tuple[str, int], Mapping[str, float]]
"""Values of problems or pairs by their names, for each recipe and seed."""


@dataclass(frozen=True)
class _BesideFirst:
    """Values of a recipe and of the one that it is compared with, each (problems or pairs, seeds).

    `factor`: what they are multiplied with to be shown. `digits`: after the point.
    """

    values: NDArray[np.float64]
    baseline: NDArray[np.float64] | None  # None: it is the one that others are compared with
    factor: float = 100
    digits: int = 1

    def cells(self) -> tuple[TableCell, TableCell, TableCell]:
        mean = float(self.values.mean())
        cell = TableCell.number(self.factor * mean, self._text(mean), **self._spread(self.values))
        if self.baseline is None:
            return cell, TableCell(), TableCell()
        found = estimate(self.baseline.T, self.values.T, any_unit=True)
        value, low, high = found.value, found.low, found.high
        changes = self.values - self.baseline
        noise = seeds_note(changes.mean(axis=0).tolist())
        difference = TableCell.number(
            self.factor * value,
            self._text(value, "+"),
            "; ".join(filter(None, (found.note, noise))),
            interval=f"[{self._text(low, '+')}, {self._text(high, '+')}]",
            low=self.factor * low,
            high=self.factor * high,
            **self._spread(changes),
        )
        says = SAME if noise or low <= 0 <= high else ABOVE if value > 0 else BELOW
        return cell, difference, TableCell.said(says)

    def _spread(self, values: NDArray[np.float64]) -> dict[str, Any]:
        """Return the fields of a cell on the spread between several seeds; `values`: (problems or pairs, seeds)."""
        if values.shape[1] == 1:
            return {}
        sd = float(values.mean(axis=0).std(ddof=1))
        return {"sd": self.factor * sd, "spread": f"SD {self._text(sd)}", "seeds": values.shape[1]}

    def _text(self, value: float, sign: str = "") -> str:
        return decimal(self.factor * value, self.digits, sign)


@EXHIBITS.register("recipe-differences")
class RecipeDifferences(Exhibit):
    """Each recipe of a model minus one of them: pass@1, how often the reference is more probable, and margins."""

    reads_seeds = True
    place: ClassVar[str] = "summary/recipes"

    id: Id = "recipes"
    title: Text = "{recipes}"
    group: Group = RECIPES
    at_least: Mapping[Counted, Annotated[int, Field(ge=1)]] = {"recipe": 2}

    test_sets: Sequence[Text] = ("clean", "headline")
    baseline: Text | None = None
    """The recipe that others are compared with; none: the first that the model has."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        places = _places(evidence)
        tables = [*self._of_problems(evidence, places), *self._of_pairs(evidence, places)]
        if not tables:
            raise NothingToDraw(
                "it needs two recipes of a model, with verdicts or validated preference pairs of the same seeds"
            )
        return Drawn(tuple(tables))

    def _of_problems(self, evidence: Evidence, places: Sequence[_RecipesOfModel]) -> Iterator[Table]:
        frame = evidence.frame
        tests = select_test_sets(frame, self.test_sets).names
        for problems in frame.problem_sets:
            numbers = {
                place: [self._pass_rates(evidence, place, (problems, test)) for test in tests] for place in places
            }
            columns = [(f"pass@1, {frame.order.test_label(test)} (%)", "points") for test in tests]
            sentence = "pass@1 on the same prompts as the mean over seeds, with intervals over problems{and_seeds}."
            yield from self._table(evidence, problems, sentence, columns, numbers)

    def _of_pairs(self, evidence: Evidence, places: Sequence[_RecipesOfModel]) -> Iterator[Table]:
        numbers = {}
        for place in places:
            margins = self._margins(evidence, place)
            numbers[place] = [{recipe: _preferred(each) for recipe, each in margins.items()}, margins]
        pairs = dict.fromkeys(
            count(len(t.validation.margins), "preference pair")
            for t in evidence.trainings
            if t.validation and t.validation.pairs
        )
        sentence = (
            f"Validation rows with a rejected response ({', '.join(pairs)}): the share of which the response, the "
            "reference, is more probable than the rejected one, and the mean of log p(response) minus log p(rejected "
            "response); means over seeds, with intervals over these pairs{and_seeds}."
        )
        columns = [("reference preferred (%)", "points"), ("margin (nats)", "nats")]
        yield from self._table(evidence, "validation pairs", sentence, columns, numbers)

    def _table(
        self,
        evidence: Evidence,
        what: str,
        sentence: str,
        columns: Sequence[tuple[str, str]],
        numbers: Mapping[_RecipesOfModel, Sequence[Mapping[str, _BesideFirst]]],
    ) -> Iterator[Table]:
        names = [Column(name, head) for head, unit in columns for name in ("mean", f"difference ({unit})", "says")]
        rows = tuple(
            Row(
                (place.model, place.training_set, recipe),
                tuple(cell for each in found for cell in _cells(each, recipe)),
            )
            for place, found in numbers.items()
            for recipe in place.recipes
            if any(len(each) > 1 and recipe in each for each in found)
        )
        if not rows:
            return
        compared = self.baseline or "the first recipe"
        several = any(cell.seeds for row in rows for cell in row.cells)
        sentence = sentence.replace("{and_seeds}", " and seeds" if several else "")
        recipes = list(dict.fromkeys(row.labels[-1] for row in rows))
        yield Table(
            title=self.titled(evidence.frame, what).replace("{recipes}", self._which(recipes)),
            caption=self.captioned(
                f"{sentence} Differences are to {compared} of each model and training set, over the seeds that both "
                f"have. {VERDICT}"
            ),
            stub=("model", "training set", "recipe"),
            columns=tuple(names),
            rows=rows,
            row_words=evidence.frame.order.training_words,
            label=f"{self.id}-{what.replace(' ', '-')}",
        )

    def _which(self, recipes: Sequence[str]) -> str:
        if len(recipes) > FEWEST:
            return f"Recipes compared with {self.baseline or 'the first one'}"
        first = self.baseline or recipes[0]
        return f"{' and '.join(name for name in recipes if name != first)} compared with {first}"

    def _pass_rates(self, evidence: Evidence, place: _RecipesOfModel, test: tuple[str, str]) -> dict[str, _BesideFirst]:
        found = {
            (recipe, variant.seed): rates.rates
            for recipe, variants in place.recipes.items()
            for variant in variants
            if (rates := evidence.rates_of(variant, place.training_set).get(test)) is not None
        }
        return self._compared(found, place)

    def _margins(self, evidence: Evidence, place: _RecipesOfModel) -> dict[str, _BesideFirst]:
        """Return margins by pair and seed, in nats, of the same pairs; those that are not finite are left out."""
        found = {
            (t.recipe, t.seed or 0): {
                f"{t.validation.pairs} {at}": margin
                for at, margin in enumerate(t.validation.margins)
                if math.isfinite(margin)
            }
            for t in evidence.trainings
            if (t.model, t.training_set) == (place.model, place.training_set) and t.validation is not None
        }
        compared = self._compared(found, place)
        return {recipe: replace(each, factor=1, digits=2) for recipe, each in compared.items()}

    def _compared(self, found: Found, place: _RecipesOfModel) -> dict[str, _BesideFirst]:
        first = self.baseline or next(iter(place.recipes))
        compared = {}
        for recipe, variants in place.recipes.items():
            seeds = [v.seed for v in variants if (recipe, v.seed) in found and (first, v.seed) in found]
            if not seeds:
                continue
            tables = [found[name, seed] for name in (recipe, first) for seed in seeds]
            values = shared_values(*tables, tables[0])[1][:-1].T
            if len(values) >= FEWEST:
                own, others = values[:, : len(seeds)], values[:, len(seeds) :]
                compared[recipe] = _BesideFirst(own, None if recipe == first else others)
        return compared


@dataclass(frozen=True)
class _RecipesOfModel:
    model: str
    training_set: str
    recipes: Mapping[str, Sequence[ModelVariant]]

    def __hash__(self) -> int:
        return hash((self.model, self.training_set))


def _places(evidence: Evidence) -> list[_RecipesOfModel]:
    frame, places = evidence.frame, []
    for model in frame.models:
        recipes: dict[str, list[ModelVariant]] = {}
        for variant in frame.variants:
            if variant.model == model:
                recipes.setdefault(variant.recipe, []).append(variant)
        if len(recipes) > 1:
            places += [_RecipesOfModel(model, name, recipes) for name in frame.training_sets if name != BASE]
    return places


def _preferred(margins: _BesideFirst) -> _BesideFirst:
    baseline = None if margins.baseline is None else (margins.baseline > 0).astype(float)
    return _BesideFirst((margins.values > 0).astype(float), baseline)


def _cells(compared: Mapping[str, _BesideFirst], recipe: str) -> tuple[TableCell, ...]:
    return compared[recipe].cells() if recipe in compared else (TableCell(), TableCell(), TableCell())
