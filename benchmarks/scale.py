"""Many programs: what Ray costs over the library, and what `raysweep execute` needs for a large file."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import Task

from raysweep.programs import Program

if TYPE_CHECKING:
    from raysweep.execution.pool import Executor
    from raysweep.programs import Limits

OBJECT_STORE_MIB = 300
TURNS = (("warm", 0.02), ("library", 0.5), ("ray", 1.0), ("library", 0.5))  # and shares of the programs
DISTINCT = 1000  # programs among the rows


def ray_overhead(tasks: Sequence[Task], count: int, slots: int, timeout: float) -> dict[str, object]:
    """Run `count` programs through a Ray of its own, between two halves by the library; return what Ray adds.

    Ray itself and the executor are warm; the actors' start, once for all programs, counts as Ray's.
    """
    import ray

    from raysweep.execution.pool import Executor
    from raysweep.programs import DEFAULT_SANDBOX, Limits

    limits = Limits(timeout=timeout)
    seconds: dict[str, list[float]] = {"library": [], "ray": []}
    with tempfile.TemporaryDirectory(prefix="rs-") as folder, Executor(slots, DEFAULT_SANDBOX) as executor:
        ray.init(
            address="local",
            num_cpus=slots,
            object_store_memory=OBJECT_STORE_MIB << 20,
            include_dashboard=False,
            _temp_dir=folder,
            log_to_driver=False,
        )
        try:
            for number, (name, share) in enumerate(TURNS):
                programs = _programs(tasks, int(count * share), number)
                for one in ("library", "ray") if name == "warm" else (name,):
                    took = (
                        _stream(executor, programs, limits) if one == "library" else _with_ray(programs, limits, slots)
                    )
                    if name != "warm":
                        seconds[one].append(took)
        finally:
            ray.shutdown()
    rates = {name: round(count / sum(values), 1) for name, values in seconds.items()}
    overhead = sum(seconds["ray"]) / sum(seconds["library"]) - 1
    return {"programs": count, "per_second": rates, "seconds": seconds, "overhead_percent": round(100 * overhead, 1)}


def _programs(tasks: Sequence[Task], count: int, turn: int) -> list[Program]:
    """Return so many programs, no two alike."""
    return [
        Program(f"{task.text}\n# sample {turn}.{at}\n", f"{task.test}\n{task.call}")
        for at in range(count)
        for task in [tasks[at % len(tasks)]]
    ]


def _stream(executor: Executor, programs: Sequence[Program], limits: Limits) -> float:
    began = time.perf_counter()
    verdicts = executor.stream((at, program, limits) for at, program in enumerate(programs))
    passed = sum(verdict.outcome == "passed" for _, verdict in verdicts)
    assert passed == len(programs), f"{passed} of {len(programs)} passed"
    return time.perf_counter() - began


def _with_ray(programs: Sequence[Program], limits: Limits, slots: int) -> float:
    """Return the seconds from before the actors' start to the last verdict."""
    from raysweep.engine.base import ExecuteJob, Programs
    from raysweep.engine.cluster import Placement
    from raysweep.engine.execution import execute_with_ray
    from raysweep.judging_stage import MOST
    from raysweep.programs import DEFAULT_SANDBOX
    from raysweep.progress import ProgressFile
    from raysweep.storage.files import Files

    batches = [programs[at : at + MOST] for at in range(0, len(programs), MOST)]
    job = ExecuteJob([Programs(batch, [limits] * len(batch)) for batch in batches], DEFAULT_SANDBOX)
    with tempfile.TemporaryDirectory() as folder:
        progress = ProgressFile(Files(folder), "benchmark")
        began = time.perf_counter()
        blocks = execute_with_ray(job, Placement(0, 0, 0, in_trial=False), slots, progress)
        passed = sum(verdict.outcome == "passed" for block in blocks for verdict in block.rows)
        seconds = time.perf_counter() - began
    assert passed == len(programs), f"{passed} of {len(programs)} passed"
    return seconds


def rows_memory(tasks: Sequence[Task], count: int) -> dict[str, object]:
    """Run `raysweep execute` on 1,000 and on `count` rows of 1,000 programs; return seconds and peak memory of each."""
    return {f"{rows} rows": _execute_rows(tasks, rows) for rows in (DISTINCT, count)}


def _execute_rows(tasks: Sequence[Task], count: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = [
            json.dumps({"task_id": task.task_id, "solution": f"{task.text}\n# sample {number}\n"})
            for number in range(DISTINCT // len(tasks) + 1)
            for task in tasks
        ][:DISTINCT]
        with (folder / "samples.jsonl").open("w") as file:
            file.writelines(texts[at % DISTINCT] + "\n" for at in range(count))
        command = [sys.executable, "-m", "raysweep", "execute", str(folder / "samples.jsonl"), "--workers", "2"]
        command += ["--out", str(folder / "results.jsonl"), "--allow-code-execution", "--json"]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            watch = _Memory(process.pid)
            printed, _ = process.communicate()
            seconds = time.perf_counter() - began
        with (folder / "results.jsonl").open() as file:
            written = sum(1 for _ in file)
        return {
            "seconds": round(seconds, 1),
            "exit_code": process.returncode,
            "rows_written": written,
            "peak_mib_of_the_command": watch.own,
            "peak_mib_of_its_children": watch.children,
            "printed": json.loads(printed),
        }


class _Memory(threading.Thread):
    """Looks at a process tree five times a second: the peak of its resident memory, shared pages counted once (PSS)."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.own = self.children = 0  # MiB
        self._pid = pid
        self.start()

    def run(self) -> None:
        """Look until the process has gone."""
        import psutil

        while True:
            try:
                command = psutil.Process(self._pid)
                self.own = max(self.own, _mib(command))
                self.children = max(self.children, sum(map(_mib, command.children(recursive=True))))
            except psutil.Error:
                return
            time.sleep(0.2)


def _mib(process: object) -> int:
    import psutil

    try:
        return int(process.memory_full_info().pss) >> 20  # type: ignore[attr-defined]
    except psutil.Error:
        return 0
