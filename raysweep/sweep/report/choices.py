"""Reads which models of a sweep were chosen among others, and by which losses."""

from __future__ import annotations

import math

from raysweep.analysis.tables.choices import ReportedCandidate, ReportedChoice
from raysweep.records import CandidateLoss
from raysweep.storage.uses import CHOSEN
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import CandidateRow


def choices(folder: SweepFolder) -> list[ReportedChoice]:
    """Return the choices of a sweep in the config's order; one that is still to be made has no candidates."""
    groups: dict[str, list[CandidateRow]] = {}
    for row in folder.candidates():
        groups.setdefault(row.chosen_for, []).append(row)
    return [_choice(folder, rows) for rows in groups.values()]


def _choice(folder: SweepFolder, rows: list[CandidateRow]) -> ReportedChoice:
    first, store = rows[0], folder.store
    candidates = []
    if store.has(first.selection):
        chosen = store.counts(first.selection)[CHOSEN]
        losses = {loss.model_key: loss for loss in store.rows(first.selection, CandidateLoss)}
        for row in rows:
            loss = losses[row.model_key]
            counts = store.counts(row.weights)
            candidates.append(
                ReportedCandidate(
                    row.recipe,
                    loss.loss,
                    loss.steps,
                    loss.kept_step,
                    row.model_key == chosen,
                    tuple((int(step), float(at)) for step, at in counts.get("validation_losses", ())),
                    float(counts.get("seconds", math.nan)),
                    float(counts.get("cpu_seconds", math.nan)),
                )
            )
    return ReportedChoice(first.model, first.group, first.training_set, first.seed, tuple(candidates))
