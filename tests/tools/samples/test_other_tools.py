"""Samples as other tools save them: read where they hold programs, else named with a way that works."""

import json

import pytest

from raysweep.errors import UsageError
from raysweep.tools.samples.format import TaskIds, read_samples

PROMPT, BODY = "def one():\n", "    return 1\n"
WHOLE = PROMPT + BODY
TASKS = TaskIds(["HumanEval/0", "HumanEval/1", "MBPP/11"])
DOC = {"task_id": "HumanEval/0", "prompt": PROMPT, "entry_point": "one"}
OWN = [{"task_id": "HumanEval/0", "completion": BODY}]
CONTINUED, ALONE = (BODY, False), (WHOLE, True)


def samples(tmp_path, value, indent=None):
    path = tmp_path / "samples.json"
    rows = [value] if isinstance(value, dict) else value
    path.write_text("".join(json.dumps(row, indent=indent) + "\n" for row in rows))
    return list(read_samples(path, TASKS))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"doc_id": 0, "doc": DOC, "resps": [[BODY]], "filtered_resps": [[WHOLE]], "filter": "create_test"}, [ALONE]),
        ({"doc": DOC, "resps": [[BODY, BODY]], "filtered_resps": [[WHOLE, WHOLE]]}, [ALONE, ALONE]),
        ({"doc": DOC, "resps": [[BODY]], "filtered_resps": [BODY], "filter": "none"}, [CONTINUED]),
        ({"doc": DOC, "resps": [[BODY]]}, [CONTINUED]),
        ({"name": "HumanEval_0_one", "language": "py", "completions": [BODY, "x"]}, [CONTINUED, ("x", False)]),
        ({"name": "humaneval_0_one", "prompt": PROMPT, "completions": [BODY]}, [ALONE]),
        ({"task_id": "HumanEval/0", "prompt": PROMPT, "generation": BODY}, [CONTINUED]),
        ({"task_id": "HumanEval/0", "completion": [BODY, BODY]}, [CONTINUED, CONTINUED]),
        ({"task_id": "HumanEval/0", "solution": [WHOLE]}, [ALONE]),
        ({"task_id": "HumanEval/0", "solution": None, "completion": [BODY]}, [CONTINUED]),
        ({"task_id": "HumanEval/0", "solution": [], "completion": BODY, "config": {}}, [CONTINUED]),
        ({"task_id": "Python/0", "generation": BODY}, [CONTINUED]),
        ({"date": "x", "eval": {"HumanEval/0": [{"solution": WHOLE, "base_status": "pass"}] * 2}}, [ALONE, ALONE]),
    ],
)
def test_programs_are_found_in_what_other_tools_save(tmp_path, row, expected):
    found = samples(tmp_path, row)
    assert [(sample.text, sample.whole) for sample in found] == expected
    assert {sample.task_id for sample in found} == {"HumanEval/0"}
    assert all(isinstance(sample.fields["solution" if sample.whole else "completion"], str) for sample in found)
    assert [(sample.text, sample.whole) for sample in samples(tmp_path, row, indent=2)] == expected


def test_multipl_es_own_problems_keep_their_names(tmp_path):
    name = "HumanEval_0_one"
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps({"name": name, "completions": [BODY]}) + "\n")
    assert [sample.task_id for sample in read_samples(path, TaskIds([name]))] == [name]
    assert TASKS.meant("mbpp_11_remove_Occ") == "MBPP/11" and TASKS.meant("HumanEval_7_x") == "HumanEval_7_x"


def test_lm_evals_mbpp_answers_are_whole_programs_of_tasks_named_by_number(tmp_path):
    doc = {"task_id": 11, "text": "Write ...", "code": "...", "test_list": []}
    (sample,) = samples(tmp_path, {"doc": doc, "resps": [["def f(): ..."]], "filtered_resps": ["def f(): ..."]})
    assert (sample.task_id, sample.whole) == ("MBPP/11", True)


@pytest.mark.parametrize(
    ("rows", "message", "mended"),
    [
        (
            {"results": {}, "configs": {}, "versions": {}},
            "lm-eval's results; they have scores",
            {"doc": DOC, "resps": [[BODY]]},
        ),
        ({"humaneval": {"pass@1": 1}, "config": {}}, "bigcode-evaluation-harness; they have scores", [[[WHOLE]]]),
        (
            {"name": "HumanEval_0_one", "results": []},
            "MultiPL-E's results",
            {"name": "HumanEval_0", "completions": [BODY]},
        ),
        ({"name": "HumanEval_0_one", "language": "lua", "completions": [BODY]}, "judge them with MultiPL-E", OWN),
        (
            {"eval": {"HumanEval/0": {"base": []}}},
            "EvalPlus have no `solution` of 'HumanEval/0'",
            [{"task_id": "HumanEval/0", "solution": WHOLE}],
        ),
        ({"eval": {}, "samples": []}, "inspect's log; of each sample", OWN),
        ({"question_id": "1", "code_list": [WHOLE]}, "LiveCodeBench's output; each of `code_list`", OWN),
        ({"custom_id": "1", "response": {}}, "OpenAI's batch output", OWN),
        ({"0": {"prediction": "x"}}, "OpenCompass's predictions", OWN),
        ({"doc": {"question": "x"}, "resps": [["x"]]}, "no sample of HumanEval or MBPP", OWN),
        ({"doc": DOC, "resps": [[[-1.0, False]]]}, "lm-eval's sample should have texts of programs here", OWN),
        (
            [{"doc": DOC, "resps": [[BODY]], "filter": name} for name in ("a", "b")],
            "`filter` is 'b' here and 'a' before",
            [{"doc": DOC, "resps": [[BODY]], "filter": "a"}],
        ),
        ({"HumanEval/0": [BODY]}, "the row has no `task_id`; it has HumanEval/0; write one row for each program", OWN),
        (["def one(): ..."], "this is no row but", OWN),
        ({"task_id": "HumanEval/0", "completion": []}, "no sample in it, since all its lists of programs are", OWN),
        ({"task_id": "HumanEval/0", "config": {}}, "has neither `completion` nor `solution`; it has task_id, con", OWN),
        ({"task_id": "HumanEval/0", "text": BODY}, 'write one row for each program as {"task_id": ..., "comple', OWN),
    ],
)
def test_what_holds_no_program_that_can_be_read_is_named_and_its_way_works(tmp_path, rows, message, mended):
    with pytest.raises(UsageError) as error:
        samples(tmp_path, rows)
    assert message in str(error.value)
    assert samples(tmp_path, mended)[0].text in (BODY, WHOLE)
