"""Kind ``choice``: which model answers a kind of prompts best, how sure that is and what it costs, in three sentences.

Models are compared by pass@1 on the problems that all of them have verdicts on, and on the seeds that all have; RD
ranks nothing, because it also falls when clean pass@1 falls. One is better where the 95 % interval of its lead over the
next one, on the same problems and seeds, leaves out 0. The sentences stand in choice.jinja.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar, Literal

from typing_extensions import override

from raysweep.analysis.comparisons.base import ProblemRates, TestSetName
from raysweep.analysis.comparisons.estimate import Estimate, estimate, pool
from raysweep.analysis.comparisons.pass_rates import DIFFERENCE
from raysweep.analysis.exhibits.base import EXHIBITS, Conclusion, Drawn, Evidence, Exhibit, Id, NothingToDraw, Text
from raysweep.analysis.exhibits.selections import select_test_sets
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.quantities import PASS
from raysweep.analysis.templates import templates
from raysweep.metrics.base import Measurement
from raysweep.records import BASE, CLEAN
from raysweep.stats.intervals import mean_interval
from raysweep.stats.seeds import shared_variance
from raysweep.units import count, duration

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST = 2
"""So many problems tell how sure a number is."""
NO_SEED = -1


@dataclass(frozen=True)
class Candidate:
    """A model that is compared.

    Attributes:
        model: the base model.
        recipe: that it was fine-tuned by; of a base model ``none``.
        training_set: that it was fine-tuned on, or ``base``.
        rates: pass@1 of the problems, for each seed that is compared; of a base model for `NO_SEED`.
        seeds: how many seeds it has.
        clean: mean pass@1 of these problems on clean prompts, 0 to 1; NaN if unknown.
        name: the model in words.
    """

    model: str
    recipe: str
    training_set: str
    rates: Mapping[int, Sequence[float]]
    seeds: int
    clean: float
    name: str

    @property
    def score(self) -> float:
        return fmean(rate for rates in self.rates.values() for rate in rates)

    def lead(self, other: Candidate) -> Estimate | None:
        """Return by how much its pass@1 is above another's, over the seeds of both; None without one in common."""
        import numpy as np

        both = [
            [one.rates.get(seed, one.rates.get(NO_SEED)) for one in (other, self)]
            for seed in sorted({*self.rates, *other.rates})
        ]
        pairs = [pair for pair in both if None not in pair]
        if not pairs:
            return None
        before, after = np.array(pairs, float).swapaxes(0, 1)
        return estimate(before, after, DIFFERENCE)

    def estimated(self) -> Estimate:
        import numpy as np

        rates: NDArray[np.float64] = np.array([*self.rates.values()])
        seeds = [Measurement(PASS.metric, float(one.mean()), *mean_interval(one), len(one)) for one in rates]
        return pool(seeds, shared_variance(rates))


@EXHIBITS.register("choice")
class BestModel(Exhibit):
    """Sentences on the page that say which model has the highest pass@1 on one test set of each problem set."""

    has_table: ClassVar[bool] = False
    place: ClassVar[str] = "summary/choice"

    id: Id = "choice"
    title: Text = "The model with the highest pass@1 on {headline}"
    test_set: Literal["clean", "headline"] = "headline"
    """In a sweep without perturbations the headline is the clean prompts."""

    @override
    def reads(self, frame: ScoreFrame) -> Iterable[tuple[str, str]]:
        return product(frame.training_sets, self._tests(frame))

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        frame = evidence.frame
        found = [_conclusion(evidence, name) for name in product(frame.problem_sets, self._tests(frame))]
        conclusions = tuple(one for one in found if one is not None)
        if not conclusions:
            raise NothingToDraw(f"it needs a model with verdicts on two problems of {self.test_set}")
        return Drawn(conclusions=conclusions)

    def _tests(self, frame: ScoreFrame) -> Sequence[str]:
        return select_test_sets(frame, [self.test_set]).names or (() if frame.perturbations else (CLEAN,))


def _candidates(evidence: Evidence, name: TestSetName) -> list[Candidate]:
    """Return the models with verdicts on a test set, all with the same problems; none if these are too few.

    Of fine-tuned models count the seeds that all have, or all seeds if none is shared.
    """
    order = evidence.frame.order
    groups: dict[tuple[str, str, str], dict[int, Mapping[TestSetName, ProblemRates]]] = {}
    for cell, by_test in evidence.rates.items():
        if name in by_test and cell.training_set not in (*order.pairs, *order.ways):
            seed = NO_SEED if cell.training_set == BASE else cell.seed
            groups.setdefault((cell.model, cell.recipe, cell.training_set), {})[seed] = by_test
    seeds_of = {labels: len(seeds) for labels, seeds in groups.items()}
    of_tuned = [set(seeds) for seeds in groups.values() if NO_SEED not in seeds]
    if of_tuned and (shared := set.intersection(*of_tuned)):
        groups = {
            labels: {seed: of for seed, of in seeds.items() if seed in {*shared, NO_SEED}}
            for labels, seeds in groups.items()
        }
    each = [by_test[name].rates for seeds in groups.values() for by_test in seeds.values()]
    tasks = [task for task in each[0] if all(task in rates for rates in each)] if each else []
    if len(tasks) < FEWEST:
        return []
    tuned = {labels[:2] for labels in groups if labels[2] != BASE}
    found = []
    for labels, seeds in groups.items():
        rates = {seed: [by_test[name].rates[task] for task in tasks] for seed, by_test in seeds.items()}
        on_clean = [by_test[name[0], CLEAN].rates for by_test in seeds.values() if (name[0], CLEAN) in by_test]
        clean = [of[task] for of in on_clean for task in tasks if task in of]
        words = _named(evidence.frame, *labels, sum(model == labels[0] for model, _ in tuned))
        found.append(Candidate(*labels, rates, seeds_of[labels], fmean(clean) if clean else math.nan, words))
    return found


def _conclusion(evidence: Evidence, name: TestSetName) -> Conclusion | None:
    candidates = _candidates(evidence, name)
    if not candidates:
        return None
    best = max(candidates, key=lambda one: one.score)
    others = [one for one in candidates if one is not best]
    second = max(others, key=lambda one: one.score, default=None)
    base = next((one for one in others if one.training_set == BASE and one.model == best.model), None)
    made_by = (best.model, best.recipe, best.training_set)
    seconds = [one.seconds for one in evidence.trainings if (one.model, one.recipe, one.training_set) == made_by]
    lead = best.lead(second) if second is not None else best.estimated()
    if second is not None and lead is not None and lead.value < 0:
        lead = None  # on other seeds than those of both it is ahead
    environment = templates("exhibits")
    environment.filters.update(percent=PASS.format, duration=duration)
    text = environment.get_template("choice.jinja").render(
        problem_set=name[0],
        under="" if name[1] == CLEAN else evidence.frame.order.test_label(name[1]),
        models=len(candidates),
        best=best,
        second=second,
        base=base,
        lead=lead,
        gain=best.lead(base) if base is not None and base is not second else None,
        is_sure=lead is not None and lead.low > 0,
        over=_over(best, second, lead, max(evidence.frame.order.seeds, *(one.seeds for one in candidates))),
        seconds=fmean(seconds) if seconds else math.nan,
    )
    return Conclusion(*(" ".join(sentence.split()) for sentence in text.split("\n\n")))


def _over(best: Candidate, second: Candidate | None, lead: Estimate | None, asked: int) -> str:
    """Return over how many problems and seeds a lead is; `asked`: the seeds that fine-tuned models should have."""
    if lead is None:
        return ""
    problems = count(lead.n, "problem")
    if asked < FEWEST or all(one.training_set == BASE for one in (best, second) if one is not None):
        return problems
    return f"{problems} and {f'{lead.seeds} of ' if lead.seeds < asked else ''}{asked} seeds"


def _named(frame: ScoreFrame, model: str, recipe: str, training_set: str, recipes: int) -> str:
    """Return a model in words. `recipes`: by how many the base model was fine-tuned."""
    if training_set == BASE:
        return f"{model} without fine-tuning" if frame.tuned_sets else model
    words = "clean prompts" if training_set == CLEAN else frame.order.training_label(training_set)
    return f"{model}{f' · {recipe}' if recipes > 1 else ''} fine-tuned on {words}"
