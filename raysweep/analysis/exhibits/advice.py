"""Says which model to choose, how sure that is, what it costs and what to do next: the first thing in a report."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raysweep.analysis.exhibits.base import Conclusion, Remark
from raysweep.analysis.exhibits.candidates import Candidate, Choosing
from raysweep.analysis.tables.edited import EDITED
from raysweep.analysis.tables.over_seeds import MeasurementOverSeeds
from raysweep.analysis.tables.quantities import PASS
from raysweep.analysis.tables.score_book import ScoreBook
from raysweep.analysis.tables.table import Table
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.errors import UsageError
from raysweep.records import BASE, CLEAN
from raysweep.stats import problems_needed
from raysweep.stats.intervals import COVERAGE
from raysweep.stats.stability import FEWEST_DRAWS, Noise, noise
from raysweep.units import count, duration

RIVALS = 3
"""Candidates beside the choice that are named."""
WORTH_NAMING = 0.01
"""The share of resamples from which a rival is named."""
POWER = 0.8
"""The chance that so many problems show the lead of the best one over the second."""
SEEDS_NAMED = 5
"""Most seeds whose leads are said one by one."""
SURE, COST, NEXT = "How sure is that?", "What does it cost?", "What next?"
SAME_CLEAN = 5e-4
"""Shares of clean prompts that differ by less are printed alike."""
READ_EDITS = "Read under Repairing one layer what edits restore"
"""What is next where models were edited and none was fine-tuned; edited models are no candidates."""


def conclude(choosing: Choosing, trainings: Sequence[ReportedTraining], table: Table) -> Conclusion:
    points = [
        Remark(SURE, _sure(choosing)),
        Remark(COST, _cost(choosing, trainings)),
        Remark(NEXT, _next(choosing, trainings)),
    ]
    return Conclusion(_answer(choosing), table, tuple(point for point in points if point.text))


def describe(alone: Candidate, book: ScoreBook, problem_set: str, test: str) -> Conclusion:
    seeds, name = alone.over_seeds, name_of(book, alone)
    score, low, high = (PASS.format(number) for number in (seeds.mean, seeds.low, seeds.high))
    over = f"{count(len(alone.perturbed), 'problem')}{f' and {seeds.n} seeds' if seeds.n > 1 else ''}"
    sure = (
        f"The {100 * COVERAGE:.0f} % interval over {over} is {low} to {high} %. Four times as many problems halve it."
    )
    cost, label = "", book.order.test_label(test)
    if alone.pair is not None and test != CLEAN:
        clean, perturbed = alone.pair
        cost = f"On clean prompts {PASS.format(clean)} % of its programs pass, "
        cost += f"{PASS.format(clean - perturbed)} points more than under {label}."
    sets = f" on prompts like these (`training.sets: [{CLEAN}, {test}]`)" if test != CLEAN else ""
    more = f"Fine-tune it{sets}, or add a second model: a choice needs two."
    if _only_edits(book):
        more = f"{READ_EDITS}. To choose a model, add a second one."
    if len(book.models) > 1 or any(name != alone.training_set for name in (BASE, *book.tuned_sets)):
        more = "Finish the sweep: its other models have no numbers here yet, and a choice needs two."
    points = [Remark(SURE, sure), Remark(COST, cost), Remark(NEXT, more)]
    return Conclusion(
        f"{_where(book, problem_set, test)}, {score} % of the programs of {name} pass all tests.",
        None,
        tuple(point for point in points if point.text),
    )


def _only_edits(book: ScoreBook) -> bool:
    return EDITED in book.training_sets and not book.tuned_sets


def _where(book: ScoreBook, problem_set: str, test: str) -> str:
    if test == CLEAN:
        return f"On clean prompts of {problem_set}"
    return f"On {problem_set} under {book.order.test_label(test)}"


def _answer(choosing: Choosing) -> str:
    where = _where(choosing.book, choosing.problem_set, choosing.test)
    tied, chosen = choosing.tied, choosing.chosen
    score = PASS.format(choosing.score_of(chosen))
    if len(tied) > 1:
        number = f"{len(tied)} of {count(len(choosing.candidates), 'model')}"
        return f"{where}, {number} tie with {score} % of their programs passing all tests: {_names(choosing, tied)}."
    named = name_of(choosing.book, chosen)
    is_clear, second = choosing.is_clear, choosing.second
    verb = "is best" if is_clear else "scores highest"
    sentence = f"{where}, {named} {verb}: {score} %{_spread(choosing)} of its programs pass all tests"
    beside = {"without fine-tuning": choosing.base, "fine-tuned on clean prompts": choosing.clean_twin}
    others = [
        f"{PASS.format(choosing.score_of(other))} % {words}"
        for words, other in beside.items()
        if other is not None and other is not chosen and (is_clear or other is not second)
    ]
    rival = f"{name_of(choosing.book, second)}, with {PASS.format(choosing.score_of(second))} %"
    close = "" if is_clear else f" {rival}, is too close to tell apart."
    return f"{sentence}{', against ' if others else ''}{' and '.join(others)}.{close}"


def _spread(choosing: Choosing) -> str:
    seeds = choosing.chosen.over_seeds
    lacks = _missing_seeds(choosing, choosing.chosen)
    over = f"{seeds.n} of {choosing.seeds}" if lacks else str(seeds.n)
    if seeds.n > 1:
        return f" (SD {PASS.format(seeds.sd)} over {over} seeds)"
    return f" (over {over} seeds)" if lacks else ""


def _missing_seeds(choosing: Choosing, candidate: Candidate) -> int:
    return 0 if candidate.training_set == BASE else choosing.seeds - len(candidate.by_seed)


def _sure(choosing: Choosing) -> str:
    problems = count(choosing.best.n, "problem")
    if len(choosing.tied) > 1:
        return f"{problems} don't tell them apart."
    share, chosen = choosing.share, choosing.chosen
    best = f"is the best of {len(choosing.candidates)} models in {share_text(share)} of bootstrap resamples"
    seeds = _lead_words(choosing)
    number = choosing.resampled_seeds
    drawn = f"{problems} and {number} seeds" if number > 1 else problems
    if choosing.is_clear:
        return f"{_gain(choosing)}It {best} of {drawn}.{seeds}"
    rivals = [one for one in choosing.by_share if one is not chosen and choosing.share_of(one) >= WORTH_NAMING]
    named = [f"{name_of(choosing.book, one)} in {100 * choosing.share_of(one):.0f} %" for one in rivals[:RIVALS]]
    others = "".join(f", {one}" for one in named)
    settled = "" if seeds else f", where {100 * COVERAGE:.0f} % would settle it"
    named_best = name_of(choosing.book, chosen)
    return f"{_gain(choosing)}{drawn} don't settle which is best: {named_best} {best}{others}{settled}.{seeds}"


def _gain(choosing: Choosing) -> str:
    base, chosen = choosing.base, choosing.chosen
    gained = chosen.gain(base) if base is not None and base is not chosen else None
    if gained is None or math.isnan(gained.low) or gained.value <= 0:
        return ""
    over = f"over problems{' and seeds' if gained.seeds > 1 else ' only'}"
    points = f"{PASS.format(gained.value)} points more than without fine-tuning"
    return f"It passes {points} ({_ends(gained)}, {over}). "


def share_text(share: float) -> str:
    """Return a share in whole percent, or in tenths, rounded down, where it is too small by less than one percent."""
    if share < COVERAGE <= round(share, 2):
        return f"{math.floor(1000 * share) / 10} %"
    return f"{100 * share:.0f} %"


def _lead(choosing: Choosing) -> Noise | None:
    """Return the lead over the second best beside its spread between seeds, in points; None where that is unknown."""
    leads = [100 * lead for lead in choosing.chosen.leads(choosing.second)]
    if len(leads) < FEWEST_DRAWS:
        return None
    lead = noise(sum(leads) / len(leads), leads, "seed")
    return None if lead.within_noise is None or lead.effect <= 0 else lead  # the second best may lack a seed


def _lead_words(choosing: Choosing) -> str:
    lead = _lead(choosing)
    if lead is None:
        return ""
    second, leads = name_of(choosing.book, choosing.second), choosing.chosen.leads(choosing.second)
    of_seeds = f"with an SD of {PASS.format(lead.sd / 100)} points between {lead.n} seeds"
    if lead.n <= SEEDS_NAMED:
        of_seeds = f"in the {lead.n} seeds it is {_listed([PASS.format(one) for one in leads])}"
    verdict, found = "beyond noise" if choosing.is_clear else "within noise", choosing.lead
    ends = "" if found is None or math.isnan(found.low) else f" ({_ends(found)})"
    return f" Its lead of {PASS.format(lead.effect / 100)} points over {second}{ends} is {verdict}: {of_seeds}."


def _ends(found: MeasurementOverSeeds) -> str:
    return f"{100 * COVERAGE:.0f} % interval {PASS.format(found.low)} to {PASS.format(found.high)}"


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _cost(choosing: Choosing, trainings: Sequence[ReportedTraining]) -> str:
    chosen, sentences = choosing.chosen, []
    if len(choosing.tied) > 1:
        return ""
    clean = chosen.clean_mean
    if clean is not None and choosing.test != CLEAN:
        known = [(mean, one) for one in choosing.candidates if (mean := one.clean_mean) is not None]
        highest, best = max(known, key=lambda pair: pair[0])
        beside = "no model passes more there"
        if highest > clean + SAME_CLEAN:
            beside = f"the best there is {name_of(choosing.book, best)} with {PASS.format(highest)} %"
        before = choosing.base.clean_mean if choosing.base not in (None, chosen, best) else None
        without = f" ({PASS.format(before)} % without fine-tuning)" if before is not None else ""
        nothing = "nothing: " if before is not None and before <= clean else ""
        sentences.append(f"On clean prompts {nothing}{PASS.format(clean)} % of its programs pass{without}; {beside}.")
    seconds = _seconds(chosen, trainings)
    if seconds is not None:
        average = " a seed" if len(chosen.by_seed) > 1 else ""
        second = choosing.second
        others = None if choosing.is_clear else _seconds(second, trainings)
        rival = ""
        if others is not None and duration(others) != duration(seconds):
            rival = f"; that of {name_of(choosing.book, second)}, {duration(others)}"
        sentences.append(f"Fine-tuning took {duration(seconds)}{average}{rival}.")
    return " ".join(sentences)


def _seconds(candidate: Candidate, trainings: Sequence[ReportedTraining]) -> float | None:
    made_by = (candidate.base_model, candidate.recipe, candidate.training_set)
    seconds = [t.seconds for t in trainings if (t.model, t.recipe, t.training_set) == made_by]
    return sum(seconds) / len(seconds) if seconds and not any(map(math.isnan, seconds)) else None


def _next(choosing: Choosing, trainings: Sequence[ReportedTraining]) -> str:
    chosen, lead = choosing.chosen, _lead(choosing)
    if not choosing.score_of(chosen):
        return (
            "No model passes a problem here, so more problems would show nothing: look in the table of outcomes how "
            "most completions end, and read some under Samples."
        )
    for which, one in {"best": chosen, "second best": choosing.second}.items():
        if len(choosing.tied) == 1 and (missing := _missing_seeds(choosing, one)):
            verb = "are" if missing > 1 else "is"
            return f"Run the sweep again: {missing} of {choosing.seeds} seeds of the {which} one {verb} missing."
    if lead is not None and not choosing.is_clear:
        return (
            "Evaluate the best two on more problems and train them with more seeds, or take the one that costs "
            f"least{_faster(choosing, trainings)}."
        )
    if not choosing.is_clear:
        faster = _faster(choosing, trainings) if len(choosing.tied) == 1 else ""
        return (
            f"Evaluate the best ones on {_more_problems(choosing)}, or take the one of them that costs least{faster}."
        )
    if _only_edits(choosing.book):
        return f"{READ_EDITS}."
    if chosen.training_set == BASE:
        return "Keep the model as it is, or try other training sets: none of these makes it better here."
    if len(chosen.by_seed) < FEWEST_DRAWS:
        return "Train it with several seeds (`seeds: [1, 2, 3]`): one training doesn't show how the next one ends."
    if len(choosing.book.problem_sets) < FEWEST_DRAWS:
        return f"Evaluate it on a second problem set: the choice rests on {choosing.problem_set} alone."
    return "Read under Samples what it still gets wrong."


def _faster(choosing: Choosing, trainings: Sequence[ReportedTraining]) -> str:
    both = [(_seconds(one, trainings), name_of(choosing.book, one)) for one in (choosing.chosen, choosing.second)]
    known = [(seconds, name) for seconds, name in both if seconds is not None]
    if len(known) < len(both) or len({duration(seconds) for seconds, _ in known}) == 1:
        return ""
    return f", which in time is {min(known)[1]}"


def _more_problems(choosing: Choosing) -> str:
    chosen, second = choosing.chosen.perturbed, choosing.second.perturbed
    changes = [rate - second[task] for task, rate in chosen.items()]
    lead, apart = sum(changes) / len(changes), sum(map(abs, changes)) / len(changes)
    if lead <= 0 or len(choosing.tied) > 1:
        return "more problems"
    try:
        needed = problems_needed(lead, apart, POWER).n
    except UsageError:  # so small a lead that no number of problems shows it
        return "more problems"
    about = round(needed, 2 - len(str(needed)))
    return f"more problems (about {about:,} would tell the best two apart)" if about > len(changes) else "more problems"


def _names(choosing: Choosing, candidates: Sequence[Candidate]) -> str:
    more = f" and {len(candidates) - RIVALS} more" if len(candidates) > RIVALS else ""
    return ", ".join(name_of(choosing.book, one) for one in candidates[:RIVALS]) + more


def name_of(book: ScoreBook, candidate: Candidate) -> str:
    if candidate.training_set == BASE:
        return candidate.model if _only_edits(book) else f"{candidate.model} without fine-tuning"
    words = book.order.training_label(candidate.training_set)
    return f"{candidate.model} fine-tuned on {'clean prompts' if candidate.training_set == CLEAN else words}"
