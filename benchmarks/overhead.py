"""What raysweep costs per cell beyond Ray's own parts, in one run, the two taking turns.

    python benchmarks/overhead.py [--few 2] [--many 8] [--rounds 3]

raysweep: a sweep whose cells train nothing, "generate" with the fake generator and execute six programs. Ray alone: as
many Tune trials, each with a Ray Data pipeline over as many batches and one actor that is asked once, doing nothing.
The cost per cell is (time of `many` - time of `few`) / (many - few): starting Ray and reading the config drop out.
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

import yaml

BATCHES = 2
CONFIG = {
    "name": "overhead",
    "allow_code_execution": True,
    "evaluation": {
        "problems": [{"name": "minicode", "split": "validation", "count": 6}],
        "perturbations": ["clean"],
        "max_new_tokens": 8,
        "batch_size": 3,
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
    found: dict[str, list[float]] = {"raysweep": [], "ray": []}
    for _ in range(options.rounds):
        for name, seconds in (("raysweep", sweep), ("ray", bare)):
            found[name].append((seconds(options.many) - seconds(options.few)) / (options.many - options.few))
    medians = {name: statistics.median(values) for name, values in found.items()}
    print(
        json.dumps(
            {
                "seconds_per_cell": {name: [round(value, 2) for value in values] for name, values in found.items()},
                "median": {name: round(value, 2) for name, value in medians.items()},
                "ratio": round(medians["raysweep"] / medians["ray"], 2),
                "cpus": len(os.sched_getaffinity(0)),
                "load": round(os.getloadavg()[0], 1),
            },
            indent=1,
        )
    )


def sweep(cells: int) -> float:
    """Return the seconds of a sweep of so many cells, in a fresh store."""
    # answers right at different rates: equal generators would share all artefacts
    models = [{"name": f"m{at}", "generator": {"name": "fake", "share": 0.3 + 0.01 * at}} for at in range(cells)]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "overhead.yaml"
        config.write_text(yaml.safe_dump({**CONFIG, "models": models}))
        return seconds_of([sys.executable, "-m", "raysweep", "run", str(config), "--storage", f"{folder}/store", "-q"])


def bare(trials: int) -> float:
    """Return the seconds of so many trials of Ray alone."""
    return seconds_of([sys.executable, __file__, "--bare", str(trials)])


def seconds_of(command: list[str]) -> float:
    """Run a command that must succeed; return its seconds."""
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started


def bare_ray(trials: int) -> None:
    """Run trials that do what a cell asks of Ray, and nothing else."""
    os.environ.update(RAY_AIR_NEW_OUTPUT="0", RAY_CHDIR_TO_TRIAL_DIR="0")
    import ray
    from ray import tune

    class Nothing:
        def __call__(self, rows: dict) -> dict:
            return rows

    class Actor:
        def ask(self) -> None:
            pass

    def trial(config: dict) -> None:
        ray.data.DataContext.get_current().enable_progress_bars = False
        pipeline = ray.data.from_items([{"at": at} for at in range(BATCHES)], override_num_blocks=BATCHES)
        compute = ray.data.ActorPoolStrategy(size=1)
        for _ in pipeline.map_batches(Nothing, compute=compute, batch_size=1, num_cpus=0).iter_batches(batch_size=None):
            pass
        ray.get(ray.remote(Actor).options(num_cpus=0).remote().ask.remote())
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
