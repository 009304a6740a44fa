"""Measures the editing of models: the localization of a block, and edits of a base that stays or is loaded each time.

    python benchmarks/editing.py localization [--family llama] [--blocks 4 16] [--samples 5] [--prompt-tokens 300]
                                              [--new 64] [--rounds 5] [--size NAME=N ...]
    python benchmarks/editing.py edits [--family llama] [--editors creme rome dinm lora_edit] [--pairs 5] [--new 48]

Localization. The model is a family's tiny one with random weights, with as many blocks as asked for, in float32 on
one thread; on a GPU in bf16. `--size hidden_size=4096 intermediate_size=11008 ...` makes it larger. The perturbed
prompt has as many tokens as the original one. All arms patch every block once, at all positions while the prompt is
read, and write the same number of samples of each, at temperature .2:

    one call        all blocks in one call of the generator, as localization does
    call a block    one call of the generator for each block
    paper           `model.generate` for each block, of the original and B copies of the perturbed prompt, with a hook

Printed: CPU seconds of each arm, the median of the rounds in turns (seconds on a GPU), their ratios to `one call`, and
the whole localization: own samples, states, both scopes that are reported, and the bookkeeping.

Edits. The base is MiniCode's model of a family with random weights, in a folder, in float32 on one thread; each editor
edits it from each pair, and what it makes is put on and checked. CREME localizes (B = 5). Arms:

    one base        the base is loaded once, and stays
    load an edit    the base is loaded for each edit, in the same process
    process an edit a process of its own for each edit, which imports torch and loads the base

Printed: CPU seconds an edit by editor and part in the first arm, loading's share of them, CPU seconds an edit of each
arm (of the third, the mean over the editors' first pairs), and their ratios to the first.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from raysweep.generators.base import LiveModel
from raysweep.generators.caches.base import left_pad
from raysweep.generators.patches import RowVariant
from raysweep.generators.transformers import Transformers
from raysweep.models.families.base import FAMILIES
from raysweep.models.families.blocks import blocks_of, states_of, with_states
from raysweep.models.loading import load_model
from raysweep.records import Decoding, GenerationRequest, ModelRef, PromptPair, Spec
from raysweep.testing.tiny import make_tiny, prompt_pair, tiny_tokenizer
from raysweep.trainers.editors.base import EDITORS, EditJob
from raysweep.trainers.editors.localization import Localization, localize
from raysweep.trainers.editors.patched_states import PatchedStates, states_at
from raysweep.trainers.editors.running import run_edit

PARTS = ("localization", "edit", "checks")
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
    command = commands.add_parser("edits")
    command.set_defaults(run=edits)
    command.add_argument("--family", default="llama")
    command.add_argument("--editors", nargs="+", default=["creme", "rome", "dinm", "lora_edit"])
    command.add_argument("--pairs", type=int, default=5)
    command.add_argument("--new", type=int, default=48)
    command.add_argument("--one", type=Path, help="a folder with a base, for one edit in this process")
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


def edits(options: argparse.Namespace) -> None:
    """Measure the arms and print them."""
    if options.one:
        edit_once(*load_model(ModelRef(str(options.one))), options.editors[0], 1, options)
        return
    with tempfile.TemporaryDirectory() as folder:
        size = FAMILIES.get(options.family).tiny
        base = make_tiny(options.family, Path(folder), **size, initializer_range=0.1)
        live = load_model(base)
        jobs = [(editor, number) for editor in options.editors for number in range(1, options.pairs + 1)]
        for editor in options.editors:
            edit_once(*live, editor, 0, options)  # warms up
        found: dict[str, list[dict[str, float]]] = {editor: [] for editor in options.editors}
        loading = timed(lambda: load_model(base))
        staying = timed(lambda: [found[name].append(edit_once(*live, name, number, options)) for name, number in jobs])
        again = timed(lambda: [edit_once(*load_model(base), name, number, options) for name, number in jobs])
        apart = [process_seconds(folder, editor, options) for editor in options.editors]
    each = {
        "one base": staying / len(jobs),
        "load an edit": again / len(jobs),
        "process an edit": statistics.mean(apart),
    }
    parts = {
        editor: {part: round(statistics.median(one.get(part, 0.0) for one in of_editor), 4) for part in PARTS}
        for editor, of_editor in found.items()
    }
    shown = {
        "CPU seconds an edit, by part": parts,
        "CPU seconds a load": round(loading, 4),
        "loading's share of one base": round(loading / (loading + staying), 4),
        "CPU seconds an edit": {arm: round(seconds, 3) for arm, seconds in each.items()},
        "times one base": {arm: round(seconds / each["one base"], 2) for arm, seconds in each.items()},
    }
    print(json.dumps(shown, indent=2))


def edit_once(network: Any, tokenizer: Any, name: str, number: int, options: argparse.Namespace) -> dict[str, float]:
    """Make an edit of one pair; return the CPU seconds of its parts."""
    arguments = {"creme": {"max_new_tokens": options.new}, "rome": {"edit_at": "middle"}}.get(name, {})
    job = EditJob(LiveModel(network.eval(), tokenizer), options.family, prompt_pair(number), 7)
    return dict(run_edit(EDITORS.create(Spec(name, arguments)), job, Judge()).counts["cpu_seconds"])


def process_seconds(folder: str, editor: str, options: argparse.Namespace) -> float:
    """Return the CPU seconds of a process that loads a base and edits it once."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, __file__, "edits", "--one", folder, "--editors", editor, "--family", options.family]
    subprocess.run([*command, "--new", str(options.new)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
