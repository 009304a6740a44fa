"""What a recipe's `trainer` names: a trainer, an editor, or Self-Denoising, which changes prompts and no weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysweep.records import ModelKind
from raysweep.trainers.base import TRAINERS
from raysweep.trainers.editors.base import EDITORS

SELF_DENOISING = "self-denoising"
"""The `trainer` of a recipe whose prompts the model itself rewrites (`raysweep.prompts.rewriting`)."""


def edits(trainer: str) -> bool:
    """Return whether a recipe's `trainer` is an editor, which meets edit examples and no training set."""
    return trainer in EDITORS.names()


def rewrites(trainer: str) -> bool:
    """Return whether a recipe's `trainer` rewrites prompts, and makes no model."""
    return trainer == SELF_DENOISING


def fine_tunes(trainer: str) -> bool:
    """Return whether a recipe's `trainer` trains on rows; its models get their prompts as they were trained."""
    return not edits(trainer) and not rewrites(trainer)


def place_of(editor: str, arguments: Mapping[str, Any]) -> Any:
    """Return where an editor edits with a recipe's arguments, its own default included; None if it knows no places."""
    parameter = EDITORS.parameters(editor).get("edit_at")
    return arguments.get("edit_at", parameter.default) if parameter else None


def kind_of(trainer: str) -> ModelKind:
    """Return how a recipe's model is stored, full where it makes none; raise UnknownName for an unknown trainer."""
    if rewrites(trainer):
        return ModelKind.FULL
    return EDITORS.get(trainer).kind if edits(trainer) else TRAINERS.get(trainer).kind
