"""Kind ``scores``: a table of scores whose rows and columns are any of a score's dimensions.

A dimension that is neither in rows nor in columns has a table for each of its values: a definition without ``model``
is drawn for every model. Rows and columns in which nothing was evaluated are left out, unless the table is `whole`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, model_validator
from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    EXACT,
    EXHIBITS,
    GRIDS,
    LANGUAGES,
    REPAIRS,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Need,
    NothingToDraw,
    Text,
    unknown_metric,
)
from raysweep.analysis.exhibits.recipes.finding import (
    TrainedModel,
    absent_recipes,
    by_recipe,
    by_training_set,
    matches,
)
from raysweep.analysis.exhibits.recipes.regimes import FAMILIES, absent_regimes, by_regime, in_families
from raysweep.analysis.exhibits.scores.cells import Labels, cells_of, has_numbers, mean_rows
from raysweep.analysis.exhibits.scores.places import (
    DIMENSIONS,
    WHOLE,
    Dimension,
    Place,
    ScoreBlock,
    matching,
    nested,
    places_of,
)
from raysweep.analysis.exhibits.selections import (
    EVERY,
    HEADLINE,
    WORDS,
    select_test_sets,
    select_training_sets,
    trained_with,
    whole_sets,
)
from raysweep.analysis.exhibits.test_sets import unchanged_sentence
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.quantities import draws_sentence
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.errors import did_you_mean
from raysweep.metrics.passing import WHERE_SOLVABLE
from raysweep.records import BASE, CLEAN

HEADINGS: Mapping[Dimension, str] = {"test set": "test prompts"}
"""Headings of dimensions, where they differ from the names."""
NEEDS: Mapping[str, Need] = {"language": LANGUAGES, EXACT: REPAIRS}
"""What a sweep must have for a table with a dimension, or for one that needs a metric."""
SENTENCES = ("draws", "parts", "unchanged")
"""What may stand in a caption between braces, besides dimensions."""
EQUAL_MODELS = "In the mean all models weigh the same, however many recipes and seeds they have."


@EXHIBITS.register("scores")
class ScoreGrid(Exhibit, ScoreBlock):
    """A table of scores: models, training sets, test sets, quantities and problem sets as rows and columns."""

    group: Group = GRIDS
    rows: Annotated[list[Dimension], Field(min_length=1)]
    columns: Annotated[list[Dimension], Field(min_length=1, max_length=3)]
    training_sets: Annotated[list[str], Field(min_length=1)]
    models: Annotated[Sequence[str], Field(min_length=1)] = (EVERY,)
    """Names of models; a star stands for any letters."""
    without_models: Sequence[str] = ()
    """Models that are left out."""
    recipes: Annotated[Sequence[str], Field(min_length=1)] = (EVERY,)
    """Recipes in their order, for the dimension ``recipe``; ``base`` is the model before fine-tuning. Of several that
    are named a model must have two."""
    untuned_models: bool = False
    """Whether models that are not fine-tuned stand among the recipes' rows."""
    families: Mapping[str, Annotated[Sequence[Text], Field(min_length=1)]] = FAMILIES
    """Families with patterns of the names of their models in lower case, for the dimension ``family``."""
    names: Mapping[str, str] = {}
    """Headings of columns in place of their labels: ``humaneval-plus base: HumanEval``."""
    more: Sequence[ScoreBlock] = ()
    """More columns or rows: other quantities on other test sets."""
    mean: bool = False
    """Whether the last rows have the mean over the models, which must be rows then."""
    whole: bool = False
    """Whether rows and columns without any number stay, and the caption is the definition's own, without sentences on
    what the sweep lacks. ``{draws}``, ``{parts}`` and ``{unchanged}`` in it stand for sentences on draws of
    perturbations, on parts of tests, and on prompts that stayed as they were."""
    needs: str = ""
    """A metric without which a problem set has no table."""
    only_with: str = ""
    """A metric without which a test set is left out."""
    headings: Mapping[Dimension, str] = {}
    """Headings of the rows' dimensions, where they differ from the usual ones."""
    intervals: bool = True

    @model_validator(mode="after")
    def _once(self) -> ScoreGrid:
        both = [*self.rows, *self.columns]
        if twice := [name for name in both if both.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} is named twice among rows and columns; name it once")
        if tuple(self.recipes) != (EVERY,) and "recipe" not in both:
            raise ValueError("`recipes` are named, and no row or column shows them; add 'recipe' to the rows")
        if "regime" in both and (named := {"recipe", "training set"}.intersection(both)):
            raise ValueError(f"the names of regimes tell recipes and training sets apart; leave {min(named)!r} out")
        if self.mean and "model" not in self.rows:
            raise ValueError("the mean is over models; add 'model' to the rows, or leave `mean` out")
        filled = [HEADLINE, *(name for name in DIMENSIONS if name not in both)]
        for key, text, known in (("title", self.title, filled), ("caption", self.caption, [*filled, *SENTENCES])):
            for name in re.findall(r"{([^{}]*)}", text):
                if name not in known:
                    why = " (it is among rows and columns)" if name in both else did_you_mean(name, known)
                    raise ValueError(
                        f"nothing fills {{{name}}} in the {key}{why}; it may have {{{'}, {'.join(known)}}}"
                    )
        return self

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        frame = evidence.frame
        for name, need in NEEDS.items():
            if (name == self.needs or name in (*self.rows, *self.columns)) and not need.is_met(evidence):
                raise NothingToDraw(need.lacking)
        lacking = [] if self.whole else self._lacking(frame)
        of_blocks = self._places(frame)
        separate = self._separate([place for places in of_blocks for place in places])
        tables: dict[Labels, list[Place]] = {}
        for place in (place for of in of_blocks for place in nested(of, [*separate, *self.rows, *self.columns])):
            tables.setdefault(tuple(place.labels[name] for name in separate), []).append(place)
        drawn = [
            self._table(frame, dict(zip(separate, labels, strict=True)), places, lacking)
            for labels, places in tables.items()
            if self.whole or (frame.scores() and has_numbers(frame, places))
        ]
        if not drawn:
            for metric in filter(None, (self.needs, self.only_with)):
                if unknown := unknown_metric(frame, metric):
                    raise NothingToDraw(unknown)
            pairs = (self._tests(frame, block, name) for name in frame.problem_sets for block in self._blocks)
            tests = dict.fromkeys(test for of in pairs for _, test in of) or self.test_sets
            named = f"{' or '.join(self._names())} on {' or '.join(tests)}"
            raise NothingToDraw(f"no model has {named} yet")
        return Drawn(tuple(drawn))

    @property
    def _blocks(self) -> list[ScoreBlock]:
        return [self, *self.more]

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for block in self._blocks for name in block.quantities))

    def _shows(self, dimension: Dimension) -> bool:
        return dimension in (*self.rows, *self.columns)

    def _trained(self, frame: ScoreFrame) -> list[TrainedModel]:
        sets = select_training_sets(frame, self.training_sets).names
        if self._shows("recipe"):
            trained = by_recipe(frame, sets, self.recipes, untuned=self.untuned_models)
        elif self._shows("regime"):
            trained = by_regime(frame, sets)
        else:
            trained = by_training_set(frame, sets, once={"model", "training set"} <= {*self.rows})
        trained = in_families(trained, self.families) if self._shows("family") else trained
        chosen = [
            one
            for one in trained
            if matches(one.variant.model, self.models) and not matches(one.variant.model, self.without_models)
        ]
        if self._shows("recipe"):
            compared = {one.training_set for one in chosen if one.trained_on != BASE}
            chosen = [one for one in chosen if one.training_set in compared]
        if not chosen:
            named = f" {' or '.join(self.models)}" if tuple(self.models) != (EVERY,) else ""
            recipes = f" with two of the recipes {', '.join(self.recipes)}" if tuple(self.recipes) != (EVERY,) else ""
            hints = "".join(did_you_mean(name, frame.models) for name in self.models if _is_absent(frame, name))
            there = f"{hints}; it has {', '.join(frame.models)}" if named and frame.models else ""
            raise NothingToDraw(f"it has no model{named}{recipes}", there)
        return chosen

    def _places(self, frame: ScoreFrame) -> list[list[Place]]:
        """Return the places of each problem set and block."""
        trained = self._trained(frame)
        problem_sets = [name for name in frame.problem_sets if not self.needs or self.needs in frame.metrics(name)]
        if self._shows("language"):
            problem_sets.sort(key=lambda name: frame.order.languages.get(name, ""))
        return [
            places_of(frame, problems, trained, self._tests(frame, block, problems), block.measures(frame, problems))
            for problems in problem_sets
            for block in self._blocks
        ]

    def _tests(self, frame: ScoreFrame, block: ScoreBlock, problems: str) -> list[tuple[str, str]]:
        """Return a block's test sets, each with the one in whose table it is, which comes first."""
        tests = select_test_sets(frame, block.test_sets, problems).names
        if self.only_with:
            tests = tuple(name for name in tests if frame.all_scores(problems, name, self.only_with))
        if not block.beside:
            return [(name, name) for name in tests]
        others = [pair for other in self._blocks if not other.beside for pair in self._tests(frame, other, problems)]
        return [(name, test) for test in tests for name, _ in others or [(test, test)]]

    def _lacking(self, frame: ScoreFrame) -> list[str]:
        known = dict.fromkeys(metric for problems in frame.problem_sets for metric in frame.metrics(problems))
        if known and not any(matching(name, list(known)) for name in self._names()):
            named = " or ".join(f"{name!r}{did_you_mean(name, known)}" for name in self._names())
            raise NothingToDraw(f"it has no metric {named}")
        blocks = [(block, select_test_sets(frame, block.test_sets)) for block in self._blocks]
        tests = " or ".join(dict.fromkeys(name for _, of in blocks for name in of.lacking if name != HEADLINE))
        sets = select_training_sets(frame, self.training_sets)
        there = f"; its test sets are {', '.join(dict.fromkeys([CLEAN, *frame.perturbations]))}"
        if all(of.lacking and not of.perturbed for _, of in blocks):
            raise NothingToDraw(f"it evaluates no model on perturbed prompts{f' of {tests}' if tests else ''}", there)
        if not sets.names:
            trained = dict.fromkeys(trained_with(frame, name) for name in whole_sets(frame))
            named = " or ".join(sets.lacking or self.training_sets)
            raise NothingToDraw(f"it has no training set of {named}", f"; it has {', '.join(trained) or 'none'}")
        if not any(of.names for _, of in blocks):
            named = " or ".join(dict.fromkeys(name for block in self._blocks for name in block.test_sets))
            raise NothingToDraw(f"it evaluates nothing on {named}", there)
        metrics = dict.fromkeys(name for block, of in blocks if of.names for name in block.quantities)
        unknown = [name for name in metrics if "*" not in name and name not in known]
        lacking = []
        if tests:
            lacking.append(f"This sweep evaluates nothing on {tests}.")
        if sets.lacking:
            hints = {name: did_you_mean(name, {*WORDS} - {name}) for name in sets.lacking if name != BASE}
            names = " or ".join(f"{name}{hint}" for name, hint in hints.items())
            lacking.append(f"It has no training set of {names}." if names else "It has no base model.")
        if absent := [name for name in self.models if _is_absent(frame, name)]:
            lacking.append(f"It has no model {' or '.join(absent)}.")
        if self._shows("recipe") and (absent := absent_recipes(frame, self.recipes)):
            lacking.append(f"It has no recipe {' or '.join(absent)}.")
        if self._shows("regime") and (absent := absent_regimes(frame)):
            lacking.append(f"This sweep has no model of {' or '.join(absent)}.")
        return [*lacking, *(f"It has no metric {name}{did_you_mean(name, known)}." for name in unknown)]

    def _separate(self, places: Sequence[Place]) -> list[Dimension]:
        """Return the dimensions that have a table for each of their values: several ones, or one that is named."""
        separate = {name for name in DIMENSIONS if len({place.labels[name] for place in places}) > 1}
        separate |= {"problem set", "model", *_named(self.title + self.caption)}
        separate -= {*self.rows, *self.columns}
        if "language" not in _named(self.title + self.caption):
            separate -= {"language"}  # whose problem sets have tables of their own
        return [name for name in DIMENSIONS if name in separate]

    def _table(
        self, frame: ScoreFrame, labels: Mapping[Dimension, str], places: Sequence[Place], lacking: Sequence[str]
    ) -> Table:
        parts = list(dict.fromkeys(place.labels["part"] for place in places))
        shown = [name for name in self.rows if name != "part" or len(parts) > 1]
        cells = cells_of(frame, places, shown, self.columns, whole=self.whole)
        columns = list(next(iter(cells.values())))
        cells |= mean_rows(cells, shown.index("model"), places) if self.mean else {}
        in_title = _named(self.title)
        others = [label for name, label in labels.items() if name not in _named(self.title + self.caption)]
        title = _filled(self.titled(frame, *reversed(others)), labels)
        return Table(
            title=title + ("" if self._shows("quantity") else f" ({places[0].quantity.unit})"),
            caption=self._caption(frame, labels, places, lacking, title),
            stub=tuple((self.headings or HEADINGS).get(name, HEADINGS.get(name, name)) for name in shown),
            columns=tuple(self._column(frame, name) for name in columns),
            rows=tuple(Row(row, tuple(self._shown(of_row[name]) for name in columns)) for row, of_row in cells.items()),
            row_words=_words(frame, self.rows),
            column_words=_words(frame, self.columns),
            label="" if in_title else "-".join([self.id, *reversed(list(labels.values()))]),
            problem_set=labels.get("problem set", ""),
            column_kind="training set" if self.columns == ["training set"] else "",
        )

    def _shown(self, cell: TableCell) -> TableCell:
        return cell if self.intervals else replace(cell, interval="")

    def _caption(
        self,
        frame: ScoreFrame,
        labels: Mapping[Dimension, str],
        places: Sequence[Place],
        lacking: Sequence[str],
        title: str,
    ) -> str:
        draws, parts = draws_sentence(frame), list(dict.fromkeys(place.labels["part"] for place in places))
        perturbed = any(place.key.perturbation != CLEAN for place in places)
        models = {place.labels["model"]: place.key.variant.model for place in places}
        several = self.mean and len(models) > len(set(models.values())) > 1
        test = self._test_sentence(frame, places[0].labels["test set"], f"{title} {self.caption}")
        more = (*lacking, draws if perturbed else "", EQUAL_MODELS if several else "")
        sentences: dict[str, str] = {name: frame.order.test_label(label) for name, label in labels.items()}
        sentences |= {
            HEADLINE: frame.headline or "perturbed prompts",
            "draws": draws,
            "parts": _parts_sentence(parts[1:]),
            "unchanged": unchanged_sentence(frame, places[0].key.problem_set),
        }
        return " ".join(_filled(self.captioned(test, *(() if self.whole else more)), sentences).split())

    def _test_sentence(self, frame: ScoreFrame, test: str, said: str) -> str:
        """Return the sentence that names a table's test set; empty where what is `said` does, or there is no other."""
        words = [test, "{test set}", *(["unperturbed"] if test == CLEAN else [])]
        named = any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said, re.IGNORECASE) for word in words)
        if named or self._shows("test set") or not frame.perturbations:
            return ""
        return f"Test prompts: {frame.order.test_label(test)}."

    def _column(self, frame: ScoreFrame, labels: Labels) -> Column:
        if named := self.names.get(" ".join(labels)):
            return Column(named)
        *above, name = labels
        below = (frame.order.test_label(label) for label in above[1:] if label != CLEAN)
        return Column(name, ", ".join([*above[:1], *below]))


def _is_absent(frame: ScoreFrame, pattern: str) -> bool:
    return not any(matches(model, [pattern]) for model in frame.models)


def _named(text: str) -> list[Dimension]:
    return [name for name in DIMENSIONS if f"{{{name}}}" in text]


def _filled(text: str, values: Mapping[Any, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _words(frame: ScoreFrame, dimensions: Sequence[Dimension]) -> dict[str, str]:
    words = {"test set": frame.order.words, "training set": frame.order.training_words}
    return {code: text for name in dimensions for code, text in words.get(name, {}).items()}


def _parts_sentence(parts: Sequence[str]) -> str:
    of_tests = [part for part in parts if part != WHERE_SOLVABLE]
    sentences = [f"Tests: {WHOLE} of them, or only the part {', '.join(of_tests)}."] if of_tests else []
    if WHERE_SOLVABLE in parts:
        sentences.append(f"Problems: {WHOLE} of them, or only those {WHERE_SOLVABLE}.")
    return " ".join(sentences)
