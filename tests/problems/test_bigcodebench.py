"""BigCodeBench's tasks: their programs, calibrated or not, from either prompt, and what is wrong with a file."""

import json
import re
from dataclasses import replace

import pytest

from raysweep.cli.views.perturb import write_problem_rows
from raysweep.errors import UsageError
from raysweep.problems.base import PROBLEMS, problem_set_of, problems_entry
from raysweep.problems.bigcodebench import HUB_SPLIT, REQUIREMENTS, BigCodeBench
from raysweep.problems.jsonl import JsonlProblems
from raysweep.programs import Limits
from raysweep.prompts.answers.extraction import extracted
from raysweep.prompts.answers.found import Found
from raysweep.prompts.answers.ways import Extract
from raysweep.prompts.templates import INSTRUCT, RAW, Prompter, PromptTemplate
from raysweep.quality.files import completion_file
from raysweep.records import Completion, Spec
from raysweep.rows import hub as hub_rows
from raysweep.stages.test_sets import build_test_set
from tests.problems.bigcodebench_tasks import REFERENCE, programs, rows, tasks, write_rows

ROW = rows()[0]
CALIBRATION = ROW["code_prompt"] + "\n    pass\n"
BODY = "    return os.path.getsize(name)\n"
WHOLE = f"{ROW['code_prompt']}\n{BODY}"


def bigcodebench(folder, *given, **arguments):
    path = folder / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in given or rows()))
    return BigCodeBench(str(path), **arguments)


def first(folder, **arguments):
    return bigcodebench(folder, ROW, **arguments).problems()[0]


def test_a_completion_follows_its_prompt_behind_the_code_that_calibrates(tmp_path):
    problem = first(tmp_path, environment="bcb")
    program = problem.assemble(BODY)
    assert program.text == f"{CALIBRATION}{ROW['complete_prompt']}{BODY}"
    assert (program.tests, program.cases, program.environment) == (ROW["test"], True, "bcb")
    assert problem.program(WHOLE).text == f"{CALIBRATION}{WHOLE}"
    truth = f"{ROW['complete_prompt']}\n{ROW['canonical_solution']}"
    assert problem.assemble(problem.reference).text == CALIBRATION + truth
    bare = first(tmp_path, calibrated=False)
    assert bare.assemble(bare.reference).text == truth and bare.program(WHOLE).text == WHOLE
    assert bare.assemble("").environment == ""


def test_an_instructions_answer_is_a_program_of_its_own(tmp_path):
    problem = first(tmp_path, split="instruct")
    assert problem.prompt == ROW["instruct_prompt"]
    assert problem.assemble(WHOLE) == problem.program(WHOLE) == first(tmp_path).program(WHOLE)
    assert problem.assemble(problem.reference) == first(tmp_path).assemble(first(tmp_path).reference)


def test_the_modules_that_code_and_tests_import_at_their_top_level_are_imported_before(tmp_path):
    code = "import matplotlib.pyplot as plt, os\nfrom collections import abc\nfrom a.b import c\ndef task_func():"
    test = f"import unittest\nfrom . import near\nfrom os import path\n{ROW['test']}\ndef f():\n    import late\n"
    problem = bigcodebench(tmp_path, {**ROW, "code_prompt": code, "test": test}).problems()[0]
    assert problem.assemble("").imports == ("a.b", "matplotlib.pyplot")
    (problem,) = bigcodebench(tmp_path, {**ROW, "code_prompt": "def"}, calibrated=False).problems()
    assert problem.assemble("").imports == ()


@pytest.mark.parametrize("split", ["complete", "instruct"])
def test_all_tasks_are_usable_and_their_programs_are_put_together(tmp_path, split):
    problems = BigCodeBench(write_rows(tmp_path / "tasks.jsonl"), split=split)
    problems.check(judged=True)
    by_id = {problem.task_id: problem for problem in problems.problems()}
    assert len(by_id) == 20 == len(tasks())
    for one in programs():
        program = by_id[one.task_id].program(one.whole)
        assert program.text.endswith(one.text) and program.cases
        if one.name != "is no code":
            compile(program.source, one.task_id, "exec")
        if one.name == REFERENCE:
            assert by_id[one.task_id].reference.endswith(one.text)


def test_the_published_stop_strings_end_a_completion_and_no_import_of_an_answer(tmp_path):
    stops = first(tmp_path).stop
    assert {*stops} >= {"\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ", "\nif __name__", "\nprint("}
    assert first(tmp_path, split="instruct").stop == ("\nif __name__", "\ndef main(", "\nprint(")


def test_the_fingerprint_follows_what_programs_depend_on_and_not_the_environments_name(tmp_path):
    def fingerprint(**arguments):
        return bigcodebench(tmp_path, **arguments).fingerprint()

    assert fingerprint() == fingerprint(environment="bcb") == fingerprint(subset="hard")
    others = [fingerprint(calibrated=False), fingerprint(split="instruct")]
    assert all(other != fingerprint() for other in others) and others[0] != others[1]


def test_limits_and_what_a_sweep_asks_of_the_set(tmp_path):
    assert BigCodeBench.limits == Limits(timeout=240, memory_mib=4096) and BigCodeBench.least_timeout == 30
    assert bigcodebench(tmp_path, split="instruct").asks and not bigcodebench(tmp_path).asks
    assert bigcodebench(tmp_path, environment="bcb").runtime == "bcb"


@pytest.mark.parametrize("split", ["complete", "instruct"])
def test_prose_alone_is_perturbed(tmp_path, split):
    problems = bigcodebench(tmp_path, split=split)
    for row, task in zip(build_test_set(problems, Spec("C3", {"strength": 20}), seed=1), rows(), strict=True):
        code, prompt = task["code_prompt"], row.prompt
        kept = prompt.startswith(code) if split == "complete" else prompt.endswith(f"```\n{code}\n```")
        assert kept and row.changed and row.compiles
    for problem in problems.problems():
        natural = "".join(segment.text for segment in problems.segments(problem) if segment.natural)
        assert "task_func" not in natural and "import" not in natural


SAYS = (
    "Write 'the sum isn't there' and \"two\nwhole lines\" into the users' file of the owners' choice, or raise a "
    "ValueError, requests' HTTPError or KeyboardInterrupt with a 'message of user_id here'. Return an Error's text."
)


@pytest.mark.parametrize("split", ["complete", "instruct"])
def test_literals_and_names_of_exceptions_which_tests_may_ask_for_stay(tmp_path, split):
    prompt = f'{ROW["code_prompt"]}\n    """{SAYS}"""\n' if split == "complete" else SAYS
    problems = bigcodebench(tmp_path, {**ROW, f"{split}_prompt": prompt}, split=split)
    segments = problems.segments(problems.problems()[0])
    assert "".join(segment.text for segment in segments) == prompt
    natural = [segment.text for segment in segments if segment.natural]
    assert natural == [
        "Write ",
        " and ",
        " into the users' file of the owners' choice, or raise a ",
        ", requests' ",
        " or ",
        " with a ",
        ". Return an Error's text.",
    ]
    for method in ("C1", "C2", "C3", "W1"):
        (row,) = build_test_set(problems, Spec(method), seed=1)
        for kept in ("'the sum isn't there'", '"two\nwhole lines"', "ValueError", "'message of user_id here'"):
            assert kept in row.prompt


@pytest.mark.parametrize("split", ["complete", "instruct"])
def test_perturbed_prompts_are_written_where_the_set_reads_them(tmp_path, split):
    problems = bigcodebench(tmp_path, split=split)
    rows = build_test_set(problems, Spec("C1"), seed=1)
    write_problem_rows(problems.problems(), rows, tmp_path / "perturbed.jsonl")
    written = BigCodeBench(str(tmp_path / "perturbed.jsonl"), split=split).problems()
    assert [problem.prompt for problem in written] == [row.prompt for row in rows]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"code_prompt": None}, r"tasks.jsonl:1: the row has no `code_prompt`, .* it has task_id, .*`name: jsonl`"),
        ({"instruct_prompt": None}, r"tasks.jsonl:1: the row has no `instruct_prompt`"),
        ({"complete_prompt": 3}, r"tasks.jsonl:1: `complete_prompt` must be a string, not 3"),
        ({"entry_point": None}, r"tasks.jsonl:1: the row has no `entry_point`"),
        ({"canonical_solution": None}, r"tasks.jsonl:1: the row has no `canonical_solution`"),
    ],
)
def test_a_file_of_another_shape_is_told_with_its_line_and_field(tmp_path, changed, message):
    row = {name: changed.get(name, value) for name, value in ROW.items()}
    problems = bigcodebench(tmp_path, {name: value for name, value in row.items() if value is not None})
    with pytest.raises(UsageError, match=message):
        problems.check()


def test_columns_of_the_annotation_repository_are_named_with_the_way_out(tmp_path):
    names = {"complete_prompt": "prompt", "instruct_prompt": "instruction", "code_prompt": "prompt_wo_doc"}
    path = tmp_path / "open-eval.jsonl"
    path.write_text(json.dumps({names.get(name, name): value for name, value in ROW.items()}))
    renamed = "rename `prompt` to `complete_prompt`, `instruction` to `instruct_prompt`, `prompt_wo_doc` to `code_p"
    for text in (str(path), f"bigcodebench={path}", f"bigcodebench-instruct={path}"):
        with pytest.raises(UsageError, match=f"open-eval.jsonl:1: .* annotation repository; {renamed}"):
            problem_set_of(text, 7, judged=True)


NO_CASES = r"tasks.jsonl: the `test` of problem 'Mine/0' can't be run: it defines no class that derives from unittest"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test": ""}, "tasks.jsonl: problem 'Mine/0' has no `test`"),
        (
            {"test": "class TestCases(unittest.TestCase)\n"},
            "the `test` of problem 'Mine/0' can't be run: .* in its line",
        ),
        ({"test": "def check(f):\n    assert f()\n"}, NO_CASES),
        ({"test": "import unittest\nclass A(unittest.TestCase):\n    def setUp(self):\n        pass\n"}, NO_CASES),
        ({"test": "class A:\n    def test_one(self):\n        pass\n"}, NO_CASES),
        ({"code_prompt": "def task_func("}, r"tasks.jsonl:1: `code_prompt` must be code up to .*`calibrated: false`"),
    ],
)
def test_tests_without_cases_and_code_that_no_body_completes_are_told_before_work(tmp_path, changed, message):
    problems = bigcodebench(tmp_path, {**ROW, **changed})
    problems.check()
    with pytest.raises(UsageError, match=message):
        problems.check(judged=True)


def test_another_split_or_subset_is_refused_with_the_nearest_one(tmp_path):
    for arguments, message in (
        ({"split": "instrct"}, r"split 'instrct' \(did you mean 'instruct'\?\) is none of complete, instruct"),
        ({"subset": "hrad"}, r"subset 'hrad' \(did you mean 'hard'\?\) is none of full, hard"),
    ):
        with pytest.raises(UsageError, match=message):
            bigcodebench(tmp_path, **arguments)
    with pytest.raises(UsageError, match="doesn't exist"):
        BigCodeBench(str(tmp_path / "none.jsonl"))


def test_a_path_is_enough_and_a_name_chooses_the_prompt_and_the_subset(tmp_path):
    path = write_rows(tmp_path / "tasks.jsonl")
    assert problems_entry(path, 7) == {"name": "bigcodebench", "path": path}
    asked = {"name": "bigcodebench", "split": "instruct", "as": "bigcodebench-instruct"}
    assert problems_entry(f"bigcodebench-instruct={path}", 7) == {**asked, "path": path}
    assert problem_set_of(f"bigcodebench-instruct={path}", 7, judged=True)[0].asks
    hard = {"name": "bigcodebench", "subset": "hard", "as": "bigcodebench-hard"}
    assert problems_entry("bigcodebench-hard", 7) == hard
    with pytest.raises(UsageError, match="unknown problem set 'bigcodebench-hrad'"):
        problems_entry("bigcodebench-hrad", 7)


def test_the_hub_has_a_set_for_each_subset_and_its_commit_counts(tmp_path, monkeypatch):
    import datasets

    hub, asked = {"": rows(), "-hard": [{**ROW, "test": ""}]}, []

    def load(ref, local):
        asked.append((ref.path, ref.split, ref.revision))
        return datasets.Dataset.from_list(hub[ref.path.removeprefix("bigcode/bigcodebench")]), "abc123", False

    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub_rows, "_load", load)
    assert [problem.prompt for problem in BigCodeBench().problems()] == [row["complete_prompt"] for row in rows()]
    hard = BigCodeBench(subset="hard", revision="main")
    assert hard.fingerprint()["revision"] == "abc123"
    with pytest.raises(UsageError, match=r"bigcode/bigcodebench-hard: problem 'Mine/0' has no `test`"):
        hard.check(judged=True)
    full = "bigcode/bigcodebench"
    assert asked == [(full, HUB_SPLIT, None), (f"{full}-hard", HUB_SPLIT, "main")]


def test_the_sets_pins_are_shipped_for_pip():
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) >= 70 and all(re.fullmatch(r"[\w-]+(==[\w.]+)?", line) for line in lines)
    assert PROBLEMS.get("bigcodebench").requirements == REQUIREMENTS


PROSE = f"It needs os.\n\n```python\n{WHOLE}```\n\nThat is all."


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize("split", ["complete", "instruct"])
def test_a_program_that_is_taken_out_of_an_answer_is_calibrated_too(tmp_path, split, calibrated):
    problem, front = first(tmp_path, split=split, calibrated=calibrated), CALIBRATION if calibrated else ""
    for answer, way, alone in (
        (PROSE, Extract.AUTO, False),
        (PROSE, Extract.LAST, False),
        (PROSE, Extract.EVALPLUS, False),
        (WHOLE, Extract.NONE, True),
    ):
        taken = extracted(problem, answer, way, alone=alone)
        code, wanted = (text.replace("\n\n", "\n").strip() for text in (taken.text, WHOLE))
        assert taken.program.text == front + taken.text and code.endswith(wanted)
        assert problem.prompt not in taken.text and "    pass\n" not in taken.text
        assert taken.program == replace(problem.assemble(""), text=taken.program.text)
    taken = extracted(problem, "I can't.", Extract.AUTO)
    assert taken.found is Found.NOTHING and taken.program.text.startswith(front)


def test_of_an_instruction_no_answer_goes_on_with_the_prompt(tmp_path):
    problem = first(tmp_path, split="instruct")
    for way in (Extract.NONE, Extract.STUDY):
        taken = extracted(problem, WHOLE, way)
        assert (taken.text, taken.found) == (WHOLE, Found.WRITTEN)
    assert extracted(problem, f"{WHOLE}\nprint(1)\n", Extract.STUDY).text == WHOLE
    assert extracted(problem, BODY, Extract.AUTO).text == BODY, "a body is no program, and stays as it is"


def test_an_instruction_is_the_task_of_a_template_as_it_is(tmp_path):
    asked = first(tmp_path, split="instruct")
    text = Prompter(INSTRUCT, False, PromptTemplate(INSTRUCT)).text(asked, asked.prompt)
    assert text.endswith(f"### Instruction:\n{asked.prompt}\n\n### Response:\n")
    assert Prompter(RAW, False, PromptTemplate(INSTRUCT)).text(asked, asked.prompt) == asked.prompt
    code = first(tmp_path)
    text = Prompter(INSTRUCT, False, PromptTemplate(INSTRUCT)).text(code, code.prompt)
    assert "Create a Python function for this problem:\nWrite the lines" in text
    assert text.endswith(f"### Response:\n{ROW['code_prompt']}")


def test_a_file_of_the_users_names_the_environment_of_its_programs(tmp_path):
    own = {"task_id": "a", "prompt": "def f():\n", "entry_point": "f", "canonical_solution": "    return 1\n"}
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(own))
    (problem,) = (one := JsonlProblems(str(path), environment="old")).problems()
    assert (one.runtime, problem.environment, problem.assemble("").environment) == ("old", "old", "old")
    assert one.fingerprint() == JsonlProblems(str(path)).fingerprint() and JsonlProblems(str(path)).runtime == "python"


def test_code_quality_looks_at_what_a_model_wrote(tmp_path):
    completion = Completion(ROW["task_id"], 0, BODY, "eos", 3, "")
    assert completion_file("x", first(tmp_path), completion).text == f"{ROW['complete_prompt']}{BODY}"
