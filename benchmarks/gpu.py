"""Measures raysweep on one accelerator: training, generation, memory and numbers, beside what `plan` predicts.

    python benchmarks/gpu.py --predict predictions.json            where raysweep is installed; needs no accelerator
    python benchmarks/gpu.py --predictions predictions.json --out gpu.json [--seconds 480] [--arm NAME ...]
    python benchmarks/gpu.py --quick                               tiny shapes on a CPU, in less than two minutes

It needs torch, transformers, peft and this checkout, not raysweep's other packages. The models have
StarCoderBase-1B's and CodeLlama-7B's shapes and random weights. The arms run in the order of what they tell, each in a
process of its own, and `--out` is written after each: an arm that fails, lacks a package or has no time left is named
there, and the others go on. It stops after `--seconds`; started again with the same `--out`, it goes on with the arms
that aren't done. A file of another card, of other packages or of another raysweep is refused.

Peers, in turns with raysweep: SafeCoder's loop (one row a pass, https://github.com/eth-sri/SafeCoder trainer.py) and
TRL's SFTTrainer and DPOTrainer for training, SafeCoder's way to generate (a prompt with all its samples a call) and
`generate`. Tokens a second are those of prompts with their own responses, also where a rejected response goes through
the model too: so rates of SFT, FAIT and DPO on rows of the same lengths compare steps.

What the file of `--out` holds:

- format: 1
- card, memory_bytes, cuda: the accelerator's name and memory, torch's CUDA; null without one
- quick, seconds, code, versions: tiny shapes or not; of the latest run so far; a hash of raysweep's files; of the
  packages, null where one is missing
- arms.NAME.status: done, failed, missing (what it needs), no time, or running while it does
- arms.NAME.why, traceback, seconds: why it isn't done; how long it took, its models' initialisation included
- tokens_per_second, peak_bytes, mfu: by arm (raysweep, SafeCoder ...): of training, without padding; of sampling, all
  rows together. Most bytes of tensors at a time. FLOPs that the model needs over the card's peak
- tokens_per_second_at_first: of training, in steps whose shapes the process hasn't seen; tokens_per_second is that of
  the same steps again
- PEER failed: why a peer failed; the others go on
- batch_tokens, share_of_choosing_tokens: the generator's budget from the free memory; the part of its time in which
  it chooses tokens from logits
- equal_share, equal_share_of_generate_in_a_batch, differing: greedy completions equal to those of `generate`, prompt
  by prompt: raysweep's, and its own in a padded batch; of the others the first position that differs, the gap of the
  two largest logits there, and one step of bf16 at their size
- training, generation: where memory was made to run out: tokens of a pass or of a batch before and after
- adapters, loads, base_is_bit_equal, seconds_of_a_change: adapters used one after the other on one base
- localized_edit, edits: CREME's edit of one pair of 300 tokens, with its localization: seconds by part, most bytes,
  most rows of a pass; a hundred edits of one base without it: how many, seconds each, most bytes
- difference_of_losses, same_again, same_resumed, resumed_from: float32, 30 steps: the largest relative difference to
  the CPU's losses; whether weights are bit for bit those of another run, and of a resumed one
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import gc
import hashlib
import importlib
import importlib.util
import itertools
import json
import logging
import math
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # the arms are forks, and CUDA can't be in use before a fork

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # raysweep may not be installed

import torch

from raysweep.accelerators import ACCELERATORS, data_sheet_of
from raysweep.errors import did_you_mean
from raysweep.execution.isolation import kernel
from raysweep.generators.base import LiveModel
from raysweep.generators.caches.base import left_pad
from raysweep.generators.transformers import Transformers
from raysweep.models.architectures.shape import Shape, shape_of
from raysweep.models.loading import auto_model
from raysweep.records import Completion, Decoding, GenerationRequest, ModelKind, ModelRef, PromptPair
from raysweep.trainers.base import OBJECTIVES, Recipe, Row, TrainJob
from raysweep.trainers.batching import compact
from raysweep.trainers.editors.base import EditJob
from raysweep.trainers.editors.creme import Creme
from raysweep.trainers.editors.running import run_edit
from raysweep.trainers.encoding import EncodedSet
from raysweep.trainers.loop import TrainingLoop, seeded_torch
from raysweep.trainers.lora import Lora
from raysweep.trainers.memory import flops_per_token, largest_batch, training_memory
from raysweep.trainers.optimizer import is_norm, torch_name
from tests.services import EditServicesHere, FolderServices

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "raysweep" / "models" / "architectures"
MODELS = {"1B": "bigcode--starcoderbase-1b", "7B": "codellama--CodeLlama-7b-hf"}
TINY: Mapping[str, Mapping[str, Any]] = {
    "gpt_bigcode": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_inner": 128, "vocab_size": 512, "n_positions": 1024},
    "llama": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "intermediate_size": 128,
        "vocab_size": 512,
        "max_position_embeddings": 1024,
    },
}
"""What `--quick` puts in place of the sizes of an architecture."""
CHANGED = 8
"""In a pair, the first of so many response tokens differs; all lines differ, so that all tokens are marked."""
WARM_STEPS = 2
"""Steps before the clock starts."""
SHORTEST, MODE, LONGEST, WEIGHTED = 64, 250, 1024, 0.75
"""Tokens of the rows, whose lengths have a triangular distribution, and the share of their responses."""
MEAN = (SHORTEST + MODE + LONGEST) / 3
PROMPT, SAMPLES, NEW = 200, 40, 128
TEMPERATURE, TOP_P = 0.2, 0.95
SEED = 7
PACKAGES = ("torch", "transformers", "peft", "deepspeed", "flash_attn", "trl")

Note = Callable[..., None]
"""Takes figures of an arm, by name, as soon as they are known."""


class MissingError(Exception):
    """What an arm needs isn't here: a package, or an accelerator."""


@dataclasses.dataclass(frozen=True)
class Training:
    """A training to measure. `steps`: on the clock, a peer's are a quarter as many; `needs`: a package."""

    model: str
    recipe: Recipe
    steps: int = 20
    peers: tuple[str, ...] = ("SafeCoder",)
    needs: str = ""


FULL, LORA = Recipe(precision="bf16"), Recipe(precision="bf16", trainer="lora")
FAIT, DPO = (dataclasses.replace(LORA, objective=name) for name in ("fait", "dpo"))
TRAININGS: Mapping[str, Training] = {
    "train 1B, full, bf16": Training("1B", FULL, peers=("SafeCoder", "SafeCoder without cuDNN attention", "TRL")),
    "train 7B, LoRA, bf16": Training("7B", LORA, 6, ("SafeCoder", "SafeCoder without cuDNN attention", "TRL")),
    "train 1B, LoRA, bf16": Training("1B", LORA, 12, ("TRL",)),
    "train 1B, LoRA, bf16, FAIT": Training("1B", FAIT, 12, ()),
    "train 1B, LoRA, bf16, DPO": Training("1B", DPO, 12, ("TRL",)),
    "train 7B, LoRA, bf16, FAIT": Training("7B", FAIT, 6, ()),
    "train 7B, LoRA, bf16, DPO": Training("7B", DPO, 6, ("TRL",)),
    "train 7B, LoRA, bf16, passes of 8,192 tokens": Training(
        "7B", dataclasses.replace(LORA, micro_batch_tokens=8192), 6, ()
    ),
    "train 1B, full, bf16, packed": Training("1B", dataclasses.replace(FULL, batching="packed")),
    "train 7B, LoRA, bf16, packed": Training("7B", dataclasses.replace(LORA, batching="packed"), 6, ()),
    "train 1B, full, bf16, checkpointed": Training("1B", dataclasses.replace(FULL, gradient_checkpointing=True), 12),
    "train 7B, LoRA, bf16, checkpointed": Training("7B", dataclasses.replace(LORA, gradient_checkpointing=True), 4),
    "train 1B, full, bf16, ZeRO-2": Training("1B", dataclasses.replace(FULL, parallel="zero2"), 12, needs="deepspeed"),
    "train 7B, LoRA, float16": Training("7B", dataclasses.replace(LORA, precision="float16"), 4),
    "train 1B, full, float32": Training("1B", dataclasses.replace(FULL, precision="float32"), 4),
    "train 7B, LoRA, float32": Training("7B", dataclasses.replace(LORA, precision="float32"), 4),
}
PROMPTS = {"1B": 48, "7B": 8}
"""Prompts of the generation, each with `SAMPLES` completions."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """Where the arms run: with real shapes on an accelerator, or with tiny ones (`quick`)."""

    quick: bool

    @property
    def device(self) -> str:
        """Return torch's name of the device."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    def config(self, model: str) -> Any:
        """Return a model's config of transformers."""
        from transformers import AutoConfig

        fields = json.loads((CONFIGS / f"{MODELS[model]}.json").read_text())
        model_type = fields.pop("model_type")
        fields |= TINY[model_type] if self.quick else {}
        last = fields["vocab_size"] - 1
        return AutoConfig.for_model(model_type, **fields, bos_token_id=last, eos_token_id=last)

    def shape(self, model: str) -> Shape:
        """Return a model's shape."""
        shape = shape_of(self.config(model).to_dict())
        assert shape is not None
        return shape

    def build(self, model: str, dtype: str) -> Any:
        """Return a model with random weights, built on the device."""
        with seeded_torch(SEED, "initialise"), torch.device(self.device):
            return auto_model().from_config(self.config(model), dtype=getattr(torch, dtype))

    def few(self, number: int, tiny: int) -> int:
        """Return a number of steps, prompts or tokens: `tiny` with tiny shapes."""
        return tiny if self.quick else number

    def rows(self, model: str, objective: str = "sft") -> EncodedSet:
        """Return training rows of random tokens; one response token in `CHANGED` differs in a rejected response."""
        chance, most = random.Random(SEED), self.config(model).vocab_size - 1
        rows = []
        for _ in range(256):
            length = round(chance.triangular(SHORTEST, LONGEST, MODE)) // (8 if self.quick else 1)
            ids = [chance.randrange(most) for _ in range(length)]
            answer = round(length * WEIGHTED)
            rows.append(_row_of(objective, ids, answer, most))
        return EncodedSet(OBJECTIVES.get(objective)(), rows, {}, LONGEST)

    def synchronise(self) -> None:
        """Wait until the accelerator has done its work."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def peak_bytes(self) -> int | None:
        """Return the most bytes that tensors took since `begin`; None on a CPU."""
        return torch.cuda.max_memory_allocated() if self.device == "cuda" else None

    def begin(self, with_cudnn: bool = True) -> None:
        """Look for the peak of memory anew, and have attention as torch has it, or without cuDNN."""
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            torch.backends.cuda.enable_cudnn_sdp(with_cudnn)


def _row_of(objective: str, ids: list[int], answer: int, most: int) -> Row:
    """Return a row as an objective encodes it: `answer` response tokens at the end of `ids`."""
    start = len(ids) - answer
    if objective == "sft":
        return compact({"input_ids": ids, "weights": [0.0] * start + [1 / answer] * answer})
    rejected = list(ids)
    rejected[start::CHANGED] = [(token + 1) % most for token in ids[start::CHANGED]]
    row = {"input_ids": ids, "weights": [0.0] * start + [1.0] * answer, "rejected_ids": rejected}
    if objective == "dpo":
        return compact({**row, "rejected_weights": row["weights"]})
    marks = [0] * start + [2 if at % CHANGED == 0 else 1 for at in range(answer)]
    return compact({**row, "marks": marks, "rejected_marks": marks, "rejected_tokens": [answer]})


class ClockedServices(FolderServices):
    """Services that time a training after its first steps, and keep one checkpoint.

    Args:
        bench: waits for the device.
        warm: steps before the clock starts.
        folder: of the checkpoint; None: there is none.
    """

    def __init__(self, bench: Bench, warm: int = 0, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._bench, self._warm = bench, warm
        self.began = self.ended = 0.0

    @property
    def losses(self) -> list[float]:
        """The loss of each report."""
        return [report.loss for report in self.reports]

    def tick(self, step: int, total_steps: int) -> bool:
        """Start the clock after the first steps, and note the time; ask for no checkpoint."""
        if step in (self._warm, total_steps):
            self._bench.synchronise()
        if step == self._warm:
            self.began = time.perf_counter()
        self.ended = time.perf_counter()
        return False


def job_of(bench: Bench, model: str, recipe: Recipe, every: int = 0) -> TrainJob:
    """Return the job of a training, which reads and writes no files."""
    family = bench.config(model).model_type
    return TrainJob(ModelRef(""), family, recipe, Path(), Path(), SEED, f"{model} {recipe.trainer}", every)


def trainable(bench: Bench, model: str, recipe: Recipe) -> Any:
    """Return a model to train, as raysweep's trainers prepare it."""
    if recipe.trainer == "full":
        return bench.build(model, "float32")
    network = bench.build(model, torch_name(recipe.precision))
    with seeded_torch(SEED, "adapter"):
        return Lora().add_adapter(network, job_of(bench, model, recipe))


def train(training: Training, bench: Bench, note: Note) -> None:
    """Measure a training beside its peers: tokens (without padding) a second, memory, FLOPs utilisation.

    Each trains twice, for the same steps: at first each pass has a shape that the process hasn't seen.
    """
    if training.needs and not importlib.util.find_spec(training.needs):
        raise MissingError(training.needs)
    recipe, data = training.recipe, bench.rows(training.model, training.recipe.objective)
    shape = bench.shape(training.model)
    cost = sum(data.lengths) / sum(len(row["input_ids"]) for row in data.rows)  # of a token, with the rejected ones
    arms = ["raysweep", *(peer for peer in training.peers if peer != "TRL" or importlib.util.find_spec("trl"))]
    first, then = dict[str, int](), dict[str, int]()  # the same steps again, once all is there for their shapes
    peaks: dict[str, int | None] = {}
    for arm in arms:
        gc.collect()
        bench.begin(with_cudnn=arm != "SafeCoder without cuDNN attention")
        for turn in (first, then):
            model = trainable(bench, training.model, recipe)
            try:
                turn[arm] = round(RATES[arm](bench, training, model, data))
            except Exception as error:
                if arm == "raysweep":
                    raise
                note(**{f"{arm} failed": f"{type(error).__name__}: {error}"[:300]})
                traceback.clear_frames(error.__traceback__)
                break
            finally:
                del model
                gc.collect()
            peaks.setdefault(arm, bench.peak_bytes())  # of the first: DeepSpeed keeps memory beside the second
            note(
                tokens_per_second=dict(then),
                tokens_per_second_at_first=dict(first),
                peak_bytes=dict(peaks),
                **_of_peak(bench, cost * flops_per_token(shape, recipe, MEAN), recipe.precision, then.get("raysweep")),
            )


def _of_peak(bench: Bench, flops: float, number: str, rate: float | None) -> dict[str, float]:
    """Return the model FLOPs utilisation of so many tokens a second; nothing on an unknown accelerator."""
    sheet = data_sheet_of(torch.cuda.get_device_name()) if bench.device == "cuda" else None
    if sheet is None or rate is None:
        return {}
    return {"mfu": round(rate * flops / sheet[1].flops(number), 4)}


def rate_of_raysweep(bench: Bench, training: Training, model: Any, data: EncodedSet) -> float:
    """Return the tokens a second of raysweep's training loop."""
    warm, steps = bench.few(WARM_STEPS, 1), bench.few(training.steps, 1)
    recipe = dataclasses.replace(training.recipe, steps=warm + steps)
    services = ClockedServices(bench, warm)
    loop = TrainingLoop(model, data, job_of(bench, training.model, recipe), services)
    begun = loop.batching.tokens
    loop.run()
    if recipe.batching != "auto" and loop.batching.tokens < begun:
        raise RuntimeError(f"memory ran out, so that passes had {loop.batching.tokens:,} tokens")
    taken = (row for step in range(warm, warm + steps) for row in loop.order.rows(step))
    tokens = sum(len(data.rows[row]["input_ids"]) for row in taken)
    return tokens / (services.ended - services.began)


def rate_of_peer(peer: str, bench: Bench, training: Training, model: Any, data: EncodedSet) -> float:
    """Return the tokens a second of a peer's loop."""
    from training import safecoder_loop, trl_dpo_loop, trl_loop

    steps = bench.few(max(1, training.steps // 4), 1)
    job = job_of(bench, training.model, dataclasses.replace(training.recipe, steps=steps))
    if peer == "TRL":
        loop = trl_dpo_loop if training.recipe.objective == "dpo" else trl_loop
        run = loop(model, data, job, tokenizer_of(bench.config(training.model).vocab_size))
    else:
        run = safecoder_loop(model, data, job)
        run(1)
    bench.synchronise()
    began = time.perf_counter()
    tokens = run(steps)
    bench.synchronise()
    return tokens / (time.perf_counter() - began)


RATES: Mapping[str, Callable[[Bench, Training, Any, EncodedSet], float]] = {
    "raysweep": rate_of_raysweep,
    "SafeCoder": functools.partial(rate_of_peer, "SafeCoder"),
    "SafeCoder without cuDNN attention": functools.partial(rate_of_peer, "SafeCoder"),
    "TRL": functools.partial(rate_of_peer, "TRL"),
}


def tokenizer_of(size: int) -> Any:
    """Return a tokenizer of `size` words, ``t0`` and so on: every token has a text, and every text its tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({f"t{number}": number for number in range(size)}, unk_token="t0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=f"t{size - 1}")


def requests_of(size: int, prompts: int, samples: int, length: int = PROMPT) -> list[GenerationRequest]:
    """Return requests with random prompts of `length` tokens, and down to a fifth fewer."""
    chance = random.Random(SEED)
    lengths = [length - chance.randrange(length // 5) if samples == 1 else length for _ in range(prompts)]
    texts = [" ".join(f"t{chance.randrange(size - 1)}" for _ in range(length)) for length in lengths]
    return [
        GenerationRequest(f"{number}/{sample}", f"task {number}", text, sample)
        for number, text in enumerate(texts)
        for sample in range(samples)
    ]


def peaked(model: Any) -> Any:
    """Scale the last norm of a random model, so that few tokens are likely at a time, as in trained models."""
    last = [module for module in model.modules() if is_norm(module)][-1]
    with torch.no_grad():
        last.weight.mul_(4)
    return model


def generate(name: str, bench: Bench, note: Note) -> None:
    """Measure sampling in bf16 with the batch budget that raysweep finds, beside SafeCoder's way and `generate`."""
    from generation import generated

    model = peaked(bench.build(name, "bfloat16").eval())
    tokenizer = tokenizer_of(model.config.vocab_size)
    prompts, samples, new = bench.few(PROMPTS[name], 2), bench.few(SAMPLES, 3), bench.few(NEW, 4)
    requests = requests_of(model.config.vocab_size, prompts, samples)
    generator = Transformers(LiveModel(model, tokenizer), Decoding(new, TEMPERATURE, TOP_P, samples))
    note(batch_tokens=int(generator.state()["batch_tokens"]))
    Transformers(LiveModel(model, tokenizer), Decoding(4, TEMPERATURE, TOP_P)).generate(requests[::samples])
    bench.begin(with_cudnn=False)
    rates = {"raysweep": _tokens_per_second(bench, lambda: written_tokens(generator.generate(requests)))}
    note(tokens_per_second=dict(rates), peak_bytes=bench.peak_bytes(), facts=dict(generator.facts()))
    with _timed_choice(bench) as choosing:
        began = time.perf_counter()
        generator.generate(requests[: len(requests) // 4])
        note(share_of_choosing_tokens=round(sum(choosing) / (time.perf_counter() - began), 3))
    ids = [tokenizer(requests[0].prompt)["input_ids"]]

    def of_second_call(rows: int, tokens: int, with_cudnn: bool) -> float:
        options = argparse.Namespace(new=tokens, beams=1)
        bench.begin(with_cudnn)
        for _ in range(2):
            rate = _tokens_per_second(
                bench, lambda: generated(model, ids, options, num_return_sequences=rows) or rows * tokens
            )
        return rate

    for more, with_cudnn in ((" without cuDNN attention", False), ("", True)):
        rates[f"SafeCoder{more}"] = of_second_call(samples, new, with_cudnn)
        rates[f"generate{more}"] = of_second_call(1, bench.few(32, 4), with_cudnn)
        note(tokens_per_second=dict(rates))


def _tokens_per_second(bench: Bench, work: Callable[[], int]) -> float:
    """Return the tokens that some work writes in a second; it returns how many it wrote."""
    bench.synchronise()
    began = time.perf_counter()
    tokens = work()
    bench.synchronise()
    return round(tokens / (time.perf_counter() - began), 1)


def written_tokens(completions: Sequence[Completion]) -> int:
    return sum(completion.tokens for completion in completions)


@contextlib.contextmanager
def _timed_choice(bench: Bench) -> Iterator[list[float]]:
    """Time the choices of tokens from logits in the block; give the seconds of each."""
    from raysweep.generators import transformers

    seconds: list[float] = []
    original = transformers.choose_tokens

    def timed(*args: Any) -> Any:
        bench.synchronise()
        began = time.perf_counter()
        chosen = original(*args)
        bench.synchronise()
        seconds.append(time.perf_counter() - began)
        return chosen

    transformers.choose_tokens = timed
    try:
        yield seconds
    finally:
        transformers.choose_tokens = original


def greedy(name: str, bench: Bench, note: Note) -> None:
    """Compare greedy tokens in bf16 with those of `generate`, prompt by prompt.

    Noted: the share of equal completions, and that of `generate` itself where it gets all prompts in one padded batch;
    the first position that differs; there, the gap between the two largest logits of a forward pass over the common
    tokens, and one step of bf16 at their size.
    """
    model = peaked(bench.build(name, "bfloat16").eval())
    tokenizer = tokenizer_of(model.config.vocab_size)
    new = bench.few(64, 4)
    requests = requests_of(model.config.vocab_size, bench.few(8, 3), 1)
    ours = Transformers(LiveModel(model, tokenizer), Decoding(new)).generate(requests)  # from here on without cuDNN
    prompts = [tokenizer(request.prompt)["input_ids"] for request in requests]

    def generated(rows: list[list[int]]) -> list[list[int]]:
        ids, mask = (part.to(bench.device) for part in left_pad(rows))
        fields = {"do_sample": False, "max_new_tokens": new, "pad_token_id": tokenizer.eos_token_id}
        with torch.inference_mode():
            written = model.generate(input_ids=ids, attention_mask=mask, **fields)[:, ids.shape[1] :].tolist()
        return [list(itertools.takewhile(lambda token: token != tokenizer.eos_token_id, row)) for row in written]

    alone, found = [generated([prompt])[0] for prompt in prompts], []
    same = sum(one == other for one, other in zip(alone, generated(prompts), strict=True))
    for prompt, theirs, completion in zip(prompts, alone, ours, strict=True):
        mine = tokenizer(completion.text)["input_ids"]
        at = next((n for n, pair in enumerate(zip(theirs, mine, strict=False)) if pair[0] != pair[1]), None)
        if at is None and len(theirs) == len(mine):
            continue
        at = min(len(theirs), len(mine)) if at is None else at
        common = torch.tensor([[*prompt, *mine[:at]]], device=bench.device)
        with torch.inference_mode():
            largest = model(input_ids=common).logits[0, -1].float().topk(2).values
        step = 2.0 ** (math.floor(math.log2(float(largest[0].abs()))) - 7)
        found.append({"position": at, "gap": round(float(largest[0] - largest[1]), 5), "bf16_step": step})
    shares = {"equal_share": 1 - len(found) / len(prompts), "equal_share_of_generate_in_a_batch": same / len(prompts)}
    note(**{name: round(share, 3) for name, share in shares.items()}, differing=found, prompts=len(prompts), tokens=new)


def memory_runs_out(bench: Bench, note: Note) -> None:
    """Fill the accelerator, so that passes of training and batches of generation must be halved, and look on."""
    if bench.device != "cuda":
        raise MissingError("an accelerator")
    recipe = dataclasses.replace(FULL, micro_batch_tokens=16_384, steps=3)
    small = dataclasses.replace(recipe, micro_batch_tokens=2048)
    shape = bench.shape("1B")
    needed = training_memory(shape, small, largest_batch(small, LONGEST, True, WEIGHTED), True).peak
    model = trainable(bench, "1B", recipe)
    ballast = _ballast(needed - 4 * shape.weights)
    services = ClockedServices(bench)
    loop = TrainingLoop(model, bench.rows("1B"), job_of(bench, "1B", recipe), services)
    loop.run()
    note(training={"tokens": [16_384, loop.batching.tokens], "losses": [round(loss, 4) for loss in services.losses]})
    del model, loop, ballast
    torch.cuda.empty_cache()
    model = bench.build("7B", "bfloat16").eval()
    tokenizer = tokenizer_of(model.config.vocab_size)
    requests, decoding = requests_of(model.config.vocab_size, 4, 20), Decoding(32, TEMPERATURE, TOP_P, 20)
    whole = Transformers(LiveModel(model, tokenizer), decoding).generate(requests)
    ballast = _ballast(3 << 30)
    generator = Transformers(LiveModel(model, tokenizer), decoding, batch_tokens=24_576)
    texts = generator.generate(requests)
    same = sum(one.text == other.text for one, other in zip(whole, texts, strict=True)) / len(texts)
    note(generation={"tokens": [24_576, generator.facts()["batch_tokens"]], "equal_share": round(same, 3)})
    del ballast


def _ballast(leave: int) -> torch.Tensor:
    """Take all free memory of the accelerator but `leave` bytes."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    return torch.empty(max(0, free - leave), dtype=torch.uint8, device="cuda")


def adapters(bench: Bench, note: Note) -> None:
    """Generate with ten adapters on one base; compare the base's logits before and after, bit for bit."""
    number, recipe = bench.few(10, 3), LORA
    folder = Path(tempfile.mkdtemp(prefix="raysweep-gpu-"))
    try:
        network = bench.build("1B", "bfloat16")
        tokenizer = tokenizer_of(network.config.vocab_size)
        network.save_pretrained(folder / "base")
        tokenizer.save_pretrained(folder / "base")
        adapted = Lora().add_adapter(network, job_of(bench, "1B", recipe))
        halves = [parameter for name, parameter in adapted.named_parameters() if "lora_B" in name]
        for at in range(number):
            with seeded_torch(SEED, "half", at), torch.no_grad():
                for half in halves:
                    half.normal_(std=0.1)
            adapted.save_pretrained(folder / f"adapter-{at}", save_embedding_layers=False)
            tokenizer.save_pretrained(folder / f"adapter-{at}")
        del network, adapted, halves
        base = ModelRef(str(folder / "base"), dtype="bfloat16")
        requests = requests_of(tokenizer.vocab_size, 4, 1)
        generator = Transformers(base, Decoding(bench.few(32, 4)))
        ids = torch.tensor([tokenizer(requests[0].prompt)["input_ids"]], device=bench.device)
        before, texts, seconds = _logits(generator.network, ids), set[str](), []
        for at in range(number):
            began = time.perf_counter()
            generator.use(ModelRef(str(folder / f"adapter-{at}"), ModelKind.ADAPTER, base, "bfloat16"))
            bench.synchronise()
            seconds.append(time.perf_counter() - began)
            texts.add("\n".join(one.text for one in generator.generate(requests)))
        generator.use(base)
        after = _logits(generator.network, ids)
        note(
            adapters=number,
            different_texts=len(texts),
            loads=generator.loads,
            seconds_of_a_change=round(statistics.median(seconds), 3),
            base_is_bit_equal=bool(torch.equal(before, after)),
        )
    finally:
        shutil.rmtree(folder)


def _logits(network: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = network(input_ids=ids).logits
    return logits


def edits(bench: Bench, note: Note) -> None:
    """Find a block and edit it as CREME does, in bf16, from one edit example; then make a hundred edits of that base.

    The localization patches every block, at all positions and at the last one, and writes five samples of each. The
    hundred are CREME's without it, each from a pair of its own and at a block that its seed draws. Each edit is put on
    and checked, as in a host. Noted of the first: seconds by part, most bytes of tensors, and most rows of a pass that
    reads prompts and of one that writes. Of the others: how many, seconds each, and most bytes. At the end: whether the
    base gives the logits that it gave before, bit for bit.
    """
    network = peaked(bench.build("7B", "bfloat16").eval())
    base = LiveModel(network, tokenizer_of(network.config.vocab_size))
    pairs = pairs_of(network.config.vocab_size, bench.few(100, 3) + 1, bench.few(300, 12))
    ids = torch.tensor([base.tokenizer(pairs[0].original)["input_ids"]], device=bench.device)
    before, new = _logits(network, ids), bench.few(64, 4)
    for localizes, some in ((True, pairs[:1]), (False, pairs[1:])):
        bench.begin(with_cudnn=False)
        editor = Creme(max_new_tokens=new) if localizes else Creme(edit_at="random")
        seconds = []
        for number, pair in enumerate(some, 1):
            verdicts = itertools.chain([True] * 5, [False] * 5, itertools.cycle([True, False]))
            services = EditServicesHere(lambda _, verdicts=verdicts: next(verdicts))
            began = time.perf_counter()
            with _rows_of_passes(network) as rows:
                counts = run_edit(editor, EditJob(base, "llama", pair, number), services).counts
            seconds.append(round(time.perf_counter() - began, 3))
            shown = {"peak_bytes": bench.peak_bytes(), "blocks": counts["blocks"]}
            if localizes:
                note(localized_edit={**shown, "seconds": counts["seconds"], "most_rows": rows, "new": new})
            else:
                note(edits={**shown, "number": number, "seconds_each": round(statistics.median(seconds), 3)})
    note(base_is_bit_equal=bool(torch.equal(before, _logits(network, ids))))


def pairs_of(size: int, number: int, length: int) -> list[PromptPair]:
    """Return edit examples of `length` random words of `tokenizer_of`, of which one in 50 differs, at least one."""
    chance, found = random.Random(SEED), []
    for at in range(number):
        words = [f"t{chance.randrange(size - 1)}" for _ in range(length)]
        changed = list(words)
        for place in range(length // 4, length, 50):
            changed[place] = f"t{chance.randrange(size - 1)}"
        texts = (" ".join(words), " ".join(changed), "t1 t2 t3", "t4 t5 t6")
        found.append(PromptPair("random", "words", f"random/{at}", *texts, (), True, 1.0, 0.0, number))
    return found


@contextlib.contextmanager
def _rows_of_passes(network: Any) -> Iterator[dict[str, int]]:
    """Watch the passes of a block; give the most rows of one that reads prompts, and of one that writes a token."""
    most = {"reading": 0, "writing": 0}

    def look(_: Any, args: tuple[torch.Tensor, ...]) -> None:
        rows, tokens = args[0].shape
        kind = "writing" if tokens == 1 else "reading"
        most[kind] = max(most[kind], rows)

    hook = network.get_input_embeddings().register_forward_pre_hook(look)
    try:
        yield most
    finally:
        hook.remove()


def numbers(bench: Bench, note: Note) -> None:
    """Train a tiny model in float32 for 30 steps on both devices; then from a checkpoint in the middle.

    Noted: the largest relative difference of losses to the CPU's, and whether the weights are bit for bit those of the
    same training again, and of one that was resumed.
    """
    tiny, recipe = Bench(quick=True), Recipe(steps=30, batch_size=8, lr=1e-3)
    with tempfile.TemporaryDirectory(prefix="raysweep-gpu-") as folder:
        checkpoint = Path(folder) / "checkpoint"
        on_cpu = _in_fork(_without_accelerator, tiny, recipe)
        losses, weights, _ = _tiny_training(tiny, recipe, checkpoint)
        pairs = list(zip(on_cpu, losses, strict=True))
        note(difference_of_losses=max(abs(one - other) / abs(one) for one, other in pairs), steps=len(pairs))
        again = _tiny_training(tiny, recipe, None)[1]
        _, resumed, start = _tiny_training(tiny, recipe, checkpoint)
    same = [all(torch.equal(one, other) for one, other in zip(weights, each, strict=True)) for each in (again, resumed)]
    note(same_again=same[0], same_resumed=same[1], resumed_from=start)


def _without_accelerator(bench: Bench, recipe: Recipe) -> list[float]:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return _tiny_training(bench, recipe, None)[0]


def _tiny_training(
    bench: Bench, recipe: Recipe, checkpoint: Path | None
) -> tuple[list[float], list[torch.Tensor], int]:
    """Return losses, final weights and the step it began at; a checkpoint that isn't there is written in the middle."""
    with torch.device("cpu"), seeded_torch(SEED, "initialise"):
        model = auto_model().from_config(bench.config("7B"), dtype=torch.float32)
    services = ClockedServices(bench, folder=checkpoint)
    middle = (recipe.steps or 0) // 2 if checkpoint else 0
    counts = TrainingLoop(model, bench.rows("7B"), job_of(bench, "7B", recipe, middle), services).run()
    return services.losses, [one.detach().cpu().clone() for one in model.parameters()], counts["resumed_from"]


def _in_fork(work: Callable[..., Any], *args: Any) -> Any:
    """Return what a function returns in a fork of this process, which has not used CUDA yet."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=lambda: theirs.send(work(*args)))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


@dataclasses.dataclass(frozen=True)
class Arm:
    """A measurement. `seconds`: what it takes on an H100, about; it isn't begun where less than half of it is left."""

    run: Callable[[Bench, Note], None]
    seconds: float


def trainings(names: Sequence[str], seconds: float) -> dict[str, Arm]:
    """Return the arms of some trainings."""
    return {name: Arm(functools.partial(train, TRAININGS[name]), seconds) for name in names}


ARMS: Mapping[str, Arm] = {
    "numbers": Arm(numbers, 5),
    **trainings(["train 1B, full, bf16"], 55),
    "generate 1B": Arm(functools.partial(generate, "1B"), 40),
    **trainings(["train 7B, LoRA, bf16"], 75),
    "generate 7B": Arm(functools.partial(generate, "7B"), 45),
    "memory runs out": Arm(memory_runs_out, 25),
    "adapters": Arm(adapters, 20),
    "greedy 7B": Arm(functools.partial(greedy, "7B"), 25),
    "edits 7B": Arm(edits, 240),
    **trainings(["train 1B, LoRA, bf16", "train 1B, LoRA, bf16, FAIT", "train 1B, LoRA, bf16, DPO"], 40),
    **trainings(["train 7B, LoRA, bf16, FAIT", "train 7B, LoRA, bf16, DPO"], 60),
    **trainings(["train 7B, LoRA, bf16, passes of 8,192 tokens"], 25),
    **trainings(["train 1B, full, bf16, packed", "train 7B, LoRA, bf16, packed"], 30),
    **trainings(["train 1B, full, bf16, checkpointed"], 20),
    **trainings(["train 1B, full, bf16, ZeRO-2", "train 7B, LoRA, bf16, checkpointed"], 25),
    "greedy 1B": Arm(functools.partial(greedy, "1B"), 20),
    **trainings(["train 1B, full, float32", "train 7B, LoRA, float16", "train 7B, LoRA, float32"], 35),
}
"""The arms, the most telling first. A later method adds one function here."""


def run_arm(arm: Arm, bench: Bench, seconds: float, tell: Callable[[dict[str, Any]], None]) -> None:
    """Run an arm in a fork, for so many seconds at most; `tell` gets what is known of it, again and again."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(arm, bench, theirs))
    began = time.monotonic()
    process.start()
    theirs.close()
    known: dict[str, Any] = {"status": "running"}
    tell(dict(known))
    try:
        while known["status"] == "running":
            if not ours.poll(max(0.0, began + seconds - time.monotonic())):
                known |= {"status": "no time", "why": f"stopped after {seconds:.0f} s"}
                break
            known |= ours.recv()
            tell(dict(known))
    except EOFError:
        process.join()
        code = process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        known |= {"status": "failed", "why": f"its process ended by {how}"}
    finally:
        process.kill()
        process.join()
    tell({**known, "seconds": round(time.monotonic() - began, 1)})


def _serve(arm: Arm, bench: Bench, pipe: Connection[Any, Any]) -> None:
    """Run an arm and send its figures, then how it ended; it ends with the process that began it."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        arm.run(bench, lambda **figures: pipe.send(figures))
        pipe.send({"status": "done"})
    except MissingError as error:
        pipe.send({"status": "missing", "why": f"needs {error}"})
    except BaseException as error:
        last = traceback.format_exc().splitlines()[-12:]
        pipe.send({"status": "failed", "why": f"{type(error).__name__}: {error}"[:500], "traceback": last})


def predictions(quick: bool) -> dict[str, dict[str, Any]]:
    """Return what `raysweep plan` predicts of each arm on each known accelerator: bytes, and tokens a second."""
    from raysweep.planning.predictions.costs import (
        generation_seconds,
        predicted_memory,
        rows_on,
        tokens_of_row,
        training_seconds,
    )
    from raysweep.planning.predictions.sizes import RowFacts

    bench, cards = Bench(quick), dict[str, dict[str, Any]]()
    for card, sheet in ACCELERATORS.items():
        arms = cards[card] = {}
        for name, training in TRAININGS.items():
            shape, recipe = bench.shape(training.model), training.recipe
            memory = predicted_memory(shape, recipe, True, WEIGHTED, sheet.room(), MEAN)
            cost = tokens_of_row(recipe, RowFacts(1, MEAN, MEAN, WEIGHTED, "")) / MEAN
            rate = 1 / training_seconds(shape, recipe, cost, MEAN, sheet)
            arms[name] = {"peak_bytes": memory.peak if memory else None, "tokens_per_second": round(rate)}
        for model, prompts in PROMPTS.items():
            shape, completions = bench.shape(model), prompts * SAMPLES
            together = rows_on(sheet, shape, 2, NEW, None)
            seconds = generation_seconds(shape, "bfloat16", completions, SAMPLES, together, NEW, sheet)
            arms[f"generate {model}"] = {"tokens_per_second": round(completions * NEW / seconds)}
    return cards


def table(result: Mapping[str, Any], predicted: Mapping[str, Any]) -> str:
    """Return the rates and the memory of a result as a Markdown table, with what was predicted for this card."""
    found = data_sheet_of(result["card"] or "")
    cards = predicted.get(found[0], {}) if found else {}
    lines = []
    for name, arm in result["arms"].items():
        rates = arm.get("tokens_per_second")
        if not rates:
            continue
        own, plan = rates["raysweep"], cards.get(name, {})
        peak = arm.get("peak_bytes")
        peak = peak.get("raysweep") if isinstance(peak, dict) else peak
        others = {peer: rate for peer, rate in rates.items() if peer not in ("raysweep", "SafeCoder")}
        cells = [
            name,
            f"{own:,.0f}",
            f"{plan['tokens_per_second']:,}" if "tokens_per_second" in plan else "",
            f"{arm['mfu']:.1%}" if "mfu" in arm else "",
            f"{peak / 2**30:.1f}" if peak else "",
            f"{plan['peak_bytes'] / 2**30:.1f}" if plan.get("peak_bytes") else "",
            f"{own / rates['SafeCoder']:.2f} x" if "SafeCoder" in rates else "",
            ", ".join(f"{own / rate:.2f} x {peer}" for peer, rate in others.items()),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    head = "| arm | tokens/s | predicted | MFU | peak GiB | predicted | beside SafeCoder | beside others |"
    return "\n".join([head, "|" + "---|" * 8, *lines] if lines else [])


def main(
    arms: Mapping[str, Arm] = ARMS,
    seconds: float = 480,
    expected: Mapping[str, Any] | None = None,
    about: str | None = None,
) -> int:
    """Run the arms, or write predictions; return the exit code, 1 if an arm failed.

    `seconds`: unless an option says otherwise. `expected`: shown where there are no predictions of `plan`, as
    `predictions` returns them. `about`: what the arms are, for the help; None: this script's.
    """
    options, error = _options(arms, seconds, about or __doc__ or "")
    if options.predict:
        options.predict.write_text(json.dumps(predictions(options.quick), indent=1))
        print(f"{options.predict}: predictions for {', '.join(ACCELERATORS)}")
        return 0
    predicted = _read(options.predictions, "--predictions", error) if options.predictions else expected or {}
    importlib.import_module("peft")
    auto_model()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    importlib.import_module("transformers").utils.logging.disable_progress_bar()
    if options.quick:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        torch.set_num_threads(1)
    bench, began = Bench(options.quick), time.monotonic()
    about = {"format": 1, **_in_fork(_card), "quick": options.quick, "code": _code(), "versions": _versions()}
    known = {}
    if options.out and options.out.exists():
        earlier = _read(options.out, "--out", error)
        if other := next((name for name, value in about.items() if earlier.get(name) != value), None):
            error(f"--out {options.out} is of another run ({other}: {earlier.get(other)}); name a new file")
        known = {name: arm for name, arm in earlier["arms"].items() if arm["status"] == "done"}
    wanted = {name: {"status": "no time", "why": "not begun"} for name in options.arm or arms}
    result: dict[str, Any] = {**about, "arms": {**wanted, **known}}

    def tell(name: str, told: dict[str, Any]) -> None:
        result["arms"][name] = told
        result["seconds"] = round(time.monotonic() - began, 1)
        if options.out:
            part = options.out.with_suffix(".part")
            part.write_text(json.dumps(result, indent=1))
            part.replace(options.out)

    for name in wanted:
        left = options.seconds - (time.monotonic() - began)
        if name in known:
            print(f"{name}: done before", flush=True)
        elif left < (0 if options.quick else arms[name].seconds / 2):
            tell(name, {"status": "no time", "why": f"{left:.0f} s were left"})
            print(f"{name}: no time, {left:.0f} s are left", flush=True)
        else:
            run_arm(arms[name], bench, left, functools.partial(tell, name))
            print(f"{name}: {json.dumps(result['arms'][name])}", flush=True)
    if predicted and not (result["card"] and data_sheet_of(result["card"])):
        print(f"nothing is predicted for {result['card'] or 'a CPU'}")
    print(table(result, predicted))
    return int(any(result["arms"][name]["status"] == "failed" for name in wanted))


def _read(file: Path, option: str, error: Callable[[str], None]) -> dict[str, Any]:
    """Return the content of a file that this script wrote; call `error`, which ends the process, if it isn't one."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as why:
        error(f"{option} {file}: {why}")
    keys = {"arms"} if option == "--out" else set(ACCELERATORS) & {"H100"}
    if not isinstance(content, dict) or not keys <= content.keys():
        error(f"{option} {file} is no file that this script wrote for it")
    return content


def _code() -> str:
    """Return a hash of this script and of raysweep's files."""
    files = [Path(__file__), *sorted((ROOT / "raysweep").rglob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _card() -> dict[str, Any]:
    """Return the accelerator's name and memory, and torch's CUDA."""
    if not torch.cuda.is_available():
        return {"card": None, "memory_bytes": None, "cuda": torch.version.cuda}
    properties = torch.cuda.get_device_properties(0)
    return {"card": properties.name, "memory_bytes": properties.total_memory, "cuda": torch.version.cuda}


def _versions() -> dict[str, str | None]:
    """Return the versions of the packages; None where one isn't installed."""
    found: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _options(arms: Mapping[str, Arm], seconds: float, about: str) -> tuple[argparse.Namespace, Callable[[str], None]]:
    """Return the options, and what ends the process with a message about them."""
    parser = argparse.ArgumentParser(
        description=about,
        epilog="arms, by what they tell:\n" + "".join(f"  {name}\n" for name in arms),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="tiny shapes on a CPU")
    parser.add_argument(
        "--seconds",
        type=float,
        default=seconds,
        help="after which no arm begins and the last one is stopped; %(default)s",
    )
    parser.add_argument("--arm", action="append", metavar="NAME", help="only this one; may be given again")
    parser.add_argument("--out", type=Path, help="the JSON file to write; arms that it has are not run again")
    parser.add_argument("--predict", type=Path, help="write what plan predicts for all known accelerators, and end")
    parser.add_argument("--predictions", type=Path, help="the file that --predict wrote")
    options = parser.parse_args()
    for name in options.arm or ():
        if name not in arms:
            parser.error(f"--arm {name!r}: there is no such arm{did_you_mean(name, arms)}; --help names them")
    for name, file in (("out", options.out), ("predict", options.predict)):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            parser.error(f"--{name} {file}: " + ("is a folder" if file.is_dir() else f"there is no {file.parent}"))
    if options.seconds <= 0:
        parser.error(f"--seconds {options.seconds:g}: give a number above 0")
    return options, parser.error


if __name__ == "__main__":
    sys.exit(main())
