"""The frozen records that pass between stages.

Row records (`TrainingRow`, `PromptRow`, `Completion`, `Result`, `Score`) are the rows of Parquet files, one column for
each field; see `raysweep.rows.parquet`. A new column needs a default; changing or removing one needs a new
`SCHEMA_VERSION`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from raysweep.programs import Program
from raysweep.seeding import DEFAULT_SEED

SCHEMA_VERSION = 3

BASE = "base"
"""The training set of a model that is not fine-tuned, in cells and results."""
NOT_TUNED = "none"
"""The recipe of a model that is not fine-tuned, in cells and results."""
EXAMPLES = "<examples>"
"""Stands in the place of a training set's name for a base model's further samples, in which edit examples are found."""
REWRITTEN = "rewritten"
"""Stands in the place of a training set's name for a base model that rewrites its prompts, in cells and results."""
CLEAN = "clean"
"""The name of the training set and of the test set that no method perturbs, and of the method that changes nothing."""


@dataclass(frozen=True)
class Spec:
    """A registered name with its arguments. Workers and keys get it in place of the object that it describes."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return {name, args}, ready for canonical JSON."""
        return {"name": self.name, "args": dict(self.args)}


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a prompt: natural language, which perturbations may change, or other text, which they must not change.

    The joined texts of a prompt's segments are the prompt, character for character.
    """

    text: str
    natural: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """One programming task with its tests, in HumanEval's form; subclasses for other forms override `assemble`."""

    task_id: str
    prompt: str  # ends where the completion begins
    entry_point: str  # the function to write
    test: str  # code that defines ``check(candidate)``
    reference: str | None = None  # the body of a correct solution, if there is one
    language: str = "python"
    stop: tuple[str, ...] = ()  # a completion ends before the first of these strings
    environment: str = ""  # of its programs, see `Program`

    @property
    def runtime(self) -> str:
        """What runs its programs: an environment, or a language."""
        return self.environment or self.language

    def assemble(self, completion: str) -> Program:
        """Return the program to execute: clean prompt and completion, and the tests with their call.

        The text is the same as in human-eval: https://github.com/openai/human-eval/blob/master/human_eval/execution.py
        """
        tests = f"{self.test}\ncheck({self.entry_point})"
        return Program(f"{self.prompt}{completion}", tests, self.language, environment=self.environment)

    @property
    def begins_program(self) -> bool:
        """Whether the prompt is code that a completion continues; else it asks in words for a whole program."""
        return True

    @property
    def opening(self) -> str:
        """Code that stands before every program, and that no model wrote; `assemble` puts it there too."""
        return ""

    def program(self, text: str) -> Program:
        """Return the program to execute whose whole text is given, so that the prompt is no part of it."""
        return replace(self.assemble(""), text=f"{self.opening}{text}")


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One problem of a test set: its prompt after perturbation."""

    task_id: str
    prompt: str
    clean_prompt: str
    method: str  # the method that made the prompt, "clean" for none; for a mix the member drawn
    changed: bool  # the text differs from the clean prompt
    compiles: bool
    """Whether prompt + reference parses; also True if the clean prompt doesn't parse either, or there is no reference.

    In Java and C++: whether the code outside of comments is that of the clean prompt.
    """


RatedTexts = Mapping[tuple[str, str], bool]
"""For each judged (row id, perturbed text): True if most raters find that it still asks for the task."""


# ---------------------------------------------------------------------------------------------------- training


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a training source, before perturbation."""

    row_id: str  # unique in the source, and the same each time the source is read
    instruction: str
    output: str
    input: str = ""  # further context
    language: str = ""
    entry_point: str = ""  # the function to write, if the instruction is a prompt in HumanEval's form; empty otherwise
    task_id: str = ""  # the id of a published problem, if the row names one
    rejected: str | None = None  # a worse response to the same instruction, for preference objectives
    system: str = ""  # a system text of the row's own, in the place of the model's `system_prompt`
    history: tuple[str, ...] = ()  # earlier turns: a question, its answer, a question, its answer
    masked: str = ""  # earlier answers that are never trained on, by their numbers from 0, as in "0,2"

    @property
    def prompt_texts(self) -> tuple[str, ...]:
        """All texts that stand in the row's prompt, in their order there."""
        return self.system, *self.history, self.instruction, self.input


@dataclass(frozen=True, slots=True)
class Leak:
    """A training row that contains an evaluated problem or its solution."""

    row_id: str
    problem_set: str
    task_id: str
    rule: str  # "task id", "instruction", "first sentence", "solution", "docstring overlap", "solution overlap"


@dataclass(frozen=True, slots=True)
class PerturbedRow:
    """The texts of a source row after one perturbation method."""

    row_id: str
    instruction: str
    input: str


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """The rejected response of a source row."""

    row_id: str
    rejected: str | None  # None: there is none
    reason: str  # what was changed, such as "off by one"; without a response, why there is none


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of a training set."""

    row_id: str
    source_id: str  # `row_id` of the source row; several training rows may have the same
    instruction: str
    input: str
    output: str
    language: str
    method: str  # the method that was applied, "clean" for none
    perturbed: bool  # the text differs from the clean one
    clean_instruction: str
    clean_input: str
    rejected: str | None = None  # a worse response, for preference objectives
    context: str | None = None  # JSON {before, buggy, after}, for repair
    meta: str | None = None  # JSON, without a fixed form
    system: str = ""  # a system text of the row's own, in the place of the model's `system_prompt`
    history: tuple[str, ...] = ()  # earlier turns: a question, its answer, a question, its answer; never perturbed
    masked: str = ""  # earlier answers that are never trained on, by their numbers from 0, as in "0,2"


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A training row's response and rejected one as tokens of one tokenizer, of whatever length.

    Token ids are little-endian int32, the prompt's and the end of the text included. Marks are one byte a token: 1
    where its line differs from the other side's, 2 more where its own characters do.
    """

    row_id: str
    ids: bytes
    start: int  # number of the prompt's tokens
    marks: bytes
    rejected_ids: bytes | None = None  # None: the row has no rejected response
    rejected_start: int = 0
    rejected_marks: bytes | None = None


class ModelKind(StrEnum):
    """The form in which a model is stored."""

    FULL = "full"  # all weights, as save_pretrained writes them
    ADAPTER = "adapter"  # a PEFT adapter of the model `base`
    DELTA = "delta"  # delta.safetensors: tensors that replace those of the same name in `base`


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Where a model is and how to load it."""

    location: str  # a folder or a hub id
    kind: ModelKind = ModelKind.FULL
    base: ModelRef | None = None  # the model to which an adapter or a delta applies
    dtype: str = "float32"
    revision: str | None = None
    trust_remote_code: bool = False
    architecture: str = "causal"  # causal | seq2seq
    eos_token: str | None = None  # the end-of-text token, where the tokenizer names none
    quantize: str | None = None  # nf4 | int8: what the linear layers of its blocks are held in
    attention: str | None = None  # eager | sdpa | flash_attention_2; None: the usual


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """The report of a training after an optimizer step."""

    step: int
    total_steps: int
    loss: float  # mean over the rows since the last report
    learning_rate: float
    tokens: int  # trained on so far, without padding
    gradient_norm: float = 0.0  # of the latest step, before clipping
    tokens_per_second: float = 0.0  # since the last report
    new_tokens: int = 0  # trained on since the last report of this attempt
    memory_bytes: int = 0  # most that this worker has held so far, of its accelerator's memory or of RAM
    mfu: float | None = None  # model FLOPs utilisation since the last report; None: the accelerator's peak is unknown
    validation_loss: float | None = None  # mean over the validation rows; None: not at the end of an epoch
    numbers: Mapping[str, float] = field(default_factory=dict)  # means of the objective's numbers since the last report
    held_out: Mapping[str, float] = field(default_factory=dict)  # measures of validation rows; empty: not measured now


# -------------------------------------------------------------------------------------- generation, execution


@dataclass(frozen=True, slots=True)
class Decoding:
    """How completions are drawn."""

    max_new_tokens: int = 256
    temperature: float = 0.0  # 0: greedy
    top_p: float = 0.95  # used only if temperature is above 0
    samples: int = 1  # completions of each prompt
    seed: int = DEFAULT_SEED
    beams: int = 1  # above 1: beam search, whose best texts are the samples
    early_stopping: bool = True  # a search ends with as many finished texts as it has beams

    @property
    def has_equal_samples(self) -> bool:
        """Whether a model without chance of its own gives a prompt's samples equal texts."""
        return self.temperature == 0 and self.beams == 1


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One completion to generate. Requests that differ only in `request_id` give the same text."""

    request_id: str
    task_id: str
    prompt: str  # the whole text that the model gets
    sample: int = 0  # index among the completions of a prompt
    stop: tuple[str, ...] = ()  # texts or special tokens that end the completion
    reference: str | None = None  # only for generators that copy or damage it
    special_tokens: bool = True  # whether the tokenizer puts its own around the prompt, such as a beginning of text
    opened: str = ""  # the mark at the prompt's end that opens reasoning, with which the stored text then begins


@dataclass(frozen=True, slots=True)
class Completion:
    """One generated text, cut before the first stop string: what a model wrote, from which its program may be taken.

    One whose prompt opened reasoning begins with that mark (`GenerationRequest.opened`), which the model did not write:
    else nobody could tell reasoning that was cut from an answer.
    """

    task_id: str
    sample: int  # of the prompt, from 0
    text: str
    stop: str  # why generation ended: a stop string, "eos" or "length"
    tokens: int  # generated, with those cut off
    prompt_sha: str  # `raysweep.hashing.text_sha` of the prompt
    prompt_tokens: int = 0  # that a server counted; 0: it was not asked
    key: str = ""  # in a store: a hash of what it depends on beside the model


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict on one completion."""

    task_id: str
    sample: int  # of the prompt, from 0
    outcome: str  # a `raysweep.programs.Outcome`, such as passed, failed, timeout or harness_error
    detail: str  # the assertion or exception in one line
    stderr: str  # its beginning
    seconds: float  # effective time
    program_sha: str
    limit_seconds: float = 0.0  # of effective time; 0: unknown
    oracle: str = ""  # the `Oracle` that judged it; empty: unknown
    parts: str = ""  # names of the parts of the tests that passed, comma separated, where tests report them
    found: str = ""  # where in the answer its program was, a `Found`; empty: the answer continues the prompt as it is
    program: str = ""  # what was taken out of the answer, without tests; empty: the prompt and the answer
    exact: bool | None = None  # whether its patch is the published one, but for layout; None: not asked for a patch


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """The verdict on a problem's reference solution, and what follows from it for all programs on the problem."""

    task_id: str
    outcome: str
    seconds: float  # effective time
    timeout: float  # the limit of programs, in seconds of effective time
    oracle: str  # an `Oracle`: where the problem's tests run
    detail: str = ""  # why it doesn't pass, in one line
    unchecked: str = ""  # why the problem's tests check nothing, in words; empty where they do, or nobody knows


# ------------------------------------------------------------------------------------------------------ editing


@dataclass(frozen=True, slots=True)
class PromptPair:
    """A problem's clean prompt and its perturbed one, which a base model solves less often, and what it wrote for both.

    The two prompts are whole texts, as the model gets them. A pair is eligible if the model solved the clean prompt
    more often than the perturbed one.
    """

    problem_set: str
    perturbation: str
    task_id: str
    original: str
    perturbed: str
    passing: str  # a completion of `original` that passed: the first one
    failing: str  # a completion of `perturbed` that failed: the first one
    stop: tuple[str, ...]  # texts that end a completion
    special_tokens: bool  # whether the tokenizer puts its own around the prompts
    accuracy_original: float  # share of the base's completions that passed
    accuracy_perturbed: float
    eligible: int  # number of the eligible pairs of this model, problem set and perturbation


@dataclass(frozen=True, slots=True)
class BlockAccuracy:
    """What patching the output of one block, or of the embeddings, of the perturbed prompt's pass restored."""

    block: int  # from 0; -1: the embeddings
    positions: str  # which positions were patched: all | last | diff_span | window:k
    phase: str  # prefill | all
    accuracy: float  # share of the completions that passed
    restoration: float  # RI: (accuracy - perturbed) / (original - perturbed); NaN if that isn't defined
    distance: float  # L2, of the block's states on the two prompts, over shared positions, relative to the clean one's
    accuracy_original: float  # of the localization's own samples, without a patch
    accuracy_perturbed: float
    samples: int  # completions behind each accuracy
    divergence_removed: float = float("nan")  # 1 - KL(p || p_patched) / KL(p || p_perturbed); NaN: unknown


@dataclass(frozen=True, slots=True)
class CandidateLoss:
    """The loss by which a model is compared with others of its group of recipes, on validation rows."""

    model_key: str
    loss: float  # of the weights that are the model: the last epoch's, or the best one's
    kept_step: int  # after which it had these weights
    steps: int  # of its training


# ------------------------------------------------------------------------------------------------------ scores


@dataclass(frozen=True, slots=True)
class Score:
    """One number of the study, with a 95 % interval. Undefined numbers are NaN, with the reason in `note`."""

    model: str
    recipe: str  # "none": not fine-tuned
    training_set: str  # "base": not fine-tuned
    seed: int
    problem_set: str
    perturbation: str  # "clean": not perturbed
    metric: str
    value: float
    low: float
    high: float
    n: int  # number of problems that it is computed from
    note: str = ""


@dataclass(frozen=True, slots=True)
class ProblemScore:
    """The verdicts on one cell's completions of one problem, on one draw of a test set."""

    model: str
    recipe: str  # "none": not fine-tuned
    training_set: str  # "base": not fine-tuned
    seed: int
    problem_set: str
    perturbation: str  # "clean": not perturbed
    draw: int  # of the perturbation
    task_id: str
    n: int  # completions with a verdict
    passed: int
    harness_errors: int  # completions without a verdict
    pairs: int = 0  # completions with a verdict on this and on the clean prompt; 0 on clean prompts
    lost: int = 0  # of these pairs: pass on the clean prompt only
    won: int = 0  # of these pairs: pass on this prompt only


@dataclass(frozen=True, slots=True)
class Difference:
    """One number of a pair of cells on one test set, with a 95 % interval: the cell's minus that of its baseline.

    Undefined numbers are NaN, with the reason in `note`.
    """

    model: str
    recipe: str
    training_set: str
    seed: int
    against: str  # the training set of the baseline: "base" (not fine-tuned) or "clean"
    problem_set: str
    perturbation: str  # "clean": not perturbed
    metric: str
    value: float
    low: float
    high: float
    n: int  # number of problems that it is computed from
    note: str = ""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How often failing work is retried, and when.

    `retries`: attempts after the first. `backoff_seconds`: pause before the second attempt, doubled for each later one.
    `stall_seconds`: an attempt that reports no progress for so long is ended; 0: never. `may_exit`: this process may be
    ended for that, since the engine starts another one.
    """

    retries: int = 2
    backoff_seconds: float = 5
    stall_seconds: float = 1800
    may_exit: bool = False
