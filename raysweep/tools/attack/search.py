"""Searches for a small change of one prompt that makes a model fail, with a limited number of queries.

The threat model is a black box: prompts in, verdicts out. All strategies draw from the same perturbations, change at
most a share of the natural-language words (`AttackLimits`), and leave code alone:

- ``random``, the baseline: random perturbations, reduced to the allowed number of changed words.
- ``greedy`` and ``beam``: textattack's attacks on words (`raysweep.tools.attack.word_attack`), guided by the model's
  reactions. The rest of their budget goes to random perturbations.

Not covered: generating and judging the answers (`raysweep.tools.attack.run`), and limits on meaning that need another
model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from raysweep.errors import UnknownName
from raysweep.perturbations.base import Perturbation
from raysweep.perturbations.mixes import Mix, members_of
from raysweep.seeding import python_rng
from raysweep.tools.attack.queries import AttackLimits, AttackResult, Judge, Queries, Target
from raysweep.tools.attack.word_changes import keep_some, revert_characters, revert_words

RANDOM = "random"
SEARCHES = (RANDOM, "greedy", "beam")
_TRIES = 40
"""The random search ends after so many draws in a row without a new text."""
_BATCH = 16
"""Number of random texts that are sent to the model at a time."""


def attack(
    target: Target, methods: Sequence[Perturbation], judge: Judge, limits: AttackLimits, *, strategy: str, seed: int
) -> AttackResult:
    """Search for a change of one prompt that makes the model fail, then for a smaller one.

    Args:
        target: the prompt.
        methods: the perturbations that change it; a mix stands for its members.
        judge: sends prompts to the model.
        limits: of queries, and of changed words and characters.
        strategy: one of `SEARCHES`.
        seed: of all draws; equal seeds and task ids give equal queries in every process.

    Raises:
        UnknownName: the strategy is unknown.
        UsageError: the strategy needs textattack, which isn't installed.
    """
    if strategy not in SEARCHES:
        raise UnknownName("search", strategy, SEARCHES)
    queries = Queries(target, judge, limits)
    if queries.clean.passed and target.words and queries.left:
        if strategy != RANDOM:
            from raysweep.tools.attack.word_attack import search_words

            search_words(queries, methods, strategy, seed)
        _search_at_random(queries, methods, python_rng(seed, "attack", target.task_id))
        _shrink(queries, characters=all(_changes_characters(method) for method in methods))
    return queries.result(strategy)


def _search_at_random(queries: Queries, methods: Sequence[Perturbation], rng: random.Random) -> None:
    """Try random perturbations until the model fails, the budget is used up, or no new text comes up."""
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
    method = rng.choice(methods)
    if isinstance(method, Mix):
        method = method.draw(rng)
    text = "".join(segment.text for segment in method.perturb(target.segments, rng, target.protected))
    return keep_some(target.prompt, text, queries.max_change.words, rng)


def _shrink(queries: Queries, *, characters: bool) -> None:
    """Revert parts of the smallest change so far, as long as the model still fails and the budget lasts.

    Args:
        queries: those of the search.
        characters: revert single characters too; this makes sense for typos, but not for synonyms.
    """
    clean = queries.target.prompt
    smallest, previous = queries.smallest(), None
    while smallest is not None and smallest != previous and queries.left:
        text = smallest[0]
        texts = [*revert_words(clean, text), *(revert_characters(clean, text) if characters else ())]
        queries.ask([variant for variant in texts if not queries.knows(variant)])
        smallest, previous = queries.smallest(), smallest


def _changes_characters(method: Perturbation) -> bool:
    """Return whether a method, or each member of a mix, changes single characters."""
    return all(member.level == "character" for member in members_of(method))
