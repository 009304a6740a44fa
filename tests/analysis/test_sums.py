"""The relative change of sums of columns: its value, its interval over problems, means over models and seeds."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from raysweep.analysis.comparisons.sums import (
    SumChange,
    change_of_sums,
    change_over_seeds,
    changes_between,
    changes_by_seed,
    mean_change,
)
from raysweep.metrics.base import CellLabels

SIGNS = {"+": 1.0, "-": 0.0}


def column(signs: str) -> dict[str, float]:
    return {f"t{number}": SIGNS[sign] for number, sign in enumerate(signs)}


def cell(**columns: str) -> dict[str, dict[str, dict[str, float]]]:
    """The rates of a cell; ``plus="++-|+--"`` are the base part and the whole tests of a problem set."""
    parts = {name: signs.split("|") for name, signs in columns.items()}
    return {
        name: {"base": column(halves[0]), "": column(halves[-1])} if len(halves) > 1 else {"": column(halves[0])}
        for name, halves in parts.items()
    }


BEFORE = cell(plus="++++----|+++-----", other="++--")
AFTER = cell(plus="+++++---|++++----", other="+++-")


def test_the_change_is_that_of_the_sum_and_not_the_mean_of_changes():
    change = change_of_sums(BEFORE, AFTER)
    assert (change.first, change.second) == pytest.approx((0.5 + 0.375 + 0.5, 0.625 + 0.5 + 0.75))
    assert change.value == pytest.approx(1.875 / 1.375 - 1) and change.n == 12
    assert change.low < change.value < change.high and not change.note
    assert repr(change_of_sums(BEFORE, AFTER)) == repr(change), "with an undefined SD, which equals nothing"


def test_pairing_makes_the_interval_of_alike_cells_narrow():
    rng = random.Random(1)
    before = "".join(rng.choice("+-") for _ in range(200))
    flipped = before.replace("-", "+", 10)
    shuffled = "".join(rng.sample(flipped, len(flipped)))
    paired, apart = (change_of_sums(cell(a=before), cell(a=after)) for after in (flipped, shuffled))
    assert paired.value == pytest.approx(apart.value)
    assert 3 * (paired.high - paired.low) < apart.high - apart.low
    same = change_of_sums(cell(a=before), cell(a=before))
    assert same.value == 0 and same.low < 0 < same.high


def test_only_columns_and_problems_that_both_have_count():
    fewer = {"plus": {"": {**column("++++----"), "extra": 1.0}}}
    change = change_of_sums(fewer, AFTER)
    assert (change.first, change.second, change.n) == (0.5, 0.5, 8)
    assert change.note == "only the columns that both have count"


def test_what_has_no_number_says_why():
    nothing = change_of_sums(cell(a="----"), cell(a="++--"))
    assert math.isnan(nothing.value) and nothing.note == "the baseline's sum is 0"
    apart = change_of_sums(cell(a="+-"), cell(b="+-"))
    assert math.isnan(apart.value) and apart.note == "no problem has a verdict of both"
    one = change_of_sums(cell(a="+"), cell(a="+"))
    assert one.value == 0 and math.isnan(one.low)


def test_the_mean_over_models_keeps_their_problems_paired():
    changes = [change_of_sums(BEFORE, AFTER), change_of_sums(AFTER, BEFORE)]
    mean = mean_change(changes)
    assert mean.value == pytest.approx(sum(change.value for change in changes) / 2)
    assert mean.low < mean.value < mean.high
    assert mean.high - mean.low < max(change.high - change.low for change in changes)  # what one gains the other loses
    undefined = change_of_sums(cell(a="--"), cell(a="++"))
    partly = mean_change([changes[0], undefined])
    assert partly.value == changes[0].value and partly.note == "mean of 1 of 2"
    assert math.isnan(mean_change([undefined]).value)


def test_models_with_other_problems_have_a_mean_without_an_interval():
    changes = [change_of_sums(BEFORE, AFTER)]
    fewer = [
        {**cell, "other": {"": {task: rate for task, rate in cell["other"][""].items() if task != "t0"}}}
        for cell in (BEFORE, AFTER)
    ]
    changes.append(change_of_sums(*fewer))
    mean = mean_change(changes)
    assert mean.value == pytest.approx(sum(change.value for change in changes) / 2)
    assert math.isnan(mean.low) and mean.note == "no interval: the changes are not over the same problems"
    assert mean_change([mean, changes[0]]).note == mean.note
    lacks_a_set = change_of_sums(*({"plus": cell["plus"]} for cell in (BEFORE, AFTER)))
    assert mean_change([changes[0], lacks_a_set]).low < mean.value  # those of the other set are the same


def test_a_cells_baseline_is_the_base_model_or_another_recipe_on_the_same_rows_with_the_same_seed():
    base, other = CellLabels("m", "none", "base", 42), CellLabels("else", "fait", "evol", 1)
    tuned = {(recipe, seed): CellLabels("m", recipe, "evol", seed) for recipe in ("sft", "fait") for seed in (1, 2)}
    cells = {base: BEFORE, other: AFTER, **dict.fromkeys(tuned.values(), AFTER), tuned["sft", 1]: BEFORE}
    over_base = changes_between(cells, "m", "fait", "base", ["evol"])
    assert list(over_base) == [tuned["fait", 1], tuned["fait", 2]]
    assert all(change.value == pytest.approx(1.875 / 1.375 - 1) for change in over_base.values())
    over_sft = changes_between(cells, "m", "fait", "sft", ["evol"])
    assert [change.value for change in over_sft.values()] == pytest.approx([1.875 / 1.375 - 1, 0])
    assert not changes_between(cells, "m", "dpo", "base", ["evol"]) and not changes_between(
        cells, "m", "fait", "dpo", ["evol"]
    )
    assert not changes_between(cells, "m", "fait", "base", ["oss"])


def test_sums_over_fewer_columns_than_other_cells_have_say_so_also_in_their_mean():
    fewer = {name: {"plus": rates["plus"]} for name, rates in (("before", BEFORE), ("after", AFTER))}
    cells = {
        CellLabels(model, recipe, "base" if recipe == "none" else "evol", 1): rates
        for model, both in (("m", (BEFORE, AFTER)), ("few", (fewer["before"], fewer["after"])))
        for recipe, rates in zip(("none", "fait"), both, strict=True)
    }
    (whole,), (partial,) = (changes_between(cells, model, "fait", "base", ["evol"]).values() for model in ("m", "few"))
    assert not whole.note and partial.note == "over 2 of 3 columns; the others have no verdicts of both"
    assert mean_change([whole, partial]).note == mean_change([partial, partial]).note == partial.note


def test_an_interval_over_seeds_is_wider_than_over_problems_where_the_seeds_differ():
    rng = np.random.default_rng(1)
    before, *seeds = (cell(a="".join(rng.choice(["+", "-"], 80, p=[p, 1 - p]))) for p in (0.3, 0.4, 0.5, 0.6))
    changes = [change_of_sums(before, of_seed) for of_seed in seeds]
    over_seeds, over_problems = change_over_seeds(changes), mean_change(changes)
    values = [change.value for change in changes]
    assert over_seeds.value == pytest.approx(np.mean(values)) and over_seeds.sd == pytest.approx(np.std(values, ddof=1))
    assert over_seeds.seeds == 3 and over_seeds.n == 80
    assert over_seeds.high - over_seeds.low > over_problems.high - over_problems.low
    same = change_over_seeds([changes[0]] * 3)  # what all seeds share is not averaged away
    width = changes[0].high - changes[0].low
    assert same.sd == 0 and same.high - same.low == pytest.approx(width, rel=0.05)
    one, other = (change_of_sums(before, cell(a=column)) for column in ("+-" * 40, "-+" * 40))
    apart = change_over_seeds([one, replace(other, tasks={"a": ("t1",)})])
    assert apart.high > change_over_seeds([one, other]).high  # what they share is unknown, so it may be all


@pytest.mark.parametrize(
    ("of_seeds", "kept", "note"),
    [
        ({1: "AB", 2: "AB"}, {1: 1.5, 2: 2.5}, ""),
        ({1: "AB", 2: "AC"}, {1: 1, 2: 2}, "without B, C, of which not all seeds have a number"),
        ({1: "AB", 2: "A"}, {1: 1, 2: 2}, "without B, of which not all seeds have a number"),
        ({1: "ABC", 2: "ABC", 3: "A"}, {1: 2, 2: 3}, "without seed 3, of other training sets"),
        ({1: "AB", 2: "AB", 3: "AC", 4: "D"}, {1: 1.5, 2: 2.5}, "without seeds 3, 4, of other training sets"),
        ({1: "A", 2: "B"}, {1: 1}, "without seed 2, of other training sets"),
        ({1: "AB", 2: "Ab"}, {1: 1, 2: 2}, "without B, of which not all seeds have a number"),
        ({1: "Ab", 2: "Ab"}, {1: 1, 2: 2}, "without B, of which not all seeds have a number"),
        ({1: "Ab"}, {1: 1}, "mean of 1 of 2"),
        ({1: "a", 2: "b"}, {1: math.nan, 2: math.nan}, ""),
    ],
)  # fmt: skip
def test_seeds_are_compared_on_the_same_training_sets(of_seeds, kept, note):
    """A letter is a training set, small where its change is undefined; the change of seed 1 is 1 on A, 2 on B."""
    changes = {
        CellLabels("m", "fait", name.upper(), seed): SumChange(
            math.nan if name.islower() else seed + "ABCD".index(name)
        )
        for seed, names in of_seeds.items()
        for name in names
    }
    found = changes_by_seed(changes)
    assert {seed: change.value for seed, change in found.items()} == pytest.approx(kept, nan_ok=True)
    assert {change.note for change in found.values()} == {note}
