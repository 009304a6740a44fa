"""A sweep's resolved config, read again from the sweep's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from raysweep.config import EvaluationConfig, SweepConfig, TrainingConfig, TrainingSetConfig
from raysweep.config_models import PretrainConfig
from raysweep.config_types import SpecConfig
from raysweep.errors import StoreError


def read_config(path: Path) -> SweepConfig:
    """Return a config as it was checked when it was written: what it names may be gone since.

    Raises:
        StoreError: the file is missing or not one that this version wrote.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        context = {section: set(value.get(section, ())) for section in ("recipes", "perturbations")}
        return SweepConfig.model_validate(_as_checked(value, context), context=context)
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValidationError) as error:
        raise StoreError(f"{path} can't be read: {error}; the sweep's command writes it again") from None


def _as_checked(value: dict[str, Any], context: dict[str, set[str]]) -> dict[str, Any]:
    """Return a stored config with the sections that name files as built objects, which pydantic takes as they are."""
    evaluation, training = value["evaluation"], value.get("training")
    problems = [SpecConfig(**spec) for spec in evaluation["problems"]]
    built: dict[str, Any] = {"evaluation": EvaluationConfig.model_construct(**{**evaluation, "problems": problems})}
    if training is not None:
        sets = [TrainingSetConfig.model_validate(entry, context=context) for entry in training["sets"]]
        built["training"] = TrainingConfig.model_construct(source=SpecConfig(**training["source"]), sets=sets)
    models = []
    for model in value["models"]:
        pretrain = model.get("pretrain")
        if pretrain is not None:
            source = SpecConfig(**pretrain["source"])
            model = {**model, "pretrain": PretrainConfig.model_construct(**{**pretrain, "source": source})}
        models.append(model)
    return {**value, **built, "models": models}
