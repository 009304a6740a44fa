"""Measures training speed: raysweep's loop, SafeCoder's loop and TRL's SFTTrainer on the same rows in one run.

    python benchmarks/training.py [--data DATA] [--arm NAME ...] [--steps 30] [--rounds 3] [--shape llama-1b] [--lora]

The model is the quickstart's small llama with random weights, in float32, on one thread; with `--shape` one of the
study's models, in bf16 on a GPU, on rows of about 250 tokens. Two kinds of rows: MiniCode's fine-tuning rows (short),
and the published instructions of `DATA`/evol_code (long). The tokenizer has 512 tokens in both.

Arms, which take turns: `raysweep` (the defaults), `buckets` (`length_buckets: 50`), `packed`, `tokens-N`
(`micro_batch_tokens: N`); when named, `bf16` and `float16` (`precision`); `safecoder`: one row a pass, 16 passes a
step, clipped after every backward pass (https://github.com/eth-sri/SafeCoder trainer.py); `trl` and `trl-grouped`:
SFTTrainer in batches of 16, fused AdamW, random order or grouped by length. TRL is not among raysweep's requirements:
where it can't be imported, its arms are left out.

Printed: tokens (without padding) per CPU second (per second on a GPU), the ratio to `safecoder`, and with `--losses`
the largest difference of losses from SafeCoder's over 50 steps: of `raysweep` from its loop without its clipping, and
of `compat: safecoder` from its loop as it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from raysweep.models.scratch import prepare_scratch
from raysweep.records import ModelRef, TrainingRow
from raysweep.rows.parquet import write_rows
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.encoding import EncodedSet, encode_set
from raysweep.trainers.full import initialise
from raysweep.trainers.loop import TrainingLoop, seeded_torch
from raysweep.training_sets.base import SOURCES

BATCH = 16
GPU = torch.cuda.is_available()
SHAPES: dict[str, dict[str, Any]] = {
    "starcoderbase-1b": dict(family="gpt_bigcode", n_embd=2048, n_layer=24, n_head=16, n_inner=8192, n_positions=2048),
    "codellama-7b": dict(
        family="llama", hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=32,
        intermediate_size=11008, max_position_embeddings=2048,
    ),
}  # fmt: skip
RAYSWEEP: dict[str, dict[str, Any]] = {
    "raysweep": {},
    "buckets": {"length_buckets": 50},
    "packed": {"batching": "packed"},
}
PRECISIONS: dict[str, dict[str, Any]] = {name: {"precision": name} for name in ("bf16", "float16")}
TRL = {"trl": False, "trl-grouped": True}
CLIP = 1.0
LR = 2e-5


class Services:
    """Services that note the losses."""

    rank, world_size = 0, 1

    def __init__(self) -> None:
        self.losses: list[float] = []

    def report(self, step: Any) -> None:
        """Note a loss."""
        self.losses.append(step.loss)

    def tick(self, step: int, total_steps: int) -> bool:
        """Ask for no checkpoint."""
        return False

    def latest_checkpoint(self) -> Any:
        """Return no checkpoint."""
        return nullcontext()

    def remembered(self) -> dict[str, Any]:
        """Return nothing."""
        return {}


@dataclasses.dataclass
class Rows:
    """Training rows of one kind, encoded; `job` names the untrained model and the file of rows."""

    name: str
    job: TrainJob
    data: EncodedSet

    @property
    def mean(self) -> float:
        """Return the mean number of tokens of a row."""
        return statistics.mean(self.data.lengths)


def main() -> None:
    """Run the comparison and print one JSON object."""
    options = _options()
    torch.set_num_threads(1)
    arms = options.arm or [*RAYSWEEP, "safecoder", *(TRL if importlib.util.find_spec("trl") else ())]
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if GPU else "cpu, 1 thread",
        "steps": options.steps,
    }
    with tempfile.TemporaryDirectory() as folder:
        for rows in _kinds(options, Path(folder)):
            rates: dict[str, list[float]] = {arm: [] for arm in arms}
            for _ in range(options.rounds):
                for arm in arms:
                    rates[arm].append(_rate(arm, rows, options))
            medians = {arm: statistics.median(values) for arm, values in rates.items()}
            result[rows.name] = {
                "tokens_per_row": round(rows.mean),
                "tokens_per_second": {arm: round(value) for arm, value in medians.items()},
            }
            if "safecoder" in medians:
                ratios = {arm: round(value / medians["safecoder"], 2) for arm, value in medians.items()}
                result[rows.name]["ratio_to_safecoder"] = ratios
            if options.losses:
                result[rows.name]["difference_of_losses"] = _difference_of_losses(rows, None)
                result[rows.name]["difference_of_losses_with_compat"] = _difference_of_losses(rows, "safecoder")
    print(json.dumps(result, indent=1))


def _rate(arm: str, rows: Rows, options: argparse.Namespace) -> float:
    """Return the tokens per second of one arm: CPU seconds, or seconds on a GPU."""
    model = _model(rows.job, options)
    run: Callable[[int], int]
    if arm.startswith("tokens-"):
        run = _raysweep(model, rows, {"micro_batch_tokens": int(arm.removeprefix("tokens-"))}, options)
    elif arm in (ours := {**RAYSWEEP, **PRECISIONS}):
        run = _raysweep(model, rows, ours[arm], options)
    elif arm == "safecoder":
        run = _safecoder(model, rows, options)
    else:
        run = _trl(model, rows, TRL[arm], options)
    clock = time.perf_counter if GPU else time.process_time
    began = clock()
    tokens = run(options.steps)
    if GPU:
        torch.cuda.synchronize()
    return tokens / (clock() - began)


def _model(job: TrainJob, options: argparse.Namespace) -> Any:
    with seeded_torch(7, "initialise"):
        model, _ = initialise(job.base)
        if options.lora:
            from raysweep.trainers.lora import Lora

            model = Lora().add_adapter(model.to(torch.bfloat16) if GPU else model, job)
    return model.to("cuda") if GPU else model


def _raysweep(model: Any, rows: Rows, fields: dict[str, Any], options: argparse.Namespace) -> Callable[[int], int]:
    recipe = dataclasses.replace(rows.job.recipe, steps=options.steps, **fields)
    loop = TrainingLoop(model, rows.data, dataclasses.replace(rows.job, recipe=recipe), Services())

    def run(steps: int) -> int:
        return int(loop.run()["tokens"])

    return run


def _safecoder(
    model: Any, rows: Rows, options: argparse.Namespace, clip: bool = True, losses: list[float] | None = None
) -> Callable[[int], int]:
    """Return SafeCoder's loop: single rows, gradients accumulated over 16 of them, a schedule that falls to 0."""
    model.train()
    no_decay = ["bias", "LayerNorm.weight"]
    named = [(name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad]
    groups = [
        {"params": [p for n, p in named if not any(part in n for part in no_decay)], "weight_decay": 0.01},
        {"params": [p for n, p in named if any(part in n for part in no_decay)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, eps=1e-8)
    order = TrainingLoop(model, rows.data, rows.job, Services()).order
    device = next(model.parameters()).device

    def run(steps: int) -> int:
        tokens = 0
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = LR * (1 - step / steps)
            total = 0.0
            for row in order.rows(step):
                encoded = rows.data.rows[row]
                ids = torch.tensor([encoded["input_ids"]], device=device)
                weights = torch.tensor([encoded["weights"]], device=device)[:, 1:]
                with torch.autocast("cuda", torch.bfloat16) if GPU else nullcontext():
                    logits = model(input_ids=ids).logits[:, :-1].float()
                likely = torch.nn.functional.cross_entropy(logits[0], ids[0, 1:], reduction="none")
                loss = (likely * weights[0]).sum() / BATCH
                loss.backward()
                if clip:
                    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                total += float(loss.detach()) if losses is not None else 0.0
                tokens += ids.numel()
            if not clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
            if losses is not None:
                losses.append(total)
        return tokens

    return run


def _trl(model: Any, rows: Rows, grouped: bool, options: argparse.Namespace) -> Callable[[int], int]:
    """Return TRL's SFTTrainer on the same token ids, with its own mean over a batch's response tokens."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from raysweep.models.loading import load_tokenizer

    tokenizer = load_tokenizer(rows.job.base)
    tokenizer.pad_token = tokenizer.eos_token
    wanted = options.steps * BATCH
    chosen = [rows.data.rows[n % len(rows.data.rows)] for n in range(wanted)]
    labels = [
        [token if weight else -100 for token, weight in zip(row["input_ids"], row["weights"], strict=True)]
        for row in chosen
    ]
    data = Dataset.from_dict({"input_ids": [row["input_ids"] for row in chosen], "labels": labels})
    newer = "train_sampling_strategy" in {field.name for field in dataclasses.fields(SFTConfig)}
    order = {"train_sampling_strategy": "group_by_length" if grouped else "random"} if newer else {}
    order |= {} if newer else {"group_by_length": grouped}
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=BATCH, max_steps=options.steps, learning_rate=LR,
        optim="adamw_torch_fused", max_length=None, **order, report_to=[], save_strategy="no",
        logging_steps=10_000, bf16=GPU, use_cpu=not GPU, gradient_checkpointing=False, disable_tqdm=True, packing=False,
        dataset_kwargs={"skip_prepare_dataset": True}, lr_scheduler_type="linear", dataloader_num_workers=0,
    )  # fmt: skip
    trainer = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)

    def run(steps: int) -> int:
        trainer.train()
        return sum(len(row["input_ids"]) for row in chosen)

    return run


def _difference_of_losses(rows: Rows, compat: str | None) -> float:
    """Return the largest relative difference between raysweep's losses and SafeCoder's loop's, over 50 steps.

    Without `compat`, SafeCoder's loop clips once a step.
    """
    options = argparse.Namespace(steps=50, lora=False)
    services, theirs = Services(), list[float]()
    job = dataclasses.replace(rows.job, recipe=dataclasses.replace(rows.job.recipe, steps=50, compat=compat))
    TrainingLoop(_model(job, options), rows.data, job, services).run()
    same_order = dataclasses.replace(rows, job=job)
    _safecoder(_model(job, options), same_order, options, clip=compat is not None, losses=theirs)(50)
    return max(abs(one - other) / other for one, other in zip(services.losses, theirs, strict=True))


def _kinds(options: argparse.Namespace, folder: Path) -> Sequence[Rows]:
    kinds = {"MiniCode": [row_of(row) for row in SOURCES.create(_spec()).rows()]}
    if options.data:
        kinds["published instructions"] = _published(options.data)
    return [_rows(name, rows, options, folder / name.replace(" ", "-")) for name, rows in kinds.items()]


def _spec() -> Any:
    from raysweep.records import Spec

    return Spec("minicode", {"part": "finetuning", "rows": 2000, "world": 42})


def row_of(row: Any) -> TrainingRow:
    """Return a source's row as a clean training row."""
    fields = (row.instruction, row.input, row.output, row.language)
    return TrainingRow(row.row_id, row.row_id, *fields, "", False, row.instruction, row.input)


def _published(data: Path) -> list[TrainingRow]:
    rows = []
    for file in sorted((data / "evol_code").glob("*.json.gz")):
        for n, row in enumerate(json.loads(gzip.decompress(file.read_bytes()))):
            name = f"{file.name}-{n:05d}"
            rows.append(
                TrainingRow(name, name, row["instruction"], "", row["output"], "", "", False, row["instruction"], "")
            )
    return rows


def _rows(name: str, rows: list[TrainingRow], options: argparse.Namespace, folder: Path) -> Rows:
    texts = [row.instruction + row.output for row in rows]
    shape = dict(SHAPES[options.shape]) if options.shape else {"family": "llama", "max_position_embeddings": 1024}
    family = str(shape.pop("family"))
    prepare_scratch(family, texts, 512, shape, folder)
    write_rows(folder / "rows.parquet", TrainingRow, rows, ["row_id"])
    precision = "bf16" if GPU else "float32"
    recipe = Recipe(lr=LR, batch_size=BATCH, steps=options.steps, template="raw", precision=precision)
    recipe = dataclasses.replace(recipe, trainer="lora" if options.lora else "full")
    job = TrainJob(ModelRef(str(folder)), family, recipe, folder / "rows.parquet", folder, 7, name)
    from transformers import AutoConfig

    from raysweep.models.loading import load_tokenizer

    return Rows(name, job, encode_set(job, load_tokenizer(job.base), AutoConfig.from_pretrained(folder)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--arm", action="append")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", choices=SHAPES)
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--losses", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
