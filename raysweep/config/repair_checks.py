"""Checks of repair: templates that show faults need problem sets and rows that have some, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator

from raysweep.config.models import ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.problems.base import PROBLEMS
from raysweep.prompts.repair.styles import STYLES
from raysweep.prompts.templates import RAW, PromptTemplate, template_shown
from raysweep.training_sets.base import SOURCES


def repair_mistakes(config: SweepConfig, model: ModelConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with a model's templates, and the key of the model."""
    template, prompt_format = PromptTemplate(model.template), config.evaluation.prompt_format
    shown = [template_shown(prompt_format, tuned, template).name for tuned in (False, True)[: 1 + bool(model.recipes)]]
    sets = {spec.name: PROBLEMS.get(spec.name).repair for spec in config.evaluation.problems}
    others = [name for name, repairs in sets.items() if not repairs]
    if others and (repairing := [name for name in shown if name in STYLES]):
        yield (
            ("template",),
            f"the template {repairing[0]!r} shows code with a fault, and problem set {others[0]} has none; give models "
            "that are to repair a config with problem sets for repair alone, or take another template",
        )
    wrong = [name for name in shown if name not in STYLES and name != RAW]
    if len(others) < len(sets) and wrong:
        repairs = next(name for name, is_one in sets.items() if is_one)
        yield (
            ("template",),
            f"problem set {repairs} is code with a fault, which the template {wrong[0]!r} can't show; take one for "
            "repair, such as repair_buggy_line",
        )
    if model.template in STYLES and model.recipes:
        sources = [source.rows.name for source in (config.training.row_sources if config.training else ())]
        for name in (name for name in sources if not SOURCES.get(name).repair):
            yield (
                ("template",),
                f"the template {model.template!r} shows code with a fault, and rows of the source {name} have none; "
                "take the source repair",
            )


def architecture_mistakes(model: ModelConfig, architecture: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong where a template for repair is of the other architecture, and the key of the model."""
    style = STYLES.get(model.template)
    if style is not None and style.architecture != architecture:
        kinds = {"causal": "a causal model", "seq2seq": "an encoder-decoder model"}
        better = [name for name, one in STYLES.items() if one.architecture == architecture and one.untuned]
        yield (
            ("template",),
            f"the template {model.template!r} is for {kinds[style.architecture]}, and {model.name} is "
            f"{kinds[architecture]}; take one of {', '.join(better)}",
        )
