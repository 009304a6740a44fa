"""Reads the numbers that a study printed, under the names of raysweep's own scores."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from raysweep.errors import UnknownName


@dataclass(frozen=True)
class PrintedStudy:
    """Where a study's numbers are.

    Attributes:
        scores: the file of its scores.
        citation: where they were printed.
        averages: the file of its relative changes of sums; empty: it prints none.
    """

    scores: str
    citation: str
    averages: str = ""


SOURCES: Mapping[str, PrintedStudy] = {
    "paper": PrintedStudy(
        "robust_finetuning.csv",
        "Liu, Foundjem, Wu, Li, Khomh (2026): Improving the Robustness of Large Language Models for Code Tasks via "
        "Fine-tuning with Perturbed Data",
    ),
    "fait": PrintedStudy(
        "fault_aware_finetuning.csv",
        "Fan, Liu, Wang, Bao, Xia, Li (2025): FAIT: Fault-Aware Fine-Tuning for Better Code Generation, arXiv "
        "2503.16913; also FGIT: Fault-Guided Fine-Tuning, ASE 2025",
        "fault_aware_averages.csv",
    ),
}
"""By the name of a study: its numbers."""
PROBLEMS = {
    "safecoder-humaneval": 161,
    "humaneval-plus": 164,
    "mbpp-plus": 378,
    "bigcodebench-full": 1140,
    "bigcodebench-hard": 148,
}
"""How many problems printed numbers rest on, by problem set."""
COMPARABLE = {"humaneval": "safecoder-humaneval"}
"""Problem sets that may stand beside a study's: it left three of HumanEval's 164 out and rewrote doctests."""


@dataclass(frozen=True)
class PublishedScore:
    """One printed number.

    Attributes:
        table: the number of the table that it stands in.
        problem_set: by raysweep's name.
        model: the base model, by the study's name.
        training_set: ``base``: not fine-tuned.
        perturbation: of the test prompts; ``clean``: not perturbed.
        metric: ``pass@1``, ``pass@1 base`` (of the base tests only) or ``RD``.
        percent: the number as printed; its digits tell how far it was rounded.
        recipe: how the model was fine-tuned, ``none`` for a base model; empty: the study has one recipe.
        note: what is wrong with the number in the print; empty: nothing.
    """

    table: int
    problem_set: str
    model: str
    training_set: str
    perturbation: str
    metric: str
    percent: str
    recipe: str = ""
    note: str = ""

    @property
    def value(self) -> float:
        """The number as a share."""
        return float(self.percent) / 100


@dataclass(frozen=True)
class PublishedAverage:
    """One printed relative change of the sum of a table's columns, for several models their mean.

    Attributes:
        tables: where the sums are: ``1``, or ``1 to 4``.
        models: base models, by the names in the study's config.
        recipe: the recipe whose sum is compared.
        baseline: the recipe that it is compared with; ``base``: the model before fine-tuning.
        percent: the number as printed.
        problem_set: the only column that counts; empty: all of them.
        note: what is wrong with the number in the print; empty: nothing.
    """

    tables: str
    models: tuple[str, ...]
    recipe: str
    baseline: str
    percent: str
    problem_set: str = ""
    note: str = ""

    @property
    def value(self) -> float:
        """The number as a share."""
        return float(self.percent) / 100


def published_scores(study: str) -> list[PublishedScore]:
    """Return a study's numbers, table by table; raise UnknownName for a study that raysweep has nothing of."""
    return [PublishedScore(int(row.pop("table")), **row) for row in _rows(_source(study).scores)]


def published_averages(study: str) -> list[PublishedAverage]:
    """Return a study's relative changes of sums; none if it prints none; raise UnknownName as `published_scores`."""
    name = _source(study).averages
    rows = _rows(name) if name else []
    return [PublishedAverage(models=tuple(row.pop("models").split(";")), **row) for row in rows]


def citation(study: str) -> str:
    """Return where a study's numbers were printed; raise UnknownName as `published_scores` does."""
    return _source(study).citation


def _rows(name: str) -> list[dict[str, str]]:
    text = files("raysweep.analysis.published").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _source(study: str) -> PrintedStudy:
    if study not in SOURCES:
        raise UnknownName("study", study, sorted(SOURCES))
    return SOURCES[study]
