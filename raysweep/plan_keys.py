"""How recipes, perturbations, generators, decoding and prompts stand in keys: all that counts, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

from raysweep.perturbations.base import PERTURBATIONS
from raysweep.plans import CellPlan
from raysweep.provenance import versions
from raysweep.records import Decoding, Spec
from raysweep.trainers.base import Recipe

TRANSFORMERS = "transformers"


def recipe_spec(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as it stands in keys: `steps`, where given, is what counts, and not `epochs`."""
    spec = dataclasses.asdict(recipe)
    if recipe.steps is not None:
        del spec["epochs"]
    return spec


def method_spec(method: Spec) -> dict[str, Any]:
    """Return a perturbation as it stands in keys: with its language resources, and without a strength of 1.

    Of files only the content counts and never the path, where a fingerprint tells it.
    """
    resources = PERTURBATIONS.create(method).fingerprint()
    args = {name: value for name, value in method.args.items() if (name, value) != ("strength", 1)}
    if resources:
        args.pop("path", None)
    if "strengths" in args:
        args["strengths"] = {name: value for name, value in args["strengths"].items() if value != 1}
    spec: dict[str, Any] = {"name": method.name, "args": {name: value for name, value in args.items() if value != {}}}
    return {**spec, "resources": dict(resources)} if resources else spec


def generator_spec(plan: CellPlan, dtype: str) -> dict[str, Any]:
    """Return a generator as it stands in keys: with its versions, and below float32 the batch that moves its bits."""
    spec = plan.generator.as_dict()
    if plan.generator.name == TRANSFORMERS:
        spec["versions"] = versions(("transformers", "torch"))
        if dtype != "float32":
            spec["batch_size"] = plan.batch_size
    return spec


def decoding_spec(decoding: Decoding) -> dict[str, Any]:
    """Return decoding as it stands in keys: greedy decoding draws nothing, so its key has no seed."""
    spec = dataclasses.asdict(decoding)
    if decoding.temperature == 0:
        del spec["top_p"], spec["seed"]
    return spec


def prompt_spec(plan: CellPlan) -> dict[str, Any]:
    """Return what turns a prompt into the text a model sees; `tuned` counts only where the format looks at it."""
    tuned = plan.recipe is not None and plan.prompt_format == "native"
    return {"format": plan.prompt_format, "tuned": tuned, "template": plan.template}
