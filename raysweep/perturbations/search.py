"""Searches for a small change of a prompt under which a model fails, with a limited number of queries.

The threat model is a black box: prompts in, verdicts out. Both strategies draw from the same perturbations, change at
most a share of the natural-language words (`Reach`), and leave code alone:

- ``random``: perturbations as they come, of which as many changed words are kept as the limit allows. The baseline.
- ``greedy`` and ``beam``: textattack's attacks on words (`raysweep.textattack.attack`), led by how the model reacts;
  what they leave of the budget is spent at random.

Not covered: how a model is asked (`raysweep.attacking`), and limits on meaning that need another model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from raysweep.errors import UnknownName
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.queries import Finding, Judge, Queries, Reach, Target
from raysweep.perturbations.word_changes import keep_some, nearer, taken_back
from raysweep.seeding import python_rng

RANDOM = "random"
SEARCHES = (RANDOM, "greedy", "beam")
_TRIES = 40
"""Random draws in a row that bring no new text before there are said to be no more."""
_BATCH = 16
"""Random texts that the model is asked at a time."""


def attack(
    target: Target, methods: Sequence[Perturbation], judge: Judge, reach: Reach, *, strategy: str, seed: int
) -> Finding:
    """Search for a change of one prompt under which the model fails, then for a smaller one.

    Args:
        target: the prompt.
        methods: what may change it; aggregates stand for their members.
        judge: asks the model.
        reach: queries, and words that may change.
        strategy: one of `SEARCHES`.
        seed: of all draws; with the task's id it gives the same queries in every process.

    Raises:
        UnknownName: no such strategy.
        UsageError: textattack is not installed, where it is needed.
    """
    if strategy not in SEARCHES:
        raise UnknownName("search", strategy, SEARCHES)
    queries = Queries(target, judge, reach)
    if queries.clean.passed and target.words and queries.left:
        if strategy != RANDOM:
            from raysweep.textattack.attack import search_words

            search_words(queries, methods, strategy, seed)
        _search_at_random(queries, methods, python_rng(seed, "attack", target.task_id))
        _shrink(queries, letters=all(_is_of_letters(method) for method in methods))
    return queries.finding(strategy)


def _search_at_random(queries: Queries, methods: Sequence[Perturbation], rng: random.Random) -> None:
    while queries.left and not queries.found_after:
        batch: list[str] = []
        tries = 0
        while len(batch) < min(_BATCH, queries.left) and tries < _TRIES:
            text = _random_text(queries, methods, rng)
            tries += 1
            if not queries.knows(text) and text not in batch and queries.allows(text):
                batch.append(text)
                tries = 0
        if not batch:
            return
        queries.ask(batch)


def _random_text(queries: Queries, methods: Sequence[Perturbation], rng: random.Random) -> str:
    target = queries.target
    method = rng.choice(methods).pick(rng)
    text = "".join(segment.text for segment in method.perturb(target.segments, rng, target.protected))
    return keep_some(target.prompt, text, queries.most.words, rng)


def _shrink(queries: Queries, *, letters: bool) -> None:
    """Take back one changed word after the other, as long as the model fails and the budget lasts.

    `letters`: single letters too, which makes sense of typos, and none of synonyms.
    """
    clean = queries.target.prompt
    found, before = queries.smallest(), None
    while found is not None and found != before and queries.left:
        texts = [*taken_back(clean, found[0]), *(nearer(clean, found[0]) if letters else ())]
        queries.ask([text for text in texts if not queries.knows(text)])
        found, before = queries.smallest(), found


def _is_of_letters(method: Perturbation) -> bool:
    members = [PERTURBATIONS.create(part) for part in method.parts] or [method]
    return all(member.level == "character" for member in members)
