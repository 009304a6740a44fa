"""Measures one column of a small sweep, has `plan` predict the CPU seconds of the others, trains them and compares.

The sweep has two tiny models (llama tuned fully, gpt_bigcode with LoRA) and four training sets; the column is the set
`clean`. It runs on the local engine, one training after the other, in one thread: several threads wait for each other
busily, so that their CPU seconds depend on what else the machine does.
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import torch

from raysweep.config.loading import config_from
from raysweep.planning.planner import build_plan
from raysweep.planning.predictions.costs import MEASURED, plan_costs
from raysweep.storage.store import Store
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions

ROWS = 960
PRETRAIN = {"source": {"name": "minicode", "part": "pretraining", "rows": 400}, "recipe": "pretrain"}
MODELS = [("llama", "llama", "full"), ("bigcode", "gpt_bigcode", "lora")]  # name, family, recipe
SETS = ["clean", "C1", "C", {"name": "half", "perturbation": "C1", "size": 0.5}]


def config(sets: list[Any]) -> Any:
    """Return the sweep's config with some of its training sets."""
    common = {"batch_size": 16, "epochs": 1, "max_tokens": 192, "micro_batch_size": 16}
    value = {
        "name": "hours",
        "allow_code_execution": True,
        "models": [
            {"name": name, "template": "raw", "pretrain": {"family": family, **PRETRAIN}, "recipes": [recipe]}
            for name, family, recipe in MODELS
        ],
        "recipes": {"pretrain": {**common, "steps": 5}, "full": common, "lora": {**common, "trainer": "lora"}},
        "training": {"source": {"name": "minicode", "rows": ROWS}, "sets": sets},
        "evaluation": {"problems": [{"name": "minicode", "count": 2}], "max_new_tokens": 2},
    }
    return config_from(value, "hours")


def main() -> None:
    """Print the predicted and the measured CPU seconds of each cell as JSON, and their ratio."""
    logging.getLogger("raysweep").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="raysweep-") as folder:
        store, options = Store(str(Path(folder) / "store")), RunOptions(str(Path(folder) / "store"), "local")
        run_sweep(config(SETS[:1]), options)
        plan = build_plan(config(SETS))
        predicted = plan_costs(plan, store).cells
        run_sweep(config(SETS), options)
        found = []
        for cell in plan.cells:
            if cell.model is None or cell.cell.training_set == "clean":
                continue
            cost, counts = predicted[cell.cell.id], store.counts(cell.model)
            assert cost.basis == MEASURED and cost.cpu_seconds is not None
            row = {"cell": cell.cell.id, "predicted": round(cost.cpu_seconds, 2), "measured": counts["cpu_seconds"]}
            found.append({**row, "ratio": round(cost.cpu_seconds / counts["cpu_seconds"], 3)})
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
