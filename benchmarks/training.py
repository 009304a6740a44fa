"""Measures training speed: raysweep's loop, SafeCoder's loop and TRL's SFTTrainer on the same rows in one run.

    python benchmarks/training.py [--data DATA] [--arm NAME ...] [--steps 30] [--rounds 3] [--losses]

The model is the quickstart's small llama with random weights, in float32, on one thread of a CPU (benchmarks/gpu.py is
for accelerators). Two kinds of rows: MiniCode's fine-tuning rows (short), and the published instructions of
`DATA`/evol_code (long). The tokenizer has 512 tokens in both.

Arms, which take turns: `raysweep` (the defaults), `buckets` (`length_buckets: 50`), `packed`, `tokens-N`
(`micro_batch_tokens: N`); when named, `bf16` and `float16` (`precision`); `safecoder`: one row a pass, 16 passes a
step, clipped after every backward pass (https://github.com/eth-sri/SafeCoder trainer.py); `trl` and `trl-grouped`:
SFTTrainer in batches of 16, fused AdamW, random order or grouped by length. TRL is not among raysweep's requirements:
where it can't be imported, its arms are left out.

Printed: tokens (without padding) per CPU second after the first 4 steps, in which a trainer starts and a model sees
its first shapes, the ratio to `safecoder`, and with `--losses` the largest difference
of losses from SafeCoder's over 50 steps: of `raysweep` from its loop without its clipping, and of `compat: safecoder`
from its loop as it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.services

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from raysweep.models.loading import load_tokenizer
from raysweep.models.scratch import prepare_scratch
from raysweep.records import ModelRef, TrainingRow
from raysweep.rows.parquet import write_rows
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.batching import DataOrder
from raysweep.trainers.encoding import EncodedSet, encode_set
from raysweep.trainers.full import initialise
from raysweep.trainers.loop import TrainingLoop, seeded_torch
from raysweep.trainers.optimizer import torch_name
from raysweep.training_sets.base import SOURCES
from tests.services import FolderServices

RAYSWEEP: dict[str, dict[str, Any]] = {
    "raysweep": {},
    "buckets": {"length_buckets": 50},
    "packed": {"batching": "packed"},
}
PRECISIONS: dict[str, dict[str, Any]] = {name: {"precision": name} for name in ("bf16", "float16")}
TRL = {"trl": False, "trl-grouped": True}
CLIP = 1.0
WARM_UP = 4


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
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the clock is the CPU's
    torch.set_num_threads(1)
    arms = options.arm or [*RAYSWEEP, "safecoder", *(TRL if importlib.util.find_spec("trl") else ())]
    result: dict[str, Any] = {"steps": options.steps}
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
    """Return the tokens per CPU second of one arm."""
    model = _model(rows.job)
    run: Callable[[int], int]
    if arm.startswith("tokens-"):
        run = _raysweep(model, rows, {"micro_batch_tokens": int(arm.removeprefix("tokens-"))}, options)
    elif arm in (ours := {**RAYSWEEP, **PRECISIONS}):
        run = _raysweep(model, rows, ours[arm], options)
    elif arm == "safecoder":
        run = safecoder_loop(model, rows.data, rows.job)
    else:
        recipe = dataclasses.replace(rows.job.recipe, steps=options.steps)
        job = dataclasses.replace(rows.job, recipe=recipe)
        run = trl_loop(model, rows.data, job, load_tokenizer(job.base), TRL[arm])
    clock = _Clock(model)
    with clock:
        run(options.steps)
    return clock.tokens / clock.seconds


class _Clock:
    """Counts the tokens and CPU seconds of a training after its first steps, whatever trains it.

    Within its block it counts what the model is given, without padding, and the steps of optimizers.
    """

    def __init__(self, model: Any) -> None:
        self.tokens, self.seconds = 0, 0.0
        self._model, self._steps, self._began = model, 0, 0.0
        self._hooks: list[Any] = []

    def __enter__(self) -> None:
        self._hooks = [
            self._model.register_forward_pre_hook(self._forward, with_kwargs=True),
            register_optimizer_step_post_hook(self._step),
        ]

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _forward(self, model: Any, args: Any, options: Any) -> None:
        ids, mask = options["input_ids"], options.get("attention_mask")
        self.tokens += ids.numel() if mask is None or mask.dim() != 2 else int(mask.sum())

    def _step(self, *args: Any) -> None:
        self._steps += 1
        if self._steps == WARM_UP:
            self.tokens, self._began = 0, time.process_time()
        self.seconds = time.process_time() - self._began


def _model(job: TrainJob) -> Any:
    with seeded_torch(7, "initialise"):
        return initialise(job.base)[0]


def _raysweep(model: Any, rows: Rows, fields: dict[str, Any], options: argparse.Namespace) -> Callable[[int], int]:
    recipe = dataclasses.replace(rows.job.recipe, steps=options.steps, **fields)
    loop = TrainingLoop(model, rows.data, dataclasses.replace(rows.job, recipe=recipe), FolderServices())

    def run(steps: int) -> int:
        return int(loop.run()["tokens"])

    return run


def safecoder_loop(
    model: Any, data: EncodedSet, job: TrainJob, clip: bool = True, losses: list[float] | None = None
) -> Callable[[int], int]:
    """Return SafeCoder's loop: single rows, gradients accumulated over a step's, a schedule that falls to 0.

    The function takes the number of steps and returns the tokens. The rows of each step are raysweep's.

    Args:
        model: on its device; it is trained in place.
        data: the encoded rows.
        job: gives batch size, precision (by autocast, float16 without a loss scale), learning rate and order.
        clip: clip after every backward pass, as SafeCoder does; else once a step.
        losses: gets the loss of each step.
    """
    model.train()
    no_decay = ["bias", "LayerNorm.weight"]
    named = [(name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad]
    groups = [
        {"params": [p for n, p in named if not any(part in n for part in no_decay)], "weight_decay": 0.01},
        {"params": [p for n, p in named if any(part in n for part in no_decay)], "weight_decay": 0.0},
    ]
    batch, precision = job.recipe.batch_size, job.recipe.precision
    optimizer = torch.optim.AdamW(groups, lr=job.recipe.lr, eps=1e-8)
    as_it_is = job.recipe.compat == "safecoder"
    order = DataOrder(data.lengths, batch, job.recipe.length_buckets, job.seed, carries_tails=as_it_is)
    device = next(model.parameters()).device
    dtype = getattr(torch, torch_name(precision))

    def run(steps: int) -> int:
        tokens = 0
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = job.recipe.lr * (1 - step / steps)
            total = 0.0
            for row in order.rows(step):
                encoded = data.rows[row]
                ids = torch.tensor(encoded["input_ids"], device=device).long()[None]
                weights = torch.tensor(encoded["weights"], device=device)[None, 1:]
                with torch.autocast(device.type, dtype) if precision != "float32" else nullcontext():
                    logits = model(input_ids=ids).logits[:, :-1].float()
                likely = torch.nn.functional.cross_entropy(logits[0], ids[0, 1:], reduction="none")
                loss = (likely * weights[0]).sum() / batch
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


def trl_loop(
    model: Any, data: EncodedSet, job: TrainJob, tokenizer: Any, grouped: bool = False
) -> Callable[[int], int]:
    """Return TRL's SFTTrainer on the same token ids, with its own mean over a batch's response tokens.

    The function takes the job's number of steps, and returns the tokens.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokenizer.pad_token = tokenizer.eos_token
    recipe, on_gpu = job.recipe, next(model.parameters()).device.type == "cuda"
    chosen = [data.rows[n % len(data.rows)] for n in range((recipe.steps or 0) * recipe.batch_size)]
    labels = [
        [int(token) if weight else -100 for token, weight in zip(row["input_ids"], row["weights"], strict=True)]
        for row in chosen
    ]
    rows = Dataset.from_dict({"input_ids": [row["input_ids"].tolist() for row in chosen], "labels": labels})
    newer = "train_sampling_strategy" in {field.name for field in dataclasses.fields(SFTConfig)}
    order = {"train_sampling_strategy": "group_by_length" if grouped else "random"} if newer else {}
    order |= {} if newer else {"group_by_length": grouped}
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=recipe.batch_size, max_steps=recipe.steps,
        learning_rate=recipe.lr, optim="adamw_torch_fused", max_length=None, **order, report_to=[], save_strategy="no",
        logging_steps=10_000, bf16=recipe.precision == "bf16" and on_gpu, use_cpu=not on_gpu, packing=False,
        gradient_checkpointing=False, disable_tqdm=True, dataset_kwargs={"skip_prepare_dataset": True},
        lr_scheduler_type="linear", dataloader_num_workers=0,
    )  # fmt: skip
    trainer = SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)

    def run(steps: int) -> int:
        trainer.train()
        return sum(len(row["input_ids"]) for row in chosen)

    return run


def trl_dpo_loop(model: Any, data: EncodedSet, job: TrainJob, tokenizer: Any) -> Callable[[int], int]:
    """Return TRL's DPOTrainer on the same pairs, with its reference computed before the clock starts.

    Its rows are texts, so `tokenizer` must write each token of `data` as one word. The function takes the job's number
    of steps, and returns the tokens of prompts with their own responses.
    """
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    tokenizer.pad_token = tokenizer.eos_token
    recipe, on_gpu = job.recipe, next(model.parameters()).device.type == "cuda"
    chosen = [data.rows[n % len(data.rows)] for n in range((recipe.steps or 0) * recipe.batch_size)]
    texts: dict[str, list[str]] = {"prompt": [], "chosen": [], "rejected": []}
    for row in chosen:
        start = int((row["weights"] == 0).sum())
        parts = (row["input_ids"][:start], row["input_ids"][start:], row["rejected_ids"][start:])
        for name, ids in zip(texts, parts, strict=True):
            texts[name].append(tokenizer.decode(ids.tolist()) + " " * (name == "prompt"))
    config = DPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=recipe.batch_size, max_steps=recipe.steps,
        learning_rate=recipe.lr, optim="adamw_torch_fused", max_length=None, report_to=[], save_strategy="no", beta=0.1,
        logging_steps=10_000, bf16=recipe.precision == "bf16" and on_gpu, use_cpu=not on_gpu,
        gradient_checkpointing=False, disable_tqdm=True, precompute_ref_log_probs=True, lr_scheduler_type="linear",
        dataloader_num_workers=0,
    )  # fmt: skip
    trainer = DPOTrainer(model=model, args=config, train_dataset=Dataset.from_dict(texts), processing_class=tokenizer)
    trainer.get_train_dataloader()  # which computes the reference

    def run(steps: int) -> int:
        trainer.train()
        return sum(len(row["input_ids"]) for row in chosen)

    return run


def _difference_of_losses(rows: Rows, compat: str | None) -> float:
    """Return the largest relative difference between raysweep's losses and SafeCoder's loop's, over 50 steps.

    Without `compat`, SafeCoder's loop clips once a step.
    """
    services, theirs = FolderServices(), list[float]()
    job = dataclasses.replace(rows.job, recipe=dataclasses.replace(rows.job.recipe, steps=50, compat=compat))
    TrainingLoop(_model(job), rows.data, job, services).run()
    safecoder_loop(_model(job), rows.data, job, clip=compat is not None, losses=theirs)(50)
    ours = [report.loss for report in services.reports]
    return max(abs(one - other) / other for one, other in zip(ours, theirs, strict=True))


def _kinds(options: argparse.Namespace, folder: Path) -> Sequence[Rows]:
    kinds = {"MiniCode": [_row_of(row) for row in SOURCES.create(_spec()).rows()]}
    if options.data:
        kinds["published instructions"] = _published(options.data)
    return [_rows(name, rows, options, folder / name.replace(" ", "-")) for name, rows in kinds.items()]


def _spec() -> Any:
    from raysweep.records import Spec

    return Spec("minicode", {"part": "finetuning", "rows": 2000, "world": 42})


def _row_of(row: Any) -> TrainingRow:
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
    prepare_scratch("llama", texts, 512, {"max_position_embeddings": 1024}, folder)
    write_rows(folder / "rows.parquet", TrainingRow, rows, ["row_id"])
    recipe = Recipe(steps=options.steps, template="raw")
    job = TrainJob(ModelRef(str(folder)), "llama", recipe, folder / "rows.parquet", folder, 7, name)
    from transformers import AutoConfig

    return Rows(name, job, encode_set(job, load_tokenizer(job.base), AutoConfig.from_pretrained(folder)))


def _options() -> argparse.Namespace:
    """Return the options; end with an error if none of the steps would be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arm", action="append")
    parser.add_argument("--losses", action="store_true")
    options = parser.parse_args()
    if options.steps <= WARM_UP:
        parser.error(f"--steps: the first {WARM_UP} are not measured; give more than that, not {options.steps}")
    return options


if __name__ == "__main__":
    main()
