"""A linted sweep of two models, four training sets and two problem sets, with scores and messages drawn by a seed."""

from __future__ import annotations

import random

from raysweep.analysis.tables.order import Order, RowChoice
from raysweep.quality.reports import CellReports, FileReport, LintedStratum, LintMessage, LintReports

PERTURBATIONS = {"clean": "clean", "C1": "C1", "C": "C", "C10a": "C", "C10b": "C", "C60half": "C", "C60": "C"}
"""The perturbation of each training set."""
ORDER = Order(
    models=("small", "large"),
    training_sets=("base", *PERTURBATIONS),
    problem_sets=("humaneval", "mbpp"),
    mixes=("C",),
    training_words={"C1": "neighbouring keys"},
    trained_with=PERTURBATIONS,
    rows={
        **dict.fromkeys(PERTURBATIONS, RowChoice()),
        "C10a": RowChoice(0.1),
        "C10b": RowChoice(0.1),
        "C60half": RowChoice(0.6, 0.5),
        "C60": RowChoice(0.6),
    },
)
STRATA = [
    LintedStratum("humaneval", "tuned", 31_878, 380, 2, "pylint 4.1.4"),
    LintedStratum("humaneval", "bases", 966, 380, 0, "pylint 4.1.4"),
]
SYMBOLS = {
    "C0114": "missing-module-docstring",
    "C0103": "invalid-name",
    "W0613": "unused-argument",
    "E0602": "undefined-variable",
    "R1705": "no-else-return",
}


def linted_cells() -> list[CellReports]:
    """Return the reports of all cells but two; some files have a syntax error, and one took too long."""
    rng = random.Random(5)
    cells = []
    for problems in ORDER.problem_sets:
        for model in ORDER.models:
            for training_set in ORDER.training_sets:
                if (model, training_set) in (("large", "C"), ("large", "C60half")):
                    continue
                files, messages = [], []
                for number in range(9 if training_set == "base" else 3):
                    name = f"{problems}/{number}"
                    if (problems, model, training_set, number) == ("mbpp", "small", "C1", 0):
                        files.append(FileReport(name, "timeout"))
                    elif rng.random() < 0.15:
                        files.append(FileReport(name, "linted"))
                        messages.append(LintMessage(name, "E0001", "syntax-error", 7, 0))
                    else:
                        files.append(FileReport(name, "linted", rng.randint(0, 40) / 4, 8))
                        codes = [code for code in SYMBOLS for _ in range(rng.randint(0, 2))]
                        messages += [LintMessage(name, code, SYMBOLS[code], 1, 0) for code in codes]
                recipe = "none" if training_set == "base" else "full"
                reports = LintReports(tuple(files), tuple(messages))
                cells.append(CellReports(model, recipe, training_set, 42, problems, reports))
    return cells
