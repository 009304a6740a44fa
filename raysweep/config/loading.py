"""Reads a config from a YAML file or a mapping, and a stored one from a sweep's folder.

All errors are reported at once, each with its line, its key, its value and the nearest valid name.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from raysweep.config.document import ConfigError, Document, KeyPath, overridden, read_document, shown, unusable_values
from raysweep.config.fields import STORED, section_in
from raysweep.config.groups import A_RECIPE_EACH, spelled_out
from raysweep.config.models import RecipeConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import Doubt, MissingInput, StoreError, UsageError, did_you_mean
from raysweep.language.translation.base import AUTO, IF_READY, is_one_ready
from raysweep.perturbations.mixes import NO_TRANSLATOR, is_left_out
from raysweep.registry import ONE_VALUE, validation_message
from raysweep.trainers.base import OBJECTIVES, Recipe
from raysweep.trainers.editors.base import EDITORS
from raysweep.units import count

log = logging.getLogger("raysweep")

KNOWN_HERE = "; known here: "
NEEDED: dict[KeyPath, str] = {
    ("models",): "; list the models to evaluate, as in `models: [{name: mine, path: PATH_OR_HUB_ID}]` (without models, "
    "`raysweep sets CONFIG` makes the training and test sets)"
}
"""What to do about a required key that is missing, where its name doesn't say it."""
NO_MODEL = {"name": "none", "generator": "reference"}
CALLED_HERE = {
    "adam_epsilon": "eps",
    "adam_beta1": "betas",
    "adam_beta2": "betas",
    "bf16": "precision: bf16",
    "deepspeed": "parallel",
    "do_sample": "temperature, where 0 is greedy",
    "fp16": "precision: float16",
    "gradient_accumulation_steps": "batch_size, the rows of a step, of which micro_batch_size are computed at a time",
    "group_by_length": "length_buckets",
    "learning_rate": "lr",
    "load_best_model_at_end": "keep: best",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "lr_scheduler_type": "schedule",
    "max_grad_norm": "clip",
    "optim": "optimizer",
    "max_length": "max_tokens or max_new_tokens",
    "max_seq_length": "max_tokens",
    "max_tokens": "max_new_tokens",
    "max_steps": "steps",
    "model_name_or_path": "path",
    "num_return_sequences": "samples",
    "num_train_epochs": "epochs",
    "packing": "batching: packed",
    "per_device_train_batch_size": "batch_size, the rows of a step over all workers, or micro_batch_size",
    "rank": "r",
    "report_to": "loggers",
    "save_steps": "checkpoint_every",
    "target_modules": "targets",
    "torch_dtype": "dtype",
    "tf32": "precision: tf32",
    "train_batch_size": "batch_size",
    "warmup_ratio": "warmup",
    "warmup_steps": "warmup, a share of the steps",
}
"""Names of other tools, most of them of Hugging Face's, and what raysweep calls the same; ``or``: elsewhere."""


def load_config(
    path: str | Path, overrides: Sequence[str] = (), *, with_models: bool = True, missing: list[str] | None = None
) -> SweepConfig:
    """Read a config file and its ``--set a.b=c`` overrides, and check it; raise ConfigError with all findings.

    `with_models`: False where only training and test sets are to be made, so that no model is looked for. `missing`:
    gets a line for each file, model or translator that isn't here; None: these are errors too.
    """
    return validate(read_document(Path(path), overrides), with_models=with_models, missing=missing)


def config_from(value: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> SweepConfig:
    return validate(overridden(Document(source, deepcopy(dict(value)), {}, {}), overrides))


def validate(document: Document, *, with_models: bool = True, missing: list[str] | None = None) -> SweepConfig:
    """Check a document against the schema, then the files it names; raise ConfigError with all findings.

    `with_models`: False replaces the section `models` by a placeholder, unless one of them is a teacher. `missing`: see
    `load_config`.
    """
    from raysweep.config.checks.inputs import check_inputs

    if not with_models and not _has_teacher(document.value):
        document = dataclasses.replace(document, value={**document.value, "models": [NO_MODEL]})

    document = spelled_out(document)
    unusable = dict(unusable_values(document.value))
    try:
        config = SweepConfig.model_validate(_with_text_keys(document.value), context=_declared(document.value))
    except ValidationError as error:
        details = [dict(detail) for detail in error.errors()]
        by_path = {_path_of(document, detail): detail for detail in reversed(details)}  # the first at each place
        of_them = {path for path in by_path for other in unusable if path[: len(other)] == other[: len(path)]}
        others = [by_path[path] for path in reversed(by_path) if path not in of_them]
        findings = [*_said(document, unusable), *(_finding(document, detail) for detail in others)]
        raise ConfigError(document.source, [*document.wrong, *_once(sorted(findings, key=_line))]) from None
    if unusable:
        raise ConfigError(document.source, [*document.wrong, *sorted(_said(document, unusable), key=_line)])
    if config.language.translator == IF_READY:
        named = {"translator": AUTO if is_one_ready() else NO_TRANSLATOR}
        config = config.model_copy(update={"language": config.language.model_copy(update=named)})
    config = _without_translations(config, document.source)
    wrong = [*document.wrong]
    lacking: dict[str, str] = {}  # the first place of each
    doubts: dict[str, None] = {}
    for path, text in check_inputs(config, with_models=with_models):
        line = _said_at(document, path, text)
        if isinstance(text, Doubt):
            doubts[line] = None
        elif missing is not None and isinstance(text, MissingInput):
            lacking.setdefault(str(text), line)
        elif line not in wrong:  # recipes of one group have one mistake
            wrong.append(line)
    if missing is not None:
        missing += lacking.values()
    if wrong:
        raise ConfigError(document.source, wrong)
    for line in doubts:
        log.warning("%s: %s", document.source, line)
    return config


def _has_teacher(value: Mapping[str, Any]) -> bool:
    training = _section(value, "training")
    written = [training.get("source"), training.get("validation")]
    written += [of for name in ("sources", "validations") for of in _section(training, name).values()]
    return any(_section(source, "rejected").get("teacher") is not None for source in written)


def _section(value: Any, name: str) -> Mapping[str, Any]:
    section = value.get(name) if isinstance(value, Mapping) else None
    return section if isinstance(section, Mapping) else {}


def _without_translations(config: SweepConfig, source: str) -> SweepConfig:
    def stays(name: str) -> bool:
        try:
            method = config.perturbation(name)
        except UsageError:  # the checks of names say what is wrong
            return True
        return not is_left_out(method.name, method.args)

    evaluation, training = config.evaluation, config.training
    tests = [name for name in evaluation.perturbations if stays(name)]
    sets = [choice for choice in training.sets if stays(choice.perturbation)] if training else []
    if len(tests) < len(evaluation.perturbations) or (training and len(sets) < len(training.sets)):
        for section, left in (("evaluation.perturbations", tests), ("training.sets", sets)):
            if not left and (training or left is tests):
                raise ConfigError(source, [f"{section}: language.translator is none, and all of them translate"])
        of = f"{len(tests)} of {count(len(evaluation.perturbations), 'test perturbation')}"
        trained = f", {len(sets)} of {count(len(training.sets), 'training set')}" if training else ""
        log.warning(
            "%s: language.translator is none, so methods that translate are left out: %s stay%s", source, of, trained
        )
        evaluation = evaluation.model_copy(update={"perturbations": tests})
        training = training.model_copy(update={"sets": sets}) if training else None
    return config.model_copy(update={"evaluation": evaluation, "training": training})


def _declared(value: Mapping[str, Any]) -> dict[str, set[str] | None]:
    """Return the names that each section of a config declares; None for a section that is no mapping or list."""
    training = value.get("training") or {}
    named = {"recipes": value.get("recipes", {}), "perturbations": value.get("perturbations", {})}
    if isinstance(training, Mapping):
        named["training.sources"] = training.get("sources", {})
    names = {section: set(map(str, of)) if isinstance(of, Mapping) else None for section, of in named.items()}
    sets = training.get("sets", []) if isinstance(training, Mapping) else None
    if isinstance(sets, list):
        names["training.sets"] = {str(entry.get("name") if isinstance(entry, Mapping) else entry) for entry in sets}
    return names


def _with_text_keys(value: Any) -> Any:
    """Copy a value with all its keys as text, so that a key of another type is reported once and confuses no check."""
    if isinstance(value, Mapping):
        return {str(key): _with_text_keys(child) for key, child in value.items()}
    return [_with_text_keys(child) for child in value] if isinstance(value, list) else value


def _said(document: Document, mistakes: Mapping[KeyPath, str]) -> list[str]:
    return list(dict.fromkeys(_said_at(document, path, text) for path, text in mistakes.items()))


def _said_at(document: Document, path: KeyPath, text: object) -> str:
    path = document.as_written(path)
    return f"{document.place(path)}{shown(path) or 'the config'}: {text}"


def to_yaml(config: BaseModel) -> str:
    """Return the resolved config, defaults included, as YAML that `load_config` reads back to an equal config."""
    plain = config.model_dump(mode="json", by_alias=True)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)


def _once(findings: Sequence[str]) -> list[str]:
    shown: set[str] = set()
    shorter = []
    for finding in dict.fromkeys(findings):
        text, known, names = finding.partition(KNOWN_HERE)
        shorter.append(text if names in shown else finding)
        shown.update({names} if known else ())
    return shorter


def _line(finding: str) -> int:
    return int(finding.split()[1].rstrip(",")) if finding.startswith("line ") else 0


def _finding(document: Document, detail: dict[str, Any]) -> str:
    path = document.as_written(_path_of(document, detail))
    key = shown(path) or "the config"
    match detail["type"]:
        case "extra_forbidden" if sections := _sections_of(document, _path_of(document, detail)):
            message = f"unknown key; it belongs into {' or '.join(sections)}"
        case "extra_forbidden":
            known = _fields_at(path[:-1])
            name = str(path[-1])
            hint = _called_here(name, known) or did_you_mean(name, known)
            message = f"unknown key{hint}{KNOWN_HERE}{', '.join(known)}"
        case "missing":
            message = f"this key is missing{NEEDED.get(path, '')}"
        case "value_error":
            message = str(detail["ctx"]["error"])
        case _:
            message = validation_message(detail, of_numbers=_holds_numbers(path)) + _dotted_key_hint(
                document, path, detail
            )
            if path[2:3] == ("objective_args",) and isinstance(detail["input"], list):
                message += f"{ONE_VALUE}; {A_RECIPE_EACH}"
    return f"{document.place(path)}{key}: {message}"


def _sections_of(document: Document, path: KeyPath) -> list[str]:
    """Return where an unknown key of a recipe belongs: an argument of a part, or a setting of a section that counts."""
    if path[:1] != ("recipes",) or len(path) != 3:
        return []
    recipe, name = _with_text_keys(document.value)["recipes"][path[1]], str(path[2])
    trainer, objective = (str(recipe.get(key, getattr(Recipe(), key))) for key in ("trainer", "objective"))
    known: dict[str, Iterable[str]] = {}
    if trainer in EDITORS.names():
        known["edit"] = EDITORS.parameters(trainer)
    elif objective in OBJECTIVES.names():
        known["objective_args"] = OBJECTIVES.parameters(objective)
    if trainer in ("lora", "ia3") and (section := section_in(RecipeConfig.model_fields[trainer].annotation)):
        known[trainer] = section.model_fields
    given = yaml.safe_dump({name: recipe[name]}, default_flow_style=True, width=math.inf).strip()
    return [f"`{section}: {given}`" for section, names in known.items() if name in names]


def _called_here(name: str, known: Sequence[str]) -> str:
    from raysweep.config.reference import all_keys

    names, comma, more = CALLED_HERE.get(name, "").partition(",")
    ours = names.split(" or ") if names else []
    if here := [own for own in ours if own.partition(":")[0] in known]:
        return f"; write `{here[0]}`{comma}{more}"
    last = {own.partition(":")[0].rpartition(".")[2]: own.rpartition(".")[2] for own in ours}
    keys = [key.path.rpartition(".") for key in all_keys()]
    others = [(section, dot, key) for section, dot, key in keys if key in last and not section.endswith(".rejected")]
    places = [f"`{section}{dot}{last[key]}`" for section, dot, key in others]  # a teacher's settings are seldom meant
    return f"; write {' or '.join(places)}{comma}{more}" if places else ""


def _dotted_key_hint(document: Document, path: KeyPath, detail: Mapping[str, Any]) -> str:
    override = document.override_below(path)
    if not (override and isinstance(detail["input"], dict) and detail["type"] in ("string_type", "float_type")):
        return ""
    above = shown(path[:-1])
    dotted, _, value = override.strip().removeprefix(f"{above}.").partition("=")
    return f"; a dot separates keys, so write a key that has dots as --set '{above}={{{dotted}: {value}}}'"


def _path_of(document: Document, detail: Mapping[str, Any]) -> KeyPath:
    """Return where a finding is, without the steps that pydantic adds for unions and functions."""
    value, loc = _with_text_keys(document.value), detail["loc"]
    path: list[str | int] = []
    for at, step in enumerate(loc):
        is_index = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if is_index or (isinstance(value, dict) and step in value):
            value = value[step]
        elif not (detail["type"] == "missing" and at == len(loc) - 1):
            continue
        path.append(step)
    return tuple(path)


def _holds_numbers(path: KeyPath) -> bool:
    """Return whether the list at a path holds whole numbers, the only ones of which the config has lists."""
    field = _section_at(path[:-1]).model_fields.get(str(path[-1])) if path else None
    return field is not None and int in _types_in(field.annotation)


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _types_in(part)


def _fields_at(path: KeyPath) -> list[str]:
    return sorted(_section_at(path).model_fields)


def _section_at(path: KeyPath) -> type[BaseModel]:
    model: type[BaseModel] = SweepConfig
    is_name = False  # the next step is a name that the user gave
    for step in path:
        if isinstance(step, int) or is_name:
            is_name = False
        elif step in model.model_fields:
            annotation = model.model_fields[step].annotation
            is_name = get_origin(annotation) is dict
            model = section_in(annotation) or model
    return model


def read_config(path: Path) -> SweepConfig:
    """Return a stored config without checking its files; raise StoreError if it is missing or of another version."""
    try:
        value = _loaded(path.read_text(encoding="utf-8"))
        return SweepConfig.model_validate(value, context={**_declared(value), STORED: set()})
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, UsageError, ValidationError) as error:
        raise StoreError(f"{path} can't be read: {error}; the sweep's command writes it again") from None


def _loaded(text: str) -> Any:
    """Return what a stored YAML says; libyaml, where it is there, takes a tenth of the time, but refuses some texts."""
    with suppress(yaml.YAMLError):
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # both loaders are safe
    return yaml.safe_load(text)
