"""Measures generation: raysweep beside SafeCoder's loop and `model.generate`, on the same prompts in one run.

    python benchmarks/generation.py [--prompts 6] [--samples 40] [--prompt-tokens 300] [--new 64] [--rounds 3]
                                    [--family llama] [--batch-tokens T] [--other CHECKOUT] [--beams 10]

The model is the quickstart's small llama with random weights, in float32, on one thread (on a GPU: in bf16). Its
end-of-text token never comes, so that all completions are equally long; what stopping early saves is printed apart, as
the same work with a token that ends a completion at random, on average after a third of its tokens. `turns` and
`joined` (with `--arms`) do that work in 8 batches, one after the other or two at a time, as hosts do.

Arms, which take turns: `raysweep`; `other`: the generator of another checkout, in a process of its own; `safecoder`: a
prompt a call with all its samples as `num_return_sequences` (https://github.com/eth-sri/SafeCoder, human_eval_gen);
`generate`: one sample a call; `batches`: batches of 16 samples in random order, padded on the left.

With `--beams` all arms search, and a prompt's samples are its best texts: `raysweep`; `safecoder`, a prompt a call; and
`batches`, 4 prompts a call.

Printed: samples per CPU second of each arm (per second on a GPU), the median of the rounds, and the ratio to each peer.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from raysweep.generators.base import LiveModel
from raysweep.generators.transformers import Transformers
from raysweep.models.families.base import FAMILIES
from raysweep.models.loading import auto_model
from raysweep.models.scratch import train_tokenizer
from raysweep.records import Decoding, GenerationRequest

HERE = Path(__file__).resolve()
GPU = torch.cuda.is_available()
TEMPERATURE, TOP_P = 0.2, 0.95
NEVER = -1e9


def main() -> None:
    """Run the arms in turns and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--prompt-tokens", type=int, default=300)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--family", default="llama")
    parser.add_argument("--beams", type=int, default=1, help="of a beam search; --samples at most")
    parser.add_argument("--batch-tokens", type=int, help="of raysweep's generator")
    parser.add_argument("--other", type=Path, help="root of another checkout")
    parser.add_argument("--arms", nargs="+", default=["raysweep", "stopping", "safecoder", "batches", "generate"])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(rate(raysweep(*model_of(options), options), options)))
        return
    model, tokenizer, prompts = model_of(options)
    arms: dict[str, Callable[[], None]] = {
        "raysweep": raysweep(model, tokenizer, prompts, options),
        "stopping": raysweep(model, tokenizer, prompts, options, stops=True),
        "turns": raysweep(model, tokenizer, prompts, options, stops=True, batches=8),
        "joined": raysweep(model, tokenizer, prompts, options, stops=True, batches=8, at_once=2),
        "safecoder": safecoder(model, tokenizer, prompts, options),
        "batches": batches(model, tokenizer, prompts, options),
        "generate": one_at_a_time(model, tokenizer, prompts, options),
    }
    rates: dict[str, list[float]] = {name: [] for name in options.arms}
    for _ in range(options.rounds):
        for name in options.arms:
            rates[name].append(rate(arms[name], options))
        if options.other:
            rates.setdefault("other", []).append(of_checkout(options))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    ratios = {name: round(medians["raysweep"] / found, 2) for name, found in medians.items() if name != "raysweep"}
    shown = {name: round(found, 1) for name, found in medians.items()}
    print(json.dumps({"samples_per_cpu_second": shown, "raysweep_times": ratios}, indent=2))


def model_of(options: argparse.Namespace) -> tuple[Any, Any, list[list[int]]]:
    """Return a random model, its tokenizer, and the prompts as ids: of about as many tokens as asked for."""
    text = "\n".join(path.read_text() for path in sorted((HERE.parents[1] / "docs").glob("*.md")))
    tokenizer = train_tokenizer([text[at : at + 300] for at in range(0, 60_000, 300)], 512)
    torch.manual_seed(0)
    positions = "n_positions" if options.family != "llama" else "max_position_embeddings"
    family = FAMILIES.get(options.family)
    config = family().tiny_config(
        len(tokenizer), tokenizer.eos_token_id, **{positions: options.prompt_tokens * 2 + options.new}
    )
    model = auto_model(family.architecture).from_config(config).eval()
    model = model.to("cuda", torch.bfloat16) if GPU else model
    ids = tokenizer(text)["input_ids"]
    lengths = [round(options.prompt_tokens * (0.9 + 0.2 * (n % 5) / 4)) for n in range(options.prompts)]
    return model, tokenizer, [ids[n * 97 : n * 97 + length] for n, length in enumerate(lengths)]


def rate(arm: Callable[[], None], options: argparse.Namespace) -> float:
    """Return the samples that an arm writes in a CPU second, or in a second on a GPU."""
    clock = time.perf_counter if GPU else time.process_time
    began = clock()
    arm()
    if GPU:
        torch.cuda.synchronize()
    return options.prompts * options.samples / (clock() - began)


def raysweep(
    model: Any,
    tokenizer: Any,
    prompts: list[list[int]],
    options: argparse.Namespace,
    *,
    stops: bool = False,
    batches: int = 1,
    at_once: int = 1,
) -> Callable[[], None]:
    """Return raysweep's generator at work.

    With `stops` a token ends completions, after a third of the others' tokens. The work comes in `batches`, of which it
    has `at_once` at a time.
    """
    decoding = Decoding(options.new, TEMPERATURE, TOP_P, options.samples)
    if options.beams > 1:
        decoding = Decoding(options.new, samples=options.samples, beams=options.beams)
    texts = [tokenizer.decode(ids) for ids in prompts]
    requests = [
        GenerationRequest(f"{n}/{s}", f"t{n}", text, s) for n, text in enumerate(texts) for s in range(options.samples)
    ]

    size = -(-len(requests) // batches)
    parts = [requests[start : start + size] for start in range(0, len(requests), size)]

    def run() -> None:
        chance = torch.Generator().manual_seed(0)

        def end(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
            logits = logits.clone()
            logits[..., tokenizer.eos_token_id] = NEVER
            if stops:
                ends = torch.rand(len(logits), generator=chance) < 3 / options.new
                logits[ends.to(logits.device), ..., tokenizer.eos_token_id] = -NEVER
            return logits

        hook = model.get_output_embeddings().register_forward_hook(end)
        try:
            generator = Transformers(LiveModel(model, tokenizer), decoding, batch_tokens=options.batch_tokens)
            with ThreadPoolExecutor(at_once) as threads:
                list(threads.map(generator.generate, parts))
        finally:
            hook.remove()

    return run


def generated(model: Any, prompts: list[list[int]], options: argparse.Namespace, **more: Any) -> None:
    """Call `model.generate` for some prompts; every completion gets all its tokens."""
    from raysweep.generators.caches.base import left_pad  # --other may be a checkout without it

    ids, mask = (part.to(model.device) for part in left_pad(prompts))
    how = {"do_sample": True, "temperature": TEMPERATURE, "top_p": TOP_P}
    if options.beams > 1:
        how = {"do_sample": False, "num_beams": options.beams, "early_stopping": True}
        more["num_return_sequences"] = options.samples
    model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=options.new,
        min_new_tokens=options.new,
        pad_token_id=0,
        **how,
        **more,
    )


def safecoder(model: Any, _: Any, prompts: list[list[int]], options: argparse.Namespace) -> Callable[[], None]:
    """Return SafeCoder's way: a call for each prompt, which returns all its samples."""

    def run() -> None:
        for ids in prompts:
            generated(model, [ids], options, num_return_sequences=options.samples)

    return run


def batches(model: Any, _: Any, prompts: list[list[int]], options: argparse.Namespace) -> Callable[[], None]:
    """Return calls for 16 samples in random order, or for 4 prompts to search for."""

    def run() -> None:
        if options.beams > 1:
            for start in range(0, len(prompts), 4):
                generated(model, prompts[start : start + 4], options)
            return
        rows = [ids for ids in prompts for _ in range(options.samples)]
        random.Random(0).shuffle(rows)
        for start in range(0, len(rows), 16):
            generated(model, rows[start : start + 16], options)

    return run


def one_at_a_time(model: Any, _: Any, prompts: list[list[int]], options: argparse.Namespace) -> Callable[[], None]:
    """Return a call for each sample."""

    def run() -> None:
        for ids in prompts:
            for _ in range(options.samples):
                generated(model, [ids], options)

    return run


def of_checkout(options: argparse.Namespace) -> float:
    """Return the rate of another checkout's generator; it needs the same modules as this file imports."""
    values = {"prompts", "samples", "prompt_tokens", "new", "family"}
    arguments = [part for name in values for part in (f"--{name.replace('_', '-')}", str(getattr(options, name)))]
    command = [sys.executable, str(HERE), "--one", *arguments]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(options.other), "HF_HUB_OFFLINE": "1"}, capture_output=True, check=True
    )
    return float(json.loads(done.stdout))


if __name__ == "__main__":
    main()
