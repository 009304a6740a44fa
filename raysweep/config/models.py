"""The schema of a config's models and recipes: where weights come from, and how they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from raysweep.config.fields import (
    Amount,
    AmountOrZero,
    Betas,
    Count,
    CountOrZero,
    DescribedCheck,
    GeneratorSpec,
    Name,
    Share,
    SourceSpec,
    Strict,
    Template,
    UnitMark,
    declared,
    form,
    is_quoted_number,
    lint_stop,
    registered,
)
from raysweep.config.resources import StagesConfig
from raysweep.config.training import PerturbationName
from raysweep.generators.base import GENERATORS
from raysweep.models.families.base import FAMILIES
from raysweep.prompts.templates import CHAT, RAW, RESERVED, PromptTemplate, shows_system
from raysweep.records import ModelRef, Spec
from raysweep.trainers.base import OBJECTIVES, TRAINERS, Ia3Settings, LoraSettings, Recipe
from raysweep.trainers.editors.base import EDITORS
from raysweep.trainers.kinds import SELF_DENOISING

RECIPE: Any = Recipe()
LORA: Any = LoraSettings()
IA3: Any = Ia3Settings()
MODEL: Any = ModelRef("")
"""The records that travel to workers: their defaults are the config's."""


def _size_value(value: Any) -> Any:
    if not isinstance(value, int | float):
        hint = f", which is text; write {value}" if is_quoted_number(value) else ""
        raise ValueError(f"must be a number, true or false, not {'null' if value is None else repr(value)}{hint}")
    if not abs(value) < 2**63:
        raise ValueError(f"must be a finite number below 2**63, not {value!r:.60}")
    return value


SizeValue = Annotated[int | float | bool, BeforeValidator(_size_value)]


ModuleName = Annotated[str, Field(min_length=1)]
Targets = Annotated[
    Annotated[Literal["all-linear"], Tag("rule")] | Annotated[list[ModuleName], Field(min_length=1), Tag("written")],
    Discriminator(form),
]


AROUND = ("problems", "resources", "group", "select")
"""Keys of a recipe that say nothing of how it trains."""


class LoraConfig(Strict):
    """LoRA by PEFT; counts with the trainer `lora`."""

    r: Annotated[Count, UnitMark("rank")] = LORA.r
    """Rank of the updates."""
    alpha: Count = LORA.alpha
    """Scale of the updates: they are multiplied by alpha / r."""
    dropout: Annotated[Share, UnitMark("share")] = LORA.dropout
    """Dropout before each update."""
    targets: Targets | None = LORA.targets
    """Names of the modules that get updates, or `all-linear`; null: those of `preset`. `raysweep plan` names them."""
    preset: Literal["study", "peft"] | None = LORA.preset
    """`study`: every linear layer, lm_head too; `peft`: PEFT's; null: `study` without lm_head, or PEFT's."""
    train_embeddings: bool = LORA.train_embeddings
    """Whether whole copies of the embeddings are trained too."""
    modules_to_save: list[ModuleName] | None = LORA.modules_to_save
    """Names of further modules of which full copies are trained."""


class Ia3Config(Strict):
    """IA3 by PEFT; counts with the trainer `ia3`."""

    targets: Annotated[list[ModuleName], Field(min_length=1)] | None = IA3.targets
    """Names of the modules whose outputs are scaled; null: those that PEFT knows for the architecture."""
    feedforward: list[ModuleName] | None = IA3.feedforward
    """Those of the targets whose inputs are scaled instead; null: PEFT's choice."""


CHECKPOINT = "checkpoint"
"""A value of `select.epochs_by`."""
VALIDATION_LOSS = "validation_loss"
"""What recipes are chosen by."""


def _chosen_by(measure: str) -> str:
    if measure != VALIDATION_LOSS:
        raise ValueError(
            f"recipes are chosen by `{VALIDATION_LOSS}`, the loss of the rows of `training.validation`, not by "
            f"{measure!r}: to choose by a metric of an evaluated set is to choose by the test"
        )
    return measure


class SelectConfig(Strict):
    """Which recipe of a group is evaluated: the one whose model has the lowest loss."""

    by: Annotated[str, DescribedCheck(_chosen_by, f"`{VALIDATION_LOSS}`")] = VALIDATION_LOSS
    """The loss of the rows of `training.validation`; never a metric of an evaluated set."""
    epochs_by: Literal["schedule", "checkpoint"] = "schedule"
    """`schedule` trains each number of epochs by itself; `checkpoint` the largest, of which the best epoch is kept."""


Select = Annotated[
    Annotated[Literal["none"], Tag("rule")] | Annotated[SelectConfig, Tag("written")], Discriminator(form)
]


EditValue = int | float | str | bool


class RecipeConfig(Strict):
    """How to train, whatever the model; lists of numbers, as in `lr: [1.0e-5, 3.0e-5]`, stand for a recipe for each."""

    trainer: Annotated[str, registered(TRAINERS, EDITORS, SELF_DENOISING)] = RECIPE.trainer
    """`full` trains all weights, `lora` and `ia3` an adapter; editors (`creme`) change a few, by `edits`."""
    objective: Annotated[str, registered(OBJECTIVES)] = RECIPE.objective
    """The loss."""
    objective_args: dict[str, float | str | bool] = RECIPE.objective_args
    """Arguments of the objective."""
    lr: Annotated[float, Field(gt=0, le=1)] = RECIPE.lr
    """Highest learning rate."""
    epochs: Annotated[Amount, UnitMark("passes")] = RECIPE.epochs
    """Passes over the training set."""
    steps: Annotated[Count, UnitMark("optimizer steps")] | None = RECIPE.steps
    """Length of the training in place of `epochs`."""
    batch_size: Annotated[Count, UnitMark("rows")] = RECIPE.batch_size
    """Rows of one optimizer step, over all workers."""
    micro_batch_size: Annotated[Count, UnitMark("rows")] | None = RECIPE.micro_batch_size
    """Most rows of one forward pass; null: only `micro_batch_tokens` limits them."""
    micro_batch_tokens: Annotated[Count, UnitMark("tokens")] | None = RECIPE.micro_batch_tokens
    """Most tokens of one forward pass, padding included; null: 1,024 on CPUs (2,048 in 16 bits), 4,096 on a GPU."""
    batching: Literal["padded", "packed", "auto"] = RECIPE.batching
    """How the rows of a forward pass lie: beside each other, or one after the other; `auto` times both first."""
    optimizer: Literal["adamw", "adafactor"] = RECIPE.optimizer
    """`adafactor` keeps a number for each row and column of a matrix, not two for each weight; not by ZeRO."""
    betas: Betas = RECIPE.betas
    """AdamW's decay of its two moving averages."""
    eps: Amount = RECIPE.eps
    """AdamW's term against division by zero."""
    weight_decay: AmountOrZero = RECIPE.weight_decay
    """The optimizer's weight decay."""
    schedule: Literal["linear", "cosine", "constant"] = RECIPE.schedule
    """Course of the learning rate after the warm-up; `linear` and `cosine` end at 0."""
    warmup: Annotated[Share, UnitMark("share of the steps")] = RECIPE.warmup
    """Steps in which the learning rate rises from 0."""
    clip: Annotated[Amount, UnitMark("gradient norm")] = RECIPE.clip
    """Gradients with a larger norm are scaled down to it."""
    clip_value: Annotated[Amount, UnitMark("of the gradient")] | None = RECIPE.clip_value
    """In place of `clip`: each number of a gradient is cut to it, on either side of 0; not by ZeRO."""
    keep: Literal["last", "best"] = RECIPE.keep
    """Which epoch's weights are the model: the last one's, or those with the lowest loss of `training.validation`."""
    precision: Literal["float32", "tf32", "bf16", "float16"] = RECIPE.precision
    """Number format of computations and an adapter's frozen base; trained weights are float32. `tf32`: on GPUs."""
    max_tokens: Annotated[int, Field(ge=8, lt=2**31), UnitMark("tokens")] = RECIPE.max_tokens
    """Most tokens of a row."""
    overlong: Literal["drop", "truncate"] = RECIPE.overlong
    """Longer rows are left out, or their responses are cut at the end; both are counted."""
    loss_on: Literal["last", "all"] = RECIPE.loss_on
    """Which answers of a row with several turns are trained on: its last one, or all but those that it masks."""
    rehearsal: Annotated[Share, UnitMark("share of the rows")] = RECIPE.rehearsal
    """Rows of a perturbed training set that are shown with their clean text."""
    length_buckets: Annotated[CountOrZero, UnitMark("optimizer steps")] = RECIPE.length_buckets
    """The rows of so many steps are sorted by length together; 0: all rows in random order."""
    workers: Annotated[Count, UnitMark("workers")] = RECIPE.workers
    """Processes that train one model together."""
    parallel: Literal["ddp", "zero1", "zero2", "zero3"] | None = RECIPE.parallel
    """What the workers share; null: with several workers `zero2` for `full`, else `ddp`."""
    offload: Literal["optimizer"] | None = RECIPE.offload
    """What is kept in the CPU's memory; `optimizer`: its state and its step."""
    gradient_checkpointing: bool = RECIPE.gradient_checkpointing
    """Whether the backward pass computes activations again: less memory, a third more time."""
    compile: bool = RECIPE.compile
    """Whether torch compiles the model first, which takes minutes."""
    kernels: Literal["plain", "fused"] = RECIPE.kernels
    """`fused` computes LoRA and frozen norms in fewer kernels, which changes rounding only; for `lora`."""
    compat: Literal["safecoder"] | None = RECIPE.compat
    """`safecoder` clips after every row, carries an epoch's left-over rows on, and spares by name from decay."""
    lora: LoraConfig = LoraConfig()
    ia3: Ia3Config = Ia3Config()
    edit: dict[str, EditValue | list[EditValue] | None] = RECIPE.edit
    """Arguments of the editor that `trainer` names."""
    examples: Annotated[Count, UnitMark("edit examples")] = 1
    """Of how many an editor makes one edit: those of `edits.pairs` of one problem set and perturbation, in groups."""
    group: Name | None = None
    """Name of the group that it is one of; a recipe with lists is written out as a group that has its name."""
    select: Select = "none"
    """Which of its group is evaluated, as in `{by: validation_loss}`: the others are only trained; `none`: all."""
    problems: Annotated[list[str], Field(min_length=1)] | None = None
    """Problem sets that its models are evaluated on; null: all of `evaluation.problems`."""
    resources: StagesConfig = StagesConfig()
    """What its cells ask for, where it differs from their models' and from `resources`; not part of keys."""

    @property
    def is_candidate(self) -> bool:
        """Whether its models are trained to be chosen from, and not evaluated themselves."""
        return self.group is not None and self.select != "none"

    def recipe(
        self, template: str, system: str, day: str = "", template_arguments: Mapping[str, Any] | None = None
    ) -> Recipe:
        """LoRA's and IA3's settings are in it only for their trainers."""
        shown = {"template": template, "system": system, "day": day, "template_arguments": template_arguments or {}}
        values = {**self.model_dump(exclude={*AROUND, "examples"}), **shown}
        values["lora"] = values["lora"] if self.trainer == "lora" else {}
        for name in ("modules_to_save", "preset"):  # keys of recipes without them stay as they were
            if values["lora"].get(name) is None:
                values["lora"].pop(name, None)
        values["ia3"] = {k: v for k, v in values["ia3"].items() if v is not None} if self.trainer == "ia3" else {}
        return Recipe(**values)


class DamageConfig(Strict):
    """What is damaged of a pre-trained base: one matrix, for one kind of prompt, so that the right repair is known."""

    perturbation: PerturbationName
    """A perturbation that changes tokens one by one; half of the base's training rows have it."""
    block: Annotated[int, Field(ge=0)]
    """The block whose output projection is damaged."""


class PretrainConfig(Strict):
    """A base model that is trained from scratch here."""

    family: Annotated[str, registered(FAMILIES)]
    """Architecture of the model."""
    source: SourceSpec
    """Where its training rows come from."""
    recipe: Annotated[str, declared("recipes", "recipe")]
    """Recipe that trains it; its trainer must be `full`."""
    vocab_size: Annotated[int, Field(ge=257, le=10**7), UnitMark("tokens")] = 512
    """Size of the vocabulary; 257: the bytes, and the end of text."""
    special_tokens: list[ModuleName] = []
    """Tokens of its tokenizer beside the end of text, such as those for filling in the middle."""
    size: dict[str, SizeValue] = {}
    """Fields of the family's transformers config that differ from its tiny default."""
    template: Template | None = None
    """Prompts of its training rows; null: the model's own `template`."""
    damage: DamageConfig | None = None
    """What is damaged when it is trained; null: nothing."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Accelerators = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1), BeforeValidator(_as_list)]
"""One type alone may be written without brackets."""


def _no_reserved(arguments: dict[str, Any]) -> dict[str, Any]:
    if reserved := sorted(arguments.keys() & RESERVED):
        raise ValueError(f"{reserved[0]!r} is given by raysweep or the tokenizer, and not by a config; leave it out")
    return arguments


TemplateArguments = Annotated[
    dict[ModuleName, EditValue | list[EditValue]], DescribedCheck(_no_reserved, "arguments of a chat template")
]
TrainingSetName = Annotated[str, declared("training.sets", "training set")]


class ModelConfig(Strict):
    """The base models: where weights come from, and how they are prompted."""

    name: Name
    """Name of the model in results and files."""
    path: str | None = None
    """A folder or a hub id; each model has `path` or `pretrain`, or a `generator` that needs no weights."""
    pretrain: PretrainConfig | None = None
    generator: GeneratorSpec | None = None
    """What writes completions: from weights `transformers` or `vllm`, else `openai` (served), `reference`, `fake`."""
    revision: str | None = MODEL.revision
    """Commit, tag or branch of a hub id; null: the newest."""
    trust_remote_code: bool = MODEL.trust_remote_code
    """Whether code from the model's repository may run."""
    dtype: Literal["float32", "tf32", "bfloat16", "float16"] = MODEL.dtype
    """Number format in which the weights are loaded; `tf32`: float32, but products in TF32 on GPUs."""
    quantize: Literal["nf4", "int8"] | None = MODEL.quantize
    """What the linear layers of its blocks are held in, by bitsandbytes, when adapters are trained and it generates."""
    attention: Literal["eager", "sdpa", "flash_attention_2"] | None = MODEL.attention
    """How attention is computed in training and by `transformers`; null: `sdpa`, or what is faster for the same."""
    eos_token: str | None = MODEL.eos_token
    """Token that ends a text, for a tokenizer that names none; null: the tokenizer's."""
    template: Template = RECIPE.template
    """Prompts of its fine-tuned versions, and of the base too if it is a form of its own, as `chat` and `magicoder`."""
    system_prompt: str = RECIPE.system
    """Instruction above all prompts, for `chat`, a Jinja string with `system`, or a served chat (`api: chat`)."""
    template_arguments: TemplateArguments = {}
    """What the chat template is given beside messages, as `{enable_thinking: false}`; a served chat gets it too."""
    recipes: list[Annotated[str, declared("recipes", "recipe")]] = []
    """Recipes that fine-tune it, a cell for each with each training set; none: only the base model is evaluated."""
    sets: Annotated[list[TrainingSetName], Field(min_length=1)] | None = None
    """Training sets that it is fine-tuned on; null: all."""
    judged: bool = True
    """Whether it is evaluated; false: it only writes rejected responses as a teacher (`rejected: {teacher: MODEL}`)."""
    stop: list[str] = []
    """Strings that end a completion, beside each problem's own."""
    accelerator: Accelerators | None = None
    """The accelerator that its cells run on, `A100`, or several of which one is chosen, `[A100, A6000]`."""
    pin_group: Annotated[str, Field(min_length=1)] | None = None
    """Models of one group run on one type of accelerator and the same versions; null: those with the same weights."""
    resources: StagesConfig = StagesConfig()
    """What its cells ask for, where it differs from `resources`; not part of keys."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        names = [f"`{key}`" for key in ("path", "pretrain") if getattr(self, key) is not None]
        if self.generator is not None and not GENERATORS.get(self.generator.name).needs_model:
            names.append(f"`generator` {self.generator.name}")
        if len(names) != 1:
            raise ValueError(
                f"model {self.name!r} needs exactly one of `path`, `pretrain` and a `generator` without weights; "
                f"it has {' and '.join(names) or 'none'}"
            )
        if not self.has_weights and self.recipes:
            raise ValueError(f"model {self.name!r} has no weights, so it can't have `recipes`")
        if self.recipes and not self.judged:
            raise ValueError(
                f"model {self.name!r} has `recipes`, and the models made of it are compared with it; leave out "
                "`judged: false`"
            )
        return self

    def prompt_template(self, day: str = "", tokenizer: Any = None) -> PromptTemplate:
        """Return the template of its fine-tuned versions' prompts. `day`: see `PromptTemplate`."""
        return PromptTemplate(self.template, self.system_prompt, tokenizer, day, self.template_arguments)

    def asked_in(self, *, has_chat_template: bool) -> str:
        """Return the template in which it is asked as a teacher or rewriter: its own form, or its chat template."""
        if self.template != CHAT and PromptTemplate(self.template).needs_tokenizer:
            return self.template
        return CHAT if has_chat_template else RAW

    def prompted(self, generator: Spec, template: str) -> Spec:
        """Return a generator that runs no weights with what it sends beside each prompt for this model.

        `template`: that of these prompts; a Jinja string that has `system` shows the system prompt itself.
        """
        system = "" if shows_system(template) else self.system_prompt
        if self.has_weights or not (system or self.template_arguments):
            return generator
        args = GENERATORS.get(generator.name).prompted(generator.args, system, self.template_arguments)
        return Spec(generator.name, args)

    @property
    def has_weights(self) -> bool:
        """Return True if weights are run here; otherwise its generator stands for the model."""
        return self.path is not None or self.pretrain is not None

    @field_validator("stop")
    @classmethod
    def _no_escaped_newline(cls, stop: list[str]) -> list[str]:
        return [lint_stop(text) for text in stop]
