"""Says which processes a command starts, Ray's by their names, and how many CPU seconds each kind takes.

    python benchmarks/processes.py COMMAND...

For example the trainings with two workers of configs/paper-mini.yaml, in a store that has its base models already:

    python benchmarks/processes.py python benchmarks/paper_mini.py --storage DIR \
        --set name=processes --set "training.sets=[W1, W2]" --set recipes.full.lr=3.1e-4

The benchmark looks at all processes that the command has started five times a second, so it misses up to the last fifth
of a second of each. `with torch` says how many of them have loaded torch's library. One JSON object comes out.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LOOK_SECONDS = 0.2
TORCH = "libtorch_cpu"
NAMES = 2
"""So many of a process's names tell its kind: Ray renames its processes by what they do."""
IDLE = "ray::IDLE"


@dataclass
class Seen:
    """What is known of a process."""

    names: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0
    has_torch: bool = False

    @property
    def kind(self) -> str:
        """Ray's names of it, or its command."""
        rays = [name for name in self.names if name.startswith("ray::") and name != IDLE]
        if rays:
            classes = dict.fromkeys(name.partition(".")[0] for name in rays)
            return " | ".join(list(classes)[:NAMES])
        return IDLE if IDLE in self.names else next(iter(self.names), "?")


def main() -> None:
    """Run the command and print what it started; exit with its code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    command = parser.parse_args().command
    if not command:
        parser.error("give a command")
    began, seen = time.monotonic(), {}
    child = subprocess.Popen(command, stdout=sys.stderr)
    while child.poll() is None:
        look(psutil.Process(), seen)
        time.sleep(LOOK_SECONDS)
    print(json.dumps({"seconds": round(time.monotonic() - began, 1), **summary(seen)}, indent=2))
    sys.exit(child.returncode)


def look(root: psutil.Process, seen: dict[tuple[int, float], Seen]) -> None:
    """Take note of the processes below one."""
    for process in root.children(recursive=True):
        with contextlib.suppress(psutil.Error, OSError):
            found = seen.setdefault((process.pid, process.create_time()), Seen())
            times, words = process.cpu_times(), process.cmdline()
            found.cpu_seconds = times.user + times.system
            name = words[0].split()[0] if words and words[0].startswith("ray::") else _plain(words)
            if name and name not in found.names:
                found.names.append(name)
            found.has_torch = found.has_torch or TORCH in Path(f"/proc/{process.pid}/maps").read_text()


def _plain(words: list[str]) -> str:
    return " ".join(Path(word).name for word in words[:3])[:60]


def summary(seen: dict[tuple[int, float], Seen]) -> dict[str, object]:
    """Return totals, and each kind of process, the most expensive first."""
    kinds: dict[str, list[Seen]] = collections.defaultdict(list)
    for one in seen.values():
        kinds[one.kind].append(one)
    rows = [
        {
            "kind": kind,
            "processes": len(own),
            "with torch": sum(one.has_torch for one in own),
            "CPU seconds": round(sum(one.cpu_seconds for one in own), 1),
        }
        for kind, own in kinds.items()
    ]
    return {
        "CPU seconds": round(sum(one.cpu_seconds for one in seen.values()), 1),
        "processes": len(seen),
        "kinds": sorted(rows, key=lambda row: -float(str(row["CPU seconds"]))),
    }


if __name__ == "__main__":
    main()
