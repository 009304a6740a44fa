"""A model's numbers as a model card for the Hugging Face hub: README.md with metrics in its front matter.

The front matter's ``model-index`` is made by huggingface_hub from one `EvalResult` for each number, so the hub and its
library read it; a metric's arguments have the signature. A number that is undefined is left out there, and the text
below says why; the text has the intervals, and where a sweep has several seeds the means over these beside the numbers
of the model, which has one. The data set's configuration is the test set's perturbation, so that numbers
on different prompts are never merged.

Source: https://huggingface.co/docs/huggingface_hub/guides/model-cards
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from raysweep.analysis.tables.frame import Number
from raysweep.config.loading import to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.machine import VERSION
from raysweep.models.quantizing import QUANTIZATION
from raysweep.problems.base import PROBLEMS
from raysweep.records import BASE, Score
from raysweep.sweep.export.scores import CellScores, TestSetScores
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.notes import limit_text, settings_lines
from raysweep.units import count

CARD = "README.md"
TASK = "text-generation"
"""The hub's name for the task of completing code."""
TAGS = ["code", "robustness", "raysweep"]
MOST_INDEXED = 10
"""Most models whose numbers are in the front matter of a card for several; the front matter of a card is small."""
COLUMNS = ("test set", "metric", "value", "95 % interval", "problems", "note")
OF_SEEDS = ("mean over seeds", "SD", "seeds", "95 % interval over problems and seeds")
OVER_SEEDS = (
    "The mean over seeds, and SD, the standard deviation between them, are of all models of the sweep that were "
    "fine-tuned like this one with another seed, and this one."
)


def card_file(folder: SweepFolder, cell: CellScores, signature: str) -> tuple[str, str]:
    config = folder.config()
    return CARD, f"---\n{_data(config, cell, signature).to_yaml()}\n---\n\n{_text(config, cell, signature)}"


def sweep_card(folder: SweepFolder, repo: str, cells: Mapping[str, tuple[CellScores, str, str]]) -> str:
    """Return the card of several models that lie in one repository, each in a folder of its own.

    `cells`: by the name of the folder, its numbers, their signature, and what there is of its weights, in words.
    """
    from huggingface_hub import ModelCardData

    config = folder.config()
    cards = [_data(config, scores, signature).to_dict() for scores, signature, _ in cells.values()]
    bases = sorted({card["base_model"] for card in cards if "base_model" in card})
    data: Any = ModelCardData(language="code", tags=TAGS, base_model=bases or None)
    if len(cards) <= MOST_INDEXED:
        data["model-index"] = [entry for card in cards for entry in card.get("model-index", [])]
    words = order_of(config)
    rows = [
        [f"[{name}]({name})", _described(scores.pair, words.training_label(scores.pair.training_set)), weights]
        for name, (scores, _, weights) in cells.items()
    ]
    limited = f"\n\n**Limited run:** {limit_text(config)}" if limit_text(config) else ""
    table = [["folder", "model", "weights"], ["---"] * 3, *rows]
    about = (
        f"The models of the sweep `{config.name}`, and how they did on clean and on perturbed prompts, by raysweep "
        f"{VERSION}. Each folder has a card with the model's numbers."
    )
    loaded = (
        f'`from_pretrained("{repo}", subfolder="FOLDER")` of transformers loads a model and its tokenizer, and that of '
        "PEFT puts an adapter on its base."
    )
    lines = "\n".join(f"| {' | '.join(row)} |" for row in table)
    return f"---\n{data.to_yaml()}\n---\n\n# {config.name}\n\n{about}{limited}\n\n{lines}\n\n{loaded}\n"


def _data(config: SweepConfig, cell: CellScores, signature: str) -> Any:
    """Return the front matter of a model's card, a `ModelCardData`."""
    from huggingface_hub import EvalResult, ModelCardData

    model = next(model for model in config.models if model.name == cell.pair.model)
    tuned = cell.pair.training_set != BASE
    limited = f" (the first {count(config.evaluation.limit, 'problem')})" if config.evaluation.limit else ""
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=_data_set(config, scores),
            dataset_name=f"{scores.pair.problem_set} {scores.pair.perturbation}{limited}",
            dataset_config=scores.pair.perturbation,
            dataset_split="test",
            metric_type=score.metric,
            metric_name=score.metric,
            metric_value=score.value,
            metric_args={"signature": signature},
        )
        for scores in cell.test_sets
        for score in scores.scores
    ]
    return ModelCardData(
        language="code",
        tags=TAGS,
        base_model=model.path if tuned and is_hub_id(model.path) else None,
        model_name=cell.id,
        eval_results=results,
    )


def _data_set(config: SweepConfig, scores: TestSetScores) -> str:
    """Return the hub's id of a problem set; its name in the sweep if it has none, or goes by a name of its own."""
    problems = next(each for each in config.evaluation.problems if each.label == scores.pair.problem_set)
    return problems.label if problems.own_name else PROBLEMS.get(problems.name).hub or problems.label


def is_hub_id(path: str | None) -> bool:
    """Return whether a model's path names a repository of the hub; the paths of folders are absolute in a sweep."""
    return path is not None and not path.startswith("/") and path.count("/") <= 1


def _described(pair: GridRow, training_label: str) -> str:
    if pair.training_set == BASE:
        return f"`{pair.model}`, as it is"
    return f"`{pair.model}`, fine-tuned on {training_label} with the recipe `{pair.recipe}` and seed {pair.seed}"


def _held(config: SweepConfig, name: str) -> str:
    """Return how to hold the base of a model as it was held; empty: as its files have it."""
    quantize = next((model.quantize for model in config.models if model.name == name), None)
    if quantize is None:
        return ""
    how = ", ".join(f"{key}={value!r}" for key, value in QUANTIZATION[quantize].items())
    return f"Its base was held in {quantize}, for training and for these numbers: `BitsAndBytesConfig({how})`."


def _text(config: SweepConfig, cell: CellScores, signature: str) -> str:
    pair, words = cell.pair, order_of(config)
    what = _described(pair, words.training_label(pair.training_set))
    limited = f"**Limited run:** {limit_text(config)}\n\n" if limit_text(config) else ""
    several = any(test_set.over_seeds for test_set in cell.test_sets)
    rows = [
        [*_row(score, words.words), *(_of_seeds(test_set.over_seeds.get(score.metric)) if several else [])]
        for test_set in cell.test_sets
        for score in test_set.scores
    ]
    columns = [*COLUMNS, *(OF_SEEDS if several else [])]
    table = [columns, ["---"] * len(columns), *rows]
    undefined = [score for test_set in cell.test_sets for score in test_set.undefined]
    left_out = [f"- {s.metric} on {s.problem_set} {s.perturbation} is undefined: {s.note}" for s in undefined]
    recipe = None if pair.training_set == BASE else config.recipe_of(pair.recipe)
    lines = [*settings_lines(config), ("signature", signature)]
    parts = [
        f"# {cell.id}\n\n{what}. Evaluated by raysweep {VERSION} in the sweep `{config.name}`, on clean and on "
        "perturbed prompts. RD is the share of clean pass@1 that is lost, `drop` perturbed minus clean "
        f"pass@1.\n\n{limited}" + "\n".join(f"| {' | '.join(row)} |" for row in table),
        *filter(None, [_held(config, pair.model)]),
        *([OVER_SEEDS] if several else []),
        *(["Left out:\n\n" + "\n".join(left_out)] if left_out else []),
        "How the numbers were made:\n\n" + "\n".join(f"- {label}: {text}" for label, text in lines),
        *([f"The recipe `{pair.recipe}`:\n\n```yaml\n{to_yaml(recipe)}```"] if recipe is not None else []),
    ]
    return "\n\n".join(parts) + "\n"


def _row(score: Score, words: Mapping[str, str]) -> list[str]:
    meaning = f" ({words[score.perturbation]})" if score.perturbation in words else ""
    name = f"{score.problem_set} {score.perturbation}{meaning}"
    return [name, score.metric, f"{score.value:.3f}", _interval(score), f"{score.n}", score.note]


def _of_seeds(mean: Number | None) -> list[str]:
    if mean is None or not isfinite(mean.value):
        return [""] * len(OF_SEEDS)
    sd = f"{mean.sd:.3f}" if isfinite(mean.sd) else ""
    return [f"{mean.value:.3f}", sd, f"{mean.seeds}", _interval(mean)]


def _interval(score: Score) -> str:
    return f"{score.low:.3f} to {score.high:.3f}" if isfinite(score.low) and isfinite(score.high) else ""
