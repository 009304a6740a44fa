"""Finds the config that a model's shape follows from: the one shipped under its hub id, or its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from raysweep.models.architectures.shape import LAYOUTS, Shape, shape_of
from raysweep.models.families.base import FAMILIES
from raysweep.models.hub import hub_config
from raysweep.models.loading import empty_network
from raysweep.records import ModelRef

FOLDER = Path(__file__).parent


def known_shape(hub_id: str) -> Shape | None:
    """Return the shape of a published model whose config is shipped; None for any other."""
    file = FOLDER / f"{hub_id.replace('/', '--')}.json"
    return shape_of(json.loads(file.read_text())) if hub_id.count("/") == 1 and file.is_file() else None


def shape_from_scratch(family: str, vocab_size: int, size: Mapping[str, Any]) -> Shape | None:
    """Return the shape of a model that a sweep pre-trains; None if its family doesn't declare its tiny config."""
    fields: Mapping[str, Any] = getattr(FAMILIES.get(family), "tiny", {})
    return shape_of({"model_type": family, **fields, **size, "vocab_size": vocab_size}) if fields else None


@cache
def shape_at(ref: ModelRef) -> Shape | None:
    """Return the shape of a model that is here, an adapter's being its base's; None if its config lacks a number.

    A network of a model type that isn't in `LAYOUTS` is built without data, to count its weights.
    """
    if ref.base is not None:
        return shape_at(ref.base)
    if known := known_shape(ref.location):
        return known
    file = Path(ref.location).expanduser() / "config.json"
    config = json.loads(file.read_text()) if file.is_file() else hub_config(ref.location, ref.revision)[0]
    shape = shape_of(config)
    if shape is None or shape.model_type in LAYOUTS:
        return shape
    return shape_of(config, sum(weights.numel() for weights in empty_network(ref).parameters()))
