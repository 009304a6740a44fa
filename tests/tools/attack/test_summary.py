"""An attack in numbers: rates, failures, queries, smallest changes."""

from __future__ import annotations

from raysweep.problems.base import PROBLEMS
from raysweep.records import Spec
from raysweep.tools.attack.queries import AttackLimits, AttackResult
from raysweep.tools.attack.run import AttackJob
from raysweep.tools.attack.summary import summary_of

MINICODE = PROBLEMS.create(Spec("minicode", {"world": 1, "count": 6}))
JOB = AttackJob("fake", MINICODE, (Spec("C1"),), AttackLimits(10, 0.2), "greedy")


def row(task: str, strategy: str, outcome: str, found_after: int, words: int = 0, share: float = 0.0) -> AttackResult:
    return AttackResult(task, strategy, outcome, 8, found_after, "changed" if words else "", words, 0.0, share)


ROWS = [
    row("a", "greedy", "succeeded", 4, words=2, share=0.1),
    row("b", "greedy", "succeeded", 8, words=1, share=0.3),
    row("c", "greedy", "succeeded", 6, words=1, share=0.2),
    row("a", "random", "succeeded", 2, words=3),
    row("b", "random", "failed", 0),
    row("c", "random", "failed", 0),
]


def test_the_search_is_compared_with_random_changes():
    summary = summary_of(JOB, ROWS)
    assert (summary.problems, summary.clean.value, summary.one_draw.value) == (3, 1.0, 2 / 3)
    assert {name: rate.value for name, rate in summary.rates.items()} == {"greedy": 0.0, "random": 2 / 3}
    assert summary.failures == {"greedy": 3, "random": 1} and summary.ratio == 3.0
    assert summary.queries == {"greedy": 24, "random": 24}
    assert summary.first_failures == {"greedy": 6, "random": 2}
    assert [result.task_id for result in summary.smallest] == ["c", "b", "a"], "the smallest changes come first"
    alone = summary_of(JOB, [result for result in ROWS if result.strategy == "greedy"])
    assert alone.ratio is None and alone.first_failures == {"greedy": 6}
