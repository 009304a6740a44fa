"""Builds the config of `raysweep evaluate`, a sweep of one model without fine-tuning."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import Any

from raysweep.config.document import ConfigError
from raysweep.config.fields import NAME_SIGNS, may_be_in_name, may_begin_name
from raysweep.config.loading import config_from
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.generators.base import named_generator
from raysweep.hashing import canonical_json, text_sha
from raysweep.perturbations.apply import available_perturbations
from raysweep.planning.planner import build_plan
from raysweep.problems.base import GIVEN, in_environment, names_problems, problems_entry
from raysweep.storage.artefacts import MANIFEST

UNNAMED = "evaluate"
"""How the names of sweeps begin that were given none."""
OPTIONS = {
    "models.0.path": "MODEL",
    "models.0.generator": "MODEL",
    "models.0.name": "--name",
    "name": "--sweep",
    "evaluation.problems": "--problems",
    "evaluation.perturbations": "--perturbations",
    "evaluation.prompt_format": "--prompt-format",
    "evaluation.extract": "--extract",
    "evaluation.max_new_tokens": "--max-new-tokens",
    "evaluation.samples": "--samples",
    "evaluation.temperature": "--temperature",
    "evaluation.draws": "--draws",
    "evaluation.limit": "--limit",
    f"execution.environments.{GIVEN}": "--environment",
    "seed": "--seed",
}
"""The options of the command by the keys that they set, for messages."""


def evaluation_config(
    model: str,
    problems: Sequence[str],
    perturbations: str,
    *,
    name: str | None,
    sweep: str | None = None,
    seed: int,
    settings: Mapping[str, Any],
    sets: Sequence[str],
    environment: str | None = None,
    trust_remote_code: bool,
    allow_code_execution: bool,
) -> SweepConfig:
    """Return the config of a sweep that evaluates one model; raise UsageError for arguments that can't be used.

    Unless it is given one, the sweep's name contains a hash of its results' keys, so that a changed model or problem
    file gives a new sweep.

    `problems`: see `problems_entry`. `perturbations`: ``all`` stands for clean prompts, methods and mixes that need no
    argument. `name`: None: the id of the model's cell if a sweep made it, else the last part of `model`. `sweep`: name
    of the sweep. `settings`: keys of the section `evaluation`, except problems and perturbations. `sets`: overrides of
    any other, as ``a.b=c``. `environment`: the Python that runs the programs; None: raysweep's own.
    """
    _require_model(model, problems)
    if settings["samples"] > 1 and settings["temperature"] == 0:
        raise UsageError(
            f"--samples {settings['samples']} at temperature 0: greedy samples are identical; give --temperature too"
        )
    named = next((text for text in sets if text.partition("=")[0].strip() == "name"), None)
    if sweep is not None and named is not None:
        raise UsageError(f"--sweep {sweep} and --set {named} both name the sweep; give one of them")
    source: dict[str, Any] = {"path": model, "trust_remote_code": trust_remote_code}
    if (generator := named_generator(model)) is not None:
        source = {"generator": {"name": generator.name, **generator.args}}
    methods = [part.strip() for part in perturbations.split(",") if part.strip()]
    entries = [problems_entry(text, seed) for text in problems]
    value: dict[str, Any] = {
        "name": UNNAMED if sweep is None else sweep,
        "seed": seed,
        "allow_code_execution": allow_code_execution,
        "models": [{"name": _name_of(model) if name is None else name, **source}],
        "evaluation": {
            "problems": in_environment(entries, GIVEN) if environment is not None else entries,
            "perturbations": list(available_perturbations()) if perturbations == "all" else methods,
            **settings,
        },
    }
    if environment is not None:
        value["execution"] = {"environments": {GIVEN: environment}}
    try:
        config = config_from(value, "evaluate", sets)
    except ConfigError as error:
        raise ConfigError("evaluate", [_as_option(finding) for finding in error.findings]) from None
    if sweep is not None or config.name != UNNAMED:  # `--set name=...` says it too
        return config
    keys = sorted(pair.results.key for cell in build_plan(config).cells for pair in cell.pairs)
    return config.model_copy(update={"name": f"{UNNAMED}-{config.models[0].name}-{text_sha(canonical_json(keys))[:8]}"})


def _require_model(model: str, problems: Sequence[str]) -> None:
    """Raise UsageError if the first argument is a problem set or a config, which stand elsewhere."""
    if Path(model).suffix in (".yaml", ".yml"):
        raise UsageError(f"MODEL: {model} is a config; `raysweep run {shlex.quote(model)}` runs its sweep")
    if names_problems(model) and named_generator(model) is None and not _holds_model(model):
        meant = next((text for text in problems if text and not names_problems(text)), "MODEL")
        command = shlex.join(["raysweep", "evaluate", meant, "--problems", model])
        raise UsageError(f"MODEL: {model} is a problem set; the model comes first: `{command}`")
    for text in problems:
        if text and not names_problems(text) and _holds_model(text):
            raise UsageError(f"--problems: {text} is a model; give a problem set's name, or a JSONL file")


def _holds_model(path: str) -> bool:
    return any((Path(path).expanduser() / name).is_file() for name in ("config.json", "adapter_config.json"))


def _name_of(model: str) -> str:
    manifest = Path(model).expanduser() / MANIFEST
    text = Path(model).name
    if manifest.is_file():
        text = str(json.loads(manifest.read_text()).get("label", text))
    known = (char if may_be_in_name(char) else " " for char in unicodedata.normalize("NFC", text))
    name = re.sub(" +", "-", "".join(known)).encode()[:40].decode(errors="ignore")
    return "".join(dropwhile(lambda char: not may_begin_name(char), name)).rstrip(NAME_SIGNS) or "model"


def _as_option(finding: str) -> str:
    for key, option in OPTIONS.items():
        if re.match(rf"{re.escape(key)}(\.\d+)?: ", finding):
            return re.sub(r"^[^:]*: ", f"{option}: ", finding)
    return finding
