"""Shows what FAIT's objective gains: how soon a tiny model learns the one token of a response that decides.

    python benchmarks/fait.py [--seeds 10] [--first 16] [--steps 96] [--rate 1e-3 --rate 2e-3 ...] [--arm NAME ...]

The world: a prompt names a word, and the last line of the response is `return a + b` or `return a - b` by a rule on
that word. Its other lines assign random letters and digits, which no model can foretell. A rejected response has the
other operator and is else the same. The base model, a llama of 0.1 million weights, knows the form and takes both
operators alike, since they were random in its rows. Fine-tuned on 16 rows a step, it must learn the rule
among the noise of the other tokens. All else is FAIT's setting: alpha 2, lines and tokens marked, AdamW; the rate is
constant after 8 steps, so that a training of fewer steps is the beginning of a longer one. Plain fine-tuning runs on
for as many steps again, over the same rows.

Arms: `sft`; `fait`; `fixed`, a weight of 2; `marks elsewhere`, FAIT with rejected responses that differ from the
responses in a random digit, and so with as many marked tokens, which decide nothing. Each is trained at each rate on
validation seeds, and then, at the rate that was best there, on the seeds of the test. That is the rate with the fewest
steps on average until the right operator is the more probable one in 95 % of 128 pairs of other rows, measured every 4
steps (4 steps more than all where there is no such step); of equals the one with the larger share at step 96.
Validation and test have pairs, rows and orders of their own; all arms share them.

Printed as JSON, for validation by arm and rate and for the test by arm: that step by seed, with mean and SD, the share
at each measurement, and the CPU seconds; and how many steps sooner `fait` is than each other arm, by seed, with
Student's 95 % interval of the mean.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.services

import torch

from raysweep.models.loading import load_model
from raysweep.models.scratch import prepare_scratch
from raysweep.prompts.templates import PromptTemplate
from raysweep.records import ModelRef, TrainingRow
from raysweep.rows.parquet import write_rows
from raysweep.stats.few_values import few_values_mean
from raysweep.trainers.base import TRAINERS, Recipe, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.loop import TrainingLoop
from raysweep.trainers.objectives.rejected import token_pairs
from tests.services import FolderServices

SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "ra", "se", "to"), ("da", "fi", "go", "ju")
WORDS = [first + second for first in SYLLABLES[0] for second in SYLLABLES[1]]
KEYS, OTHERS = WORDS[::2], WORDS[1::2]
PLUS = frozenset(random.Random("rule").sample(KEYS, len(KEYS) // 2))
LETTERS = "cdghkmnpqrstuvwz"
LINES = 4
EVERY, LEARNED = 4, 0.95
ARMS: dict[str, dict[str, Any]] = {
    "sft": {"objective": "sft", "objective_args": {"reduction": "per_token"}},
    "fait": {"objective": "fait"},
    "fixed": {"objective": "fixed", "objective_args": {"weight": 2}},
    "marks elsewhere": {"objective": "fait"},
}
RUN_ON = 2
"""How many times as long plain fine-tuning is."""
RATES = (1e-3, 2e-3, 4e-3)
VALIDATION, TEST = "validation", "held out"
VALIDATION_SEEDS = range(101, 104)
SIZE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
    "initializer_range": 0.06,
}


def rows_of(name: str, count: int, *, by_rule: bool = True, elsewhere: bool = False) -> list[TrainingRow]:
    """Return rows of the world. `elsewhere`: rejected responses differ in a digit, not in the operator."""
    rows = []
    for number in range(count):
        draw = random.Random(f"{name} {number}")
        key, other = draw.choice(KEYS), draw.choice(OTHERS)
        is_plus = key in PLUS if by_rule else draw.random() < 0.5
        prompt = f"def f(a, b):\n    # {key} {other}\n"
        body = [f"    {draw.choice(LETTERS)} = {draw.choice(LETTERS)} * {draw.randrange(10)}\n" for _ in range(LINES)]
        right, wrong = (f"    return a {sign} b\n" for sign in ("+-" if is_plus else "-+"))
        rejected = [*body, wrong]
        if elsewhere:
            at, digit = draw.randrange(LINES), draw.randrange(1, 10)
            changed = f"{body[at][:-2]}{(int(body[at][-2]) + digit) % 10}\n"
            rejected = [*body[:at], changed, *body[at + 1 :], right]
        name_of = f"{number:06d}"
        texts = (prompt, "", "".join([*body, right]), "python", "clean", False, prompt, "")
        rows.append(TrainingRow(name_of, name_of, *texts, rejected="".join(rejected)))
    return rows


def job_of(
    base: ModelRef, recipe: Recipe, rows: Sequence[TrainingRow], out: Path, seed: int, scratch: bool
) -> TrainJob:
    out.mkdir(exist_ok=True)
    write_rows(out / "rows.parquet", TrainingRow, rows, ["row_id"])
    return TrainJob(base, "llama", recipe, out / "rows.parquet", out, seed, out.name, scratch=scratch)


def base_model(folder: Path) -> ModelRef:
    """Return a model that was trained on the world's form alone."""
    rows = rows_of("pre-training", 3000, by_rule=False)
    prepare_scratch("llama", [row.instruction + row.output for row in rows], 512, SIZE, folder / "untrained")
    recipe = Recipe(steps=300, lr=3e-3, batch_size=32, template="raw", schedule="cosine", warmup=0.05, max_tokens=256)
    job = job_of(ModelRef(str(folder / "untrained")), recipe, rows, folder / "base", 1, scratch=True)
    TRAINERS.get("full")().train(job, FolderServices())
    return ModelRef(str(folder / "base"))


class Pairs:
    """Pairs of the rows of a name that differ in one token."""

    def __init__(self, tokenizer: Any, name: str) -> None:
        pairs = token_pairs(rows_of(name, 128), PromptTemplate("raw", tokenizer=tokenizer), marked=False)
        ids = [(pair.response.ids, pair.rejected.ids) for pair in pairs if pair.rejected]
        places = [[at for at, (one, other) in enumerate(zip(*both, strict=True)) if one != other] for both in ids]
        assert all(len(place) == 1 for place in places)
        self._at = torch.tensor([place[0] for place in places])
        both = [[side[at] for side in sides] for sides, (at,) in zip(ids, places, strict=True)]
        self._tokens = torch.tensor(both)
        width = max(len(right) for right, _ in ids)
        self._ids = torch.tensor([[*right, *[0] * (width - len(right))] for right, _ in ids])

    def preferred(self, model: Any) -> float:
        """Return the share of pairs whose right token is more probable after what stands before it."""
        with torch.no_grad():
            logits = model(input_ids=self._ids).logits[torch.arange(len(self._ids)), self._at - 1]
        right, wrong = logits.gather(1, self._tokens).unbind(1)
        return float((right > wrong).float().mean())


class Watching(FolderServices):
    """Measures the pairs while a model trains."""

    def __init__(self, model: Any, pairs: Pairs) -> None:
        super().__init__()
        self._model, self._pairs = model, pairs
        self.shares: dict[int, float] = {}

    def tick(self, step: int, total_steps: int) -> bool:
        if step and step % EVERY == 0:
            self._model.eval()
            self.shares[step] = self._pairs.preferred(self._model)
            self._model.train()
        return super().tick(step, total_steps)


def trained(base: ModelRef, arm: str, rate: float, seed: int, pairs: str, steps: int) -> dict[int, float]:
    """Return by step the share of pairs whose right operator is the more probable one."""
    rows = rows_of(f"seed {seed}", 16 * steps, elsewhere=arm == "marks elsewhere")
    steps *= RUN_ON if arm == "sft" else 1
    how: dict[str, Any] = {"schedule": "constant", "warmup": 8 / steps, "template": "raw", "max_tokens": 256}
    recipe = Recipe(steps=steps, lr=rate, **how, **ARMS[arm])
    model, tokenizer = load_model(base)
    with tempfile.TemporaryDirectory() as folder:
        job = job_of(base, recipe, rows, Path(folder), seed, scratch=False)
        services = Watching(model, Pairs(tokenizer, pairs))
        TrainingLoop(model, encode_set(job, tokenizer, model.config), job, services).run()
    return services.shares


def main() -> None:
    """Choose each arm's rate, train it with all seeds and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=16)
    parser.add_argument("--steps", type=int, default=96)
    parser.add_argument("--rate", type=float, action="append", help=f"default: {', '.join(map(str, RATES))}")
    parser.add_argument("--arm", action="append", choices=ARMS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {"validation": {}, "test": {}}
    with tempfile.TemporaryDirectory() as folder:
        base = base_model(Path(folder))

        def run(arm: str, rate: float, seeds: Sequence[int], pairs: str) -> dict[str, Any]:
            began = time.process_time()
            shares = [trained(base, arm, rate, seed, pairs, options.steps) for seed in seeds]
            found = summary(shares) | {"rate": rate, "cpu_seconds": round(time.process_time() - began)}
            print(pairs, arm, json.dumps(found), flush=True)
            return found

        seeds = range(options.first, options.first + options.seeds)
        for arm in options.arm or ARMS:
            of_rates = [run(arm, rate, VALIDATION_SEEDS, VALIDATION) for rate in options.rate or RATES]
            best = min(of_rates, key=lambda one: (one["steps to 95 %"][0], -one["share at step"][options.steps][0]))
            result["validation"][arm] = of_rates
            if options.seeds:
                result["test"][arm] = run(arm, best["rate"], seeds, TEST)
    result["fait sooner than"] = {
        arm: sooner(result["test"]["fait"]["each"], found["each"])
        for arm, found in result["test"].items()
        if "fait" in result["test"] and arm != "fait"
    }
    print(json.dumps(result))


def summary(shares: Sequence[dict[int, float]]) -> dict[str, Any]:
    def mean_and_sd(values: Sequence[float], digits: int) -> list[float]:
        return [round(statistics.mean(values), digits), round(statistics.stdev(values), digits) if values[1:] else 0.0]

    learned = [next((step for step, share in one.items() if share >= LEARNED), max(one) + EVERY) for one in shares]
    at = {step: mean_and_sd([one[step] for one in shares], 3) for step in shares[0]}
    return {"steps to 95 %": mean_and_sd(learned, 1), "each": learned, "share at step": at}


def sooner(steps: Sequence[int], others: Sequence[int]) -> dict[str, float]:
    mean = few_values_mean([float(other - one) for one, other in zip(steps, others, strict=True)])
    return {"mean": mean.mean, "low": mean.low, "high": mean.high}


if __name__ == "__main__":
    main()
