"""How much data a plan has: rows and tokens of a training source, problems of a set. What isn't here is assumed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from raysweep.config.schema import SweepConfig
from raysweep.errors import MissingInput, UsageError
from raysweep.problems.base import PROBLEMS
from raysweep.quality.files import PYTHON
from raysweep.records import Spec
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.rejected.pair_filters import TOKEN_CHARACTERS

LOOKED_AT = 64
"""Rows whose length is looked at, if the source says how many it has without reading them."""
TEMPLATE_CHARACTERS = 150
"""Characters that the instruction template adds to a row."""
ASSUMED_PROMPT_TOKENS = 200
STUDY_ROWS, STUDY_TOKENS, STUDY_WEIGHTED = 30_087, 400, 0.75
"""Rows, tokens of a row and share of its response that stand for a file that isn't here: the study's file has so many
rows, and the others are guesses."""
PUBLISHED_ROWS = {
    "theblackcat102/evol-codealpaca-v1": 110_000,
    "ise-uiuc/Magicoder-OSS-Instruct-75K": 75_000,
    "semcoder/PyX": 95_000,
}
"""Rows of sets on the hub that may not be here, by their addresses, as FAIT (arXiv 2503.16913) names them."""
STUDY_PROBLEMS = {"safecoder-humaneval": 161, "safecoder-mbpp": 427, "mbpp": 974, "mbpp-plus": 378}
"""Problems of sets that may not be here; any other is counted as HumanEval's 164."""


@dataclass(frozen=True)
class RowFacts:
    """The rows of a training source.

    `tokens`, `rejected`: of a row, on average, the template included; with its rejected response, or with its response
    where it has none. `weighted`: share of the tokens that are the response's. `how`: in words.
    """

    rows: int
    tokens: float
    rejected: float
    weighted: float
    how: str


def problem_count(config: SweepConfig, problem_set: Spec) -> int:
    """Return how many problems a set has; assumed if the set isn't here."""
    parameters = PROBLEMS.parameters(problem_set.name)
    if "count" in parameters:  # a generated world, whose problems take time
        return int(problem_set.args.get("count", parameters["count"].default))
    try:
        return len(config.part(PROBLEMS, problem_set).problems())
    except UsageError:
        return STUDY_PROBLEMS.get(problem_set.name, 164)


def is_in_python(config: SweepConfig, problem_set: Spec) -> bool:
    """Tell whether the problems of a set are in Python; so are those of generated worlds, and of sets not here."""
    if "count" in PROBLEMS.parameters(problem_set.name):
        return True
    try:
        return all(problem.language == PYTHON for problem in config.part(PROBLEMS, problem_set).problems())
    except UsageError:
        return True


def row_facts(config: SweepConfig, spec: Spec) -> RowFacts:
    """Return the size of a source's rows, which are read; assumed if the source isn't here."""
    try:
        source = config.part(SOURCES, spec)
        size = getattr(source, "size", None)
        rows = characters = responses = rejected = 0
        for row in itertools.islice(source.rows(), LOOKED_AT if size else None):
            rows += 1
            characters += len(row.instruction) + len(row.input) + len(row.output) + TEMPLATE_CHARACTERS
            characters += len(row.system) + sum(len(text) + TEMPLATE_CHARACTERS // 2 for text in row.history)
            responses += len(row.output)
            rejected += len(row.rejected) - len(row.output) if row.rejected is not None else 0
    except MissingInput:
        place = spec.args.get("path", spec.name)
        known = PUBLISHED_ROWS.get(str(place))
        number = f"{known:,} as published" if known else f"assumed to be {STUDY_ROWS:,}, SafeCoder's number,"
        how = f"{number} of about {STUDY_TOKENS} tokens, a guess, since {place} isn't here"
        return RowFacts(known or STUDY_ROWS, STUDY_TOKENS, STUDY_TOKENS, STUDY_WEIGHTED, how)
    tokens = characters / max(rows, 1) / TOKEN_CHARACTERS
    how = f"{size or rows:,} of about {tokens:.0f} tokens, at {TOKEN_CHARACTERS} characters a token"
    longer = rejected / max(rows, 1) / TOKEN_CHARACTERS
    return RowFacts(size or rows, tokens, tokens + longer, responses / max(characters, 1), how)
