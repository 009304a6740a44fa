"""ReCode's robust metrics: the worst case over draws, beside ReCode's own computation for one greedy completion."""

import math
import random

import pytest

from raysweep.errors import UsageError
from raysweep.metrics.base import CellLabels, Evaluation
from raysweep.metrics.passing import pass_at_k
from raysweep.metrics.robust import Robust, worst_case
from raysweep.metrics.verdicts import Verdicts, pair_tallies
from raysweep.programs import Outcome
from raysweep.records import Result

CELL = CellLabels("model", "none", "base", 42)


def results(*rows):
    """Results from a string a problem, a letter a completion: p passed, f failed, h harness error."""
    outcomes = {"p": Outcome.PASSED, "f": Outcome.FAILED, "h": Outcome.HARNESS_ERROR}
    return tuple(
        Result(f"T/{task}", draw, outcomes[letter].value, "", "", 0.1, "")
        for task, letters in enumerate(rows)
        for draw, letter in enumerate(letters)
    )


def measured(clean, *draws, k=(1,)):
    evaluation = Evaluation("humaneval", "C1", draws[0], (), clean, draws[1:])
    return {m.metric: m for m in Robust(k).measure(evaluation, CELL)}


def test_a_problem_counts_only_where_every_draw_passes():
    numbers = measured(results("p", "p", "f", "f"), results("p", "f", "p", "p"), results("p", "p", "p", "f"))
    assert numbers["RP_2@1"].value == 0.5  # problems 0 and 2
    assert numbers["RD_2@1"].value == 0.0  # as many pass as on clean prompts
    assert numbers["RR_2@1"].value == 0.5  # but other ones: problem 1 broke, problem 2 was mended


def test_one_greedy_completion_gives_the_counts_of_recodes_own_report():
    rng = random.Random(0)
    clean, *draws = ["".join(rng.choice("pppf") for _ in range(40)) for _ in range(4)]
    numbers = measured(results(*clean), *(results(*draw) for draw in draws))
    worst = [all(draw[task] == "p" for draw in draws) for task in range(40)]
    nominal = [letter == "p" for letter in clean]
    assert numbers["RP_3@1"].value == pytest.approx(sum(worst) / 40)
    assert numbers["RD_3@1"].value == pytest.approx((sum(nominal) - sum(worst)) / sum(nominal))
    assert numbers["RR_3@1"].value == pytest.approx(sum(n != w for n, w in zip(nominal, worst, strict=True)) / 40)
    assert all(n.low <= n.value <= n.high for n in numbers.values())


def test_with_several_completions_it_is_the_papers_estimator():
    numbers = measured(results("ppff"), results("pfpp"), results("ppfp"), k=(1, 2))
    # worst case: p f f p; broken: one (the second), mended: one (the fourth)
    assert numbers["RP_2@2"].value == pass_at_k(4, 2, 2)
    assert numbers["RD_2@1"].value == 0.0
    assert numbers["RR_2@2"].value == 2 * pass_at_k(4, 1, 2)


def test_a_harness_error_is_left_out_unless_another_draw_failed():
    worst = worst_case([Verdicts(results("h", "h")).passes, Verdicts(results("p", "f")).passes])
    assert worst == {"T/1": {0: False}}
    counted = pair_tallies(Verdicts(results("p", "p")).passes, worst)
    assert [tally.n for tally in counted.values()] == [0, 1]
    numbers = measured(results("p", "p"), results("h", "h"), results("p", "f"))
    assert (numbers["RP_2@1"].value, numbers["RP_2@1"].n) == (0.0, 1)
    assert numbers["RP_2@1"].note == "no interval from one task; 1 problems with too few verdicts left out"


def test_a_k_that_is_asked_for_and_no_problem_has_completions_for_is_undefined_and_says_so():
    numbers = measured(results("pp", "pf"), results("pp", "ff"), results("pf", "pp"), k=(5,))
    assert numbers.keys() == {"RP_2@5", "RD_2@5", "RR_2@5"}
    assert all(math.isnan(one.value) and "problems with too few verdicts" in one.note for one in numbers.values())
    numbers = measured(results("h"), results("h"), results("h"))
    assert math.isnan(numbers["RP_2@1"].value) and "no problem has enough verdicts" in numbers["RP_2@1"].note
    assert math.isnan(numbers["RD_2@1"].value) and numbers["RD_2@1"].note


def test_one_draw_or_the_clean_set_alone_has_no_robust_metric():
    assert measured(results("p"), results("p")) == {}
    assert Robust().measure(Evaluation("humaneval", "clean", results("p")), CELL) == []
    with pytest.raises(UsageError, match="k is"):
        Robust(())
