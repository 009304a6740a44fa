"""Whatever text a program sends, its cell is judged, and tables, page and samples file are written."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from raysweep.generators.base import GENERATORS
from raysweep.problems.jsonl import JsonlProblems
from raysweep.programs import DEFAULT_SANDBOX, Limits
from raysweep.records import Result
from raysweep.sweep.folder import open_folder
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from raysweep.tools.samples.run import SampleJob, SampleRun
from tests.behaviour.sweeps.test_answers import config, problem_file

pytestmark = pytest.mark.slow

FAKE = GENERATORS.get("fake")
TEXT = r"\ud800</script>\x1b[31m\0\r\n\u202e"
BODIES = {
    "t/0": f'    raise ValueError("{TEXT}")\n',
    "t/1": f'    raise type("{TEXT}", (Exception,), {{}})("{TEXT}")\n',
    "t/2": f'    import os\n    os.write(2, "{TEXT}".encode("utf-8", "surrogatepass"))\n    return "{TEXT}"\n',
    "t/3": f'    return 3\n\n\nf3.__name__ = "{TEXT}"\nf3.__doc__ = "{TEXT}"\n',
}
EXPECTED = {"t/0": "exception", "t/1": "exception", "t/2": "failed", "t/3": "passed"}


def test_through_a_sweep_to_the_report(tmp_path, monkeypatch):
    generate = FAKE.generate

    def answered(generator, requests):
        return [replace(row, text=BODIES[row.task_id]) for row in generate(generator, requests)]

    monkeypatch.setattr(FAKE, "generate", answered)
    result = run_sweep(config(problem_file(tmp_path / "p.jsonl")), RunOptions(str(tmp_path / "store"), "local"))
    assert not result.errors
    folder = open_folder("chat", str(tmp_path / "store"))
    (row,) = folder.grid()
    verdicts = {result.task_id: result for result in folder.store.rows(row.results, Result)}
    assert {name: str(verdict.outcome) for name, verdict in verdicts.items()} == EXPECTED
    page = next((tmp_path / "store").glob("**/report.html")).read_bytes().decode()
    assert not set(page) & set("\x1b\0\u202e") and r"\ud800</script>" not in page


def test_through_a_samples_file(tmp_path):
    samples, out = tmp_path / "samples.jsonl", tmp_path / "out.jsonl"
    samples.write_text("".join(json.dumps({"task_id": n, "completion": body}) + "\n" for n, body in BODIES.items()))
    problems = JsonlProblems(path=str(problem_file(tmp_path / "p.jsonl")))
    job = SampleJob(samples, problems, out, Limits(timeout=5), DEFAULT_SANDBOX, workers=1)
    SampleRun(job, lambda done: None).run(lambda done: None)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["task_id"]: row["passed"] for row in rows} == {name: end == "passed" for name, end in EXPECTED.items()}
    for row in rows:
        row["result"].encode()
        assert not set(row["result"]) & set("\x1b\0\u202e\n")
