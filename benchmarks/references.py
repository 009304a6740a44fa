"""BigCodeBench's reference solutions, each once: which fail and why, programs per second, and memory.

    python benchmarks/references.py --environment PYTHON --problems FILE [--storage FOLDER] [--peer FILE]

`--environment`: the Python that docs/problem-sets.md has made. The rows are judged by `raysweep evaluate reference` on
the local engine, which prints its progress, and in a store of its own, so that each of them runs; in a `--storage` that
has verdicts only the others run. Printed are a table of the tasks that fail, by cause, as docs/problem-sets.md has it,
and figures: programs per second and CPU seconds of the whole command, the peak of the memory of all its processes
(PSS, every 4 seconds), and the tasks that came near their limits. `--peer`: rows with `task_id` and `passed` of another
checker; where that differs is printed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from quickstart import measure

from raysweep.records import ReferenceRun
from raysweep.sweep.folder import open_folder
from raysweep.sweep.report.facts import reference_runs

CAUSES = {
    "a corpus of nltk is not there": r"LookupError: \*|MissingCorpus|NLTK Downloader",
    "no network": r"it asked for the network",
    "over the time limit": r"^timeout",
    "over the memory limit": r"^memory",
    "refused by the isolation": r"PermissionError|Operation not permitted",
}
"""What the outcome and detail of a failing task show, the first that fits; others are listed one by one."""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        storage = options.storage or folder
        command = [sys.executable, "-m", "raysweep", "evaluate", "reference", "--engine", "local", "--json"]
        command += ["--problems", f"bigcodebench={options.problems}", "--environment", options.environment]
        measured = measure([*command, "--storage", storage, "--allow-code-execution"], codes=(0, 1))
        sweep = open_folder(json.loads(str(measured.pop("stdout")))["sweep"], storage)
        (runs,) = reference_runs(sweep).values()
    failing = {run.task_id: run for run in runs if run.outcome != "passed"}
    print(_table(list(failing.values())))
    if options.peer:
        peer = {row["task_id"]: row["passed"] for row in map(json.loads, options.peer.read_text().splitlines())}
        differ = [run for run in runs if peer.get(run.task_id, run.outcome == "passed") != (run.outcome == "passed")]
        print(f"\n{len(differ)} of {len(peer)} differ from the other checker:", *map(_named, differ), sep="\n")
    seconds = sum(run.seconds for run in runs)
    figures = {
        "programs": len(runs),
        "outcomes": Counter(run.outcome for run in runs),
        "programs_per_second": round(len(runs) / float(str(measured["seconds"])), 2),
        "seconds_of_programs": round(seconds, 1),
        "near_limit": [run.task_id for run in runs if 2 * run.seconds >= run.timeout],
        **measured,
    }
    print(json.dumps(figures, indent=1))


def _table(failing: Sequence[ReferenceRun]) -> str:
    by_cause: dict[str, list[str]] = defaultdict(list)
    for run in failing:
        text = f"{run.outcome}: {run.detail}"
        cause = next((name for name, sign in CAUSES.items() if re.search(sign, text)), text[:200].replace("|", "/"))
        by_cause[cause].append(run.task_id.rpartition("/")[2])
    rows = sorted(by_cause.items(), key=lambda item: -len(item[1]))
    lines = [f"| {cause} | {len(tasks)} | {', '.join(tasks)} |" for cause, tasks in rows]
    return "\n".join(["| cause | tasks | which |", "|---|---|---|", *lines])


def _named(run: ReferenceRun) -> str:
    return f"  {run.task_id}: {run.outcome} here: {run.detail[:100]}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", required=True, metavar="PYTHON", help="the Python with the packages")
    parser.add_argument("--problems", required=True, metavar="FILE", help="the set's rows")
    parser.add_argument("--storage", metavar="FOLDER", help="a store to use; without it a new one")
    parser.add_argument("--peer", type=Path, metavar="FILE", help="verdicts of another checker, to compare with")
    return parser.parse_args()


if __name__ == "__main__":
    main()
