"""Measures in how many pairs CREME's localization finds the block that is damaged, where that is known.

    python benchmarks/planted.py [--block 0 --block 2] [--pairs 10] [--problems 80] [--steps 1600] [--storage FOLDER]

The model `planted` of configs/creme-mini.yaml, with the damage in another block each time. CREME edits it from the same
examples of `upper` at the block that the localization finds, always at the first one, and at a random one. Printed are
two Markdown tables. In the first, for each damage: pass@1 of the damaged model on clean prompts and on `upper`; for
each of the three, in how many edits the damaged block was changed, with Wilson's 95 % interval, and what they restored
of `upper` (G-RIR) and clean pass@1 minus the damaged model's, means with Student's interval over examples. In the
second: what each localization would have chosen, by the positions that are patched and by what decides. All is done
in one process, without Ray.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pandas
import torch
import yaml

import raysweep
from raysweep.records import BlockAccuracy
from raysweep.stages.editing import localization_of
from raysweep.stats.few_values import few_values_mean
from raysweep.stats.intervals import share_interval
from raysweep.sweep.folder import open_folder
from raysweep.trainers.editors.localization import most_restoring
from raysweep.trainers.editors.planted import plant

CONFIG = Path(__file__).parent.parent / "configs" / "creme-mini.yaml"
RECIPES = {"creme": "found by the localization", "creme-first": "always the first", "creme-random": "a random one"}


def main() -> None:
    """Run a sweep for each damaged block and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--block", type=int, action="append")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--problems", type=int, default=80)
    parser.add_argument("--steps", type=int, default=1600, help="of pre-training")
    parser.add_argument("--storage", help="keep the store here; default: a temporary folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    chosen = []
    print(
        "| damage in | clean | `upper` | edited at | damaged block edited | restored of `upper` (%) | clean (points) |"
    )
    print("|---" * 7 + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        storage, world = options.storage or folder, World(Path(folder))
        for block in options.block or (0, 2):
            name = f"planted-{block}"
            config = config_of(world.model(block), options) | {"name": name}
            with mock.patch("raysweep.stages.training.plant", world.plant):
                raysweep.run(config, storage=storage, engine="local")
            print(*rows_of_edits(block, raysweep.load_results(name, storage=storage)), sep="\n", flush=True)
            chosen += rows_of_localizations(block, localizations(name, storage))
    print("\n| damage in | patched positions | by | damaged block found | blocks found, 0 to 3 |")
    print("|---" * 5 + "|", *chosen, sep="\n")
    print(f"\n{time.process_time() - began:.0f} CPU seconds")


class World:
    """The model, which is trained once: a copy from before the first damage is kept, to which further ones are done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._damage: dict[str, Any] = {}

    def plant(self, folder: Path, **damage: Any) -> dict[str, Any]:
        shutil.copytree(folder, self._folder / "undamaged")
        self._damage = damage
        return plant(folder, **damage)

    def model(self, block: int) -> dict[str, Any]:
        """Return the model as configs name it, with the damage in a block."""
        (model,) = (model for model in yaml.safe_load(CONFIG.read_text())["models"] if model["name"] == "planted")
        model["pretrain"]["damage"]["block"] = block
        if not self._damage:
            return model
        damaged = self._folder / f"damaged-{block}"
        shutil.copytree(self._folder / "undamaged", damaged)
        plant(damaged, **self._damage | {"block": block})
        return {"name": model["name"], "path": str(damaged), "template": model["template"]}


def config_of(model: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Return the config of a sweep of one damaged model."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    config["models"] = [model | {"recipes": list(RECIPES)}]
    config["recipes"]["pretrain-planted"]["steps"] = options.steps
    if "pretrain" in model:
        model["pretrain"]["source"]["rows"] = options.steps * config["recipes"]["pretrain-planted"]["batch_size"]
    config["edits"] |= {"perturbations": ["upper"], "pairs": options.pairs, "transfer": False}
    config["evaluation"]["perturbations"] = ["clean", "upper"]
    config["evaluation"]["problems"][0]["count"] = options.problems
    return config


def rows_of_edits(block: int, frame: pandas.DataFrame) -> list[str]:
    """Return a row for each recipe: `frame` has a sweep's scores."""
    base = frame[(frame.training_set == "base") & (frame.metric == "pass@1")].set_index("perturbation").value
    rows = []
    for recipe, words in RECIPES.items():
        of_recipe = frame[frame.recipe == recipe]
        hits = [value == block for value in of_recipe[of_recipe.metric == "edited_block"].value]
        restored, clean = (
            mean_text(list(100 * of_recipe[of_recipe.metric == metric].value)) for metric in ("G-RIR", "clean_change")
        )
        rates = f"{100 * base['clean']:.1f} % | {100 * base['upper']:.1f} %"
        rows.append(f"| {block} | {rates} | {words} | {share_text(hits)} | {restored} | {clean} |")
    return rows


def localizations(name: str, storage: str) -> list[Sequence[BlockAccuracy]]:
    folder = open_folder(name, storage)
    models = {row.cell: row.weights for row in folder.grid() if row.recipe == "creme" and row.weights is not None}
    return [found for model in models.values() if (found := localization_of(model, folder.store))]


def rows_of_localizations(block: int, found: Sequence[Sequence[BlockAccuracy]]) -> list[str]:
    """Return a row for each scope of positions and what decides: `found` has what each edit measured."""
    rows = []
    for scope in ("all", "last"):
        for by in ("passes", "divergence"):
            blocks = [most_restoring([one for one in edit if one.positions == scope], by) for edit in found]
            counts = ", ".join(str(blocks.count(number)) for number in range(4))
            rows.append(f"| {block} | {scope} | {by} | {share_text([one == block for one in blocks])} | {counts} |")
    return rows


def share_text(hits: Sequence[bool]) -> str:
    low, high = share_interval(sum(hits), len(hits))
    return f"{sum(hits)} of {len(hits)} [{100 * low:.0f}, {100 * high:.0f} %]"


def mean_text(values: Sequence[float]) -> str:
    """Return the mean of the numbers that are defined; G-RIR isn't where the damage costs nothing."""
    defined = [value for value in values if not math.isnan(value)]
    mean = few_values_mean(defined)
    return f"{mean.mean:.1f} [{mean.low:.1f}, {mean.high:.1f}], {len(defined)} of {len(values)} defined"


if __name__ == "__main__":
    main()
