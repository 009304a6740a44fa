"""Seconds of linting: raysweep's batches in two processes against one pylint process a file, two at a time, in turns.

    python benchmarks/code_quality.py [--data FOLDER] [--files 763] [--alone 90] [--rounds 3]

The files are reference solutions of HumanEval, and of MBPP if FOLDER contains mbppplus/MbppPlus.jsonl.gz (EvalPlus's
release), as a model might write them: whole, cut short, with another ending, and mutants of them; no two are equal.
Both arms lint files of one list: raysweep all of them, pylint alone `--alone` of them, evenly spread, since it takes so
long. Times are for all files, alone's scaled to them; starting raysweep's processes is part of its time. CPU time is
that of all processes; it depends less on what else the machine does. All results that both arms have are compared.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from mutants import mutants
from tasks import Task, humaneval, mbpp

from raysweep.quality.files import SourceFile
from raysweep.quality.linting import ARGUMENTS, FILE_NAME, fingerprint, lint
from raysweep.quality.reports import LintReports
from raysweep.quality.ruff_check import check_with_ruff
from raysweep.quality.summary import join, summarise

T = TypeVar("T")
Result = tuple[str, tuple[str, ...]]
"""The score as printed, empty if there is none, and the messages, sorted."""

PROCESSES = 2
TEMPLATE = "--msg-template=MESSAGE {msg_id} {line} {column}"


def main() -> None:
    """Measure both arms in turns and print times, ratios and whether results are equal."""
    options = _options()
    files = some_files(options.data, options.files)
    spread = files[:: max(1, len(files) // options.alone)][: options.alone]
    print(f"{len(files)} files, {len(spread)} of them alone; {fingerprint()}")
    reports, results = [], {}
    seconds, cpu = {"raysweep": 0.0, "alone": 0.0}, {"raysweep": 0.0, "alone": 0.0}
    for number in range(options.rounds):
        some = spread[number :: options.rounds]
        found, wall, used = timed(lambda some=some: alone(some))
        results.update(found)
        seconds["alone"] += wall * len(files) / len(spread)
        cpu["alone"] += used * len(files) / len(spread)
        part, wall, used = timed(lambda number=number: batches(files[number :: options.rounds]))
        reports.append(part)
        seconds["raysweep"] += wall
        cpu["raysweep"] += used
        print(f"round {number + 1}: {seconds} s, CPU {cpu} s, load {os.getloadavg()[0]:.1f}", flush=True)
    together = join(reports)
    unequal = [file_id for file_id, result in results.items() if result != printed(together, file_id)]
    print(
        f"wall time: {seconds['alone'] / seconds['raysweep']:.1f} x; CPU time: {cpu['alone'] / cpu['raysweep']:.1f} x"
    )
    print(f"equal results: {len(results) - len(unequal)} of {len(results)}; unequal: {unequal}")
    group = summarise("all", together)
    print(f"mean score {group.mean_score:.2f} {group.interval}, without score: {group.unscored}, traps: {group.traps}")
    print("most frequent:", ", ".join(f"{count.code} {count.per_100_files:.0f}" for count in group.codes[:10]))
    _, wall, used = timed(lambda: check_with_ruff(files))
    print(f"ruff: {wall:.1f} s, CPU {used:.1f} s")


def some_files(data: Path | None, count: int) -> list[SourceFile]:
    """Return files of unequal texts: references, then their variants and mutants in turns."""
    tasks = [*humaneval(), *(mbpp(data) if data else [])]
    texts = dict.fromkeys(task.text for task in tasks)
    for variants in zip(*(_variants(task) for task in tasks), strict=True):
        texts.update(dict.fromkeys(variants))
    for task in tasks:
        texts.update(dict.fromkeys(mutant.text for mutant in mutants(task, 4, seed=42)))
    if len(texts) < count:
        sys.exit(f"only {len(texts)} unequal files; give --files {len(texts)} or --data")
    chosen = list(texts)[:: len(texts) // count][:count]
    return [SourceFile(f"{number:04}", text) for number, text in enumerate(chosen)]


def _variants(task: Task) -> list[str]:
    """Return a reference without its last line break, with blank lines more, and cut at two thirds."""
    text = task.text.rstrip()
    return [text, f"{text}\n\n\n", text[: len(text) * 2 // 3 + 7], f"{text}\n\n\nprint({task.entry_point}.__doc__)"]


def batches(files: Sequence[SourceFile]) -> LintReports:
    """Lint files in as many batches as there are processes."""
    with ProcessPoolExecutor(PROCESSES) as pool:
        return join(pool.map(lint, [files[number::PROCESSES] for number in range(PROCESSES)]))


def alone(files: Sequence[SourceFile]) -> dict[str, Result]:
    """Run the command pylint on each file, so many at a time."""
    with ThreadPoolExecutor(PROCESSES) as pool:
        return dict(zip([file.file_id for file in files], pool.map(_command, files), strict=True))


def _command(file: SourceFile) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, FILE_NAME).write_bytes(file.content)
        command = [sys.executable, "-s", "-P", "-m", "pylint", *ARGUMENTS, TEMPLATE, FILE_NAME]
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C.UTF-8"}
        output = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout
    rated = re.search(r"rated at (\S+)/10", output)
    messages = sorted(line for line in output.splitlines() if line.startswith("MESSAGE "))
    return rated[1] if rated else "", tuple(messages)


def printed(reports: LintReports, file_id: str) -> Result:
    """Return a report in the form of `_command`."""
    (score,) = [file.score for file in reports.files if file.file_id == file_id]
    messages = [f"MESSAGE {m.code} {m.line} {m.column}" for m in reports.messages if m.file_id == file_id]
    return "" if score is None else f"{score:.2f}", tuple(sorted(messages))


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Return a function's result, its wall time and the CPU time of the processes that it started, in seconds."""
    start, used = time.perf_counter(), _children()
    result = work()
    return result, time.perf_counter() - start, _children() - used


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with EvalPlus's releases")
    parser.add_argument("--files", type=int, default=763)
    parser.add_argument("--alone", type=int, default=90, help="files that pylint lints alone")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
