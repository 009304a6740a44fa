"""A small sweep with plausible numbers, and texts that try to break out of the page."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from raysweep.analysis.exhibits.base import COMPARISONS, SUMMARIES, TESTS, Evidence
from raysweep.analysis.exhibits.catalogue import draw
from raysweep.analysis.sections.base import PairSamples, Report
from raysweep.analysis.tables.frame import Failure, ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.table import Table, by_problem_set, to_markdown
from raysweep.hashing import text_sha
from raysweep.records import Completion, Difference, PromptRow, Result, Score
from tests.analysis.exhibits.examples import in_group

MODELS = ("llama", "gpt_bigcode")
TRAINING_SETS = ("base", "clean", "C1", "C2", "C3", "C")
PERTURBATIONS = ("clean", "C1", "C2", "C3", "C")
WORDS = {"C1": "neighbouring keys", "C2": "swapped characters", "C3": "changed case", "C": "typos"}
ORDER = Order(
    MODELS, TRAINING_SETS, ("minicode",), PERTURBATIONS, mixes=("C",), words=WORDS, training_words=WORDS,
    trained_with={name: name for name in TRAINING_SETS[1:]},
)  # fmt: skip
PASS = {  # (model, training set) -> pass@1 on PERTURBATIONS; world seed 11 of the MiniCode measurements
    ("llama", "base"): (0.875, 0.479, 0.562, 0.367, 0.463),
    ("llama", "clean"): (0.908, 0.525, 0.588, 0.408, 0.529),
    ("llama", "C"): (0.875, 0.729, 0.729, 0.717, 0.733),
    ("gpt_bigcode", "base"): (0.829, 0.433, 0.471, 0.317, 0.429),
    ("gpt_bigcode", "clean"): (0.854, 0.467, 0.529, 0.317, 0.433),
    ("gpt_bigcode", "C"): (0.912, 0.629, 0.708, 0.558, 0.65),
}
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<!-- <script> </SCRIPT\t>",
    "line\u2028and paragraph\u2029separators",
    "lone \ud800 surrogate, astral \U0001f600, nul \x00, escape \x1b[31m",
    "<img src=x onerror=\"document.title='owned'\">",
    "]]> &lt;b&gt; &amp; \\u003c/script\\u003e {{ 7 * 7 }} {% raw %}",
    "right-to-left \u202e override",
)


def recipe_of(model: str, training_set: str) -> str:
    return "none" if training_set == "base" else {"llama": "full", "gpt_bigcode": "lora"}[model]


def score(model: str, training_set: str, perturbation: str, metric: str, value: float, **more: object) -> Score:
    fields = {"recipe": recipe_of(model, training_set), "seed": 42, "problem_set": "minicode", "n": 240}
    fields |= {"low": value - 0.05, "high": value + 0.05} | more
    return Score(
        model=model, training_set=training_set, perturbation=perturbation, metric=metric, value=value, **fields
    )


def scores() -> list[Score]:
    result = []
    for (model, training_set), values in PASS.items():
        clean = values[0]
        for perturbation, value in zip(PERTURBATIONS, values, strict=True):
            result.append(score(model, training_set, perturbation, "pass@1", value))
            if perturbation != "clean":
                where = (model, training_set, perturbation)
                nothing = {"low": math.nan, "high": math.nan}
                result += [
                    score(*where, "drop", value - clean),
                    score(*where, "RD", (clean - value) / clean),
                    score(*where, "RD_changed", 1.01 * (clean - value) / clean),
                    score(*where, "pass@1_changed", 0.99 * value),
                    score(*where, "drop_changed", 1.01 * (value - clean)),
                    score(*where, "rows_unchanged", 13.0 if perturbation == "C2" else 0.0, **nothing),
                    score(*where, "rows_not_compiling", 0.0, **nothing),
                ]
    return result


def pair(
    model: str = "llama",
    training_set: str = "base",
    perturbation: str = "C",
    tasks: int = 3,
    texts: Sequence[str] = HOSTILE,
    fails: Sequence[int] = (),
) -> PairSamples:
    """One pair whose task t writes texts[t % len(texts)], and fails where t is in `fails`."""
    ids = [f"minicode/{number}" for number in range(tasks)]
    prompts, completions, results = [], [], []
    for number, task in enumerate(ids):
        clean = f'def f{number}(x):\n    """Add {number} to the number, then return the sum."""\n'
        text = clean if perturbation == "clean" else clean.replace("number", "nubmer").replace("return", "rwturn")
        prompts.append(PromptRow(task, text, clean, perturbation, text != clean, True))
        body = texts[number % len(texts)]
        completions.append(Completion(task, 0, body, "eos", 9, text_sha(text)))
        outcome, detail = ("failed", f"assert candidate({number}) == 0") if number in fails else ("passed", "")
        results.append(Result(task, 0, outcome, detail, "", 0.01, text_sha(body)))
    recipe = recipe_of(model, training_set)
    return PairSamples(model, training_set, 42, recipe, "minicode", perturbation, prompts, completions, results)


def realistic_samples(tasks: int = 240) -> list[PairSamples]:
    """12 models x 5 test sets, most completions unlike any other."""
    result = []
    for model in MODELS:
        for training_set in TRAINING_SETS:
            for perturbation in PERTURBATIONS:
                rng = random.Random(f"{model} {training_set} {perturbation}")
                texts = [
                    "".join(f"    x{rng.randrange(10**6)} = x + {rng.randrange(99)}\n" for _ in range(6))
                    for _ in range(tasks)
                ]
                result.append(
                    pair(model, training_set, perturbation, tasks, texts, rng.sample(range(tasks), tasks // 3))
                )
    return result


def shown(*tables: Table) -> str:
    """Return tables as Markdown, and below each the curves of its cells."""
    texts = []
    for table in tables:
        texts += [to_markdown(table), ""]
        for row in table.rows:
            cells = zip(table.columns, row.cells, strict=True)
            texts += [f"{row.labels} {column.full_name}: {cell.curve}" for column, cell in cells if cell.curve]
    return "\n".join(texts)


def score_tables(scores: Sequence[Score], order: Order, failures: Sequence[Failure] = ()) -> list[Table]:
    """Return the tables of scores, problem set by problem set."""
    exhibits = in_group(SUMMARIES, COMPARISONS)
    return by_problem_set(draw(exhibits, Evidence(ScoreFrame.of(scores, order, failures))).tables)


def report(samples: Sequence[PairSamples] = (), failures: Sequence[Failure] = (), **more: object) -> Report:
    fields: dict[str, Any] = {
        "name": "quickstart",
        "title": "Small models under typos",
        "notice": "MiniCode is no evidence about real models.",
        "scores": scores(),
        "order": ORDER,
        "settings": [("Strengths", "C1 1.5, C2 1.5, C3 0.4")],
        "config_yaml": "name: quickstart\nseed: 42\n",
        "failures": failures,
        "provenance": [("raysweep", "0.1.0"), ("Wall time", "9 min")],
        "samples": samples,
    }
    fields |= more
    evidence = Evidence(ScoreFrame.of(fields["scores"], fields["order"], fields["failures"]))
    return Report(**({"drawn": draw(in_group(SUMMARIES, COMPARISONS, TESTS), evidence)} | fields))


def with_differences(frame: ScoreFrame, differences: Sequence[Difference]) -> ScoreFrame:
    return ScoreFrame.of(frame.scores(), frame.order, (), differences)
