"""Finds out what each process of a cell asks for, stage by stage: as the config says, or as much as is predicted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from raysweep.accelerators import ACCELERATOR_LABEL, DataSheet, data_sheet_of, similar_type
from raysweep.config.resources import BY_PREDICTION, STAGES, StageConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.hashing import canonical_json, text_sha
from raysweep.models.architectures.shape import BYTES
from raysweep.models.rounding import AMPERE
from raysweep.planning.plan import BasePlan, CellPlan
from raysweep.planning.predictions.costs import base_shape, least_memory, predicted_memory, rows_together
from raysweep.planning.predictions.editing import edit_work, editing_memory
from raysweep.planning.predictions.needs import CellNeeds, Needs, names_in
from raysweep.planning.predictions.sizes import ASSUMED_PROMPT_TOKENS
from raysweep.trainers.base import Recipe
from raysweep.trainers.kinds import edits
from raysweep.trainers.memory import MARGIN, TrainingMemory, generation_memory

GIB = 2**30
"""Predicted memory of a machine is rounded up to so many bytes, less than which no process with torch takes. So cells
of models of about one size ask for the same, and can follow one another in a process."""
CONTEXT_BYTES = GIB
"""Memory of an accelerator that a process takes beside its tensors."""
STEP = 20
"""Predicted shares of an accelerator are rounded up to a 20th."""


def group_of(config: SweepConfig, base: BasePlan) -> str:
    """Return the group of models that run on one type of accelerator and the same versions; empty: it has none.

    By default these are the models with the same weights, however they are loaded: of one hub id, or of folders with
    equal files.
    """
    model = next(model for model in config.models if model.name == base.name)
    if config.resources.allow_mixed or not model.has_weights:
        return ""
    if model.pin_group:
        return model.pin_group
    if model.path and "files" in base.identity:
        return text_sha(canonical_json(base.identity["files"]))[:12]
    return model.path or (base.node.key[:12] if base.node else base.name)


class NeedsPlanner:
    """Finds out what the tasks of a config's sweep ask for.

    Its methods raise UsageError for a model of a group that would be trained on accelerators and run on CPUs, or the
    other way round.

    `on_accelerators`: supposes that processes of models ask for an accelerator where the config gives them none.
    """

    def __init__(self, config: SweepConfig, *, on_accelerators: bool = False) -> None:
        self._config, self._on_accelerators = config, on_accelerators
        self._models = {model.name: model for model in config.models}
        self._known: dict[tuple[str, str], CellNeeds] = {}

    def of_cell(self, cell: CellPlan) -> CellNeeds:
        return self._of(cell.base, cell.cell.recipe, cell.recipe if cell.is_fine_tuned else None)

    def distinct(self, cells: Iterable[CellPlan]) -> list[tuple[list[str], CellNeeds]]:
        """Return the ids of the cells that ask for the same, and what that is: few, one for each model and recipe."""
        distinct: dict[int, tuple[list[str], CellNeeds]] = {}  # by id, which stays its own: `_known` keeps each object
        for cell in cells:
            needs = self.of_cell(cell)
            distinct.setdefault(id(needs), ([], needs))[0].append(cell.cell.id)
        return list(distinct.values())

    def of_base(self, base: BasePlan) -> CellNeeds:
        pretrain = self._models[base.name].pretrain
        return self._of(base, pretrain.recipe if pretrain else "", base.recipe)

    def of_teacher(self, base: BasePlan) -> CellNeeds:
        """Return what the processes of a teacher's answers ask for: to write, as much as its base model's cell."""
        return replace(self._of(base, "", None), in_trial=False)

    def of_shared(self) -> CellNeeds:
        """Return what a task asks for that runs no model and belongs to no cell: a worker's CPUs, on any type."""
        resources = self._config.resources
        labels = {name: label for name, label in resources.labels.items() if name != ACCELERATOR_LABEL}
        needs = Needs(resources.cpus, custom=resources.custom, labels=labels)
        return CellNeeds(needs, needs, Needs(), in_trial=resources.processes != "workers")

    def _of(self, base: BasePlan, recipe_name: str, recipe: Recipe | None) -> CellNeeds:
        key = (base.name, recipe_name if recipe or recipe_name in self._config.recipes else "")
        if key not in self._known:
            self._known[key] = self._found(base, recipe_name, recipe)
        return self._known[key]

    def _found(self, base: BasePlan, recipe_name: str, recipe: Recipe | None) -> CellNeeds:
        config, model, shape = self._config, self._models[base.name], base_shape(base)
        training, generation, execution = (config.asked(stage, model.name, recipe_name) for stage in STAGES)
        if self._on_accelerators:
            training, generation = (
                stage if stage.gpus else stage.model_copy(update={"gpus": 1.0}) for stage in (training, generation)
            )
        workers = recipe.workers if recipe else 0
        processes = config.resources.processes
        chosen = processes == "trial" or (processes == "auto" and not training.gpus)
        trained = least = written = loaded = kept = 0  # bytes
        if shape is not None:
            if recipe:
                trained = _peak(predicted_memory(shape, recipe, bool(training.gpus)))
                least = _peak(least_memory(shape, recipe, bool(training.gpus)))
            rows, new = rows_together(config.evaluation), config.evaluation.max_new_tokens
            written = generation_memory(shape, model.dtype, rows, ASSUMED_PROMPT_TOKENS, new)
            works = [edit_work(config, config.recipes[name], shape) for name in model.recipes]
            on_gpu = bool(generation.gpus)
            edited = [editing_memory(shape, model.dtype, work, new, on_gpu) for work in works if work is not None]
            written = max(written, *edited, 0)  # hosts that edit are those of all cells of the model
            if recipe_name in config.recipes and edits(config.recipes[recipe_name].trainer) and not generation.gpus:
                trained = written  # of a host of its own, which holds no place: else as many as there are CPUs begin
            # quantized tensors go to an accelerator one by one
            loaded = (shape.weights if base.quantize is None else shape.end_weights) * BYTES["float32"]
            kept = max(shape.held_bytes(BYTES[model.dtype]), *edited, 0)
        trains = _resolved(training, trained, loaded)
        if trains.gpus and recipe:
            trains = replace(trains, least_on_accelerator=least, in_bf16=recipe.precision in AMPERE)
        writes = _resolved(generation, 0 if generation.gpus == BY_PREDICTION else written, loaded, model.has_weights)
        parallel = config.sharing(model)
        if parallel > 1 and generation.gpus == BY_PREDICTION:
            writes = replace(writes, gpus=float(parallel))
        if writes.gpus:
            least = math.ceil(kept / parallel)
            writes = replace(writes, least_on_accelerator=least, in_bf16=model.dtype == "tf32", shared_by=parallel)
        in_trial = chosen and workers <= 1
        is_on_one_kind = bool(trains.gpus) == bool(writes.gpus) or bool(in_trial and trains.gpus)
        if recipe and not is_on_one_kind and group_of(config, base):
            raise UsageError(
                f"model {model.name!r}: training with recipe {recipe_name!r} asks for `resources.training.gpus: "
                f"{trains.gpus:g}`, and generation for `resources.generation.gpus: {writes.gpus:g}`, but a group is "
                "trained and run on one type of device; give GPUs to both or to none, or mix them knowingly with "
                "`resources.allow_mixed: true`"
            )
        return CellNeeds(trains, writes, _resolved(execution, 0, 0), workers, in_trial)


def doubtful_types(config: SweepConfig) -> list[str]:
    """Return the accelerators that a config names and that may be misspelt, each with the one that may be meant."""
    cells = [(model.name, recipe) for model in config.models for recipe in ("", *model.recipes)]
    asked = [config.asked(stage, model, recipe) for model, recipe in cells for stage in STAGES]
    labels = {(stage.labels or {}).get(ACCELERATOR_LABEL, "") for stage in asked}
    names = sorted({name for label in labels for name in names_in(label)})
    return [f"{name}{hint}" for name in names if (hint := similar_type(name))]


def _peak(memory: TrainingMemory | None) -> int:
    return memory.peak if memory else 0


def _resolved(written: StageConfig, peak: int, on_host: int, has_weights: bool = True) -> Needs:
    """Return what a process asks for, with predictions in the place of `auto`.

    `peak`: predicted bytes of its tensors, on the accelerator if it has one; 0 if not known. `on_host`: bytes of those
    that pass through this machine's memory on their way to an accelerator. `has_weights`: a model without any gets no
    accelerator unless the config says so.
    """
    assert written.cpus is not None and written.custom is not None and written.labels is not None
    share = _share(peak, written.labels) if has_weights else 0.0
    gpus = share if written.gpus == BY_PREDICTION else float(written.gpus or 0)
    is_predicted = written.memory_gib == BY_PREDICTION
    predicted = math.ceil((on_host if gpus else peak) / GIB) * GIB
    memory = predicted if is_predicted else int(float(written.memory_gib or 0) * GIB)
    return Needs(written.cpus, gpus, memory, is_predicted, written.custom, written.labels)


def _share(peak: int, labels: Mapping[str, str]) -> float:
    """Return the share of the smallest accelerator that labels allow which a process takes; 1 if it isn't known."""
    sheets = named_accelerators(labels)
    if not sheets or not peak:
        return 1.0
    share = (peak * MARGIN + CONTEXT_BYTES) / min(sheet.memory for sheet in sheets)
    rounded = math.ceil(share * STEP) / STEP
    return rounded if rounded <= 0.5 else 1.0  # no two of them share one otherwise


def named_accelerators(labels: Mapping[str, str]) -> list[DataSheet]:
    """Return the data sheets that a label selector names, alone or in a list: ``H100``, ``in(A100-40G,H100)``."""
    names = names_in(labels.get(ACCELERATOR_LABEL, ""))
    return [sheet[1] for name in names if (sheet := data_sheet_of(name)) is not None]
