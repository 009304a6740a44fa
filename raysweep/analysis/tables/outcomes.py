"""Builds the table of outcomes: why completions fail, cell by cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysweep.analysis.tables.frame import ALL_SEEDS
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.programs import COMPILED, Outcome
from raysweep.records import BASE, CLEAN
from raysweep.units import decimal

ALWAYS = (Outcome.PASSED, Outcome.FAILED, Outcome.EXCEPTION, Outcome.SYNTAX_ERROR, Outcome.TIMEOUT)
"""Outcomes with a column in every table; the others have one where they occur."""
ALWAYS_COMPILED = (Outcome.PASSED, Outcome.COMPILE_ERROR, Outcome.FAILED, Outcome.EXCEPTION, Outcome.TIMEOUT)
"""The same for problems in Java or C++."""
EXPLAINED: Mapping[str, str] = {
    Outcome.COMPILE_ERROR: "the compiler refuses the program",
    Outcome.KILLED: "a signal ended the program, such as a wrong access to memory, or it ended before its tests",
}
"""Outcomes that not every table has, in words."""
CUT = "cut at the token limit"


@dataclass(frozen=True)
class PairOutcomes:
    """How many completions of one evaluation pair ended in which way.

    `cut`: number of completions that ended at the limit of new tokens; None: the completions are gone.
    """

    model: str
    recipe: str
    training_set: str
    seed: int
    problem_set: str
    perturbation: str
    outcomes: Mapping[str, int]
    cut: int | None

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())


def outcome_tables(pairs: Sequence[PairOutcomes], order: Order) -> list[Table]:
    names = dict.fromkeys((*order.problem_sets, *(pair.problem_set for pair in pairs)))
    return [
        _table(name, pairs_of_set, order)
        for name in names
        if (pairs_of_set := [p for p in pairs if p.problem_set == name])
    ]


def commonest_failure(pairs: Sequence[PairOutcomes]) -> str:
    """Return ``10 of 12 end with a syntax error; 12 were cut at the token limit``; empty without completions."""
    counts, cut = _pooled(pairs)
    total = sum(counts.values())
    if not total:
        return ""
    name, most = max(counts.items(), key=lambda item: item[1])
    limited = f"; {cut:,} were {CUT} (`evaluation.max_new_tokens`)" if cut else ""
    return f"{most:,} of {total:,} end with: {_in_words(name)}{limited}"


def _table(problems: str, pairs: Sequence[PairOutcomes], order: Order) -> Table:
    occurring = {name for pair in pairs for name, number in pair.outcomes.items() if number}
    always = ALWAYS_COMPILED if order.languages.get(problems) in COMPILED else ALWAYS
    shown = [outcome.value for outcome in Outcome if outcome in always or outcome.value in occurring]
    alike: dict[tuple[str, str], list[PairOutcomes]] = {}
    for pair in pairs:
        alike.setdefault((pair.model, pair.training_set), []).append(pair)
    cells: dict[tuple[str, str, str], dict[bool, list[PairOutcomes]]] = {}
    for pair in sorted(pairs, key=lambda pair: _place(pair, order)):
        key = _labels(pair, alike[pair.model, pair.training_set])
        cells.setdefault(key, {}).setdefault(pair.perturbation != CLEAN, []).append(pair)
    rows = [
        Row((model, training_set, "perturbed" if perturbed else "clean"), _row(half, shown))
        for (model, _, training_set), halves in cells.items()
        for perturbed, half in sorted(halves.items())
    ]
    caption = (
        "Shares of completions, on the clean prompts and on the perturbed ones of all test sets together. Failed: an "
        "assertion of the tests failed. Exception: another error. A completion that is cut at the token limit "
        "(max_new_tokens) is executed as it is."
    )
    caption += "".join(f" {_in_words(name).capitalize()}: {EXPLAINED[name]}." for name in shown if name in EXPLAINED)
    caption += " Completions of all seeds are together." if any(pair.seed == ALL_SEEDS for pair in pairs) else ""
    columns = [Column(_in_words(name)) for name in shown]
    return Table(
        f"Outcomes on {problems} (%)",
        caption,
        ("model", "training set", "prompts"),
        (*columns, Column(CUT), Column("completions")),
        tuple(rows),
        row_words=order.training_words,
    )


def _row(pairs: Sequence[PairOutcomes], shown: Sequence[str]) -> tuple[TableCell, ...]:
    counts, cut = _pooled(pairs)
    total = sum(counts.values())
    shares = [counts[name] / total if total else None for name in shown]
    shares.append(cut / total if total and cut is not None else None)
    gone = TableCell.dash("the completions are no longer in the store")
    cells = (gone if share is None else TableCell.number(100 * share, decimal(100 * share)) for share in shares)
    return *cells, TableCell.counted(total)


def _pooled(pairs: Sequence[PairOutcomes]) -> tuple[Counter[str], int | None]:
    counts: Counter[str] = Counter()
    for pair in pairs:
        counts.update(pair.outcomes)
    cuts = [pair.cut for pair in pairs if pair.cut is not None]
    return counts, sum(cuts) if len(cuts) == len(pairs) else None


def _labels(pair: PairOutcomes, alike: Sequence[PairOutcomes]) -> tuple[str, str, str]:
    label = [pair.training_set]
    label += [pair.recipe] * (len({p.recipe for p in alike}) > 1)
    label += [f"seed {pair.seed}"] * (len({p.seed for p in alike}) > 1)
    return pair.model, f"{pair.recipe} {pair.seed}", " · ".join(label)


def _place(pair: PairOutcomes, order: Order) -> tuple[int, bool, bool, int, str, int]:
    models, sets = list(order.models), list(order.training_sets)
    model = models.index(pair.model) if pair.model in models else len(models)
    training_set = sets.index(pair.training_set) if pair.training_set in sets else len(sets)
    not_base, not_clean = pair.training_set != BASE, pair.training_set not in order.clean_sets
    return model, not_base, not_clean, training_set, pair.recipe, pair.seed


def _in_words(outcome: str) -> str:
    return outcome.replace("_", " ")
