"""Shows that FAIT's objective works: how soon a tiny model learns the one token of a response that decides.

    python benchmarks/fait.py [--seeds 5] [--first 1] [--steps 96] [--rate 1e-3] [--arm NAME ...] [--base FOLDER]

The world: a prompt names a word, and the last line of the response is `return a + b` or `return a - b` by a rule on
that word. Its other lines assign random letters and digits, which no model can foretell. A rejected response has the
other operator and is else the same. The base model, a llama of 0.1 million weights, knows the form and takes both
operators alike, since they were random in its rows. Fine-tuned on 16 rows a step, each row once, it must learn the rule
among the noise of the other tokens. All else is FAIT's setting: alpha 2, lines and tokens marked, AdamW; the rate is
constant after 8 steps, so that a result doesn't depend on where a training would have ended.

Arms: `sft`; `fait`; `fixed`, a weight of 2; `marks elsewhere`, FAIT with rejected responses that differ from the
responses in a random digit, and so with as many marked tokens, which decide nothing; `rate x 1.2`, plain fine-tuning
with a rate that is raised by more than the mean of FAIT's weights over all tokens; `rate x 2`, in which every token
weighs as much as FAIT's marked ones at most.

Measured on 128 pairs of other rows, every 4 steps: the share of pairs whose right operator is the more probable one.
Printed as JSON, with mean and SD over seeds: for each arm that share at each measurement, and the first step with 95 %
(4 steps more than all where there is none). A seed decides rows and their order, and all arms share both.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from raysweep.models.loading import load_model
from raysweep.models.scratch import prepare_scratch
from raysweep.prompts.templates import PromptTemplate
from raysweep.records import ModelRef, TrainingRow
from raysweep.rows.parquet import write_rows
from raysweep.testing.services import FolderServices
from raysweep.trainers.base import TRAINERS, Recipe, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.loop import TrainingLoop
from raysweep.trainers.objectives.rejected import token_pairs

SYLLABLES = ("ba", "ke", "lo", "mi", "nu", "ra", "se", "to"), ("da", "fi", "go", "ju")
WORDS = [first + second for first in SYLLABLES[0] for second in SYLLABLES[1]]
KEYS, OTHERS = WORDS[::2], WORDS[1::2]
PLUS = frozenset(random.Random("rule").sample(KEYS, len(KEYS) // 2))
LETTERS = "cdghkmnpqrstuvwz"
LINES = 4
EVERY, LEARNED = 4, 0.95
PER_TOKEN = {"reduction": "per_token"}
ARMS: dict[str, dict[str, Any]] = {
    "sft": {"objective": "sft", "objective_args": PER_TOKEN},
    "fait": {"objective": "fait"},
    "fixed": {"objective": "fixed", "objective_args": {"weight": 2}},
    "marks elsewhere": {"objective": "fait"},
    "rate x 1.2": {"objective": "sft", "objective_args": PER_TOKEN},
    "rate x 2": {"objective": "sft", "objective_args": PER_TOKEN},
}
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
    """Pairs that differ in one token."""

    def __init__(self, tokenizer: Any) -> None:
        pairs = token_pairs(rows_of("held out", 128), PromptTemplate("raw", tokenizer=tokenizer), marked=False)
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


def trained(base: ModelRef, arm: str, seed: int, options: argparse.Namespace, folder: Path) -> dict[int, float]:
    _, _, factor = arm.partition("rate x ")
    recipe = Recipe(
        steps=options.steps,
        lr=options.rate * float(factor or 1),
        template="raw",
        schedule="constant",
        warmup=8 / options.steps,
        max_tokens=256,
        **ARMS[arm],
    )
    rows = rows_of(f"seed {seed}", 16 * options.steps, elsewhere=arm == "marks elsewhere")
    model, tokenizer = load_model(base)
    job = job_of(base, recipe, rows, folder / "arm", seed, scratch=False)
    services = Watching(model, Pairs(tokenizer))
    counts = TrainingLoop(model, encode_set(job, tokenizer, model.config), job, services).run()
    if arm == "fait":
        weight, emphasised = (total / number for total, number in list(counts["number_totals"].values())[:2])
        print(
            f"seed {seed}: mean weight {1 + (weight - 1) * emphasised:.3f}, W {weight:.2f} of {emphasised:.2f}",
            flush=True,
        )
    return services.shares


def main() -> None:
    """Run all arms with all seeds and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--steps", type=int, default=96)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--arm", action="append", choices=ARMS)
    parser.add_argument("--base", type=Path, help="keeps the base model in this folder, which may have one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.base or Path(temporary)
        base = ModelRef(str(folder / "base")) if (folder / "base/config.json").exists() else base_model(folder)
        model, tokenizer = load_model(base)
        result["base"] = Pairs(tokenizer).preferred(model)
        for arm in options.arm or ARMS:
            shares = [
                trained(base, arm, seed, options, Path(temporary))
                for seed in range(options.first, options.first + options.seeds)
            ]
            result[arm] = summary(shares, options.steps)
            print(arm, json.dumps(result[arm]), flush=True)
    result["cpu_seconds"] = round(time.process_time() - began)
    print(json.dumps(result))


def summary(shares: Sequence[dict[int, float]], steps: int) -> dict[str, Any]:
    def mean_and_sd(values: Sequence[float], digits: int) -> list[float]:
        return [round(statistics.mean(values), digits), round(statistics.stdev(values), digits) if values[1:] else 0.0]

    learned = [next((step for step, share in one.items() if share >= LEARNED), steps + EVERY) for one in shares]
    at = {step: mean_and_sd([one[step] for one in shares], 3) for step in shares[0]}
    return {"steps to 95 %": mean_and_sd(learned, 1), "each": learned, "share at step": at}


if __name__ == "__main__":
    main()
