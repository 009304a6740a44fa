"""Measures Ray's overhead over the library for many programs, and the memory of `raysweep execute` for a large file."""

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
TURNS = (("warm", 0.02), ("library", 0.5), ("ray", 1.0), ("library", 0.5))  # (runner, share of the programs)
DISTINCT = 1000  # number of distinct programs among the rows


def ray_overhead(tasks: Sequence[Task], count: int, slots: int, timeout: float) -> dict[str, object]:
    """Run `count` programs through a new Ray, between two halves through the library; return Ray's overhead.

    Ray and the executor are warm before timing; the start of Ray's actors, once for all programs, is timed.
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
    """Return `count` programs, no two of them equal."""
    return [
        Program(f"{task.text}\n# sample {turn}.{index}\n", task.tests)
        for index in range(count)
        for task in [tasks[index % len(tasks)]]
    ]


def _stream(executor: Executor, programs: Sequence[Program], limits: Limits) -> float:
    began = time.perf_counter()
    verdicts = executor.stream((index, program, limits) for index, program in enumerate(programs))
    passed = sum(verdict.outcome == "passed" for _, verdict in verdicts)
    assert passed == len(programs), f"{passed} of {len(programs)} passed"
    return time.perf_counter() - began


def _with_ray(programs: Sequence[Program], limits: Limits, slots: int) -> float:
    """Return the seconds from before the actors' start to the last verdict."""
    from raysweep.engine.base import ExecuteJob, ProgramBatch
    from raysweep.engine.progress import ProgressFile
    from raysweep.engine.ray.cluster.cluster import Placement
    from raysweep.engine.ray.execution import execute_with_ray
    from raysweep.programs import DEFAULT_SANDBOX
    from raysweep.stages.judging import LARGEST_BLOCK
    from raysweep.storage.files import Files

    batches = [programs[start : start + LARGEST_BLOCK] for start in range(0, len(programs), LARGEST_BLOCK)]
    job = ExecuteJob([ProgramBatch(batch, [limits] * len(batch)) for batch in batches], DEFAULT_SANDBOX)
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
            file.writelines(texts[index % DISTINCT] + "\n" for index in range(count))
        command = [sys.executable, "-m", "raysweep", "execute", str(folder / "samples.jsonl"), "--workers", "2"]
        command += ["--out", str(folder / "results.jsonl"), "--allow-code-execution", "--json"]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            memory = _Memory(process.pid)
            printed, _ = process.communicate()
            seconds = time.perf_counter() - began
        with (folder / "results.jsonl").open() as file:
            written = sum(1 for _ in file)
        return {
            "seconds": round(seconds, 1),
            "exit_code": process.returncode,
            "rows_written": written,
            "peak_mib_of_the_command": memory.command,
            "peak_mib_of_its_children": memory.children,
            "printed": json.loads(printed),
        }


class _Memory(threading.Thread):
    """Samples a process tree's memory five times a second and keeps the peak; shared pages count once (PSS)."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.command = self.children = 0  # MiB
        self._pid = pid
        self.start()

    def run(self) -> None:
        """Sample until the process has ended."""
        import psutil

        while True:
            try:
                process = psutil.Process(self._pid)
                self.command = max(self.command, _mib(process))
                self.children = max(self.children, sum(map(_mib, process.children(recursive=True))))
            except psutil.Error:
                return
            time.sleep(0.2)


def _mib(process: object) -> int:
    import psutil

    try:
        return int(process.memory_full_info().pss) >> 20  # type: ignore[attr-defined]
    except psutil.Error:
        return 0
