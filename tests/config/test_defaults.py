"""A setting's default is written once: in the record that travels to workers, or in its section of the config."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

from raysweep.config import models, schema, training
from raysweep.config.fields import Strict
from raysweep.programs import Sandbox
from raysweep.records import Decoding, ModelRef, Recovery
from raysweep.trainers.base import Ia3Settings, LoraSettings, Recipe
from raysweep.training_sets.selection import Choice
from tests.paths import REPO
from tests.syntax import parsed

pytestmark = pytest.mark.slow

PACKAGE = REPO / "raysweep"
SAME_NAME_ONLY = {
    ("Recipe", "compat"): "of a training; the other one is of perturbed prompts",
    ("Problem", "stop"): "of one problem; the config's are a model's",
    ("GenerationRequest", "stop"): "of one request",
    ("PromptTemplate", "system"): "of one prompt; the record that takes it from the config is Recipe",
    ("PromptTemplate", "tokenizer"): "of one prompt",
    ("Prompter", "stop"): "of one cell",
    ("Verdict", "audit"): "of one program's second run; the config's is a file of raters' answers",
    ("Limits", "timeout"): "the config's null is the problem set's limit",
    ("Limits", "wall_factor"): "as timeout",
    ("Limits", "memory_mib"): "as timeout",
    ("Limits", "output_kib"): "as timeout",
    ("LintLimits", "wall_factor"): "of a linter; the config's is of the programs that models write",
    ("LintLimits", "memory_mib"): "as wall_factor",
    ("LintedStratum", "linter"): "with its version, as it was found",
    (
        "RejectedRowsPlan",
        "problems",
    ): "none may be given away; () where leaks are only reported",
    ("TrainJob", "pairs"): "encoded pairs; the config's are of models and test sets",
    ("ProblemScore", "pairs"): "of completions; the config's are of models and test sets",
    ("SweepPlan", "quality"): "the plans themselves; the config's null is no linting",
    ("BasePlan", "vocab_size"): "0: the model is not made from scratch",
    ("BasePlan", "size"): "as vocab_size",
    ("BasePlan", "special_tokens"): "as vocab_size",
    ("GenerationRequest", "special_tokens"): "of one prompt: whether the tokenizer adds them",
    ("Recipe", "template"): "of a model's prompts; the config's null, of a model from scratch, is the model's",
    ("Choice", "size"): "rows of a training set; the config's other `size` is a model's",
    ("TrainJob", "checkpoint_every"): "0: a job that no sweep started writes none",
    ("GenerateJob", "batch_tokens"): "a stage that asks a model, such as an attack, has no config",
    ("TrainJob", "validation"): "a file of rows; the config's is their source, which a pre-training has not",
    ("CellPlan", "validation"): "the plan of the rows; None where nothing is trained",
    ("EncodedSet", "validation"): "the rows themselves, which have none of their own",
    ("Activity", "training"): "how far a training is",
    ("Localization", "batch_tokens"): "of the rows that a localization writes, which changes no text",
    ("Needs", "cpus"): "of an execution actor, to which those of `resources` don't apply",
    ("Needs", "gpus"): "as cpus",
    ("Task", "group"): "of models that run on one type of accelerator; the config's is of recipes",
    ("GenerateJob", "group"): "as of Task",
    ("CellToPlace", "group"): "as of Task",
    ("EditJob", "batch_tokens"): "a job that no sweep started has no config",
    ("CellFacts", "group"): "empty where its recipe is one of none",
    ("CellStatus", "group"): "a model and a recipe in words",
    ("ProbeResult", "cpus"): "found on a cluster",
    ("ProbeResult", "gpus"): "found on a cluster",
    ("Sandbox", "environments"): "pairs, since a sandbox is a key; the config's are a mapping",
    ("PlanFacts", "environments"): "what problem sets find in them",
}
OF_ONE_COMMAND = {
    ("evaluate", "engine"): "one model is judged without Ray, a sweep with it",
    ("execute", "problems"): "the set of a file of samples; a recipe's are those that its models are judged on",
    ("run", "engine"): "no config key; that of `raysweep.sweep.tasks.RunOptions` would be slow to import for --help",
    ("data_sets", "engine"): "as run's",
}
NOT_SETTINGS = ("cli", "tools", "analysis", "config")
"""Folders whose records don't travel to workers."""


def is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


def classes(paths: Iterator[Path]) -> Iterator[ast.ClassDef]:
    for path in paths:
        yield from (node for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef))


def written(cls: ast.ClassDef) -> set[str]:
    """Return the fields of a class whose default is a value and not taken from elsewhere."""
    fields = [node for node in cls.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]
    return {field.target.id for field in fields if field.value is not None and is_literal(field.value)}


def config_defaults() -> set[str]:
    sections = [cls for cls in classes((PACKAGE / "config").glob("*.py")) if "Strict" in map(ast.unparse, cls.bases)]
    assert len(sections) > 10
    return set().union(*map(written, sections))


def record_defaults() -> set[tuple[str, str]]:
    paths = (path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in NOT_SETTINGS)
    records = [cls for cls in classes(paths) if any("dataclass" in ast.unparse(mark) for mark in cls.decorator_list)]
    assert len(records) > 50
    return {(cls.name, name) for cls in records for name in written(cls)}


def option_defaults() -> set[tuple[str, str]]:
    functions = [
        node
        for name in ("app.py", "tools.py")
        for node in parsed(PACKAGE / "cli" / name).body
        if isinstance(node, ast.FunctionDef)
    ]
    found = set()
    for function in functions:
        arguments, defaults = function.args.args, function.args.defaults
        for argument, default in zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True):
            if is_literal(default) and ast.literal_eval(default) not in (None, False):
                found.add((function.name, argument.arg))
    return found


def test_no_default_of_a_config_key_is_written_in_a_record_too():
    config = config_defaults()
    twice = {(record, name) for record, name in record_defaults() if name in config}
    assert twice - set(SAME_NAME_ONLY) == set(), "let one take it from the other, or say in SAME_NAME_ONLY why not"


def test_no_option_writes_the_default_of_a_config_key_or_a_record():
    known = {name for cls in Strict.__subclasses__() for name, key in cls.model_fields.items() if not key.is_required()}
    known |= {name for _, name in record_defaults()}
    twice = {(command, name) for command, name in option_defaults() if name in known}
    assert twice - set(OF_ONE_COMMAND) == set(), "take it from the record or the config section"


@pytest.mark.parametrize(
    ("section", "record", "number"),
    [
        (models.RecipeConfig, Recipe, 33),
        (models.LoraConfig, LoraSettings, 7),
        (models.Ia3Config, Ia3Settings, 2),
        (models.ModelConfig, ModelRef, 6),
        (schema.EvaluationConfig, Decoding, 6),
        (schema.ExecutionConfig, Sandbox, 5),
        (schema.RecoveryConfig, Recovery, 3),
        (training.TrainingSetConfig, Choice, 4),
    ],
)
def test_a_section_and_its_record_have_equal_defaults(section, record, number):
    factories = {f.name: f.default_factory for f in dataclasses.fields(record)}
    defaults = {f.name: f.default for f in dataclasses.fields(record)}
    shared = [name for name in section.model_fields if name in defaults and name not in ("lora", "ia3", "environments")]
    assert len(shared) == number
    for name in shared:
        default = factories[name]() if defaults[name] is dataclasses.MISSING else defaults[name]
        assert section.model_fields[name].default == (default.value if isinstance(default, Enum) else default), name
