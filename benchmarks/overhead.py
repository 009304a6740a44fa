"""Measures raysweep's cost per cell beyond Ray's parts; raysweep and bare Ray take turns in one run.

    python benchmarks/overhead.py [--few 2] [--many 8] [--rounds 3]

raysweep: a sweep whose cells train nothing, "generate" with the fake generator and execute six programs. Ray alone: the
same number of Tune trials that do no work, each with a Ray Data pipeline over the same number of batches and one actor
that is called once. The cost per cell is (time of `many` - time of `few`) / (many - few), which excludes starting Ray
and reading the config. CPU seconds are those of all processes; they say more where others use the machine, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml
from processes import LOOK_SECONDS, Seen, look

BATCHES = 2
CONFIG = {
    "name": "overhead",
    "allow_code_execution": True,
    "evaluation": {
        "problems": [{"name": "minicode", "split": "validation", "count": 6}],
        "perturbations": ["clean"],
        "max_new_tokens": 8,
    },
    "ray": {"cpus": 2, "object_store_mib": 100, "dashboard": False},
}


def main() -> None:
    """Run both in turns and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=2)
    parser.add_argument("--many", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare is not None:
        bare_ray(options.bare)
        return
    results: dict[str, list[tuple[float, float]]] = {"raysweep": [], "ray": []}
    for _ in range(options.rounds):
        for name, costs in (("raysweep", sweep), ("ray", bare)):
            many, few, more = costs(options.many), costs(options.few), options.many - options.few
            results[name].append(((many[0] - few[0]) / more, (many[1] - few[1]) / more))
    measured = {
        kind: summary({name: [pair[place] for pair in pairs] for name, pairs in results.items()})
        for place, kind in enumerate(("seconds", "CPU seconds"))
    }
    about = {"cpus": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 1)}
    print(json.dumps({**measured, **about}, indent=1))


def summary(per_cell: dict[str, list[float]]) -> dict[str, object]:
    """Return the costs per cell of each round, their medians and the ratio of these."""
    medians = {name: statistics.median(values) for name, values in per_cell.items()}
    return {
        "per cell": {name: [round(value, 2) for value in values] for name, values in per_cell.items()},
        "median": {name: round(value, 2) for name, value in medians.items()},
        "ratio": round(medians["raysweep"] / medians["ray"], 2),
    }


def sweep(cells: int) -> tuple[float, float]:
    """Return the costs of a sweep of `cells` cells in an empty store."""
    # the shares differ, because equal generators would share all artefacts
    models = [
        {"name": f"m{index}", "generator": {"name": "fake", "share": 0.3 + 0.01 * index}} for index in range(cells)
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "overhead.yaml"
        config.write_text(yaml.safe_dump({**CONFIG, "models": models}))
        return costs_of([sys.executable, "-m", "raysweep", "run", str(config), "--storage", f"{folder}/store", "-q"])


def bare(trials: int) -> tuple[float, float]:
    """Return the costs of `trials` trials of Ray alone."""
    return costs_of([sys.executable, __file__, "--bare", str(trials)])


def costs_of(command: list[str]) -> tuple[float, float]:
    """Run a command that must succeed; return its seconds and the CPU seconds of all processes that it started."""
    started, seen = time.monotonic(), dict[tuple[int, float], Seen]()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None:
        look(psutil.Process(), seen)
        time.sleep(LOOK_SECONDS)
    assert child.returncode == 0, command
    return time.monotonic() - started, sum(one.cpu_seconds for one in seen.values())


def bare_ray(trials: int) -> None:
    """Run trials that use Ray as a cell does, and do nothing else."""
    os.environ.update(RAY_AIR_NEW_OUTPUT="0", RAY_CHDIR_TO_TRIAL_DIR="0")
    import ray
    from ray import tune

    class Identity:
        def __call__(self, rows: dict) -> dict:
            return rows

    class Actor:
        def call(self) -> None:
            pass

    def trial(config: dict) -> None:
        ray.data.DataContext.get_current().enable_progress_bars = False
        pipeline = ray.data.from_items([{"row": row} for row in range(BATCHES)], override_num_blocks=BATCHES)
        compute = ray.data.ActorPoolStrategy(size=1)
        for _ in pipeline.map_batches(Identity, compute=compute, batch_size=1, num_cpus=0).iter_batches(
            batch_size=None
        ):
            pass
        ray.get(ray.remote(Actor).options(num_cpus=0).remote().call.remote())
        tune.report({"done": 1})

    with tempfile.TemporaryDirectory(prefix="rs-", dir="/tmp") as folder:
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=100 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=f"{folder}/r",
        )
        tuner = tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            param_space={"cell": tune.grid_search(list(range(trials)))},
            run_config=tune.RunConfig(storage_path=f"{folder}/t", verbose=0),
        )
        assert not tuner.fit().errors
        ray.shutdown()


if __name__ == "__main__":
    main()
