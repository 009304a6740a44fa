"""Packs the report's samples into one compact JSON text: prompts, completions and verdicts.

A clean prompt is stored once per problem set and task, and a perturbed prompt as its difference to the clean one; equal
completions, assertions and error outputs are stored once; a sample is six integers. The JSON is safe inside a <script>
element: ``<``, ``>``, ``&`` and every character outside ASCII are escaped.

Layout of the JSON:
    words: {code: plain words}
    texts: [str]
    outcomes: [str]
    sets: [{problems, tasks: [id], clean: [prompt]}]
    tests: [{set, name, methods: [str], edits, broken: [task number]}], where edits[task] is null (no such prompt) or
        the prompt in parts: n > 0 keeps n UTF-16 units of the clean prompt, n < 0 skips them, a string is inserted
    pairs: [{model, training_set, recipe, seed, test, total, rows, programs}], where rows is a flat list of task, draw,
        outcome, completion, detail, stderr; the last three are indices into texts. programs has such an index for each
        sample, of the program that was run; empty if programs
        are the prompts with the completions
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from raysweep.analysis.page.textdiff import changes
from raysweep.analysis.sections.base import PairSamples, ShownResult
from raysweep.programs import Outcome
from raysweep.records import PromptRow, Result

R = TypeVar("R", bound=Result | ShownResult)

PAGE_SAMPLES = 20_000
"""Default limit on a page's samples: about 10 MB of real completions, 3 MB of MiniCode's."""


def samples_json(
    samples: Sequence[PairSamples], max_per_pair: int | None = None, words: Mapping[str, str] | None = None
) -> str:
    """Return the samples as JSON for a <script> element.

    `max_per_pair`: limit on the results shown of each pair; None divides `PAGE_SAMPLES` among the pairs. The first
    sample of each task is kept first, and the same tasks in all pairs, so that clean and perturbed samples and
    different models stay comparable.
    """
    limit = samples_shown(len(samples), max_per_pair)
    return safe_json({"words": dict(words or {}), **_JsonBuilder().build(samples, limit)})


def safe_json(value: Any) -> str:
    """Return ASCII JSON that parses to the same value and can't end a <script> element or open a comment in it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def samples_shown(pairs: int, max_per_pair: int | None) -> int:
    return max(1, PAGE_SAMPLES // max(1, pairs)) if max_per_pair is None else max_per_pair


def choose_tasks(tasks: Iterable[str], limit: int) -> list[str]:
    """Return at most `limit` task ids, chosen by a hash."""
    return sorted(tasks, key=_hash)[:limit]


def choose_results(results: Sequence[R], limit: int) -> list[R]:
    """Return at most `limit` results, chosen by draw, then by a hash of the task id; sorted by task and draw."""
    ranked = sorted(results, key=lambda r: (r.sample, _hash(r.task_id)))
    return sorted(ranked[:limit], key=lambda r: (_natural_order(r.task_id), r.sample))


def _hash(task_id: str) -> bytes:
    return hashlib.sha256(task_id.encode("utf-8", "replace")).digest()


class _JsonBuilder:
    """Builds the JSON's tables from the pairs. Use an object once."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        self.outcomes = {outcome.value: number for number, outcome in enumerate(Outcome)}
        self.tests: dict[tuple[str, str], int] = {}

    def build(self, samples: Sequence[PairSamples], limit: int) -> dict[str, Any]:
        shown = [(pair, choose_results(pair.results, limit)) for pair in samples]
        tasks: dict[str, dict[str, int]] = {}
        for pair, results in shown:
            tasks.setdefault(pair.problem_set, {}).update({result.task_id: 0 for result in results})
        for problems, names in tasks.items():
            tasks[problems] = {name: number for number, name in enumerate(sorted(names, key=_natural_order))}
        prompts: dict[tuple[str, str], dict[str, PromptRow]] = {(p.problem_set, p.perturbation): {} for p in samples}
        clean: dict[str, dict[str, str]] = {problems: {} for problems in tasks}
        test_sets = {(p.problem_set, p.perturbation, id(p.prompts)): p for p in reversed(samples)}  # pairs share them
        for pair in reversed(test_sets.values()):
            prompts[pair.problem_set, pair.perturbation].update({row.task_id: row for row in pair.prompts})
            clean[pair.problem_set].update({row.task_id: row.clean_prompt for row in pair.prompts})
        self.tests = {test_set: number for number, test_set in enumerate(prompts)}
        return {
            "sets": [
                {"problems": problems, "tasks": list(names), "clean": [clean[problems].get(name, "") for name in names]}
                for problems, names in tasks.items()
            ],
            "tests": [
                {"set": list(tasks).index(problems), "name": name, **_test([rows.get(t) for t in tasks[problems]])}
                for (problems, name), rows in prompts.items()
            ],
            "pairs": [self._pair(pair, results, tasks[pair.problem_set]) for pair, results in shown],
            "outcomes": list(self.outcomes),
            "texts": list(self.texts),
        }

    def _pair(
        self, pair: PairSamples, results: Sequence[Result | ShownResult], tasks: dict[str, int]
    ) -> dict[str, Any]:
        completions = {(completion.task_id, completion.sample): completion.text for completion in pair.completions}
        rows: list[int] = []
        programs = [result.program for result in results]
        for result in results:
            rows += [tasks[result.task_id], result.sample, self.outcomes.setdefault(result.outcome, len(self.outcomes))]
            texts = (completions.get((result.task_id, result.sample), ""), result.detail, result.stderr)
            rows += [self._index(text) for text in texts]
        return {
            "model": pair.model,
            "training_set": pair.training_set,
            "recipe": pair.recipe,
            "seed": pair.seed,
            "test": self.tests[pair.problem_set, pair.perturbation],
            "total": len(pair.results) if pair.total is None else pair.total,
            "rows": rows,
            "programs": [self._index(program) for program in programs] if any(programs) else [],
        }

    def _index(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))


def _test(prompts: Sequence[PromptRow | None]) -> dict[str, Any]:
    return {
        "methods": [row.method if row else "" for row in prompts],
        "edits": [_edits(row.clean_prompt, row.prompt) if row else None for row in prompts],
        "broken": [number for number, row in enumerate(prompts) if row and not row.compiles],
    }


def _edits(before: str, after: str) -> list[int | str]:
    parts: list[int | str] = []
    for change in changes(before, after):
        if change.kind == "added":
            parts.append(change.text)
        else:
            units = len(change.text.encode("utf-16-le", "surrogatepass")) // 2  # as JavaScript counts
            parts.append(units if change.kind == "equal" else -units)
    return parts


def _natural_order(task_id: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", task_id)]
