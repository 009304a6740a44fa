"""Samples: Cochran's sizes, draws that depend on seed and names only, bases as a stratum."""

import random

import pytest

from raysweep.errors import UsageError
from raysweep.quality.sampling import BASES, TUNED, Sampled, cochran_size, draw, draw_strata

UNITS = [Sampled(f"model{cell}", f"task/{task}") for cell in range(12) for task in range(50)]


@pytest.mark.parametrize(
    "population,size",
    [(161 * 198, 380), (427 * 198, 383), (10**12, 385), (1000, 278), (385, 193), (10, 10), (2, 2), (1, 1)],
)
def test_cochrans_sizes(population, size):
    """The first two are the study's; 385 is the size for an unlimited population, and 278 that for 1,000."""
    assert cochran_size(population) == size
    # n0 = 2^2 * .25 / .1^2 = 100, and 100 / (1 + 99 / 99) = 50; floats would give a little more than 50
    assert cochran_size(99, margin=0.1, z=2) == 50


@pytest.mark.parametrize(
    "arguments", [{"population": 0}, {"margin": 0}, {"margin": 1}, {"z": 0}, {"share": 1}, {"z": float("inf")}]
)
def test_sizes_without_meaning_are_refused(arguments):
    with pytest.raises(UsageError):
        cochran_size(**{"population": 100, **arguments})


def test_a_draw_depends_on_seed_and_names_and_not_on_the_order():
    shuffled = random.Random(1).sample(UNITS, len(UNITS))
    drawn = draw(UNITS, 100, "humaneval", seed=42)
    assert drawn == draw(shuffled, 100, "humaneval", seed=42) == sorted(drawn)
    assert len(set(drawn)) == 100 and set(drawn) <= set(UNITS)
    assert drawn != draw(UNITS, 100, "mbpp", seed=42)
    assert drawn != draw(UNITS, 100, "humaneval", seed=43)


def test_draws_are_the_same_for_ever():
    """They are in stored samples: a change of the ranking would make other ones."""
    drawn = [(unit.cell, unit.task_id) for unit in draw(UNITS, 3, "humaneval")]
    assert drawn == [("model1", "task/48"), ("model11", "task/35"), ("model7", "task/26")]


def test_a_larger_sample_and_a_larger_population_keep_what_was_drawn():
    assert set(draw(UNITS, 50, "a")) < set(draw(UNITS, 60, "a"))
    grown = [*UNITS, *(Sampled("new", f"task/{task}") for task in range(50))]
    assert len(set(draw(UNITS, 100, "a")) & set(draw(grown, 100, "a"))) >= 80


def test_each_unit_is_drawn_equally_often():
    counts = dict.fromkeys(UNITS[:20], 0)
    for seed in range(2000):
        for unit in draw(UNITS[:20], 5, seed=seed):
            counts[unit] += 1
    chi_square = sum((count - 500) ** 2 / 500 for count in counts.values())
    assert chi_square < 44  # of 19 degrees of freedom, without replacement even less; p = .001


def test_the_studys_samples():
    """198 fine-tuned models and 6 bases on 161 problems: 380 of 31,878, and as many of 966."""
    tuned = [Sampled(f"tuned{model}", str(task)) for model in range(198) for task in range(161)]
    bases = [Sampled(f"base{model}", str(task)) for model in range(6) for task in range(161)]
    first, second = draw_strata(tuned, bases, "safecoder-humaneval")
    assert (first.name, first.population, len(first.units)) == (TUNED, 31_878, 380)
    assert (second.name, second.population, len(second.units)) == (BASES, 966, 380)
    assert second.share == pytest.approx(380 / 966)
    assert all(unit.cell.startswith("base") for unit in second.units)
    first, second = draw_strata(UNITS, UNITS[:7], "minicode")  # one that is smaller than the sample is taken whole
    assert (len(first.units), second.units) == (cochran_size(600), tuple(sorted(UNITS[:7])))
    assert [stratum.name for stratum in draw_strata([], UNITS, "minicode", size=10)] == [BASES]


def test_nothing_can_be_drawn_from_nothing_and_no_unit_twice():
    assert draw([], 10) == []
    for drawing, message in (
        (lambda: draw_strata([], [], "humaneval"), "a population of 0 units"),
        (lambda: draw(UNITS, -1), "-1 units"),
        (lambda: draw([*UNITS, UNITS[0]], 10), "problem task/0 of cell model0 is listed 2 times"),
    ):
        with pytest.raises(UsageError, match=message):
            drawing()
