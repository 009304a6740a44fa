"""Runs textattack's attack on one prompt: goal "the tests fail", our transformations, code kept, few words changed.

What is asked and counted is `raysweep.perturbations.search.Queries`; textattack's own count and cache take no part,
since they count what was asked before and share answers between tasks with equal texts.
"""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.perturbations.base import Perturbation
from raysweep.perturbations.queries import Queries
from raysweep.textattack.constraint import keep_code
from raysweep.textattack.goal import small_change, tests_fail
from raysweep.textattack.importance import word_importance
from raysweep.textattack.loading import load_textattack
from raysweep.textattack.transformation import as_transformation

CANDIDATES = 24
"""For each word and method."""
BEAM_WIDTH = 4


def search_words(queries: Queries, methods: Sequence[Perturbation], strategy: str, seed: int) -> None:
    """Ask the model about one prompt's variants until it fails, the budget is used up, or nothing is left to try.

    Args:
        queries: of the prompt; they remember what was found.
        methods: what may change words.
        strategy: ``greedy`` or ``beam``.
        seed: of the candidates.

    Raises:
        UsageError: textattack isn't installed.
    """
    load_textattack()
    from textattack import Attack
    from textattack.search_methods import BeamSearch
    from textattack.transformations import CompositeTransformation

    segments = queries.target.segments
    ours = [as_transformation(method, candidates=CANDIDATES, seed=seed, split=lambda _: segments) for method in methods]
    search = word_importance(queries, seed) if strategy == "greedy" else BeamSearch(BEAM_WIDTH)
    constraints = [keep_code(lambda _: segments), small_change(queries)]
    attack = Attack(tests_fail(queries), constraints, CompositeTransformation(ours), search)
    attack.attack(queries.target.prompt, queries.target.task_id)
