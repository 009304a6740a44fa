"""Kills a teacher of many rows several times, and counts the answers that are asked for twice.

    python benchmarks/teacher.py [--rows 110000] [--kills 3]

A server of OpenAI's interface answers at once, with a text that the prompt decides, so what is measured is raysweep's
own work. `raysweep sets` makes a training set with rejected responses of that teacher, by the local engine, in a
process that is killed (SIGKILL) each time the server has given another part of the answers, and begins again.
Printed: the answers that were lost at each kill, which are asked for again, and the most that may be: less than a
block, and the batch in flight; wall and CPU seconds, and the memory of the largest process. It ends with an error if
more are lost, or if a rejected response is not the one that the teacher has for its row.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from raysweep.engine.completing import LARGEST_BATCH
from raysweep.records import TrainingRow
from raysweep.rows.parquet import read_rows
from raysweep.stages.generation import BLOCK_ROWS

CONCURRENCY = 32
"""Requests that are sent at a time."""


def main() -> None:
    """Run the measurement and print one JSON object."""
    options = _options()
    context = multiprocessing.get_context("spawn")
    given, port = context.Value("q", 0), context.Value("i", 0)
    server = context.Process(target=serve, args=(given, port), daemon=True)
    server.start()
    while not port.value:
        time.sleep(0.05)
    with tempfile.TemporaryDirectory(prefix="raysweep-teacher-") as folder:
        config = _written(Path(folder), options.rows, port.value)
        command = [str(Path(sys.executable).parent / "raysweep"), "sets", str(config), "--engine", "local", "--quiet"]
        command += ["--storage", f"{folder}/store", "--out", f"{folder}/sets"]
        started, lost = time.perf_counter(), []
        for kill in range(options.kills):
            _run_and_kill(command, given, options.rows * (kill + 1) // (options.kills + 1) + sum(lost))
            lost.append(given.value - sum(lost) - _kept(Path(folder)))
        subprocess.run(command, check=True, env=_environment(), stdout=subprocess.DEVNULL)
        seconds, spent = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        wrong = [
            row.row_id
            for row in read_rows(Path(folder, "sets", "training-clean.parquet"), TrainingRow)
            if not is_right(row)
        ]
    server.terminate()
    most = BLOCK_ROWS + LARGEST_BATCH
    print(
        json.dumps(
            {
                "rows": options.rows,
                "kills": options.kills,
                "answers_lost_at_each_kill": lost,
                "answers_asked_for_twice": given.value - options.rows,
                "most_that_a_kill_may_lose": most,
                "wall_seconds": round(seconds, 1),
                "cpu_seconds": round(spent.ru_utime + spent.ru_stime, 1),
                "peak_mib": round(spent.ru_maxrss / 2**10),
                "wrong_pairs": len(wrong),
            },
            indent=1,
        )
    )
    if wrong or max(lost, default=0) > most:
        sys.exit("answers were lost or changed")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=110_000)
    parser.add_argument("--kills", type=int, default=3)
    return parser.parse_args()


def _written(folder: Path, rows: int, port: int) -> Path:
    """Write the rows and the config."""
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(rows):
            row = {"instruction": f"Write a function that adds {number}.", "output": _response("+", number)}
            file.write(json.dumps(row) + "\n")
    generator = {"name": "openai", "served": "m", "url": f"http://127.0.0.1:{port}/v1", "concurrency": CONCURRENCY}
    source = {"name": "jsonl", "path": str(folder / "rows.jsonl"), "rejected": {"teacher": "teacher"}}
    config = {
        "name": "teacher",
        "models": [{"name": "teacher", "generator": generator}],
        "training": {"source": source, "sets": ["clean"]},
        "evaluation": {"problems": [{"name": "minicode", "count": 3}]},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    return folder / "config.yaml"


def _response(sign: str, number: int | str) -> str:
    return f"```python\ndef f(n):\n    return n {sign} {number}\n```\n"


def is_right(row: TrainingRow) -> bool:
    """Return whether a row's rejected response is the one that the teacher has for it."""
    return row.rejected == row.output.replace("+", "-")


def _environment() -> dict[str, str]:
    return {**os.environ, "OPENAI_API_KEY": "EMPTY", "CUDA_VISIBLE_DEVICES": ""}


def _run_and_kill(command: Sequence[str], given: Synchronized[int], after: int) -> None:
    """Run a command, and kill it with its processes once the server has given so many answers."""
    process = subprocess.Popen(command, env=_environment(), start_new_session=True, stdout=subprocess.DEVNULL)
    while given.value < after:
        if process.poll() is not None:
            raise SystemExit(f"the command ended too early, with {process.returncode}")
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # the server notices


def _kept(folder: Path) -> int:
    """Return how many answers the store's blocks have."""
    blocks = folder.glob("store/**/completions/*.json")
    return sum(len(json.loads(block.read_text())) for block in blocks)


def serve(given: Synchronized[int], port: Synchronized[int]) -> None:
    """Answer requests of completions at once, and count them."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])  # type: ignore[index]
                body = json.loads(await reader.readexactly(size))
                content = json.dumps(completion(body["prompt"])).encode()
                status = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(
                    content
                )
                writer.write(status + content)
                await writer.drain()
                given.value += 1  # this process alone writes it
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(run())


def completion(prompt: str) -> dict[str, Any]:
    """Return the answer to a prompt in OpenAI's form: the response with another sign."""
    text = _response("-", re.findall(r"return n \+ (\d+)", prompt)[-1])
    choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return {"id": "a", "object": "text_completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


if __name__ == "__main__":
    main()
