"""Measures `raysweep plan` and `raysweep status` on a large sweep: the study with many seeds, 10,104 cells by default.

    python benchmarks/large_sweeps.py [--seeds 51] [--full]

With `--full`, all that the sweep would make lies in the store already. To write that takes some minutes: each artefact
is a manifest and one small file that it names. The first status of a full sweep keeps a summary, which the second one
reads. Each command runs in a process of its own. One JSON object comes out,
with the CPU seconds and the most memory of each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from raysweep.config.loading import load_config
from raysweep.hashing import text_sha
from raysweep.planning.missing import walk
from raysweep.planning.plan import SweepPlan
from raysweep.planning.planner import build_plan
from raysweep.records import SCHEMA_VERSION
from raysweep.storage.artefacts import MANIFEST, folder_of
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.summary import SETTLED_NS

STUDY = Path(__file__).parent.parent / "configs" / "study.yaml"
ROWS = "rows.parquet"


def main() -> None:
    """Measure both commands and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=51)
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    document = {**yaml.safe_load(STUDY.read_text()), "seeds": list(range(options.seeds))}
    with tempfile.TemporaryDirectory() as folder:
        config, storage = Path(folder, "config.yaml"), Path(folder, "store")
        config.write_text(yaml.safe_dump(document))
        plan = build_plan(load_config(config, missing=[]), tolerant=True)
        store = Store(storage)
        SweepFolder(store, plan.config.name).claim(plan, config.read_text())
        made = fill(store, plan) if options.full else 0
        time.sleep(SETTLED_NS / 1e9 + 1)  # what was changed later than that before a summary isn't trusted
        found = {
            "cells": len(plan.cells),
            "pairs": sum(len(cell.pairs) for cell in plan.cells),
            "artefacts in the store": made,
            "plan": measured("plan", str(config), "--storage", str(storage)),
            "status": measured("status", plan.config.name, "--storage", str(storage)),
            "status again": measured("status", plan.config.name, "--storage", str(storage)),
        }
    print(json.dumps(found, indent=2))


def fill(store: Store, plan: SweepPlan) -> int:
    """Write an artefact with one small file for all that a plan names; return how many."""
    assert store.files.local is not None
    content = "rows"
    files = {ROWS: {"bytes": len(content), "sha256": text_sha(content)}}
    text = json.dumps({"schema_version": SCHEMA_VERSION, "files": files, "counts": {"rows": 1}})
    seen = set()
    for one in walk(plan.targets):
        assert one.node is not None
        folder = store.files.local / folder_of(one.node)
        if folder not in seen:
            seen.add(folder)
            folder.mkdir(parents=True)
            (folder / ROWS).write_text(content)
            (folder / MANIFEST).write_text(text)
    return len(seen)


def measured(*command: str) -> dict[str, float]:
    """Run a command of raysweep and return what it took."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "raysweep", *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return {
        "exit code": os.waitstatus_to_exitcode(status),
        "CPU seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "seconds": round(time.monotonic() - started, 1),
        "MiB": round(usage.ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
