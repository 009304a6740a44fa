"""Kind ``choice``: which model and training set to choose for a kind of prompts, and how sure that is.

The choice is by pass@1 on these prompts; RD stands beside it and ranks nothing, because it also falls when clean pass@1
falls. All candidates are bootstrapped over the same problems (`raysweep.stats.resampling.argmax_interval`): the share
of resamples in which a candidate is the best says how sure the choice is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Annotated, Literal

from pydantic import Field

from raysweep.analysis.exhibits.base import EXHIBITS, Conclusion, Drawn, Evidence, Exhibit, NothingToDraw
from raysweep.analysis.exhibits.selections import select_test_sets
from raysweep.analysis.tables.quantities import DROP, PASS, RD, Quantity
from raysweep.analysis.tables.score_book import ScoreBook
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.records import BASE, CLEAN
from raysweep.stats.intervals import COVERAGE, mean_interval
from raysweep.stats.resampling import BestSetting, argmax_interval
from raysweep.stats.stability import FEWEST_DRAWS, noise
from raysweep.units import count

FEWEST = 2
NO_SEED = -1
RIVALS = 3
"""Candidates beside the choice that its sentence names."""
WORTH_NAMING = 0.01
"""The share of resamples from which a rival is named."""
_SHARE = Quantity("", "best in", "% of resamples")


@dataclass(frozen=True)
class Candidate:
    """A model that may be chosen; its seeds are averaged, problem by problem.

    Attributes:
        model: the base model, with its recipe where it has several.
        training_set: that it was fine-tuned on, or ``base``.
        perturbed: pass@1 by task id on the prompts in question.
        clean: pass@1 by task id on clean prompts; empty if unknown.
        by_seed: `perturbed` for each seed of its training; of a base model for `NO_SEED`.
    """

    model: str
    training_set: str
    perturbed: Mapping[str, float]
    clean: Mapping[str, float]
    by_seed: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def leads(self, other: Candidate) -> list[float]:
        """Return by how much its pass@1 is above another's, 0 to 1, for each seed that both have."""
        both = self.by_seed, other.by_seed
        seeds = [seed for seed in {**both[0], **both[1]} if seed != NO_SEED]
        return [
            self._mean(seed) - other._mean(seed) for seed in seeds if all(seed in one or NO_SEED in one for one in both)
        ]

    def _mean(self, seed: int) -> float:
        rates = self.by_seed[NO_SEED if NO_SEED in self.by_seed else seed]
        return sum(rates[task] for task in self.perturbed) / len(self.perturbed)

    @property
    def pair(self) -> tuple[float, float] | None:
        """Return pass@1 on clean and on these prompts, of the problems with both; None if there are none."""
        both = [(self.clean[task], rate) for task, rate in self.perturbed.items() if task in self.clean]
        clean, perturbed = (sum(values) / len(both) for values in zip(*both, strict=True)) if both else (0.0, 0.0)
        return (clean, perturbed) if both else None

    @property
    def clean_mean(self) -> float | None:
        """Return pass@1 on the clean prompts of the same problems; None if unknown."""
        pair = self.pair
        return pair[0] if pair else None


@EXHIBITS.register("choice")
class BestModel(Exhibit):
    """A table of the best models on one test set of each problem set, and a sentence that says which to choose."""

    test_set: Literal["clean", "headline"]
    rows: Annotated[int, Field(ge=1)] = 10
    """At most so many candidates, the best first."""

    def reads(self, book: ScoreBook) -> Iterable[tuple[str, str]]:
        """Return all training sets on the test set."""
        return product(book.training_sets, select_test_sets(book, [self.test_set]).names)

    def draw(self, evidence: Evidence) -> Drawn:
        """Return a table and a sentence for each problem set on which two models have verdicts on the same problems."""
        choosing = [
            choice
            for problems in evidence.book.problem_sets
            for test in select_test_sets(evidence.book, [self.test_set]).names
            if (choice := _Choosing.of(evidence, problems, test)) is not None
        ]
        if not choosing:
            raise NothingToDraw(f"a choice needs two models with verdicts on two problems of {self.test_set}")
        conclusions = tuple(Conclusion(choice.sentence, self._table(choice)) for choice in choosing)
        return Drawn(tuple(conclusion.table for conclusion in conclusions), conclusions=conclusions)

    def _table(self, choosing: _Choosing) -> Table:
        book = choosing.book
        pairs = sorted(
            zip(choosing.candidates, choosing.best.shares, choosing.best.scores, strict=True), key=lambda c: -c[2]
        )
        return Table(
            title=self.titled(book, choosing.problem_set),
            caption=self.captioned(
                "The models with the highest pass@1, best first. Best in: the share of "
                "bootstrap resamples of the problems in which a model has the highest pass@1 of all "
                f"{len(choosing.candidates)}; those that tie share a resample. Seeds and draws are averaged."
            ),
            stub=("model", "training set"),
            columns=tuple(
                map(Column, ("pass@1 (%)", "clean pass@1 (%)", DROP.heading, "RD (%)", _SHARE.heading)),
            ),
            rows=tuple(
                Row((candidate.model, candidate.training_set), _cells(candidate, share, score))
                for candidate, share, score in pairs[: self.rows]
            ),
            row_words=book.order.training_words,
            label=f"{self.id}-{choosing.problem_set}",
        )


@dataclass(frozen=True)
class _Choosing:
    """The candidates on one test set, all on the same problems, and what the bootstrap says of them."""

    book: ScoreBook
    problem_set: str
    test: str
    candidates: tuple[Candidate, ...]
    best: BestSetting

    @classmethod
    def of(cls, evidence: Evidence, problem_set: str, test: str) -> _Choosing | None:
        candidates = list(_candidates(evidence, problem_set, test))
        if len(candidates) < FEWEST:
            return None
        shared = set(candidates[0].perturbed).intersection(*(candidate.perturbed for candidate in candidates[1:]))
        tasks = [task for task in candidates[0].perturbed if task in shared]
        if len(tasks) < FEWEST:
            return None
        same = tuple(
            replace(candidate, perturbed={task: candidate.perturbed[task] for task in tasks})
            for candidate in candidates
        )
        values = {
            str(number): [[rate] for rate in candidate.perturbed.values()] for number, candidate in enumerate(same)
        }
        return cls(evidence.book, problem_set, test, same, argmax_interval(values))

    @property
    def sentence(self) -> str:
        """Say which to choose, what it costs on clean prompts, and how sure that is."""
        number = int(self.best.best)
        chosen, share = self.candidates[number], self.best.shares[number]
        clean = chosen.clean_mean
        where = f"On {self.problem_set} under {self.book.order.test_label(self.test)}"
        score = f"{PASS.format(self.best.scores[number])} % of"
        if len(self.best.tied) > 1:
            names = [self._name(self.candidates[int(other)]) for other in self.best.tied]
            more = f" and {len(names) - RIVALS} more" if len(names) > RIVALS else ""
            return (
                f"{where}, {len(names)} of {len(self.candidates)} models tie with {score} their completions passing: "
                f"{', '.join(names[:RIVALS])}{more}. {count(self.best.n, 'problem')} don't tell them apart."
            )
        first = f"{where}, {self._name(chosen)} passes most: {score} its completions"
        if clean is not None and self.test != CLEAN:
            first += f", and {PASS.format(clean)} % on clean prompts{self._clean_best(clean)}"
        among = f"{100 * share:.0f} % of bootstrap resamples of {count(self.best.n, 'problem')}"
        sure = f"It is the best of {len(self.candidates)} in {among}"
        seeds = self._between_seeds(number)
        if share >= COVERAGE:
            return f"{first}. {sure}.{seeds}"
        rivals = sorted(range(len(self.candidates)), key=lambda other: -self.best.shares[other])
        named = [
            f"{self._name(self.candidates[other])} ({100 * self.best.shares[other]:.0f} %)"
            for other in rivals
            if other != number and self.best.shares[other] >= WORTH_NAMING
        ]
        others = f", {', '.join(named[:RIVALS])} in others" if named else ""
        return f"{first}. {sure}{others}: the problems don't tell the best ones apart.{seeds}"

    def _between_seeds(self, number: int) -> str:
        """Say how the lead over the second best stands beside the spread between seeds; empty for one seed."""
        chosen, scores = self.candidates[number], self.best.scores
        second = max((other for other in range(len(scores)) if other != number), key=lambda other: scores[other])
        leads = [100 * lead for lead in chosen.leads(self.candidates[second])]
        if len(leads) < FEWEST_DRAWS:
            return ""
        mean = sum(leads) / len(leads)
        lead = noise(mean, leads, "seed")
        if lead.within_noise is None or mean <= 0:  # the second best may lack a seed
            return ""
        return f" Its lead of {mean:.1f} points over {self._name(self.candidates[second])} is {lead.words} points."

    def _clean_best(self, clean: float) -> str:
        known = [(mean, candidate) for candidate in self.candidates if (mean := candidate.clean_mean) is not None]
        mean, best = max(known, key=lambda pair: pair[0])
        return f" ({self._name(best)}: {PASS.format(mean)} %)" if mean > clean + 5e-4 else ""

    def _name(self, candidate: Candidate) -> str:
        if candidate.training_set == BASE:
            return f"{candidate.model} without fine-tuning"
        words = self.book.order.training_label(candidate.training_set)
        return f"{candidate.model} fine-tuned on {'clean prompts' if candidate.training_set == CLEAN else words}"


def _candidates(evidence: Evidence, problem_set: str, test: str) -> Iterator[Candidate]:
    """Yield the models with verdicts on a test set, in the order of the cells."""
    rates: dict[tuple[str, str, str], dict[int, tuple[Mapping[str, float], Mapping[str, float]]]] = {}
    order = evidence.book.order
    trained = {cell: of for cell, of in evidence.rates.items() if cell.training_set not in (*order.pairs, *order.ways)}
    for cell, by_test in trained.items():
        if (problem_set, test) in by_test:
            perturbed = by_test[problem_set, test].rates
            clean = by_test[problem_set, CLEAN].rates if (problem_set, CLEAN) in by_test else {}
            seed = NO_SEED if cell.training_set == BASE else cell.seed
            rates.setdefault((cell.model, cell.recipe, cell.training_set), {})[seed] = (perturbed, clean)
    recipes: dict[str, set[str]] = {}
    for model, recipe, training_set in rates:
        recipes.setdefault(model, set()).update([] if training_set == BASE else [recipe])
    for (model, recipe, training_set), seeds in rates.items():
        name = f"{model} · {recipe}" if training_set != BASE and len(recipes[model]) > 1 else model
        perturbed, clean = (_means([of_seed[side] for of_seed in seeds.values()]) for side in (0, 1))
        yield Candidate(name, training_set, perturbed, clean, {seed: rates for seed, (rates, _) in seeds.items()})


def _means(seeds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means over seeds of the problems that all seeds have."""
    return {
        task: sum(rates[task] for rates in seeds) / len(seeds) for task in seeds[0] if all(task in s for s in seeds)
    }


def _cells(candidate: Candidate, share: float, score: float) -> tuple[TableCell, ...]:
    n, pair = len(candidate.perturbed), candidate.pair
    low, high = mean_interval(list(candidate.perturbed.values()))
    interval = f"[{PASS.format(low)}, {PASS.format(high)}]"
    of_score = TableCell(PASS.format(score), interval, 100 * score, 100 * low, 100 * high, state="value", n=n)
    beside = [TableCell(), TableCell(), TableCell()]
    if pair is not None:
        clean, perturbed = pair
        rd = TableCell("–", note="the clean score is 0", state="undefined")
        rd = _number((clean - perturbed) / clean, RD) if clean else rd
        beside = [_number(clean, PASS), _number(perturbed - clean, DROP), rd]
    return of_score, *beside, _number(share, _SHARE)


def _number(value: float, quantity: Quantity) -> TableCell:
    return TableCell(quantity.format(value), value=100 * value, state="value")
