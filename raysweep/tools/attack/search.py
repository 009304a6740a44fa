"""Searches for a small change of one prompt that makes a model fail, with a limited number of queries.

The threat model is a black box: prompts in, verdicts out. All strategies draw from the same perturbations, change at
most a share of the natural-language words (`AttackLimits`), and leave code alone:

- ``random``, the baseline: random perturbations, reduced to the allowed number of changed words.
- ``greedy``: each word's largest change (`raysweep.tools.attack.largest`).
- ``beam``: textattack's beam search on words (`raysweep.tools.attack.word_attack`), guided by the model's reactions.

What these two leave of their budget goes to random perturbations.

Not covered: generating and judging the answers (`raysweep.tools.attack.run`), and limits on meaning that need another
model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from raysweep.errors import UnknownName
from raysweep.perturbations.base import Perturbation
from raysweep.perturbations.mixes import Mix
from raysweep.seeding import python_rng
from raysweep.tools.attack.largest import try_largest
from raysweep.tools.attack.queries import AttackLimits, AttackResult, Judge, Queries, Target
from raysweep.tools.attack.word_changes import Change, keep_some, without_each, word_edits

RANDOM, GREEDY, BEAM = "random", "greedy", "beam"
SEARCHES = (RANDOM, GREEDY, BEAM)
_TRIES = 40
"""The random search ends after so many draws in a row without a new text."""
_BATCH = 16
"""Number of random texts that are sent to the model at a time."""


def attack(
    target: Target, methods: Sequence[Perturbation], judge: Judge, limits: AttackLimits, *, strategy: str, seed: int
) -> AttackResult:
    """Search for a change of one prompt that makes the model fail, then for a smaller one.

    `methods`: a mix stands for its members. `seed`: equal seeds and task ids give equal queries in every process.

    Raises UnknownName for a strategy, UsageError if it needs textattack, which isn't installed.
    """
    if strategy not in SEARCHES:
        raise UnknownName("search", strategy, SEARCHES)
    queries = Queries(target, judge, limits)
    if queries.clean.passed and target.words and queries.left:
        if strategy == GREEDY:
            try_largest(queries, methods, python_rng(seed, "largest", target.task_id))
        elif strategy == BEAM:
            from raysweep.tools.attack.word_attack import search_words

            search_words(queries, methods, seed)
        _search_at_random(queries, methods, python_rng(seed, "attack", target.task_id))
        _shrink(queries)
    return queries.result(strategy)


def _search_at_random(queries: Queries, methods: Sequence[Perturbation], rng: random.Random) -> None:
    target = queries.target
    while queries.left and not queries.found_after:
        batch: dict[str, Change] = {}
        tries = 0
        while len(batch) < min(_BATCH, queries.left) and tries < _TRIES:
            method = rng.choice(methods)
            method = method.draw(rng) if isinstance(method, Mix) else method
            edits = word_edits(target.segments, method.perturb(target.segments, rng, target.protected))
            change = keep_some(edits, queries.max_change.words, rng)
            text = target.after(change)
            tries += 1
            if not queries.knows(change) and text not in batch and queries.allows(change):
                batch[text] = change
                tries = 0
        if not batch:
            return
        queries.ask(list(batch.values()))


def _shrink(queries: Queries) -> None:
    """Leave out words of the smallest change so far, as long as the model still fails and the budget lasts.

    A word is as it was or as a method wrote it: half of a change, such as one letter of two that were swapped, is
    nothing that a method makes.
    """
    smallest, previous = queries.smallest(), None
    while smallest is not None and smallest != previous and queries.left:
        queries.ask([change for change in without_each(smallest) if not queries.knows(change)])
        smallest, previous = queries.smallest(), smallest
