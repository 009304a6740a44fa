"""HumanEval in Java and C++: prompts, and no verdicts."""

import pytest

from raysweep.errors import UsageError
from raysweep.problems.humaneval_x import HumanEvalX
from raysweep.records import Spec
from raysweep.stages.test_sets import build_test_set
from tests.conftest import shared_data


@pytest.fixture(params=["java", "cpp"])
def problems(request):
    return HumanEvalX(request.param, str(shared_data("humaneval_x", f"humaneval_{request.param}.jsonl.gz")))


def test_has_the_164_published_problems_whose_tests_call_the_entry_point(problems):
    published = problems.problems()
    assert len(published) == 164
    for problem in published:
        assert f"{problem.entry_point}(" in problem.test
        assert problem.entry_point in problem.declaration
        assert problem.assemble(problem.reference).source == f"{problem.prompt}{problem.reference}\n{problem.test}"


def test_perturbed_prompts_differ_inside_their_last_comment_only(problems):
    rows = build_test_set(problems, Spec("C3", {"strength": 20}), seed=1)
    assert sum(row.changed for row in rows) >= 163
    for row in rows:
        assert row.prompt.lower() == row.clean_prompt.lower()
        start = row.clean_prompt.rfind("//" if row.task_id == "CPP/50" else "/*")
        assert row.prompt[:start] == row.clean_prompt[:start]
        end = row.clean_prompt.find("\n" if row.task_id == "CPP/50" else "*/", start)
        assert row.prompt[end:] == row.clean_prompt[end:]


def test_judging_is_refused_before_any_work(problems):
    problems.check()
    with pytest.raises(UsageError, match="can't be run yet"):
        problems.check(judged=True)


def test_another_language_or_file_is_reported(tmp_path):
    with pytest.raises(UsageError, match=r"language 'jav' \(did you mean 'java'\?\)"):
        HumanEvalX("jav", "x")
    path = tmp_path / "rows.jsonl"
    path.write_text('{"task_id": "a", "prompt": "def f(x):\\n"}\n')
    with pytest.raises(UsageError, match=r"rows.jsonl:1: `prompt` opens no function in java"):
        HumanEvalX("java", str(path)).check()
