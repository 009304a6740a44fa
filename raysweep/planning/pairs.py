"""Plans the pairs of a training set that are encoded once for all recipes which read them."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

from raysweep.models.identity import WEIGHTS
from raysweep.planning.plan import BasePlan, EncodedPairsPlan, TrainingSetPlan
from raysweep.storage.artefacts import Node
from raysweep.trainers.base import OBJECTIVES, TRAINERS, Recipe
from raysweep.trainers.objectives.rejected import VERSION


def encoded_pairs(base: BasePlan, recipe: Recipe, rows: TrainingSetPlan) -> EncodedPairsPlan | None:
    """Return the plan of a set's encoded pairs; None where a recipe encodes its rows itself.

    With rehearsal some rows are shown with another text, which the training's seed decides.
    """
    reads = TRAINERS.get(recipe.trainer).uses_objective and OBJECTIVES.get(recipe.objective).reads_pairs
    if not reads or recipe.rehearsal:
        return None
    spec = {"tokenizer": _tokenizer(base), "template": recipe.template, "system": recipe.system}
    inputs = (base.node.key, rows.node.key) if base.node else (rows.node.key,)
    node = Node("encoded_pairs", VERSION, spec, inputs, f"pairs of {rows.node.label} for {base.name}")
    return EncodedPairsPlan(node, rows, base, recipe.template, recipe.system)


def _tokenizer(base: BasePlan) -> dict[str, Any]:
    """Return a base model's identity without its weights, so that models which differ in those only share pairs."""
    identity = {name: value for name, value in base.identity.items() if name != "dtype"}
    if "files" in identity:
        kept = {
            name: content
            for name, content in identity["files"].items()
            if not any(fnmatch(name, pattern) for pattern in (*WEIGHTS, "*.index.json"))
        }
        identity["files"] = kept
    return identity
