"""Serialises recipes, perturbations, generators, decoding and prompts for keys: only fields that change the output."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from raysweep.generators.base import GENERATORS, TRANSFORMERS
from raysweep.models.families.base import ia3_targets, lora_targets
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.planning.plan import CellPlan
from raysweep.prompts.answers.reasoning import closing_of
from raysweep.prompts.templates import CHAT, RAW, PromptTemplate
from raysweep.records import Decoding, Spec
from raysweep.trainers.base import OBJECTIVES, TRAINERS, Recipe
from raysweep.trainers.editors.base import EDITORS
from raysweep.trainers.kinds import edits, place_of
from raysweep.trainers.sharding.choice import sharding_name

BEGINNINGS, ANSWERS = "beginnings", "answers"
"""What models are shown behind prompts: signatures, or in training whole answers."""
BLANKS = "\n  The answer.\n"
"""An answer of which templates may strip the blanks."""
PROMPTS = 1
"""Version of the texts that templates and prompt formats make; it is in the keys of models and completions."""


def recipe_spec(recipe: Recipe, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's part of a key, without fields that have no effect, such as `epochs` where `steps` is set.

    `facts`: of its template, see `template_spec`.
    """
    if edits(recipe.trainer):  # all its arguments and its rule of drawing texts: no other field counts
        defaults = {name: parameter.default for name, parameter in EDITORS.parameters(recipe.trainer).items()}
        edit, sampling = {**defaults, **recipe.edit}, GENERATORS.get(TRANSFORMERS).sampling
        rule = {"distance": "relative"} if place_of(recipe.trainer, recipe.edit) in ("auto", "dinm") else {}
        editor = {"editor": recipe.trainer, "edit": edit, "sampling": sampling, **rule}
        return {**editor, **EDITORS.plugin_spec(recipe.trainer)}
    spec = dataclasses.asdict(recipe) | {"parallel": sharding_name(recipe, recipe.workers), "prompts": PROMPTS}
    spec |= TRAINERS.plugin_spec(recipe.trainer) | OBJECTIVES.plugin_spec(recipe.objective)
    unused = ["edit", "day", "template_arguments"]
    unused += ["epochs"] if recipe.steps is not None else []
    unused += ["betas", "eps"] if recipe.optimizer == "adafactor" else []
    unused += ["clip"] if recipe.clip_value is not None else []
    for name in unused:
        del spec[name]
    return {**spec, **facts}


def adapter_spec(recipe: Recipe, family: str) -> dict[str, Any]:
    """Return the part of an adapter's key that names its modules where the recipe doesn't.

    Of IA3's it names those of a recipe's targets whose inputs are scaled, where the recipe leaves that to the family.
    """
    if recipe.trainer == "ia3":
        targets, feedforward = ia3_targets(family)
        if not (given := recipe.ia3.get("targets")):
            return {"ia3_targets": (targets, feedforward)}
        implied = [name for name in feedforward if name in given and recipe.ia3.get("feedforward") is None]
        return {"ia3_feedforward": implied} if implied else {}
    if recipe.trainer != "lora" or recipe.lora.get("targets"):
        return {}
    return {"lora_targets": lora_targets(family, recipe.lora.get("preset"))}


def method_spec(method: Spec, built: Perturbation) -> dict[str, Any]:
    """Return a perturbation's part of a key: name, arguments and fingerprints of its language resources.

    Strengths of 1 are left out, since they are the default. The path of a file is left out if its fingerprint is there.
    """
    resources = built.fingerprint()
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
    rule of drawing is named, if it names one.
    """
    spec, used = dataclasses.asdict(decoding), GENERATORS.get(generator)
    if decoding.beams == 1:
        del spec["early_stopping"]
    if decoding.temperature == 0:
        del spec["top_p"]
        if not used.draws_when_greedy:
            del spec["seed"]
    elif used.sampling:
        spec["sampling"] = used.sampling
    return spec


def template_spec(template: PromptTemplate, shows: str = "") -> dict[str, Any]:
    """Return what of a template's texts its name doesn't say: its arguments, reasoning left open, the day, marks.

    Most templates have none.

    Args:
        template: with its tokenizer, where it needs one.
        shows: what is shown behind a prompt: `BEGINNINGS` or `ANSWERS`; empty: nothing. What a chat template puts
            before and behind these, beside such marks, and what it strips of them, counts then.
    """
    given = {"arguments": dict(template.arguments)} if template.name == CHAT and template.arguments else {}
    if not template.is_form or (template.name == CHAT and template.tokenizer is None):
        return given
    text = template.fill("x")
    opens = template.opened(text)
    marks = "" if opens else template.answer_opening
    facts = {"opens": opens, "day": template.shown_day, "answers": marks}
    if shows == BEGINNINGS and not (opens or marks):
        facts["begins"] = template.begun(text, BLANKS.strip()).removeprefix(text).removesuffix(BLANKS.strip())
    if shows == ANSWERS:
        plain = f"{text}{closing_of(opens) if opens else marks}{BLANKS}"
        written, _ = template.answered(text, BLANKS)
        facts["written"] = "" if written == plain else written.removeprefix(text)
    return {**given, **{name: value for name, value in facts.items() if value}}


def prompt_spec(plan: CellPlan, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a key that determines a model's input text, given the prompt.

    Only the format ``native`` depends on `tuned`; with others it is always False. `facts`: of its template, see
    `template_spec`.
    """
    tuned = plan.is_fine_tuned and plan.prompt_format == "native"
    shown = {"format": plan.prompt_format, "tuned": tuned, "template": plan.template, "system": plan.system}
    unstripped = {"blanks": "kept"} if plan.prompt_format == RAW != plan.template else {}
    return {**shown, "prompts": PROMPTS, **unstripped, **facts}
