"""Plans a config's base models, and how each of them writes, for the keys of what it writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from raysweep.config.models import ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import MissingInput, RaysweepError
from raysweep.generators.base import GENERATORS
from raysweep.generators.environments import generator_key
from raysweep.machine import versions
from raysweep.models.families.base import FAMILIES
from raysweep.models.finding import resolve
from raysweep.models.identity import fingerprint
from raysweep.models.loading import load_tokenizer
from raysweep.models.quantizing import INT8, QUANTIZERS
from raysweep.models.traits import read_traits
from raysweep.planning.keys import decoding_spec, recipe_spec, template_spec
from raysweep.planning.plan import BasePlan, TrainingSetPlan, keys_of
from raysweep.prompts.answers.marks import has_meaning
from raysweep.prompts.templates import CHAT, PromptTemplate
from raysweep.records import CLEAN, Decoding, Spec
from raysweep.storage.artefacts import Node
from raysweep.trainers.editors.planted import VERSION as PLANTED
from raysweep.trainers.editors.planted import Damage
from raysweep.training_sets.base import SOURCES


class BaseModelPlanner:
    """Plans each base model of a config once.

    `rows_of`: plans the rows of a source as a training set, for models that the sweep pre-trains: clean ones, or half
    of them with a perturbation. `tolerant`: what isn't here gets a stand-in in keys, which then fit no artefact; else
    MissingInput is raised.
    """

    def __init__(self, config: SweepConfig, rows_of: Callable[[Spec, str], TrainingSetPlan], *, tolerant: bool) -> None:
        self.configs = {model.name: model for model in config.models}
        self._config, self._rows_of, self._tolerant = config, rows_of, tolerant
        self.base = cache(self._base)
        self.generator = cache(self._generator)

    def writing_spec(self, name: str, template: str, decoding: Decoding, *, is_trained: bool = False) -> dict[str, Any]:
        """Return what a model's completions depend on beside its prompts and stop strings, for their keys.

        `template`: of its prompts. `is_trained`: a fine-tuned version writes, whose own key stands for the weights.
        """
        base, (generator, key) = self.base(name), self.generator(name, template)
        is_artefact = is_trained or base.node is not None
        in_texts = base.traits.kept if base.traits else sorted(filter(has_meaning, base.special_tokens))
        kept = in_texts if GENERATORS.get(generator.name).needs_model else []
        return {
            "generator": key,
            "decoding": decoding_spec(decoding, generator.name),
            "model": None if is_artefact else base.identity,
            "dtype": self.configs[name].dtype,  # which a trained model's key doesn't say
            **({"quantize": base.quantize, "versions": versions(QUANTIZERS)} if base.quantize else {}),
            **({"control_tokens": kept} if kept else {}),
        }

    def template(self, name: str, template: str) -> PromptTemplate:
        """Return a template with what a model's prompts need of its tokenizer, loaded for its chat template."""
        filled = replace(self.configs[name].prompt_template(self._config.evaluation.date or ""), name=template)
        ref = self.base(name).ref
        return filled if template != CHAT or ref is None else replace(filled, tokenizer=load_tokenizer(ref))

    def template_facts(self, name: str, template: str, shows: str = "") -> dict[str, Any]:
        """Return the part of keys that a model's template gives beside its name; none where it can't be filled.

        `shows`: see `template_spec`.
        """
        try:
            return template_spec(self.template(name, template), shows)
        except RaysweepError:  # a check of the config says why
            return {}

    def _generator(self, model: str, template: str) -> tuple[Spec, dict[str, Any]]:
        """Return what writes a model's answers to prompts in a template, and its key."""
        written, evaluation = self.configs[model], self._config.evaluation
        unprompted = (written.generator or evaluation.generator).spec(GENERATORS, self._config.seed)
        generator = written.prompted(unprompted, template)
        try:
            rounds_to = INT8 if written.quantize == INT8 else written.dtype
            return generator, generator_key(generator, rounds_to, evaluation.batch_tokens)
        except MissingInput:
            if not self._tolerant:
                raise
            return generator, {"missing": generator.as_dict()}

    def _base(self, name: str) -> BasePlan:
        model = self.configs[name]
        if not model.has_weights:
            return BasePlan(name, family="", identity={})
        if model.pretrain is None:
            return self._existing(model)
        pretrain = model.pretrain
        template = pretrain.template or model.template
        recipe = self._config.recipes[pretrain.recipe].recipe(template, model.system_prompt)
        facts = template_spec(PromptTemplate(template, model.system_prompt))
        attends = {"attention": model.attention} if model.attention else {}
        asked = pretrain.damage
        damage = Damage(asked.perturbation, asked.block) if asked is not None else None
        source = pretrain.source.spec(SOURCES, self._config.seed)
        training_set = self._rows_of(source, damage.perturbation if damage else CLEAN)
        spec = {
            "family": pretrain.family,
            **FAMILIES.plugin_spec(pretrain.family),
            "vocab_size": pretrain.vocab_size,
            "size": pretrain.size,
            "special_tokens": pretrain.special_tokens,
            "recipe": recipe_spec(recipe, facts),
            "seed": self._config.seed,
            **({"damage": dataclasses.asdict(damage), "planted": PLANTED} if damage else {}),
            **attends,
        }
        node = Node("base_model", 1, spec, keys_of(training_set), f"base model {name}")
        return BasePlan(
            name,
            pretrain.family,
            {},
            node=node,
            training_set=training_set,
            recipe=recipe,
            vocab_size=pretrain.vocab_size,
            special_tokens=tuple(pretrain.special_tokens),
            size=tuple(sorted(pretrain.size.items())),
            planted=damage,
            dtype=model.dtype,
            quantize=model.quantize,
            attention=model.attention,
        )

    def _existing(self, model: ModelConfig) -> BasePlan:
        assert model.path is not None
        how: dict[str, Any] = {"quantize": model.quantize, "attention": model.attention}
        asked = {"dtype": model.dtype, **({"attention": model.attention} if model.attention else {})}
        try:
            resolved = resolve(model.path, model.revision, model.trust_remote_code)
            ref = resolved.ref(model.dtype, model.eos_token, model.quantize, model.attention)
            traits = read_traits(ref)
        except MissingInput:
            if not self._tolerant:
                raise
            return BasePlan(model.name, family="", identity={"missing": model.path, **asked}, **how)
        identity = {**fingerprint(ref), **asked}
        return BasePlan(model.name, resolved.model_type, identity, ref, traits=traits, **how)
