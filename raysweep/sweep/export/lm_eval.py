"""A model's results as lm-evaluation-harness writes them: one ``results_<time>.json``.

Each test set is a task: ``humaneval`` for the clean prompts, ``humaneval_C1`` for perturbed ones, over all draws. A
metric's key is ``pass@1,create_test``: ``create_test`` is the filter of lm-eval's own task `humaneval`, which makes the
program from the clean prompt and the completion, as raysweep does. Standard errors are lm-eval's: the standard
deviation of the problems' values divided by the root of their number. All metrics but pass@k have "N/A".

lm-eval has no place for intervals, undefined numbers and the signature, so they stand under the key ``raysweep``. Keys
of facts that raysweep doesn't have (the tokenizer's tokens, lm-eval's version) are left out, as its schema allows.

Source: result_schema.py, evaluator_utils.py and loggers/evaluation_tracker.py in the folder lm_eval of version 0.4.13,
https://github.com/EleutherAI/lm-evaluation-harness.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from raysweep.config.models import ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.machine import VERSION
from raysweep.models.quantizing import QUANTIZATION
from raysweep.problems.base import PROBLEMS
from raysweep.rows.parquet import ROWS, row_count
from raysweep.sweep.export.scores import CellScores, TestSetScores, higher_is_better
from raysweep.sweep.folder import SweepFolder

FILTER = "create_test"
ABSENT = "N/A"
"""lm-eval's word for a standard error or a version that there is none of."""
DIGITS_OF_VERSION = 12
"""A task's version is the beginning of its test set's key, which changes with any of its prompts."""


def results_file(folder: SweepFolder, cell: CellScores, signature: str) -> tuple[str, str]:
    """Return the name and the content of the results file of a model; raise StoreError if a manifest can't be read."""
    manifests = [folder.store.manifest(test_set.pair.results) for test_set in cell.test_sets]
    newest = max(manifests, key=lambda manifest: manifest["finished"])
    results = lm_eval_results(folder, cell, newest, signature)
    content = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False)
    return f"results_{datetime.fromisoformat(newest['finished']):%Y-%m-%dT%H-%M-%S}.json", content + "\n"


def lm_eval_results(folder: SweepFolder, cell: CellScores, newest: Mapping[str, Any], signature: str) -> dict[str, Any]:
    """Return the keys of lm-eval's `EvalResults`. `newest`: the manifest of the results that were finished last."""
    config = folder.config()
    model = next(model for model in config.models if model.name == cell.pair.model)
    tasks = {scores.task: scores for scores in cell.test_sets}
    return {
        "results": {task: _task_results(scores) for task, scores in tasks.items()},
        "group_subtasks": {},
        "configs": {task: _task_config(folder, config, scores) for task, scores in sorted(tasks.items())},
        "versions": {task: scores.pair.test_set_key[:DIGITS_OF_VERSION] for task, scores in sorted(tasks.items())},
        "n-shot": {task: 0 for task in sorted(tasks)},
        "higher_is_better": {
            task: {score.metric: higher_is_better(score.metric) for score in scores.scores}
            for task, scores in sorted(tasks.items())
        },
        "n-samples": {
            task: {"original": _set_size(folder, config, scores), "effective": scores.evaluated}
            for task, scores in tasks.items()
        },
        "config": _model_config(config, model, cell),
        "date": datetime.fromisoformat(newest["finished"]).timestamp(),
        "transformers_version": newest["made"]["versions"].get("transformers", ABSENT),
        "task_hashes": {},
        "model_source": _generator(config, model),
        "model_name": cell.id,
        "model_name_sanitized": re.sub(r"[\"<>:/|\\?*\[\]]+", "__", cell.id),
        "system_instruction": model.system_prompt or None,
        "fewshot_as_multiturn": False,
        "raysweep": {
            "version": VERSION,
            "signature": signature,
            "intervals": {
                task: {s.metric: [s.low, s.high] for s in of.scores if math.isfinite(s.low) and math.isfinite(s.high)}
                for task, of in tasks.items()
            },
            "undefined": {task: {s.metric: s.note for s in scores.undefined} for task, scores in tasks.items()},
        },
    }


def _task_results(scores: TestSetScores) -> dict[str, Any]:
    numbers: dict[str, Any] = {"name": scores.task, "alias": scores.task, "sample_len": scores.evaluated}
    for score in scores.scores:
        error = scores.standard_error(score.metric)
        numbers[f"{score.metric},{FILTER}"] = score.value
        numbers[f"{score.metric}_stderr,{FILTER}"] = ABSENT if error is None else error
    return numbers


def _task_config(folder: SweepFolder, config: SweepConfig, scores: TestSetScores) -> dict[str, Any]:
    """Return the settings of a task; those of raysweep stand in its metadata, with the keys of the artefacts."""
    pair = scores.pair
    problems = next(each for each in config.evaluation.problems if each.label == pair.problem_set)
    return {
        "task": scores.task,
        "dataset_path": PROBLEMS.get(problems.name).hub or pair.problem_set,
        "unsafe_code": True,
        "test_split": "test",
        "output_type": "generate_until",
        "num_fewshot": 0,
        "repeats": config.evaluation.samples,
        "generation_kwargs": _generation(config),
        "metric_list": [
            {"metric": score.metric, "aggregation": "mean", "higher_is_better": higher_is_better(score.metric)}
            for score in scores.scores
        ],
        "filter_list": [{"name": FILTER, "filter": [{"function": "custom"}]}],
        "metadata": {
            "version": pair.test_set_key[:DIGITS_OF_VERSION],
            "problem_set": pair.problem_set,
            "perturbation": pair.perturbation,
            "draws": scores.draws,
            "test_set": pair.test_set_key,
            "completions": pair.completions_key,
            "results": pair.results_key,
            "how": folder.store.manifest(pair.completions)["spec"] if folder.store.has(pair.completions) else None,
        },
    }


def _generation(config: SweepConfig) -> dict[str, Any]:
    evaluation = config.evaluation
    settings: dict[str, Any] = {"max_gen_toks": evaluation.max_new_tokens, "do_sample": evaluation.temperature > 0}
    if evaluation.beams > 1:
        settings |= {"num_beams": evaluation.beams, "early_stopping": evaluation.early_stopping}
    return settings | (
        {"temperature": evaluation.temperature, "top_p": evaluation.top_p} if evaluation.temperature > 0 else {}
    )


def _generator(config: SweepConfig, model: ModelConfig) -> str:
    """Return what wrote the completions; lm-eval calls a model of transformers ``hf``."""
    name = (model.generator or config.evaluation.generator).name
    return "hf" if name == "transformers" else name


def _model_config(config: SweepConfig, model: ModelConfig, cell: CellScores) -> dict[str, Any]:
    pair, dtype = cell.pair, "float32" if model.dtype == "tf32" else model.dtype  # torch's name
    return {
        "model": _generator(config, model),
        "model_args": {
            "pretrained": model.path or model.name,
            "dtype": dtype,
            **({"tf32": True} if model.dtype == "tf32" else {}),
            **(QUANTIZATION[model.quantize] if model.quantize else {}),
            "recipe": pair.recipe,
            "training_set": pair.training_set,
            "seed": pair.seed,
        },
        "model_dtype": dtype,
        "model_revision": model.revision or "main",
        "batch_size": None,
        "batch_sizes": [],
        "device": None,
        "use_cache": None,
        "limit": config.evaluation.limit,
        "bootstrap_iters": 0,
        "gen_kwargs": _generation(config),
        "random_seed": config.seed,
    }


def _set_size(folder: SweepFolder, config: SweepConfig, scores: TestSetScores) -> int | None:
    if config.evaluation.limit is None and folder.store.has(scores.pair.test_set):
        return row_count(folder.store.use(scores.pair.test_set) / ROWS)
    problems: Mapping[str, Any] = {each.label: each for each in config.evaluation.problems}
    try:
        return len(config.problem_set(problems[scores.pair.problem_set]).problems())
    except UsageError:
        return None
