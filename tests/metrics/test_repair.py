"""plausible@k and exact match@k."""

from raysweep.metrics.base import CellLabels, Evaluation
from raysweep.metrics.passing import PassAtK
from raysweep.metrics.repair import Repair
from raysweep.records import Result

CELL = CellLabels("model", "none", "base", 42)


def result(task: str, sample: int, outcome: str, exact: bool | None) -> Result:
    return Result(task, sample, outcome, "", "", 0.1, "", exact=exact)


def numbers(*results: Result) -> dict[str, tuple[float, int]]:
    measured = Repair().measure(Evaluation("quixbugs", "clean", results), CELL)
    return {one.metric: (one.value, one.n) for one in measured}


def test_the_first_of_k_answers_that_passes_counts() -> None:
    answers = [result("a", sample, "passed" if sample == 3 else "failed", sample == 5) for sample in range(10)]
    answers += [result("b", sample, "passed" if sample == 0 else "no_patch", False) for sample in range(10)]
    assert numbers(*answers) == {
        "plausible@1": (0.5, 2),
        "exact match@1": (0.0, 2),
        "plausible@10": (1.0, 2),
        "exact match@10": (0.5, 2),
    }


def test_sets_without_tests_have_exact_matches_alone() -> None:
    untested = [result("a", 0, "untested", True), result("b", 0, "untested", False)]
    assert numbers(*untested) == {"exact match@1": (0.5, 2)}
    (rate,) = PassAtK().measure(Evaluation("defects4j", "clean", tuple(untested)), CELL)
    assert (rate.n, rate.note) == (0, "no problem has enough verdicts")


def test_other_sets_have_neither() -> None:
    assert numbers(result("a", 0, "passed", None)) == {}
