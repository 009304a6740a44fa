"""What each cell of a plan takes: memory of a worker, disk, hours on known accelerators.

Memory follows from the model's shape (`raysweep.trainers.memory`). Hours are estimates: FLOPs and bytes of the
operations over a stated share of a data sheet's rates; where the store has finished trainings of the same base and
recipe, their measured seconds per token replace the estimate. The execution of programs is not covered: it depends on
what the models write.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial

from raysweep.accelerators import ACCELERATORS, DataSheet, data_sheet_of
from raysweep.config.resources import BY_PREDICTION
from raysweep.config.schema import EvaluationConfig, SweepConfig
from raysweep.generators.base import CPU_TOKENS, MEMORY_SHARE
from raysweep.models.architectures.known import known_shape, shape_at, shape_from_scratch
from raysweep.models.architectures.shape import BYTES, Shape
from raysweep.planning.plan import (
    BasePlan,
    BrokenSetPlan,
    CellPlan,
    EncodedPairsPlan,
    PairPlan,
    SourceRowsPlan,
    SweepPlan,
    TeacherAnswersPlan,
    TrainingSetPlan,
)
from raysweep.planning.predictions.editing import delta_bytes, edit_work, editing_memory, stepping_seconds
from raysweep.planning.predictions.rates import Speed, measured_rates
from raysweep.planning.predictions.rooms import room_of_worker
from raysweep.planning.predictions.sizes import ASSUMED_PROMPT_TOKENS, RowFacts, problem_count, row_facts
from raysweep.records import Spec
from raysweep.storage.store import Store
from raysweep.trainers.base import BEST, Recipe, objective_of
from raysweep.trainers.batching import DEVICE_TOKENS, steps_of
from raysweep.trainers.memory import (
    PREDICTED,
    TrainingMemory,
    flops_per_token,
    generation_memory,
    largest_batch,
    optimizer_states,
    sequences_of_worker,
    tokens_that_fit,
    trained_weights,
    training_memory,
)

FLOPS_SHARES: Mapping[str, float] = {"float32": 0.5, "tf32": 0.35, "16 bits": 0.2}
BANDWIDTH_SHARE = 0.35
"""Shares of a data sheet's rates that FLOPs, by their number format, and a generation's bytes are assumed to reach:
those of an H100 (benchmarks/history/2026-11.md, "On a GPU"). Slower cards may reach more in 16 bits, where it waits.
That of TF32 lies between the others, and is not measured."""
COMPLETION_BYTES = 1.5
"""Stored bytes of a completion's token, compressed, its verdict included."""
CHECKPOINT_BYTES = 8
"""Bytes of a training's checkpoints for each trained weight and number of the optimizer: float32, old and new."""
BROKEN_SHARE = 0.05
"""Of a category's problems, those that lose `edits.least_lost` of a base's samples: about 13 of 164 and 427 in CREME's
package (https://github.com/AyushGupta-Code/CREME-Not-Every-Layer-Counts, commit f68a356)."""
TEACHER_TOKENS = 90
"""Tokens of a teacher's prompt beside its row, about."""
PAIR_BYTES, PAIR_SECONDS = 0.7, 2.4e-6
"""Stored bytes, compressed, and CPU seconds of encoding for each token of a pair, with both its prompts: about those of
published instructions (benchmarks/history/2026-11.md, "Objectives")."""
WEIGHTED = 0.5
"""Share of the tokens whose logits are computed, where it is not known: low, so that nothing is refused that fits."""
ESTIMATED, MEASURED = "estimated", "measured"


@dataclass(frozen=True)
class CellCost:
    """What one cell takes; None where the model's shape isn't known or nothing was measured.

    `hours`: of training and generation, by accelerator, all workers' together; `training_hours`: of training alone. An
    edit, with its localization, stands in the place of a training.
    """

    peak_memory_bytes: int | None = None  # of a training worker, or of the process that edits
    generation_memory_bytes: int | None = None
    disk_bytes: int = 0  # the model and its completions
    checkpoint_bytes: int = 0  # while it trains
    training_tokens: int = 0
    hours: Mapping[str, float] = field(default_factory=dict)
    training_hours: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: float | None = None  # of training, where it was measured
    basis: str = ESTIMATED
    rows: int = 0  # of the training set
    steps: int = 0  # of the optimizer
    unknown: str = ""  # why memory, hours and disk of the model are not known; empty if they are, or it has no weights

    def wall_hours(self, workers: int) -> dict[str, float]:
        """Return the hours until the cell ends, by accelerator, if so many workers train together."""
        shared = 1 - 1 / max(workers, 1)
        return {name: hours - shared * self.training_hours.get(name, 0.0) for name, hours in self.hours.items()}


@dataclass(frozen=True)
class PairsCost:
    """What the encoding of a training set's pairs takes, on a CPU. `pairs`: how many they are."""

    pairs: int
    disk_bytes: int
    cpu_seconds: float


@dataclass(frozen=True)
class PlanCosts:
    """What a plan takes. `cells`: by their ids, whether they exist or not. The others: what the estimates assume.

    `teachers`: what their answers take, by the ids of the tasks that make them. `pairs`: by the keys of encoded pairs.
    `rows`: by the keys of training rows.
    """

    cells: Mapping[str, CellCost]
    assumptions: tuple[str, ...]
    of_hours: str
    teachers: Mapping[str, CellCost] = field(default_factory=dict)
    pairs: Mapping[str, PairsCost] = field(default_factory=dict)
    rows: Mapping[str, RowFacts] = field(default_factory=dict)

    def wall_hours(self, plan: SweepPlan) -> dict[str, Mapping[str, float]]:
        """Return the hours that cells and teachers' answers take, by accelerator, by the ids of their tasks."""
        cells = {cell.cell.id: self.cells[cell.cell.id].wall_hours(cell.workers) for cell in plan.cells}
        return {**cells, **{name: cost.hours for name, cost in self.teachers.items()}}


def plan_costs(plan: SweepPlan, store: Store) -> PlanCosts:
    costs = _Costs(plan.config, measured_rates(plan, store))
    cells = {cell.cell.id: costs.cell(cell) for cell in plan.cells}
    teachers = {answers.task: costs.teacher(answers) for answers in plan.teachers}
    pairs = {encoded.node.key: costs.pairs(encoded) for encoded in plan.encoded_pairs}
    return PlanCosts(cells, tuple(costs.assumptions()), costs.of_hours(), teachers, pairs, costs.known_rows)


def why_unknown(base: BasePlan) -> str:
    if base.ref is None:
        return "it isn't here" if "missing" in base.identity else ""
    return f"raysweep can't foretell what {base.family} models take"


def base_shape(base: BasePlan) -> Shape | None:
    """Return a base model's shape; None if it has no weights, or nothing is known of them."""
    if base.ref is not None:
        shape = shape_at(base.ref)
    elif base.node is not None:
        shape = shape_from_scratch(base.family, base.vocab_size, dict(base.size))
    else:
        shape = known_shape(str(base.identity.get("missing", "")))
    return dataclasses.replace(shape.quantized(base.quantize), attention=base.attention) if shape else None


def predicted_memory(
    shape: Shape | None,
    recipe: Recipe,
    on_gpu: bool,
    weighted: float = 1.0,
    room: int | None = None,
    mean: float | None = None,
) -> TrainingMemory | None:
    """Return the predicted memory of a training worker's tensors; None if the model or its trainer isn't known here.

    `weighted`: share of the tokens that have a loss. `room`: bytes of its accelerator; None: not known. `mean`: tokens
    of a row on average; None: all are taken to be the longest.
    """
    if shape is None or recipe.trainer not in PREDICTED:
        return None
    longest, tokens = shape.positions or recipe.max_tokens, None
    if room is not None and on_gpu and recipe.micro_batch_tokens is None and recipe.compat is None:
        usual = DEVICE_TOKENS["cuda"] if recipe.batching != "packed" else _largest_step(recipe, mean or longest)
        tokens = min(tokens_that_fit(shape, recipe, longest, room), usual)
    batch = largest_batch(recipe, longest, on_gpu, weighted, tokens)
    return training_memory(shape, recipe, batch, on_gpu)


def _largest_step(recipe: Recipe, mean: float) -> int:
    """Return the tokens of a worker's largest step: three standard deviations above the mean, a row's being half."""
    rows = sequences_of_worker(recipe)
    return round(min(recipe.max_tokens * rows, mean * rows * (1 + 1.5 / math.sqrt(rows))))


def least_memory(shape: Shape | None, recipe: Recipe, on_gpu: bool) -> TrainingMemory | None:
    """Return the same for passes of one row, to which a training that doesn't fit goes down by itself."""
    return predicted_memory(shape, dataclasses.replace(recipe, micro_batch_size=1), on_gpu, WEIGHTED)


def tokens_of_row(recipe: Recipe, rows: RowFacts) -> float:
    thousandths = [round(1000 * min(tokens, recipe.max_tokens)) for tokens in (rows.tokens, rows.rejected)]
    return objective_of(recipe).tokens(*thousandths) / 1000


def training_flops(shape: Shape, recipe: Recipe, tokens: float, width: float) -> float:
    """Return the FLOPs that a training computes: a third more with gradient checkpointing, which runs forward twice.

    `tokens`: of all steps. `width`: tokens of a row.
    """
    return flops_per_token(shape, recipe, width) * tokens * (4 / 3 if recipe.gradient_checkpointing else 1)


def training_seconds(shape: Shape, recipe: Recipe, tokens: float, width: float, sheet: DataSheet) -> float:
    return training_flops(shape, recipe, tokens, width) / reached_flops(sheet, recipe.precision)


def reached_flops(sheet: DataSheet, number: str) -> float:
    """Return the FLOP/s that an accelerator is assumed to reach in a number format: no fewer than in float32."""
    share = FLOPS_SHARES.get(number, FLOPS_SHARES["16 bits"])
    return max(sheet.flops(number) * share, sheet.flops("float32") * FLOPS_SHARES["float32"])


def generation_seconds(
    shape: Shape,
    dtype: str,
    completions: int,
    samples: int,
    batch: int,
    new: int,
    sheet: DataSheet,
    prompt: int = ASSUMED_PROMPT_TOKENS,
) -> float:
    """Return the seconds in which an accelerator completes prompts, every completion being of `new` tokens.

    Each step takes the longer of its FLOPs and of reading all weights, keys and values. A prompt is read once for all
    its samples.

    `dtype`: number format of the weights. `batch`: completions written together. `new`: tokens of a completion.
    """
    rows, number = min(batch, completions), BYTES[dtype]
    flops, bandwidth = reached_flops(sheet, dtype), sheet.bandwidth * BANDWIDTH_SHARE
    cached = 2 * shape.cached_layers * shape.key_value * (prompt + new / 2) * number
    weights = shape.held_bytes(number)
    if shape.linear_bytes is not None:  # its matrices are written whole first, and read then
        weights += 2 * shape.linear_weights * number
    step = max(2 * shape.weights * rows / flops, (weights + cached * rows) / bandwidth)
    reading = 2 * shape.weights * prompt * completions / samples / flops
    return completions / max(rows, 1) * step * new + reading


def rows_on(
    sheet: DataSheet,
    shape: Shape,
    number: int,
    new: int,
    batch_tokens: int | None,
    prompt: int = ASSUMED_PROMPT_TOKENS,
) -> int:
    """Return how many completions of the assumed length a model writes together on an accelerator of its own.

    `number`: bytes of a number of the weights. `new`: tokens of a completion. `batch_tokens`: the config's limit; None:
    what the memory beside the weights holds.
    """
    free = sheet.room() - shape.held_bytes(number)
    tokens = batch_tokens or int(free * MEMORY_SHARE) // (2 * shape.cached_layers * shape.key_value * number)
    return max(1, tokens // (prompt + new))


def rows_together(evaluation: EvaluationConfig) -> int:
    """Return how many completions of the assumed length a model writes together, for the memory that it asks for."""
    tokens = evaluation.batch_tokens or CPU_TOKENS  # an accelerator may hold more
    return max(1, tokens // (ASSUMED_PROMPT_TOKENS + evaluation.max_new_tokens))


class _Costs:
    """Computes the costs of cells; what cells share is computed once."""

    def __init__(self, config: SweepConfig, rates: Mapping[tuple[str, str], Speed]) -> None:
        self._config, self._rates = config, rates
        self._dtypes = {model.name: model.dtype for model in config.models}
        self._parallel = {model.name: config.sharing(model) for model in config.models}
        self._shape = cache(lambda name: base_shape(self._bases[name]))
        self._bases: dict[str, BasePlan] = {}
        self._recipes: dict[tuple[str, str], Recipe] = {}
        self._rows: dict[str, tuple[Spec, RowFacts]] = {}  # by the keys of the rows
        self._problems: dict[str, int] = {}
        self._teaches = False  # a model writes rejected responses
        self._broken = False  # edited models are evaluated on the problems that broke alone
        self._unknown_edits: dict[str, str] = {}  # by recipe: its editor, of which nothing is known
        self._unknown: dict[str, str] = {}  # by model: why nothing is known of its shape
        self._memory = cache(self._training_memory)
        self._generating = cache(self._generation_memory)
        self._training_hours = cache(self._estimated_training_hours)
        self._generation_hours = cache(self._estimated_generation_hours)

    def cell(self, plan: CellPlan) -> CellCost:
        self._bases[plan.base.name] = plan.base
        shape = self._shape(plan.base.name)
        prompts = self._prompts(plan)
        stored = round(prompts * plan.decoding.max_new_tokens * COMPLETION_BYTES)
        generating = self._generating(plan.base.name)
        new = plan.decoding.max_new_tokens
        samples, written = plan.decoding.samples, max(plan.decoding.samples, plan.decoding.beams)
        hours = dict(self._generation_hours(plan.base.name, prompts // samples * written, written, new))
        unknown = "" if shape else why_unknown(plan.base)
        if unknown:
            self._unknown[plan.base.name] = unknown
        if plan.recipe is not None and plan.pair_search is not None:
            return self._edit(plan, CellCost(None, generating, stored, hours=hours, unknown=unknown))
        if plan.recipe is None or plan.training_set is None:
            return CellCost(None, generating, stored, 0, 0, hours, unknown=unknown)
        key = (plan.base.name, plan.cell.recipe)
        self._recipes[key] = plan.recipe
        rows = self.rows_of(plan.training_set.rows)
        set_rows = self.set_rows(plan.training_set)
        steps = steps_of(set_rows, plan.recipe)
        tokens = round(steps * plan.recipe.batch_size * tokens_of_row(plan.recipe, rows))
        trained = saved = 0
        if shape is not None and plan.recipe.trainer in PREDICTED:
            trained = trained_weights(shape, plan.recipe)
            saved = trained * (2 if plan.recipe.keep == BEST else 1) + optimizer_states(shape, plan.recipe)
        checkpoints = CHECKPOINT_BYTES * saved * bool(self._config.checkpoint_every)
        facts = (self._memory(key, rows), generating, 4 * trained + stored, checkpoints)
        training = dict(self._training_hours(key, tokens, rows))
        cpu_seconds, basis = None, ESTIMATED
        if rate := self._rates.get(key):
            known = data_sheet_of(rate.device)
            training[known[0] if known else rate.device] = plan.recipe.workers * steps * rate.seconds_per_step / 3600
            tokens, basis = round(steps * rate.tokens_per_step), MEASURED
            cpu_seconds = steps * rate.cpu_seconds_per_step
        both = {name: training[name] + hours.get(name, 0.0) for name in training}
        return CellCost(*facts, tokens, both, training, cpu_seconds, basis, set_rows, steps, unknown)

    def _edit(self, plan: CellPlan, judged: CellCost) -> CellCost:
        """Return what a cell takes whose model is edited. `judged`: what its evaluation takes alone."""
        assert plan.recipe is not None
        name, shape, evaluation = plan.base.name, self._shape(plan.base.name), self._config.evaluation
        examples = plan.pair_search.wanted.examples if plan.pair_search else 1
        work, dtype = edit_work(self._config, plan.recipe, shape, examples), self._dtypes[name]
        if shape is None or work is None:
            if shape is not None:
                self._unknown_edits[plan.cell.recipe] = plan.recipe.trainer
            return judged
        new = evaluation.max_new_tokens
        on_gpu = bool(self._config.asked("generation", name, plan.cell.recipe).gpus)
        peak = editing_memory(shape, dtype, work, new, on_gpu)
        writing = self._generation_hours(name, work.completions, work.samples, work.new or new)
        editing = {
            card: stepping_seconds(shape, dtype, work, new, reached_flops(sheet, dtype)) / 3600
            + (writing[card] if work.completions else 0.0)
            for card, sheet in ACCELERATORS.items()
        }
        return dataclasses.replace(
            judged,
            peak_memory_bytes=peak,
            disk_bytes=judged.disk_bytes + delta_bytes(shape, dtype, plan.recipe),
            hours={card: hours + judged.hours[card] for card, hours in editing.items()},
            training_hours=editing,
        )

    def teacher(self, plan: TeacherAnswersPlan) -> CellCost:
        """Return what a teacher's answers take, which are assumed to be as long as the rows' responses."""
        name, rows = plan.base.name, self.rows_of(plan.rows)
        self._bases[name], self._teaches = plan.base, True
        new = min(plan.decoding.max_new_tokens, max(1, round(rows.tokens * rows.weighted)))
        hours = self._generation_hours(name, rows.rows, 1, new, round(rows.tokens) + TEACHER_TOKENS)
        unknown = "" if self._shape(name) else why_unknown(plan.base)
        stored, memory = round(rows.rows * new * COMPLETION_BYTES), self._generating(name)
        return CellCost(None, memory, stored, hours=hours, rows=rows.rows, unknown=unknown)

    def pairs(self, plan: EncodedPairsPlan) -> PairsCost:
        rows, number = self.rows_of(plan.training_set.rows), self.set_rows(plan.training_set)
        tokens = number * (rows.tokens + rows.rejected)
        return PairsCost(number, round(tokens * PAIR_BYTES), tokens * PAIR_SECONDS)

    def of_hours(self) -> str:
        tokens = self._config.evaluation.max_new_tokens
        recipes = {recipe.precision for recipe in self._config.recipes.values()}
        used = {number if number in FLOPS_SHARES else "16 bits" for number in {*self._dtypes.values(), *recipes}}
        words = {"tf32": "tf32, where none was measured"}
        shares = " or ".join(
            f"{share:.0%} ({words.get(name, name)})" for name, share in FLOPS_SHARES.items() if name in used
        )
        return (
            f"hours are estimates, from FLOPs at {shares} of a card's peak and bytes at {BANDWIDTH_SHARE:.0%} of its "
            f"bandwidth, as one H100 reached; prompts of {ASSUMED_PROMPT_TOKENS} tokens, completions of {tokens}; "
            "without starts, loading and the execution of programs; on CPUs they are known once a training of the same "
            "model by the same recipe was measured"
        )

    def assumptions(self) -> list[str]:
        """Return in words what the other estimates assume, after the costs of all cells."""
        lines = []
        for source, rows in self._rows.values():
            where = source.args.get("path", source.args.get("part", ""))
            of = f"rows of {source.name} {where}".rstrip() if len(self._rows) > 1 else "training rows"
            lines.append(f"{of}: {rows.how}")
        if self._teaches:
            lines.append("teachers' answers: one for each row, as long as its response")
        if self._broken:
            lines.append(f"problems that broke: {BROKEN_SHARE:.0%} of a category, as in the results of CREME's package")
        if self._unknown:
            of = ", ".join(f"{name} ({why})" for name, why in self._unknown.items())
            lines.append(f"memory, hours and the disk of weights are not known for: {of}")
        if self._unknown_edits:
            names = ", ".join(f"{name} ({editor})" for name, editor in self._unknown_edits.items())
            lines.append(f"memory, disk and hours of edits are not known for: {names}")
        recipes = {name: recipe for (_, name), recipe in self._recipes.items()}
        unknown = {name: recipe.trainer for name, recipe in recipes.items() if recipe.trainer not in PREDICTED}
        if unknown:
            groups = {name: self._config.recipes[name].group or name for name in unknown}
            names = ", ".join(dict.fromkeys(f"{groups[name]} ({trainer})" for name, trainer in unknown.items()))
            lines.append(f"memory, disk and hours of training are not known for: {names}")
        return lines

    def rows_of(self, source: SourceRowsPlan) -> RowFacts:
        key = source.node.key
        if key not in self._rows:
            self._rows[key] = source.source, row_facts(self._config, source.source)
        return self._rows[key][1]

    @property
    def known_rows(self) -> dict[str, RowFacts]:
        return {key: facts for key, (_, facts) in self._rows.items()}

    def set_rows(self, training_set: TrainingSetPlan) -> int:
        choice = training_set.choice
        copies = len(training_set.texts) if choice.compose == "union" else 1
        return round(self.rows_of(training_set.rows).rows * choice.size) * max(1, copies)

    def _prompts(self, plan: CellPlan) -> int:
        limit = self._config.evaluation.limit
        for pair in plan.pairs:
            if pair.pair.problem_set not in self._problems:
                number = problem_count(self._config, pair.test_set.problem_set)
                self._problems[pair.pair.problem_set] = min(number, limit or number)
        of_each = [self._problems[pair.pair.problem_set] * self._share(pair) for pair in plan.pairs]
        return round(sum(of_each)) * plan.decoding.samples

    def _share(self, pair: PairPlan) -> float:
        """Return which share of a problem set's problems a model is evaluated on."""
        self._broken |= (is_broken := isinstance(pair.test_set, BrokenSetPlan))
        return BROKEN_SHARE if is_broken else 1.0

    def _training_memory(self, key: tuple[str, str], rows: RowFacts) -> int | None:
        asked = self._config.asked("training", *key)
        room = room_of_worker(asked, is_here=False) if asked.gpus and asked.gpus != BY_PREDICTION else None
        of = (self._shape(key[0]), self._recipes[key], bool(asked.gpus), rows.weighted)
        memory = predicted_memory(*of, room.bytes if room else None, rows.tokens)
        return memory.peak if memory else None

    def _generation_memory(self, name: str) -> int | None:
        shape, evaluation = self._shape(name), self._config.evaluation
        if shape is None:
            return None
        rows, new = rows_together(evaluation), evaluation.max_new_tokens
        whole = generation_memory(shape, self._dtypes[name], rows, ASSUMED_PROMPT_TOKENS, new)
        return whole // self._parallel[name]

    def _estimated_training_hours(self, key: tuple[str, str], tokens: int, rows: RowFacts) -> dict[str, float]:
        shape, recipe = self._shape(key[0]), self._recipes[key]
        if shape is None or recipe.trainer not in PREDICTED:
            return {}
        seconds = partial(training_seconds, shape, recipe, tokens, rows.tokens)
        return {name: seconds(sheet) / 3600 for name, sheet in ACCELERATORS.items()}

    def _estimated_generation_hours(
        self, name: str, completions: int, samples: int, new: int, prompt: int = ASSUMED_PROMPT_TOKENS
    ) -> dict[str, float]:
        shape, batch_tokens = self._shape(name), self._config.evaluation.batch_tokens
        if shape is None:
            return {}
        dtype, hours = self._dtypes[name], {}
        for card, sheet in ACCELERATORS.items():
            rows = rows_on(sheet, shape, BYTES[dtype], new, batch_tokens, prompt)
            hours[card] = generation_seconds(shape, dtype, completions, samples, rows, new, sheet, prompt) / 3600
        return hours
