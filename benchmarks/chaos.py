"""Kills processes of a sweep at random moments and compares the results with those of an undisturbed sweep.

    python benchmarks/chaos.py configs/quickstart.yaml --moments 3 --seed 1
    python benchmarks/chaos.py configs/quickstart.yaml --moments 3 --seed 2 --reference DIR

It runs three sweeps, each in a separate store below --folder: one undisturbed; one in which processes of each kind
below the driver are killed; one in which driver and raylet are killed, and the command is repeated each time it died.
--nodes adds a fourth, on a Ray of two nodes, where at each moment one node is removed and a new one joins. It prints a
Markdown table. `--reference` gives the folder of an earlier call, whose undisturbed sweep is used.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.behaviour.chaos

from tests.behaviour.chaos.evidence import content
from tests.behaviour.chaos.harness import Disturbed, Reference, Strike, Sweep, disturbed, undisturbed
from tests.behaviour.chaos.kills import STOPS_ALL
from tests.behaviour.chaos.nodes import two_nodes
from tests.behaviour.chaos.processes import Victim

DRIVER_AND_RAYLET = (Victim.DRIVER, Victim.RAYLET)


def main() -> None:
    """Run all sweeps and print the table; the exit code is 1 if a result differs from the undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--moments", type=int, default=3, help="kills of each kind of process")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments")
    parser.add_argument("--set", action="append", default=[], dest="sets", metavar="A.B=C")
    parser.add_argument("--folder", type=Path, help="keep stores and logs here; default: a temporary folder")
    parser.add_argument("--reference", type=Path, help="folder of an earlier call, to reuse its undisturbed sweep")
    parser.add_argument("--nodes", action="store_true", help="also remove nodes of a simulated cluster")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds that one run of the command may take")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="rs-chaos-", dir="/tmp"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        problems = measure(options, folder)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if problems else 0)


def measure(options: argparse.Namespace, folder: Path) -> int:
    """Run the sweeps and print each outcome; return the number of problems."""
    base = options.reference or folder
    reference = reference_of(sweep_in(base / "undisturbed", options), base / "undisturbed.json", options.limit)
    below = [victim for victim in reference.exposure if victim not in STOPS_ALL]
    print(f"undisturbed: {reference.seconds:.0f} s\n")
    problems = 0
    for name, victims in (("processes", below), ("driver-and-raylet", DRIVER_AND_RAYLET)):
        rng = random.Random(f"{options.seed}/{name}")
        strikes = strikes_of(victims, reference, options.moments, rng)
        outcome = disturbed(sweep_in(folder / name, options), strikes, rng, options.limit)
        problems += print_outcome(name, outcome, reference)
    if options.nodes:
        rng = random.Random(f"{options.seed}/nodes")
        with two_nodes(replaced=True) as nodes:
            roots = (nodes.ray.process.pid,)
            sweep = sweep_in(folder / "nodes", options, address=nodes.ray.address, roots=roots)
            strikes = strikes_of((Victim.TRIAL,), reference, options.moments, rng)
            outcome = disturbed(sweep, strikes, rng, options.limit, strike=nodes.remove_node_of)
        problems += print_outcome("a node", outcome, reference)
    return problems


def sweep_in(storage: Path, options: argparse.Namespace, **more: Any) -> Sweep:
    """Return the command with a separate store."""
    retries = f"recovery.retries={10 * options.moments}"  # all kills may hit one cell
    return Sweep(options.config, storage, ("ray.dashboard=false", retries, *options.sets), **more)


def reference_of(sweep: Sweep, times: Path, limit: float) -> Reference:
    """Return the undisturbed run: an earlier one if its times were saved, else a new one."""
    if times.is_file():
        saved = json.loads(times.read_text())
        exposure = {Victim[name]: seconds for name, seconds in saved["exposure"].items()}
        return Reference(exposure, saved["seconds"], content(sweep.storage, sweep.parts.name))
    reference = undisturbed(sweep, limit)
    exposure = {victim.name: seconds for victim, seconds in reference.exposure.items()}
    times.write_text(json.dumps({"seconds": reference.seconds, "exposure": exposure}))
    return reference


def strikes_of(victims: Iterable[Victim], reference: Reference, moments: int, rng: random.Random) -> list[Strike]:
    """Return `moments` random moments for each kind of process."""
    return [Strike(victim, rng.random() * reference.exposure[victim]) for victim in victims for _ in range(moments)]


def print_outcome(name: str, outcome: Disturbed, reference: Reference) -> int:
    """Print a table of the kills and the problems; return the number of problems."""
    problems = outcome.problems(reference.content)
    print(f"{name}: {outcome.seconds:.0f} s, exit codes {outcome.codes}, equal: {'no' if problems else 'yes'}\n")
    print("| killed | after | while | steps in no checkpoint | rows in blocks | all back at work after |")
    print("|---|---|---|---|---|---|")
    for kill in outcome.kills:
        work = ", ".join(f"{name}: {place.stage} {place.done}" for name, place in kill.before.places.items()) or "-"
        back = "never" if kill.recovered is None else f"{kill.recovered:.1f} s" if kill.before.places else "-"
        lost = f"{kill.lost_steps()} of at most {kill.parts.interval}"
        print(f"| {kill.victim.label} | {kill.at:.0f} s | {work} | {lost} | {kill.safe_rows()} | {back} |")
    for strike in outcome.coming:
        print(f"| {strike.victim.label} | never: no such process was left | | | | |")
    print("".join(f"\n- {problem}" for problem in problems), flush=True)
    return len(problems)


if __name__ == "__main__":
    main()
