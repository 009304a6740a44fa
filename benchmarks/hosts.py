"""Measures what it costs to generate with many adapters of one base: on hosts, and with a process for each model.

    python benchmarks/hosts.py [--adapters 10] [--prompts 100] [--samples 10] [--new 64]
    python benchmarks/hosts.py --sweep configs/paper-mini.yaml --storage DIR --model codellama-7b-hf

The base is the quickstart's llama with random weights, each adapter a LoRA of rank 16 with random weights, and each of
them completes prompts of its own. Ray has two CPUs, and one model generates at a time, in float32. Arms:

- `one model`: the base completes the prompts of all adapters.
- `hosts`: the adapters follow one another on a host that stays.
- `processes`: the host ends after each adapter, so that the base is loaded each time.

Printed: seconds of each arm, models loaded, the host's memory after the first and after the last adapter, the ratio of
hosts to one model (which has one pipeline of Ray Data) by token, since adapters write texts of other lengths, and of
processes to hosts, and whether the completions of both are equal.

With `--sweep` the models are those of one base model in a sweep that has run, its fine-tuned ones and itself, and they
complete the sweep's prompts. There is no arm of one model then.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from raysweep.config.loading import load_config
from raysweep.config.schema import RayConfig
from raysweep.engine.base import GenerateJob
from raysweep.engine.completing import batches_of, request_key
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster.cluster import Cluster, Placement
from raysweep.engine.ray.hosts.generation import generate_with_ray
from raysweep.engine.ray.hosts.keeper import start_keeper
from raysweep.models.families.base import FAMILIES
from raysweep.models.scratch import train_tokenizer
from raysweep.planning.planner import build_plan
from raysweep.records import Decoding, GenerationRequest, ModelKind, ModelRef, Spec
from raysweep.stages.inputs import base_ref, model_ref, requests_of
from raysweep.storage.files import Files
from raysweep.storage.store import open_store

CELL = "all"
IN_TRIAL = Placement(cpus=1, gpus=0, memory_bytes=0, in_trial=True)
TEXT = 'def f{0}(xs):\n    """Return the numbers of the list that are above {0}, each of them once."""\n'


def main() -> None:
    """Run the arms and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=10)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--sweep", metavar="CONFIG", help="take models and prompts of this sweep")
    parser.add_argument("--storage", metavar="DIR", help="the sweep's store")
    parser.add_argument("--model", help="the sweep's base model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.sweep:
            jobs, all_prompts = jobs_of_sweep(options), None
        else:
            base, adapters = models(Path(folder), options.adapters)
            jobs = [job(adapter, base, options, number) for number, adapter in enumerate(adapters)]
            all_prompts = job(base, base, options, *range(len(adapters)))
        cluster = Cluster(RayConfig(cpus=2, object_store_mib=100, dashboard=False), "local")
        cluster.start()
        try:
            print(json.dumps(measured(jobs, all_prompts, Path(folder)), indent=2))
        finally:
            cluster.stop()


def measured(jobs: Sequence[GenerateJob], all_prompts: GenerateJob | None, folder: Path) -> dict[str, Any]:
    """Return the numbers of all arms. The first host and its base are started before a clock runs.

    Args:
        jobs: the completions of each model.
        all_prompts: those of the base model, on the prompts of all of them; None: there is no such arm.
        folder: for files of progress.
    """
    import ray

    keeper = start_keeper({CELL: "base"})
    run(keeper, replace(jobs[0], batches=jobs[0].batches[:1]), folder)
    one, _, _, tokens_of_one = (0.0, {}, 0, 0) if all_prompts is None else run(keeper, all_prompts, folder)
    seconds, loads, tokens, texts, memory = 0.0, 0, 0, [], []
    for of_model in jobs:
        took, rows, loaded, written = run(keeper, of_model, folder)
        seconds, loads, tokens = seconds + took, loads + loaded, tokens + written
        texts.append(rows)
        memory.append(round(host_memory() / 2**20))
    ray.kill(keeper)
    alone, loads_alone, texts_alone = 0.0, 0, []
    for of_model in jobs:
        keeper = start_keeper({CELL: "base"})
        took, rows, loaded, _ = run(keeper, of_model, folder)
        ray.kill(keeper)
        alone, loads_alone = alone + took, loads_alone + loaded
        texts_alone.append(rows)
    numbers = {
        "models": len(jobs),
        "seconds": {"hosts": round(seconds, 1), "processes": round(alone, 1)},
        "models loaded": {"hosts": 1 + loads, "processes": loads_alone},
        "host's memory, MiB": {"first": memory[0], "last": memory[-1], "largest": max(memory)},
        "tokens": {"hosts": tokens},
        "processes / hosts": round(alone / seconds, 2),
        "equal": texts == texts_alone,
    }
    if all_prompts is not None:
        numbers["one model"] = {"seconds": round(one, 1), "tokens": tokens_of_one}
        numbers["hosts / one model, by token"] = round(seconds / tokens / (one / tokens_of_one), 2)
    return numbers


def run(keeper: Any, job: GenerateJob, folder: Path) -> tuple[float, dict[int, list[str]], int, int]:
    """Generate as a cell does; return the seconds, the texts of each batch, the models loaded, the tokens written."""
    progress, began = ProgressFile(Files(str(folder / "progress")), "all"), time.perf_counter()
    outputs = list(generate_with_ray(job, IN_TRIAL, 1, progress, keeper))
    seconds = time.perf_counter() - began
    texts = {output.index: [row.text for row in output.rows] for output in outputs}
    tokens = sum(row.tokens for output in outputs for row in output.rows)
    return seconds, texts, sum(output.loads for output in outputs), tokens


def jobs_of_sweep(options: argparse.Namespace) -> list[GenerateJob]:
    """Return the completions that each model of one base has in a sweep whose models are in the store."""
    store, jobs = open_store(options.storage), []
    for cell in build_plan(load_config(Path(options.sweep))).cells:
        if cell.cell.model == options.model:
            requests = [request for pair in cell.pairs for request in requests_of(cell, pair, store)]
            distinct = {request_key(request, cell.decoding, cell.generator): request for request in requests}
            batches = [[distinct[key] for key in keys] for keys in batches_of(distinct)]
            jobs.append(
                GenerateJob(
                    store.root,
                    model_ref(cell),
                    cell.generator,
                    cell.decoding,
                    batches,
                    None,
                    CELL,
                    base=base_ref(cell.base),
                )
            )
    return jobs


def job(model: ModelRef, base: ModelRef, options: argparse.Namespace, *draws: int) -> GenerateJob:
    """Return the completions of other prompts for each draw."""
    requests = {
        f"{n}/{sample}": GenerationRequest(f"{n}/{sample}", f"t{n}", TEXT.format(n), sample)
        for draw in draws
        for n in range(draw * options.prompts, (draw + 1) * options.prompts)
        for sample in range(options.samples)
    }
    batches = [[requests[key] for key in keys] for keys in batches_of(requests)]
    decoding = Decoding(options.new, 0.2, samples=options.samples)
    return GenerateJob("", model, Spec("transformers"), decoding, batches, None, CELL, base=base)


def models(folder: Path, number: int) -> tuple[ModelRef, list[ModelRef]]:
    """Write a base and adapters with random weights."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    tokenizer = train_tokenizer([TEXT.format(n) for n in range(400)], 320)
    torch.manual_seed(0)
    family = FAMILIES.get("llama")()
    network = AutoModelForCausalLM.from_config(family.tiny_config(len(tokenizer), tokenizer.eos_token_id))
    base = ModelRef(str(folder / "base"))
    network.save_pretrained(base.location)
    tokenizer.save_pretrained(base.location)
    adapters = []
    for n in range(number):
        network = AutoModelForCausalLM.from_pretrained(base.location)
        config = LoraConfig(r=16, target_modules=list(family.lora_targets), init_lora_weights=False)
        adapters.append(ModelRef(str(folder / f"adapter-{n}"), ModelKind.ADAPTER, base))
        get_peft_model(network, config).save_pretrained(adapters[-1].location)
    return base, adapters


def host_memory() -> int:
    """Return the resident bytes of the one host of this process's Ray."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            title = " ".join(process.cmdline())
            if title.startswith("ray::Host") and "Keeper" not in title:
                return int(process.memory_info().rss)
    return 0


if __name__ == "__main__":
    main()
