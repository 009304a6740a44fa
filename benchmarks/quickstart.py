"""Measures the quickstart: wall and CPU time, peak memory, the second run, and the effect that it must show.

    python benchmarks/quickstart.py [--seed 42] [--set A.B=C ...]

Memory is the proportional set size (PSS) of the command and all its descendants, Ray's object store included, sampled
every 4 seconds from /proc/PID/smaps_rollup, since a sample takes 80 ms of a core; shared pages count once. CPU time is
theirs too, sampled each second, without processes that are there for less than a second, as those of most programs.
The effect is left out where the training sets don't have clean and C.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection
from pathlib import Path

import psutil

QUICKSTART = Path(__file__).resolve().parents[1] / "configs" / "quickstart.yaml"


def main() -> None:
    """Run the quickstart twice and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--storage", default=None, help="keep the store here; default: a temporary folder")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storage = options.storage or folder
        overrides = [f"seed={options.seed}", f"name=quickstart-{options.seed}", *options.sets]
        command = [sys.executable, "-m", "raysweep", "run", str(QUICKSTART), "--storage", storage, "--json"]
        command += [part for override in overrides for part in ("--set", override)]
        first = measure(command)
        second = measure(command)
    printed = json.loads(first["stdout"])
    print(
        json.dumps(
            {
                "seed": options.seed,
                "first_run_seconds": first["seconds"],
                "first_run_cpu_seconds": first["cpu_seconds"],
                "peak_pss_gib": first["peak_pss_gib"],
                "second_run_seconds": second["seconds"],
                "cpus": len(os.sched_getaffinity(0)),
                "load_before": first["load_before"],
                "errors": printed["errors"],
                "effect": effect(printed["scores"]),
            },
            indent=1,
        )
    )


def measure(command: list[str], codes: Collection[int] = (0,)) -> dict[str, object]:
    """Run a command that ends with one of these codes; return its seconds, CPU seconds, peak PSS in GiB and output."""
    load = os.getloadavg()[0]
    started = time.monotonic()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = [0.0]
    cpu: dict[tuple[int, float], float] = {}  # by process
    stop = threading.Event()

    def watch() -> None:
        for second in itertools.count():
            if stop.wait(1.0):
                return
            tree = tree_of(running.pid)
            cpu.update(cpu_seconds(tree))
            if second % 4 == 0:
                peak[0] = max(peak[0], pss(tree))

    thread = threading.Thread(target=watch)
    thread.start()
    stdout, _ = running.communicate()
    stop.set()
    thread.join()
    if running.returncode not in codes:
        sys.exit(f"the command ended with {running.returncode}")
    return {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(sum(cpu.values()), 1),
        "peak_pss_gib": round(peak[0], 2),
        "stdout": stdout,
        "load_before": round(load, 2),
    }


def tree_of(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(tree: list[psutil.Process]) -> dict[tuple[int, float], float]:
    """Return the CPU seconds of processes by pid and start."""
    found = {}
    for process in tree:
        with contextlib.suppress(psutil.Error):
            found[process.pid, process.create_time()] = sum(process.cpu_times()[:2])
    return found


def pss(tree: list[psutil.Process]) -> float:
    """Return the PSS of processes, in GiB."""
    total = 0
    for process in tree:
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total / 2**20


def effect(scores: list[dict[str, object]]) -> dict[str, dict[str, object]]:
    """Return the effect of fine-tuning for each model."""
    values = {(s["model"], s["training_set"], s["perturbation"], s["metric"]): s["value"] for s in scores}
    by_model = {}
    for model in dict.fromkeys(str(s["model"]) for s in scores):
        if any((model, t, "C", "RD") not in values for t in ("base", "clean", "C")):
            continue
        clean = {t: values[model, t, "clean", "pass@1"] for t in ("base", "clean", "C")}
        rd = {t: values[model, t, "C", "RD"] for t in ("base", "clean", "C")}
        by_model[model] = {
            "base_clean_pass": clean["base"],
            "base_rd": rd["base"],
            "tuned_rd": rd["C"],
            "tuned_over_base_rd": rd["C"] / rd["base"] if rd["base"] else None,
            "clean_tuned_over_base_rd": rd["clean"] / rd["base"] if rd["base"] else None,
            "clean_pass_lost_against_clean_tuned": clean["clean"] - clean["C"],
        }
    return by_model


if __name__ == "__main__":
    main()
