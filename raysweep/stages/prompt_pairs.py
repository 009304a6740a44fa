"""Finds the edit example from which a model is edited, among the results of its base, and which problems broke.

A pair is eligible if the base solved the clean prompt more often than the perturbed one, by `edits.least_lost` of the
samples that score it or of further ones (`edits.found_on`), the texts differ, and both had room in the model: where one
was too long nothing was written, which is no failure of the perturbed text. Eligible pairs are put in an order that is
drawn by (seed, problem set, perturbation) alone, so that all editors and all bases with equal results get the same
pairs, and a later number gives a further pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysweep.engine.base import Work
from raysweep.errors import HopelessError
from raysweep.generators.base import is_too_long
from raysweep.planning.plan import BrokenSetPlan, PairPlan, PairSearch, PromptPairPlan
from raysweep.programs import Outcome
from raysweep.records import Completion, PromptPair, PromptRow, Result
from raysweep.rows.parquet import ROWS, write_rows
from raysweep.seeding import python_rng
from raysweep.stages.inputs import requests_of
from raysweep.storage.artefacts import ENDED
from raysweep.storage.store import Store
from raysweep.units import count, first_of


@dataclass(frozen=True)
class _Solved:
    """How a base did on one test set: by problem the share of its completions that passed, and which first did or not.

    `first`: (passed, task id) -> the sample.
    """

    shares: Mapping[str, float]
    first: Mapping[tuple[bool, str], int]

    @property
    def rate(self) -> float:
        return sum(self.shares.values()) / max(1, len(self.shares))


def find_prompt_pair(plan: PromptPairPlan, work: Work) -> None:
    """Write the pair, or the reason in the counts if there is none; raise HopelessError if no prompt is changed."""
    search, store = plan.search, work.store
    original, perturbed = (_solved(pair, store) for pair in (search.original, search.perturbed))
    changed = {row.task_id for row in store.rows(search.perturbed.test_set.node, PromptRow) if row.changed}
    worse = changed & _broken(search, original, perturbed)
    too_long = {row.task_id for row in store.rows(search.perturbed.completions, Completion) if is_too_long(row)}
    eligible = sorted(worse - too_long)
    if not changed:
        raise HopelessError(
            f"{search.wanted.perturbation} changes no prompt of {search.wanted.problem_set}, so there are no edit "
            "examples; leave it out of `edits`"
        )
    tasks = _wanted(search, eligible)
    pairs = [_pair(search, store, task, (original, perturbed), len(eligible)) for task in tasks]
    counts = {
        "eligible": len(eligible),
        "too_long": len(worse & too_long),
        "accuracy_original": original.rate,
        "accuracy_perturbed": perturbed.rate,
        "task_id": tasks[0] if tasks else "",
        **({"task_ids": list(tasks)} if len(tasks) > 1 else {}),
    }
    why = _why(search, len(eligible), sorted(worse & too_long), original, perturbed)
    end = {} if tasks else {ENDED: f"no such pair: {why}"}
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, PromptPair, pairs, ["task_id"])
        draft.counts = {"rows": len(pairs), **counts, **end}


def make_broken_set(plan: BrokenSetPlan, work: Work) -> None:
    """Write the prompts of a test set whose problems broke; it is empty where none did, and so nothing is edited."""
    search, store = plan.search, work.store
    broken = _broken(search, *(_solved(pair, store) for pair in (search.original, search.perturbed)))
    rows = [row for row in store.rows(plan.test_set.node, PromptRow) if row.task_id in broken]
    with store.writing(plan.node) as draft:
        write_rows(draft.folder / ROWS, PromptRow, rows, ["task_id"])
        draft.counts = {"rows": len(rows)}


def _broken(search: PairSearch, original: _Solved, perturbed: _Solved) -> set[str]:
    least = search.least_lost - 1e-9  # shares are quotients
    return {task for task, share in original.shares.items() if share - perturbed.shares[task] >= least}


def prompt_pairs(search: PairSearch, store: Store) -> Sequence[PromptPair]:
    """Return the pairs that were found, in the order of their problems; there are some unless the cell has ended."""
    return store.rows(search.node, PromptPair)


def _solved(pair: PairPlan, store: Store) -> _Solved:
    passed: dict[str, list[bool]] = {}
    first: dict[tuple[bool, str], int] = {}
    for row in store.rows(pair.results, Result):
        has_passed = row.outcome == Outcome.PASSED
        passed.setdefault(row.task_id, []).append(has_passed)
        first.setdefault((has_passed, row.task_id), row.sample)
    return _Solved({task: sum(values) / len(values) for task, values in passed.items()}, first)


def _wanted(search: PairSearch, eligible: Sequence[str]) -> Sequence[str]:
    """Return the problems of all pairs that are wanted; none, where one of them isn't eligible."""
    wanted = search.wanted
    if wanted.problems:
        return wanted.problems if set(wanted.problems) <= set(eligible) else ()
    drawn = list(eligible)
    python_rng(search.seed, "prompt pairs", wanted.problem_set, wanted.perturbation).shuffle(drawn)
    return [drawn[number - 1] for number in wanted.numbers] if max(wanted.numbers) <= len(drawn) else ()


def _why(search: PairSearch, eligible: int, too_long: Sequence[str], original: _Solved, perturbed: _Solved) -> str:
    """Say why there is no pair. `too_long`: problems whose perturbed prompts alone don't fit the model."""
    wanted, model = search.wanted, search.base.cell.model
    where = f"{wanted.problem_set} {wanted.perturbation}"
    rates = f"Acc_ori {original.rate:.3f} on clean prompts, Acc_pert {perturbed.rate:.3f} on perturbed ones"
    left_out = "; too long for it with the perturbed prompt: " + first_of(too_long, "problem") if too_long else ""
    least = search.least_lost
    by = f" by {least:g} of the samples (`edits.least_lost`)" if least > 1 / search.base.decoding.samples else ""
    for problem in wanted.problems:
        if problem in too_long:
            return f"the prompt of {problem} of {where} is too long for {model}"
        if problem not in original.shares:
            return f"{wanted.problem_set} has no problem {problem}"
    if not eligible:
        return f"{model} solves no problem of {where} more often with its clean prompt{by} ({rates}{left_out})"
    if wanted.problems:
        named = " and ".join(wanted.problems)
        return f"{model} doesn't solve {named} more often with its clean prompt than with that of {where}{by}"
    pairs = count(eligible, "eligible pair") + by
    this = "this would be the next" if len(wanted.numbers) == 1 else f"this edit takes those up to {wanted.numbers[-1]}"
    return f"{where} has {pairs} for {model} ({rates}{left_out}), and {this}"


def _pair(search: PairSearch, store: Store, task: str, found: tuple[_Solved, _Solved], eligible: int) -> PromptPair:
    original, perturbed = found
    scored = found if search.found_in is search.base else tuple(_solved(pair, store) for pair in search.scored)
    clean = _answers(search, search.original, store, task)
    damaged = _answers(search, search.perturbed, store, task)
    return PromptPair(
        problem_set=search.wanted.problem_set,
        perturbation=search.wanted.perturbation,
        task_id=task,
        original=clean.prompt,
        perturbed=damaged.prompt,
        passing=clean.completions[original.first[True, task]],
        failing=damaged.completions[perturbed.first[False, task]],
        stop=clean.stop,
        special_tokens=clean.special_tokens,
        accuracy_original=scored[0].shares[task],
        accuracy_perturbed=scored[1].shares[task],
        eligible=eligible,
    )


@dataclass(frozen=True)
class _Answers:
    prompt: str
    completions: Mapping[int, str]
    stop: tuple[str, ...]
    special_tokens: bool


def _answers(search: PairSearch, pair: PairPlan, store: Store, task: str) -> _Answers:
    request = next(request for request in requests_of(search.found_in, pair, store) if request.task_id == task)
    rows = [row for row in store.rows(pair.completions, Completion) if row.task_id == task]
    completions = {row.sample: row.text.removeprefix(request.opened) for row in rows}  # what the model wrote
    return _Answers(request.prompt, completions, request.stop, request.special_tokens)
