"""MBPP in its three shapes, and from the hub."""

import ast
import csv
import io
import json

import pytest

from raysweep.errors import UsageError
from raysweep.problems.mbpp import Mbpp
from raysweep.problems.safecoder import SafeCoderMbpp
from raysweep.rows import hub as hub_rows
from raysweep.rows.json_files import read_content
from tests.conftest import shared_data

GOOGLES = {
    "text": "Write a function to add one to a number. https://example.org/add",
    "code": "def one():\r\n  return 1\r\nimport math\r\ndef add(x):\r\n  return math.floor(x) + one()",
    "task_id": 7,
    "test_setup_code": "",
    "test_list": ["assert add(1) == 2"],
    "challenge_test_list": [],
}
EVALPLUS = {
    "task_id": "Mbpp/7",
    "prompt": '"""\nWrite a function to add one.\nassert set([add(1)]) == {2}\n"""\n',
    "entry_point": "add",
    "canonical_solution": "\ndef add(x):\n    return x + 1\n",
    "assertion": "\nassert add(1) == 2\n",
}
HUMANEVALS = {
    "task_id": "MBPP/7",
    "prompt": 'def add(x):\n    """Add one."""\n',
    "entry_point": "add",
    "canonical_solution": "    return x + 1\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n",
}


def mbpp(tmp_path, *rows):
    path = tmp_path / "mbpp.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Mbpp(str(path))


def test_googles_rows_become_prompts_in_safecoders_form(tmp_path):
    (problem,) = mbpp(tmp_path, GOOGLES).problems()
    assert problem.task_id == "MBPP/7" and problem.entry_point == "add"
    assert problem.prompt == (
        'import math\n\n\ndef add(x):\n    """\n    Write a function to add one to a number.\n'
        '    Test examples:\n    assert add(1) == 2\n    """\n'
    )
    assert problem.reference == "    def one():\n        return 1\n    return math.floor(x) + one()\n"
    assert problem.assemble("    return 2\n").source == problem.prompt + "    return 2\n\nassert add(1) == 2"


def test_the_sanitised_rows_give_414_of_safecoders_427_prompts_and_all_its_tests(tmp_path):
    text = read_content(shared_data("nlperturbator", "MBPP-R", "mbpp_c1.csv.gz")).decode()
    lists = ("test_imports", "test_list")
    rows = [
        {"task_id": int(row["task_id"]), "prompt": row["original_prompt"], "code": row["code"]}
        | {name: ast.literal_eval(row[name]) for name in lists}
        for row in csv.DictReader(io.StringIO(text, newline=""))
    ]
    ours = {problem.task_id: problem for problem in mbpp(tmp_path, *rows).problems()}
    theirs = {f"MBPP/{p.task_id[5:]}": p for p in SafeCoderMbpp(str(shared_data("safecoder"))).problems()}
    assert ours.keys() == theirs.keys()
    assert sum(ours[task].prompt == theirs[task].prompt for task in ours) == 414
    assert all(ours[task].test == theirs[task].test for task in ours)
    assert sum(ours[task].entry_point != theirs[task].entry_point for task in ours) == 11


def test_deepseek_coders_rows_have_their_tests_as_a_list_of_another_name(tmp_path):
    for changed in ({}, {"code": GOOGLES["code"].replace("\r\n", "\n")}, {"challenge_test_list": ["assert 1"]}):
        row = {**GOOGLES, "prompt": GOOGLES["text"], "test": GOOGLES["test_list"], **changed}
        same = {name: value for name, value in row.items() if name not in ("text", "test_list", "test_setup_code")}
        (problem,), (googles,) = mbpp(tmp_path, same).problems(), mbpp(tmp_path, {**GOOGLES, **changed}).problems()
        assert (problem.prompt, problem.test, problem.reference) == (googles.prompt, googles.test, googles.reference)


def test_evalpluss_and_humanevals_prompts_are_kept(tmp_path):
    one, other = mbpp(tmp_path, EVALPLUS, HUMANEVALS).problems()
    assert (one.prompt, one.reference) == (EVALPLUS["prompt"], EVALPLUS["canonical_solution"])
    assert "\ndef" not in one.stop and "\nassert" in one.stop
    assert other.assemble("    return 2\n").tests.endswith("check(add)")
    natural = [segment.text for segment in mbpp(tmp_path, EVALPLUS).segments(one) if segment.natural]
    assert natural == ["Write a function to add one."], "asserts never are, whatever they call"


def test_code_that_is_no_python_3_has_no_reference_and_tests_that_a_docstring_can_not_hold_are_escaped(tmp_path):
    (problem,) = mbpp(tmp_path, {**GOOGLES, "code": "def add(x):\n  print x\n"}).problems()
    assert problem.prompt.startswith('def add(x):\n    """\n') and problem.reference is None
    (problem,) = mbpp(tmp_path, {**GOOGLES, "test_list": [test := 'assert add("\\x4") == """a"""']}).problems()
    compile(problem.prompt + problem.reference, "prompt", "exec")
    assert problem.test == test


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"task_id": 1, "prompt": "x"}, "mbpp.jsonl:1: has no list of tests"),
        ({**GOOGLES, "code": "x = 1"}, "mbpp.jsonl:1: `code` defines no function"),
        ({**GOOGLES, "test_list": "assert"}, "`test_list` must be a list of texts"),
        ({**GOOGLES, "test_list": ["assert ("]}, "can't be run"),
    ],
)
def test_unusable_rows_are_reported_with_their_line(tmp_path, row, message):
    with pytest.raises(UsageError, match=message):
        mbpp(tmp_path, row).check(judged=True)


def test_the_hubs_rows_are_googles_and_its_commit_counts(tmp_path, monkeypatch):
    import datasets

    data = datasets.Dataset.from_list([GOOGLES])
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub_rows, "_load", lambda ref, local: (data, "abc123", False))
    assert Mbpp().problems() == mbpp(tmp_path, GOOGLES).problems()
    assert Mbpp().fingerprint()["revision"] == "abc123"
