"""The frozen records that pass between stages, and the enums of what can happen.

Row records (`TrainingRow`, `PromptRow`, `Completion`, `Result`, `Score`) are what Parquet files hold: one field is one
column, see `raysweep.tables`. Adding a column needs a default; changing or removing one needs a new `SCHEMA_VERSION`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from raysweep.programs import Program

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Spec:
    """A registered name with its arguments: what travels to workers and into keys, instead of live objects."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return {name, args}, ready for canonical JSON."""
        return {"name": self.name, "args": dict(self.args)}


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a prompt: natural language, which perturbations may change, or verbatim text, which they may not.

    Joining the texts of a prompt's segments gives the prompt back, character for character.
    """

    text: str
    natural: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """One programming task with its tests, shaped like HumanEval's; other shapes override `assemble`.

    `prompt` ends where the completion begins. `test` defines ``check(candidate)``. `reference` is the body of a right
    solution, or None where there is none. `stop`: strings that end a completion, cut off it.
    """

    task_id: str
    prompt: str
    entry_point: str
    test: str
    reference: str | None = None
    language: str = "python"
    stop: tuple[str, ...] = ()

    def assemble(self, completion: str) -> Program:
        """Return the program to execute: the clean prompt, the completion, the tests, the call of the tests.

        The text is human-eval's: https://github.com/openai/human-eval/blob/master/human_eval/execution.py
        """
        return Program(f"{self.prompt}{completion}", f"{self.test}\ncheck({self.entry_point})", self.language)


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One problem of a test set: its prompt after perturbation."""

    task_id: str
    prompt: str
    clean_prompt: str
    method: str  # the method that made it; for an aggregate the member drawn; "clean"
    changed: bool  # the text differs from the clean prompt
    compiles: bool  # prompt + reference parses (True where the clean one doesn't, or there is no reference)


# ---------------------------------------------------------------------------------------------------- training


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a training source, before perturbation. `row_id` is unique in the source and stable."""

    row_id: str
    instruction: str
    output: str
    input: str = ""
    language: str = ""
    entry_point: str = ""  # of a prompt-shaped instruction; empty otherwise
    task_id: str = ""  # of the published problem that the row is, where it says so


@dataclass(frozen=True, slots=True)
class Leak:
    """A training row that gives an evaluated problem away."""

    row_id: str
    problem_set: str
    task_id: str
    rule: str  # "task id", "instruction", "first sentence", "solution", "docstring overlap", "solution overlap"


@dataclass(frozen=True, slots=True)
class PerturbedRow:
    """The texts of a source row after one method."""

    row_id: str
    instruction: str
    input: str


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of a training set."""

    row_id: str
    source_id: str  # row_id of the source row; several training rows may share one
    instruction: str
    input: str
    output: str
    language: str
    method: str  # the method that was applied; "clean"
    perturbed: bool  # the text really differs from the clean one
    clean_instruction: str
    clean_input: str
    rejected: str | None = None  # a worse response, for preference objectives
    context: str | None = None  # JSON {before, buggy, after}, for repair
    meta: str | None = None  # JSON, free


class ModelKind(StrEnum):
    """What a model artefact holds."""

    FULL = "full"  # all weights, as save_pretrained writes them
    ADAPTER = "adapter"  # a PEFT adapter over `base`
    DELTA = "delta"  # delta.safetensors: some tensors that replace `base`'s


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Where a model lies and how to load it. `location`: a folder or a hub id."""

    location: str
    kind: ModelKind = ModelKind.FULL
    base: ModelRef | None = None  # what an adapter or a delta applies to
    dtype: str = "float32"
    revision: str | None = None
    trust_remote_code: bool = False
    architecture: str = "causal"  # causal | seq2seq


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """What a training reports after an optimizer step. `loss`: mean over the rows since the last report."""

    step: int
    total_steps: int
    loss: float
    learning_rate: float
    tokens: int  # seen so far, padding excluded


# -------------------------------------------------------------------------------------- generation, execution


@dataclass(frozen=True, slots=True)
class Decoding:
    """How completions are drawn. temperature 0 is greedy; `top_p` counts only above 0."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 0.95
    samples: int = 1
    seed: int = 42


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One completion to make. Requests that differ only in `request_id` give the same text."""

    request_id: str
    task_id: str
    prompt: str  # the whole text the model sees
    draw: int = 0
    stop: tuple[str, ...] = ()
    reference: str | None = None  # only for generators that copy or spoil it


@dataclass(frozen=True, slots=True)
class Completion:
    """One generated body, cut at the first stop string. `stop`: what ended it (a stop string, "eos", "length")."""

    task_id: str
    draw: int
    text: str
    stop: str
    tokens: int  # generated, the cut part included
    prompt_sha: str


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict on one completion."""

    task_id: str
    draw: int
    outcome: str
    detail: str
    stderr: str
    seconds: float  # effective time
    program_sha: str
    limit_seconds: float = 0.0  # of effective time; 0: not told


@dataclass(frozen=True, slots=True)
class ReferenceTime:
    """How long a problem's reference solution took, and the limit that follows for all programs on the problem."""

    task_id: str
    outcome: str
    seconds: float  # effective time
    timeout: float  # seconds of effective time


# ------------------------------------------------------------------------------------------------------ scores


@dataclass(frozen=True, slots=True)
class Score:
    """One number of the study. `low`, `high`: a 95 % interval; NaN where undefined, with the reason in `note`."""

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
    n: int  # problems it rests on
    note: str = ""


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no blanks: equal values give equal bytes. NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
