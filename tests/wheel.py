"""What .ci/wheel checks of an installed raysweep, seen from the checkout.

python -m tests.wheel files WHEEL     the wheel has the files of the checkout's package and of configs/, and no more
python -m tests.wheel samples FOLDER  write hostile programs of the small corpus, as a samples file with its problems
python -m tests.wheel verdicts FOLDER compare results.jsonl with what each of them should get
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.behaviour.execution import corpus
from tests.behaviour.execution.world import REPO

_PLACES = re.compile(r"@[a-z]+@")  # what a program attacks outside of itself, which only the tests of the corpus have


def main() -> None:
    """Do what the command line says; end with exit code 1 and a line for each difference."""
    check = {"files": other_files, "samples": write_samples, "verdicts": wrong_verdicts}[sys.argv[1]]
    differences = check(Path(sys.argv[2]))
    sys.exit("\n".join(differences) if differences else 0)


def other_files(wheel: Path) -> list[str]:
    """Return the files that the wheel lacks, or has beside those of the checkout."""
    tracked = subprocess.run(
        ["git", "ls-files", "raysweep", "configs"], cwd=REPO, capture_output=True, text=True
    ).stdout
    wanted = {f"raysweep/{path}" if path.startswith("configs/") else path for path in tracked.split()}
    with zipfile.ZipFile(wheel) as packed:
        there = {name for name in packed.namelist() if ".dist-info/" not in name}
    return [f"{'only in the wheel' if path in there else 'missing'}: {path}" for path in sorted(wanted ^ there)]


def samples() -> list[corpus.Entry]:
    """Return two programs of each group that need nothing outside of themselves."""
    alone = [entry for entry in corpus.load({}) if not _PLACES.search(entry.program.text)]
    return [entry for entry in corpus.sample(alone) if entry.program.tests == corpus.SQUARE]


def write_samples(folder: Path) -> list[str]:
    """Write samples.jsonl and problems.jsonl."""
    entries = samples()
    assert len(entries) >= corpus.GROUPS, len(entries)
    test = corpus.SQUARE.replace("\n\ncheck(square)", "")
    row = {"prompt": "", "entry_point": "square", "canonical_solution": "def square(n): return n * n", "test": test}
    problems = [json.dumps({"task_id": entry.id, **row}) for entry in entries]
    solutions = [json.dumps({"task_id": entry.id, "solution": entry.program.text}) for entry in entries]
    for name, lines in (("problems", problems), ("samples", solutions)):
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return []


def wrong_verdicts(folder: Path) -> list[str]:
    """Return the programs that passed and shouldn't have, or the other way round, or got no verdict."""
    results = {row["task_id"]: row for row in map(json.loads, (folder / "results.jsonl").read_text().splitlines())}
    return [
        f"{entry.id}: {results[entry.id]['result']}, not {' or '.join(sorted(entry.outcomes))}"
        for entry in samples()
        if results[entry.id]["passed"] is not entry.honest
    ]


if __name__ == "__main__":
    main()
