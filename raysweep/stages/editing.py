"""Edits a base model from one edit example, in the process that keeps the base.

Whatever comes of it is an artefact: changed tensors or an adapter, and what the localization found of each block. Where
the localization's own samples show no difference between the prompts of the pair, nothing is changed, and the cell
ends.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from raysweep.engine.base import EditRun, Work
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.engine.services import ModelService
from raysweep.errors import RaysweepError
from raysweep.generators.base import LiveModel
from raysweep.machine import CPU_CAPABILITY, accelerator_in_use, cpu_capability
from raysweep.planning.plan import ModelPlan, PairPlan
from raysweep.programs import Outcome, Sandbox
from raysweep.prompts.answers.extraction import extracted
from raysweep.prompts.answers.reasoning import opened_reasoning
from raysweep.records import BlockAccuracy, Decoding, PromptPair, Spec
from raysweep.rows.parquet import read_rows, write_rows
from raysweep.stages.generation import generate_job
from raysweep.stages.inputs import base_ref, problems_of
from raysweep.stages.prompt_pairs import prompt_pairs
from raysweep.stages.references import settings_of
from raysweep.storage.artefacts import ENDED, Artefact, Node
from raysweep.storage.store import Store
from raysweep.trainers.editors.base import EDITORS, EditJob, ModelEdit, NotReproduced
from raysweep.trainers.editors.running import CHANGES_NOTHING, run_edit, save_edit

BLOCKS = "blocks.parquet"
"""The file of an edited model with what its localization found, a `BlockAccuracy` for each block."""
EDITED = "edited"
"""The count of an edited model's manifest with the pair: problem_set, perturbation, task_id."""


def localization_of(model: Artefact, store: Store) -> Sequence[BlockAccuracy]:
    """Return what the localization of an edited model found of each block; empty without one.

    It is read also where nothing else is left of the model, as in a replication package.
    """
    folder = store.use(model) if store.has(model) else Path(store.folder(model))
    return read_rows(folder / BLOCKS, BlockAccuracy) if (folder / BLOCKS).is_file() else ()


def edited_problems(pair: Artefact, model: Artefact | None, store: Store) -> tuple[str, ...]:
    """Return the problems of the edit examples from which a model was edited; no score of the model counts them.

    The manifest of the pair says it, or that of the model, also where their files are gone. There is none where there
    was no such pair, and where both manifests are missing.
    """
    of_model = store.counts(model).get(EDITED, {}) if model is not None else {}
    for counts in (store.counts(pair), of_model):
        if task := counts.get("task_id"):
            return tuple(map(str, counts.get("task_ids", [task])))
    return ()


@dataclass(frozen=True)
class _Editing:
    """What a host needs to make an edit."""

    node: Node
    storage: str  # root of the store
    editor: Spec
    family: str
    pairs: Sequence[PromptPair]
    seed: int
    judged_as: PairPlan  # the base's on the clean prompts: problems, limits, how programs are taken out
    decoding: Decoding  # of the base's completions
    batch_tokens: int | None
    sandbox: Sandbox
    progress: ProgressFile


def edit_model(plan: ModelPlan, work: Work) -> None:
    cell, search = plan.cell, plan.cell.pair_search
    assert search is not None and cell.recipe is not None
    base = base_ref(cell.base)
    assert base is not None
    editing = _Editing(
        plan.node,
        work.store.root,
        Spec(cell.recipe.trainer, dict(cell.recipe.edit)),
        cell.base.family,
        prompt_pairs(search, work.store),
        search.seed,
        search.original,
        cell.decoding,
        cell.batch_tokens,
        work.context.sandbox,
        work.progress,
    )
    job = dataclasses.replace(generate_job(cell, work), model=base)
    work.progress.update("editing", force=True)
    counts = work.stages.edit(EditRun(functools.partial(_edit, editing), job), work.progress)
    if why := counts.get(CHANGES_NOTHING):
        work.progress.note(f"the edit changes nothing: {why}")


def _edit(editing: _Editing, base: LiveModel, alive: Callable[[], None]) -> dict[str, Any]:
    store = Store(editing.storage, expected=True)
    (pair, *others), editor = editing.pairs, EDITORS.create(editing.editor)
    began, cpu_began = time.perf_counter(), time.process_time()
    counts: dict[str, Any] = {
        EDITED: {"problem_set": pair.problem_set, "perturbation": pair.perturbation, "task_id": pair.task_id}
        | ({"task_ids": [one.task_id for one in editing.pairs]} if others else {}),
        "accuracy_original": fmean(one.accuracy_original for one in editing.pairs),
        "accuracy_perturbed": fmean(one.accuracy_perturbed for one in editing.pairs),
        "eligible": pair.eligible,
    }
    with (
        LocalStages(slots=1) as stages,
        ModelService(stages, store, editing.progress, editing.sandbox) as service,
        store.writing(editing.node) as draft,
    ):
        try:
            job = EditJob(
                base,
                editing.family,
                pair,
                editing.seed,
                editing.decoding.max_new_tokens,
                editing.batch_tokens,
                tuple(others),
            )
            edit = run_edit(editor, job, _Services(editing, store, service, alive))
        except NotReproduced as error:
            edit = ModelEdit(counts={ENDED: f"not reproduced: {error}"})
        save_edit(edit, base.network, draft.folder)
        write_rows(draft.folder / BLOCKS, BlockAccuracy, edit.blocks, ["positions", "block"])
        spent = {
            "edit_seconds": round(time.perf_counter() - began, 3),
            "edit_cpu_seconds": round(time.process_time() - cpu_began, 3),
            "device": accelerator_in_use(),
            CPU_CAPABILITY: cpu_capability(),
        }
        draft.counts = {**counts, **edit.counts, **spent}
    return draft.counts


class _Services:
    """Judges completions of the edit examples' problems; an `EditServices`."""

    def __init__(self, editing: _Editing, store: Store, service: ModelService, alive: Callable[[], None]) -> None:
        pair = editing.judged_as
        self._problems = problems_of(pair)
        self._settings, self._extract = settings_of(pair, store), pair.extract
        self._service, self.alive = service, alive
        self._opened = {one.task_id: opened_reasoning(one.original) for one in editing.pairs}
        self._first = editing.pairs[0].task_id

    def passes(self, completions: Sequence[str], task_id: str = "") -> list[bool]:
        """Tell for each completion whether its program passes; raise RaysweepError if one could not be judged."""
        task = task_id or self._first
        answers = [f"{self._opened[task]}{text}" for text in completions]
        programs = [extracted(self._problems[task], answer, self._extract).program for answer in answers]
        if not programs:
            return []
        settings = [self._settings(task, program) for program in programs]
        placed = [
            dataclasses.replace(program, oracle=oracle) for program, (oracle, _) in zip(programs, settings, strict=True)
        ]
        verdicts = self._service.execute(placed, settings[0][1])  # of one problem, so all have the same limits
        unjudged = [verdict.detail for verdict in verdicts if verdict.outcome is Outcome.HARNESS_ERROR]
        if unjudged:
            raise RaysweepError(f"{len(unjudged)} programs of an edit could not be run: {unjudged[0]}")
        return [verdict.outcome is Outcome.PASSED for verdict in verdicts]
