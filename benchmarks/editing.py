"""Measures the editing of models: here the localization of a block, in one call of the generator and in others.

    python benchmarks/editing.py localization [--family llama] [--blocks 4 16] [--samples 5] [--prompt-tokens 300]
                                              [--new 64] [--rounds 5] [--size NAME=N ...]

The model is a family's tiny one with random weights, with as many blocks as asked for, in float32 on one thread; on a
GPU in bf16. `--size hidden_size=4096 intermediate_size=11008 ...` makes it larger. The perturbed prompt has as many
tokens as the original one. All arms patch every block once, at all positions while the prompt is read, and write the
same number of samples of each, at temperature .2:

    one call        all blocks in one call of the generator, as localization does
    call a block    one call of the generator for each block
    paper           `model.generate` for each block, of the original and B copies of the perturbed prompt, with a hook

Printed: CPU seconds of each arm, the median of the rounds in turns (seconds on a GPU), their ratios to `one call`, and
the whole localization: own samples, states, both scopes that are reported, and the bookkeeping.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from raysweep.generators.base import LiveModel
from raysweep.generators.caches.base import left_pad
from raysweep.generators.patches import RowVariant
from raysweep.generators.transformers import Transformers
from raysweep.models.families.base import FAMILIES
from raysweep.models.families.blocks import blocks_of, states_of, with_states
from raysweep.records import Decoding, GenerationRequest, PromptPair
from raysweep.testing.tiny import tiny_tokenizer
from raysweep.trainers.editors.base import EditJob
from raysweep.trainers.editors.localization import Localization, localize
from raysweep.trainers.editors.patched_states import PatchedStates, states_at

GPU = torch.cuda.is_available()
TEMPERATURE, TOP_P = 0.2, 0.95
LINE = '    """Return the numbers of the list that are above `{}`, and the last ones too.\n'


def main() -> None:
    """Run what was asked for, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("localization")
    command.set_defaults(run=localization)
    command.add_argument("--family", default="llama")
    command.add_argument("--blocks", type=int, nargs="+", default=[4, 16])
    command.add_argument("--samples", type=int, default=5)
    command.add_argument("--prompt-tokens", type=int, default=300)
    command.add_argument("--new", type=int, default=64)
    command.add_argument("--rounds", type=int, default=5)
    command.add_argument("--size", nargs="*", default=[], metavar="NAME=N", help="fields of the family's config")
    command.add_argument("--arms", nargs="+", default=["one call", "call a block", "paper", "localization"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.run(options)


def localization(options: argparse.Namespace) -> None:
    """Measure the arms for each number of blocks."""
    print(json.dumps({f"{blocks} blocks": of_blocks(blocks, options) for blocks in options.blocks}, indent=2))


def of_blocks(blocks: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the medians of the arms, in seconds, and their ratios to one call."""
    live, original, perturbed = model_of(blocks, options), *prompts_of(options)
    seconds: dict[str, list[float]] = {name: [] for name in options.arms}
    every = arms(live, original, perturbed, options)
    for _ in range(options.rounds + 1):
        for name in options.arms:
            seconds[name].append(timed(every[name]))
    medians = {name: statistics.median(found[1:]) for name, found in seconds.items()}  # the first round warms up
    ratios = {name: round(found / medians["one call"], 2) for name, found in medians.items() if "one call" in medians}
    memory = {"peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2)} if GPU else {}
    return {"seconds": {name: round(found, 3) for name, found in medians.items()}, "times one call": ratios, **memory}


def model_of(blocks: int, options: argparse.Namespace) -> LiveModel:
    """Return a random model with so many blocks."""
    tokenizer = tiny_tokenizer()
    family = FAMILIES.get(options.family)()
    layers = "n_layer" if "n_layer" in family.tiny else "num_hidden_layers"
    positions = "n_positions" if "n_layer" in family.tiny else "max_position_embeddings"
    size = {name: int(value) for name, _, value in (field.partition("=") for field in options.size)}
    longest = 2 * (options.prompt_tokens + options.new)
    config = family.tiny_config(
        len(tokenizer), tokenizer.eos_token_id, **{layers: blocks, positions: longest, "initializer_range": 0.1, **size}
    )
    torch.manual_seed(0)
    with torch.device("cuda" if GPU else "cpu"):
        network = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16 if GPU else torch.float32)
    return LiveModel(network.eval(), tokenizer)


def prompts_of(options: argparse.Namespace) -> tuple[str, str]:
    """Return two prompts of about as many tokens as asked for, which differ in one of them."""
    tokenizer = tiny_tokenizer()
    each = len(tokenizer(LINE.format(3))["input_ids"])
    lines = [LINE.format(number % 8) for number in range(max(2, round(options.prompt_tokens / each)))]
    changed = [*lines[:1], lines[1].replace("`1`", "`9`"), *lines[2:]]
    return "def f(xs):\n" + "".join(lines), "def f(xs):\n" + "".join(changed)


def arms(live: LiveModel, original: str, perturbed: str, options: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Return what is measured, by its name."""
    samples, network = options.samples, live.network
    generator = Transformers(live, Decoding(options.new, TEMPERATURE, TOP_P, samples))
    modules = dict(enumerate(blocks_of(network, options.family)))
    ids, other = (live.tokenizer(text)["input_ids"] for text in (original, perturbed))
    assert len(ids) == len(other) and ids != other
    patcher = PatchedStates(modules, states_at(generator, modules, ids), {"all": range(len(ids))}, len(ids))
    requests = [GenerationRequest("", "t", perturbed, sample) for sample in range(samples)]

    def write(blocks: Sequence[int]) -> None:
        of_each = [RowVariant(patcher, ("all", block)) for block in blocks for _ in range(samples)]
        generator.write([*requests] * len(blocks), of_each)

    pair = PromptPair("p", "C1", "t", original, perturbed, "", "", (), True, 1.0, 0.0, 1)
    settings = Localization(samples=samples, max_new_tokens=options.new)
    return {
        "one call": lambda: write(list(modules)),
        "call a block": lambda: [write([block]) for block in modules],
        "paper": lambda: [
            as_in_the_paper(network, modules[block], [ids, *[other] * samples], options) for block in modules
        ],
        "localization": lambda: localize(EditJob(live, options.family, pair, 0), Judge(), settings),
    }


def as_in_the_paper(network: Any, block: Any, rows: list[list[int]], options: argparse.Namespace) -> None:
    """Write all rows in a batch, in whose prefill the first one lends the others a block's states."""
    ids, mask = (part.to(network.device) for part in left_pad(rows))

    def lend(_: Any, __: Any, output: Any) -> Any:
        states = states_of(output)
        if states.shape[1] == 1:
            return output
        states = states.clone()
        states[1:] = states[0]
        return with_states(output, states)

    hook = block.register_forward_hook(lend)
    try:
        network.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=True,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            max_new_tokens=options.new,
            pad_token_id=0,
        )
    finally:
        hook.remove()


class Judge:
    """Takes the first half of the first completions for right, and half of all others."""

    def __init__(self) -> None:
        self._calls = 0

    def passes(self, completions: Sequence[str]) -> list[bool]:
        """See `EditServices.passes`."""
        self._calls += 1
        half = len(completions) // 2
        return [place < half if self._calls == 1 else place % 2 == 0 for place in range(len(completions))]

    def alive(self) -> None:
        """See `EditServices.alive`."""


def timed(arm: Callable[[], Any]) -> float:
    """Return the CPU seconds that an arm takes; on a GPU the seconds."""
    clock = time.perf_counter if GPU else time.process_time
    began = clock()
    arm()
    if GPU:
        torch.cuda.synchronize()
    return clock() - began


if __name__ == "__main__":
    main()
