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
CONTINUED, ALONE, ALONE_BELOW = (BODY, False), (WHOLE, True), (f"\n{WHOLE}", True)


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
        ({"task_id": "Python/0", "prompt": PROMPT, "generation": BODY, "output": [1, 2]}, [CONTINUED]),
        ({"task_id": "Python/0", "prompt": f"{PROMPT}\n", "generation": f"\n{WHOLE}", "output": [1]}, [ALONE_BELOW]),
        ({"task_id": "Python/0", "prompt": "x", "generation": WHOLE, "wholecode": "..."}, [ALONE]),
        ({"task_id": "Python/0", "prompt": "x", "generation": WHOLE, "output": "```"}, [ALONE]),
        ({"task_id": "Python/0", "prompt": "x", "generation": WHOLE, "gpt_completion": "```"}, [ALONE]),
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


def test_answers_to_mbpp_are_whole_programs_of_tasks_named_by_number(tmp_path):
    doc, program = {"task_id": 11, "text": "Write ...", "code": "...", "test_list": []}, "def f(): ..."
    of_lm_eval = {"doc": doc, "resps": [[program]], "filtered_resps": [program]}
    for row in (of_lm_eval, {"task_id": 11, "generation": program}):  # DeepSeek-Coder's
        (sample,) = samples(tmp_path, row)
        assert (sample.task_id, sample.text, sample.whole) == ("MBPP/11", program, True)


def test_a_set_of_codegeexs_names_takes_samples_of_humanevals(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps({"task_id": "HumanEval/3", "completion": BODY}) + "\n")
    assert [sample.task_id for sample in read_samples(path, TaskIds(["Python/3", "Python/4"]))] == ["Python/3"]


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
        ({"question_id": "1", "code_list": [WHOLE]}, "LiveCodeBench's output; its tests are of what", OWN),
        ({"custom_id": "1", "response": {}}, "the batch output of OpenAI or vLLM; the answer is", OWN),
        ({"0": [[0, {"passed": True}]]}, "bigcode-evaluation-harness's logs.json; they have verdicts", [[[WHOLE]]]),
        ({"0": {"prediction": "x"}}, "OpenCompass's predictions; each `prediction` answers the problem of", OWN),
        ({"idx": 0, "origin_prompt": "x", "prediction": "x"}, "OpenCompass's predictions; each", OWN),
        ({"doc": {"query": "x"}, "model_response": {"text": []}}, "lighteval's details; `model_response.text`", OWN),
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
