"""Reads the numbers that a study printed, under the names of raysweep's own scores."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files

from raysweep.errors import UnknownName

SOURCES = {
    "paper": (
        "robust_finetuning.csv",
        "Liu, Foundjem, Wu, Li, Khomh (2026): Improving the Robustness of Large Language Models for Code Tasks via "
        "Fine-tuning with Perturbed Data",
    ),
}
"""By the name of a study: the file of its numbers, and where they were printed."""
PROBLEMS = {"safecoder-humaneval": 161}
"""How many problems printed numbers rest on, by problem set."""
COMPARABLE = {"humaneval": "safecoder-humaneval"}
"""Problem sets that may stand beside a study's: it left three of HumanEval's 164 out and rewrote doctests."""


@dataclass(frozen=True)
class PublishedScore:
    """One printed number.

    Attributes:
        table: the number of the table that it stands in.
        problem_set: the problem set, by raysweep's name.
        model: the base model, by the study's name.
        training_set: ``base``: not fine-tuned.
        perturbation: of the test prompts; ``clean``: not perturbed.
        metric: ``pass@1`` or ``RD``.
        percent: the number as printed; its digits tell how far it was rounded.
    """

    table: int
    problem_set: str
    model: str
    training_set: str
    perturbation: str
    metric: str
    percent: str

    @property
    def value(self) -> float:
        """The number as a share."""
        return float(self.percent) / 100


def published_scores(study: str) -> list[PublishedScore]:
    """Return a study's numbers, table by table; raise UnknownName for a study that raysweep has no numbers of."""
    name, _ = _source(study)
    text = files("raysweep.analysis.published").joinpath(name).read_text(encoding="utf-8")
    return [PublishedScore(int(row.pop("table")), **row) for row in csv.DictReader(text.splitlines())]


def citation(study: str) -> str:
    """Return where a study's numbers were printed; raise UnknownName as `published_scores` does."""
    return _source(study)[1]


def _source(study: str) -> tuple[str, str]:
    if study not in SOURCES:
        raise UnknownName("study", study, sorted(SOURCES))
    return SOURCES[study]
