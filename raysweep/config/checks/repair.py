"""Checks of repair: templates that show faults need problem sets and rows that have some, and the reverse."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from raysweep.config.document import KeyPath
from raysweep.config.models import ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.generators.base import GENERATORS
from raysweep.problems.base import PROBLEMS
from raysweep.prompts.repair.styles import STYLES, RepairAnswer, answers_in, required_tokens
from raysweep.prompts.templates import NATIVE, RAW, PromptTemplate, template_shown
from raysweep.training_sets.base import SOURCES


def repair_mistakes(config: SweepConfig, model: ModelConfig, place: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield where a model's template, problem sets and training rows don't go together; `place`: of the model."""
    template, prompt_format = PromptTemplate(model.template), config.evaluation.prompt_format
    shown = [template_shown(prompt_format, tuned, template).name for tuned in (False, True)[: 1 + bool(model.recipes)]]
    asked: KeyPath = (*place, "template") if prompt_format == NATIVE else ("evaluation", "prompt_format")
    sets = {spec.name: PROBLEMS.get(spec.name).repair for spec in config.evaluation.problems}
    others = [name for name, repairs in sets.items() if not repairs]
    if others and (repairing := [name for name in shown if name in STYLES]):
        yield (
            asked,
            f"the template {repairing[0]!r} shows code with a fault, and problem set {others[0]} has none; give models "
            "that are to repair a config with problem sets for repair alone, or take another template",
        )
    wrong = [name for name in shown if name not in STYLES and name != RAW]
    if len(others) < len(sets) and wrong:
        repairs = next(name for name, is_one in sets.items() if is_one)
        yield (
            asked,
            f"problem set {repairs} is code with a fault, which the template {wrong[0]!r} can't show; take one for "
            "repair, such as repair_buggy_line",
        )
    spec = (model.generator or config.evaluation.generator).spec(GENERATORS, config.seed)
    if len(others) < len(sets) and GENERATORS.get(spec.name).chats(spec.args):
        yield (
            (*place, "generator"),
            f"model {model.name!r} answers as a chat, with prose and fences around its code, and a problem set for "
            "repair takes an answer whole as its patch; give the generator an interface that continues a prompt, such "
            "as `api: completions`, or the model a config without problem sets for repair",
        )
    trained: list[tuple[KeyPath, str, list[str]]] = []
    if model.recipes:
        sources = [source.rows.name for source in (config.training.row_sources if config.training else ())]
        trained.append(((*place, "template"), model.template, sources))
    if (made := model.pretrain) is not None:
        path = (*place, "template") if made.template is None else (*place, "pretrain", "template")
        trained.append((path, made.template or model.template, [made.source.name]))
    for path, name, sources in trained:
        if answers_in(name) is RepairAnswer.REST:
            yield (
                path,
                f"to the template {name!r} models that aren't fine-tuned answer with the rest of a function, and a "
                "training row's answer is what mends its hunk; take one that begins with repair",
            )
        for source in sources if name in STYLES else ():
            if not SOURCES.get(source).repair:
                why = f"shows code with a fault, and rows of the source {source} have none; take the source repair"
                yield path, f"the template {name!r} {why}"


def architecture_mistakes(
    config: SweepConfig, model: ModelConfig, architecture: str, place: KeyPath
) -> Iterator[tuple[KeyPath, str]]:
    """`place`: of the model, from the top of the config, as are the places that are yielded."""
    kinds = {"causal": "a causal model", "seq2seq": "an encoder-decoder model"}
    asked: dict[KeyPath, str] = {
        (*place, "template"): model.template,
        ("evaluation", "prompt_format"): config.evaluation.prompt_format,
    }
    if model.pretrain is not None and model.pretrain.template is not None:
        asked[*place, "pretrain", "template"] = model.pretrain.template
    for path, name in asked.items():
        style = STYLES.get(name)
        if style is not None and style.architecture != architecture:
            better = [other for other, one in STYLES.items() if one.architecture == architecture and one.untuned]
            yield (
                path,
                f"the template {name!r} is for {kinds[style.architecture]}, and {model.name} is "
                f"{kinds[architecture]}; take one of {', '.join(better)}",
            )


def token_mistakes(
    config: SweepConfig, model: ModelConfig, architecture: str, words: Collection[str] | None, place: KeyPath
) -> Iterator[tuple[KeyPath, str]]:
    """Yield where a template for repair needs tokens that a model's tokenizer lacks, and which.

    `architecture`: causal or seq2seq; templates for the other one are another mistake. Empty: not known. `words`: of
    its tokenizer; None: there is none here. `place`: of the model, from the top of the config, as are the places that
    are yielded.
    """
    own, asked = (*place, "template"), config.evaluation.prompt_format
    shown = [(own, model.template)] if model.recipes or asked == NATIVE else []
    base = template_shown(asked, False, PromptTemplate(model.template)).name
    shown.append((own if asked == NATIVE else ("evaluation", "prompt_format"), base))
    if model.pretrain is not None and model.pretrain.template is not None:
        shown.append(((*place, "pretrain", "template"), model.pretrain.template))
    told = set[KeyPath]()
    for path, name in shown:
        use, groups = required_tokens(name)
        fits = architecture in ("", STYLES[name].architecture) if groups else False
        if not fits or any(set(group) <= set(words or ()) for group in groups):
            continue
        if words is None and STYLES[name].infill:
            key, lack = path, f"takes tokens for {use} from a model's tokenizer, and {model.name} has no weights here"
            way = "take repair_buggy_line or repair_plain"
        elif model.pretrain is not None:
            key, lack = (*place, "pretrain", "special_tokens"), f"needs tokens for {use}"
            way = f"give [{', '.join(groups[0])}]{', or those of another family' if len(groups) > 1 else ''}"
        elif words is not None:
            key, lack = path, f"needs tokens for {use}, such as {groups[0][0]}, and {model.path} has none"
            way = "take repair_buggy_line or repair_plain" if len(groups) > 1 else "take another model"
        else:
            continue
        if key not in told:
            told.add(key)
            yield key, f"the template {name!r} {lack}; {way}"
