"""What results keep of a program that was taken out of an answer."""

from types import SimpleNamespace

from raysweep.problems.bigcodebench import BigCodeBench
from raysweep.programs import DEFAULT_SANDBOX, Limits, Oracle
from raysweep.prompts.answers.ways import Extract
from raysweep.records import Completion
from raysweep.stages import judging
from tests.problems.bigcodebench_tasks import rows, write_rows


def asked(monkeypatch, problem, *answers):
    """Return what is asked of answers, and their programs."""
    completions = [Completion(problem.task_id, at, text, "eos", 1, "") for at, text in enumerate(answers)]
    monkeypatch.setattr(judging, "problems_of", lambda pair: {problem.task_id: problem})
    monkeypatch.setattr(judging, "settings_of", lambda *of: lambda task_id, program: (Oracle.INSIDE, Limits()))
    monkeypatch.setattr(judging, "left_out", lambda *of: {})
    pair = SimpleNamespace(
        extract=Extract.AUTO,
        results=SimpleNamespace(spec={}),
        references=None,
        completions=None,
        sandbox=DEFAULT_SANDBOX,
    )
    programs = {}
    return judging._asked(pair, SimpleNamespace(rows=lambda *of: completions), programs), [*programs.values()]


def test_the_code_that_calibrates_is_in_the_program_and_not_in_the_result(tmp_path, monkeypatch):
    """So what is exported as a solution can be judged again, here and by others that calibrate."""
    row, path = rows()[0], write_rows(tmp_path / "tasks.jsonl")
    body = "    return os.path.getsize(name)\n"
    whole = f"{row['code_prompt']}\n{body}"
    for split, kept in (("complete", ["", whole]), ("instruct", [body, whole])):
        problem = BigCodeBench(path, split=split).problems()[0]
        found, programs = asked(monkeypatch, problem, body, f"Sure.\n```python\n{whole}```\n")
        assert all(
            one.program.endswith(text) and "pass" not in one.program for one, text in zip(found, kept, strict=True)
        )
        assert [bool(one.program) for one in found] == [text != "" for text in kept]
        assert all(program.text.startswith(row["code_prompt"] + "\n    pass\n") for program in programs)
