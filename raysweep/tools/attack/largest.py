"""Tries the largest change of each word, content words first: the search `greedy`.

A first attempt should be likely to succeed: each text changes as many words as allowed, each of them as strongly as a
method can, and no text is spent on finding out which words matter. textattack's `GreedyWordSwapWIR` (Jin et al. 2020,
https://arxiv.org/abs/1907.11932) asks first, with a query for each word, which uses up a small budget.

Not covered: learning from the model's answers. Words drawn by how far the answers moved found no more failures.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from raysweep.language.stop_words import STOP_WORDS
from raysweep.perturbations.base import Perturbation
from raysweep.perturbations.mixes import members_of
from raysweep.tools.attack.queries import Queries
from raysweep.tools.attack.word_changes import Change, by_place, overlap, size_of, word_edits

_DRAWS = 96
"""Draws of the whole prompt by each method: many of them leave a given word as it is."""
_BATCH = 8
"""Number of texts that are sent to the model at a time."""

Place = tuple[int, int]
"""Where a change begins: the segment's index, and the position in it."""


def try_largest(queries: Queries, methods: Sequence[Perturbation], rng: random.Random) -> None:
    """Ask for texts that contain each word's largest change once, until the model fails or the budget is used up.

    Changes of content words and of long words come first.
    """
    largest = _largest(queries, methods, rng)

    def rank(place: Place) -> tuple[bool, int, Place]:
        edit = largest[place][0]
        word = queries.target.segments[edit.segment].text[edit.start : edit.end].strip(" \n.,:;!?()'\"")
        return word.lower() in STOP_WORDS, -len(word), place

    changes = list(_joined([largest[place] for place in sorted(largest, key=rank)], queries))
    for start in range(0, len(changes), _BATCH):
        if queries.found_after or not queries.left:
            return
        queries.ask(changes[start : start + _BATCH])


def _largest(queries: Queries, methods: Sequence[Perturbation], rng: random.Random) -> Mapping[Place, Change]:
    """Return the largest change within the limits of each word, or of each sentence by methods that change these."""
    target = queries.target
    found: dict[Place, Change] = {}
    for method in chain.from_iterable(map(members_of, methods)):
        for _ in range(_DRAWS):
            drawn = method.perturb(target.segments, rng, target.protected)
            edits = word_edits(target.segments, drawn)
            for change in by_place(edits, target.segments, sentences=method.level == "sentence"):
                place = change[0].segment, change[0].start
                is_larger = place not in found or size_of(change).characters > size_of(found[place]).characters
                if is_larger and queries.allows(change):
                    found[place] = change
    return found


def _joined(changes: Sequence[Change], queries: Queries) -> Iterator[Change]:
    """Yield changes that contain each given one once, as many in each as the limits allow."""
    together: Change = ()
    for change in changes:
        larger = tuple(sorted((*together, *change)))
        if together and (overlap(larger) or not queries.allows(larger)):
            yield together
            larger = change
        together = larger
    if together:
        yield together
