"""Serialises recipes, perturbations, generators, decoding and prompts for keys: only fields that change the output."""

from __future__ import annotations

import dataclasses
from typing import Any

from raysweep.generators.base import GENERATORS, TRANSFORMERS
from raysweep.models.families.base import ia3_targets, lora_targets, names_lora_targets
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.planning.plan import CellPlan
from raysweep.prompts.repair.styles import STYLES, RepairAnswer
from raysweep.prompts.templates import PromptTemplate, template_shown
from raysweep.records import Decoding, ModelKind, Spec
from raysweep.trainers.base import OBJECTIVES, TRAINERS, Recipe
from raysweep.trainers.editors.base import EDITORS
from raysweep.trainers.kinds import edits, kind_of
from raysweep.trainers.sharding.choice import sharding_name

HOW = ("micro_batch_tokens", "batching", "offload", "gradient_checkpointing", "compile", "compat")
"""Fields of a recipe that enter keys only where they differ from their defaults. All but `compat` change rounding only:
giving one trains a model again, and leaving all out keeps the models of older versions."""

LATER = ("optimizer", "clip_value", "keep")
"""Fields that came later and enter keys only where they are given: models of older versions keep their keys."""

LATER_OF_EDITORS = ("embeddings", "covariance_text_tokens", "covariance_ridge")
"""Arguments of editors that came later and enter keys only where they are given."""


INFILL_VERSION, MASK_VERSION = 5, 2
"""Versions of the prompts of templates for repair that fill a hole or a mask."""


def recipe_spec(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's part of a key, without fields that have no effect, such as `epochs` where `steps` is set."""
    if edits(recipe.trainer):
        return _editor_spec(recipe)
    spec = dataclasses.asdict(recipe)
    del spec["edit"]
    for name in (*HOW, *LATER):
        if spec[name] == getattr(Recipe, name):
            del spec[name]
    spec |= TRAINERS.plugin_spec(recipe.trainer) | OBJECTIVES.plugin_spec(recipe.objective)
    spec["parallel"] = sharding_name(recipe, recipe.workers)
    if spec["parallel"] == "ddp":
        del spec["parallel"]
    if not spec["ia3"]:
        del spec["ia3"]
    if recipe.precision != "float32" and kind_of(recipe.trainer) is ModelKind.ADAPTER:
        spec["frozen"] = recipe.precision  # the base's number format; it was float32 in older adapters
    unused = ["epochs"] if recipe.steps is not None else []
    unused += ["betas", "eps"] if recipe.optimizer == "adafactor" else []
    unused += ["clip"] if recipe.clip_value is not None else []
    for name in unused:
        del spec[name]
    if not recipe.system:
        del spec["system"]
    style = STYLES.get(recipe.template)
    return spec | {"prompts": INFILL_VERSION} if style is not None and style.infill else spec


def _editor_spec(recipe: Recipe) -> dict[str, Any]:
    """Return an editor with all its arguments and its rule of drawing texts: no other field of a recipe counts."""
    defaults = {name: parameter.default for name, parameter in EDITORS.parameters(recipe.trainer).items()}
    sampling = GENERATORS.get(TRANSFORMERS).sampling
    edit = {**defaults, **recipe.edit}
    edit = {name: value for name, value in edit.items() if name not in LATER_OF_EDITORS or value != defaults[name]}
    own = {"samples": "own"} if "positions" in defaults else {}  # of localizations; those of older ones were the base's
    return {"editor": recipe.trainer, "edit": edit, "sampling": sampling, **own, **EDITORS.plugin_spec(recipe.trainer)}


def adapter_spec(recipe: Recipe, family: str) -> dict[str, Any]:
    """Return the part of an adapter's key that names its modules where neither recipe nor family does, but PEFT.

    Of IA3's it names those of a recipe's targets whose inputs are scaled, where the recipe leaves that to the family.
    """
    if recipe.trainer == "ia3":
        targets, feedforward = ia3_targets(family)
        if not (given := recipe.ia3.get("targets")):
            return {"ia3_targets": (targets, feedforward)}
        implied = [name for name in feedforward if name in given and recipe.ia3.get("feedforward") is None]
        return {"ia3_feedforward": implied} if implied else {}
    preset = recipe.lora.get("preset")
    if recipe.trainer != "lora" or recipe.lora.get("targets") or (preset != "peft" and names_lora_targets(family)):
        return {}
    return {"lora_targets": lora_targets(family, preset)}


def method_spec(method: Spec) -> dict[str, Any]:
    """Return a perturbation's part of a key: name, arguments and fingerprints of its language resources.

    Strengths of 1 are left out, since they are the default. The path of a file is left out if its fingerprint is there.
    """
    resources = PERTURBATIONS.create(method).fingerprint()
    args = {name: value for name, value in method.args.items() if (name, value) != ("strength", 1)}
    if resources:
        args.pop("path", None)
    if "strengths" in args:
        args["strengths"] = {name: value for name, value in args["strengths"].items() if value != 1}
    spec: dict[str, Any] = {"name": method.name, "args": {name: value for name, value in args.items() if value != {}}}
    spec |= PERTURBATIONS.plugin_spec(method.name)
    return {**spec, "resources": dict(resources)} if resources else spec


def decoding_spec(decoding: Decoding, generator: str) -> dict[str, Any]:
    """Return decoding's part of a key.

    At temperature 0 `top_p` is left out, and `seed` too where the generator draws nothing. Above it the generator's
    rule of drawing is named, if it names one. Beams are part of it where there are some.
    """
    spec, used = dataclasses.asdict(decoding), GENERATORS.get(generator)
    if decoding.beams == 1:
        del spec["beams"], spec["early_stopping"]
    if decoding.temperature == 0:
        del spec["top_p"]
        if not used.draws_when_greedy:
            del spec["seed"]
    elif used.sampling:
        spec["sampling"] = used.sampling
    return spec


def prompt_spec(plan: CellPlan) -> dict[str, Any]:
    """Return the part of a key that determines a model's input text, given the prompt.

    Only the format ``native`` depends on `tuned`; with others it is always False. A version stands with templates for
    repair that have changed: what fills a hole ended at fewer tokens, code behind a hole had one more blank where
    CodeLlama's tokenizer adds one, half of the rows were in an order that no model was trained on, and masks of hunks
    without lines had no indent.
    """
    tuned = plan.is_fine_tuned and plan.prompt_format == "native"
    system = {"system": plan.system} if plan.system else {}
    style = STYLES.get(template_shown(plan.prompt_format, plan.is_fine_tuned, PromptTemplate(plan.template)).name)
    version: dict[str, int] = {}
    if style is not None and (style.infill or style.answer is RepairAnswer.SPAN):
        version = {"version": INFILL_VERSION if style.infill else MASK_VERSION}
    return {"format": plan.prompt_format, "tuned": tuned, "template": plan.template, **system, **version}
