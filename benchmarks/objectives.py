"""Measures what a step costs by each objective, in one run, and what marking the tokens of pairs costs.

    python benchmarks/objectives.py --data DATA [--steps 16] [--rounds 3]

The model is the quickstart's small llama with random weights, in float32, on one thread of a CPU. Rows are MiniCode's,
with a mutant of each response as its rejected one. Arms take turns: `sft`, `sft-per-token`, `fixed`, `fait`, `dpo` (its
reference is computed before the clock starts). Printed: CPU seconds of a step from the fifth on, and their ratio to
`sft-per-token`, on the same rows in the same order. Then, on responses of the published instructions (`DATA`/evol_code)
of about 400 tokens, of which one line is changed: CPU milliseconds of encoding and marking a pair, as the artefact of
encoded pairs does, and of reading one back; and the memory by which a worker grows that reads 110,000 of them
(`--rows`), which repeat the same pairs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from training import WARM_UP, _Clock, _model, _published, _spec, checked, options_of, row_of
from transformers import AutoConfig

from raysweep.models.loading import load_tokenizer
from raysweep.models.scratch import prepare_scratch
from raysweep.prompts.templates import PromptTemplate
from raysweep.records import EncodedPair, ModelRef, SourceRow, Spec, TrainingRow
from raysweep.rows.parquet import RowWriter, write_rows
from raysweep.testing.services import FolderServices
from raysweep.trainers.base import OBJECTIVES, Recipe, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.loop import TrainingLoop
from raysweep.trainers.objectives.rejected import stored_pair, token_pairs
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.rejecting import variants

ARMS: dict[str, dict[str, Any]] = {
    "sft": {"objective": "sft"},
    "sft-per-token": {"objective": "sft", "objective_args": {"reduction": "per_token"}},
    "fixed": {"objective": "fixed"},
    "fait": {"objective": "fait"},
    "dpo": {"objective": "dpo"},
}
PAIRS, PAIR_TOKENS = 300, (300, 500)
BLOCK = 512


def main() -> None:
    """Run both measurements and print one JSON object."""
    options = _options()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the clock is the CPU's
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        result: dict[str, Any] = {"steps": options.steps, "seconds_a_step": _steps(options, Path(folder) / "short")}
        means = result["seconds_a_step"]
        result["ratio_to_sft_per_token"] = {arm: round(s / means["sft-per-token"], 2) for arm, s in means.items()}
        if options.data:
            result["pairs"] = _pairs(options.data, options.rows, Path(folder) / "long")
    print(json.dumps(result, indent=1))


def _steps(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    rows = _with_mutants(SOURCES.create(_spec()).rows())
    job = _job(folder, rows, options.steps)
    seconds: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for _ in range(options.rounds):
        for arm, fields in ARMS.items():
            model = _model(job)
            recipe = dataclasses.replace(job.recipe, **fields)
            arm_job = dataclasses.replace(job, recipe=recipe)
            data = encode_set(arm_job, load_tokenizer(job.base), model.config)
            loop = TrainingLoop(model, data, arm_job, FolderServices())
            clock = _Clock(model)
            with clock:
                loop.run()
            seconds[arm].append(clock.seconds / (options.steps - WARM_UP))
    return {arm: round(statistics.median(values), 4) for arm, values in seconds.items()}


def _with_mutants(rows: Iterable[SourceRow]) -> list[TrainingRow]:
    """Return training rows whose rejected responses are changes of their responses; others are left out."""
    changed = ((row, next(variants(row, 1), None)) for row in rows)
    return [dataclasses.replace(row_of(row), rejected=variant.text) for row, variant in changed if variant]


def _pairs(data: Path, rows_read: int, folder: Path) -> dict[str, Any]:
    rows = _published(data)
    job = _job(folder, rows, 1, vocabulary=8192)
    tokenizer, recipe = load_tokenizer(job.base), Recipe(template="instruct")
    chosen = []
    for row in rows:
        length = len(tokenizer(row.output)["input_ids"])
        if PAIR_TOKENS[0] <= length <= PAIR_TOKENS[1] and len(chosen) < PAIRS:
            lines = row.output.splitlines(keepends=True)
            at = random.Random(row.row_id).randrange(len(lines))
            lines[at] = lines[at].replace("e", "a").replace("1", "2") + "x"
            chosen.append((dataclasses.replace(row, rejected="".join(lines)), length))
    result: dict[str, Any] = {"pairs": len(chosen), "tokens": round(statistics.mean(n for _, n in chosen))}
    pairs = [row for row, _ in chosen]
    template = PromptTemplate(recipe.template, recipe.system, tokenizer)
    stored: list[EncodedPair] = []
    times = []
    for _ in range(5):
        began = time.process_time()
        stored = [stored_pair(row.row_id, pair) for row, pair in zip(pairs, token_pairs(pairs, template), strict=True)]
        times.append((time.process_time() - began) * 1000 / len(pairs))
    result["encoded_and_marked_ms_a_pair"] = round(statistics.median(times), 2)
    for name in ("sft", "dpo", "fait"):
        objective = OBJECTIVES.create(Spec(name))
        began = time.process_time()
        for row in pairs:
            objective.encode(row, tokenizer, recipe)
        result[f"{name}_alone_ms_a_row"] = round((time.process_time() - began) * 1000 / len(pairs), 2)
    return result | _memory(stored, rows_read, dataclasses.replace(job, recipe=recipe), tokenizer, folder)


def _memory(stored: list[EncodedPair], rows: int, job: TrainJob, tokenizer: Any, folder: Path) -> dict[str, Any]:
    """Return by how much this process grows while it reads so many pairs for FAIT, and CPU milliseconds a pair."""
    path = folder / "pairs.parquet"
    with RowWriter(path, EncodedPair) as writer:
        for start in range(0, rows, BLOCK):
            numbers = range(start, min(start + BLOCK, rows))
            writer.add([dataclasses.replace(stored[n % len(stored)], row_id=f"row {n}") for n in numbers])
    fait = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, objective="fait"), pairs=path)
    before, began = _resident(), time.process_time()
    data = encode_set(fait, tokenizer, AutoConfig.from_pretrained(job.base.location))
    return {
        "rows_read": len(data.rows),
        "read_ms_a_pair": round((time.process_time() - began) * 1000 / rows, 2),
        "read_mib": round((_resident() - before) / 2**20),
        "file_mib": round(path.stat().st_size / 2**20),
    }


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _job(folder: Path, rows: list[TrainingRow], steps: int, vocabulary: int = 512) -> TrainJob:
    texts = [row.instruction + row.output for row in rows]
    prepare_scratch("llama", texts, vocabulary, {"max_position_embeddings": 1024}, folder)
    write_rows(folder / "rows.parquet", TrainingRow, rows, ["row_id"])
    recipe = Recipe(steps=steps, template="raw")
    return TrainJob(ModelRef(str(folder)), "llama", recipe, folder / "rows.parquet", folder, 7, "rows")


def _options() -> argparse.Namespace:
    parser = options_of(__doc__, steps=16)
    parser.add_argument("--rows", type=int, default=110_000, help="pairs to read, for the memory of a worker")
    return checked(parser)


if __name__ == "__main__":
    main()
