"""HumanEval+ and MBPP+ from files and from the hub, and what their tests tell apart."""

import ast
import contextlib
import json
import math

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.problems.evalplus import tests as written
from raysweep.problems.evalplus.mbpp_arguments import restored
from raysweep.problems.evalplus.problem_sets import HumanEvalPlus, MbppPlus
from raysweep.problems.evalplus.tasks import humaneval_task, mbpp_task
from raysweep.programs import Limits, Program
from raysweep.rows import hub as hub_rows
from raysweep.rows.json_files import JsonRow, read_json_rows
from tests.conftest import shared_data
from tests.problems.evalplus.rows import HUMANEVALS, MBPPS, distinct, hub_humaneval, hub_mbpp, write

KINDS = [(HumanEvalPlus, HUMANEVALS), (MbppPlus, MBPPS)]


@pytest.fixture(scope="module")
def executor():
    with Executor(1) as pool:
        yield pool


def parts_passed(tests: str, text: str) -> list[str]:
    """Run a candidate and its tests in this process, as a judge would, and return the parts that passed."""
    names: dict = {}
    exec(text, names)
    with contextlib.suppress(AssertionError):
        exec(tests, names)
    return names["PARTS_PASSED"]


@pytest.mark.parametrize(("kind", "row"), KINDS)
def test_a_row_becomes_a_problem_whose_reference_passes_both_parts(kind, row, tmp_path, executor):
    (problem,) = kind(write(tmp_path / "plus.jsonl", row)).problems()
    assert (problem.prompt, problem.reference) == (row["prompt"], row["canonical_solution"])
    program = problem.assemble(problem.reference)
    assert program == Program(problem.prompt + problem.reference, problem.test), "the tests are in one piece"
    (verdict,) = executor.run([program], Limits())
    assert verdict.outcome == "passed", verdict
    assert parts_passed(program.tests, program.text) == ["base", "plus"]


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("    return x / 2\n", ["base", "plus"]),
        ("    items.clear()\n    return x / 2\n", ["base", "plus"]),
        ("    return x / 2 + 1e-9\n", ["base", "plus"]),
        ("    return x / 2 if x < 4 else 7.0\n", ["base"]),
        ("    return x / 2 if items else 7.0\n", []),
    ],
)
def test_base_inputs_come_first_and_arguments_are_copies(body, parts, tmp_path):
    (problem,) = HumanEvalPlus(write(tmp_path / "plus.jsonl", HUMANEVALS)).problems()
    assert parts_passed(problem.test, problem.assemble(body).text) == parts


def test_a_candidate_gets_no_module_of_the_tests(tmp_path, executor):
    row = {**HUMANEVALS, "prompt": HUMANEVALS["prompt"].removeprefix("import math\n\n\n")}
    row["canonical_solution"] = "    import math\n" + row["canonical_solution"]
    (problem,) = HumanEvalPlus(write(tmp_path / "plus.jsonl", row)).problems()
    bodies = [f"    return {call} / 2\n" for call in ("math.fsum([x])", "json.loads(str(x))", "numbers.x", "cmath.x")]
    verdicts = executor.run([problem.assemble(body) for body in bodies], Limits())
    assert all("NameError" in verdict.detail for verdict in verdicts), verdicts


@pytest.mark.parametrize(("name", "task"), [("check", "Mbpp/56"), ("sum", "Mbpp/558"), ("shared", "Mbpp/581")])
def test_a_task_may_ask_for_a_function_with_a_name_of_another(name, task, tmp_path, executor):
    row = {**MBPPS, "task_id": task, "entry_point": name, "base_input": [[1, 2]], "plus_input": [[2, 3]]}
    row["canonical_solution"] = f"\nimport math\ndef {name}(n, m):\n  return math.floor(n) * 10.0\n"
    (problem,) = MbppPlus(write(tmp_path / "plus.jsonl", row)).problems()
    programs = [problem.assemble(code) for code in (row["canonical_solution"], f"\ndef {name}(n, m):\n  return 0\n")]
    assert [verdict.outcome for verdict in executor.run(programs, Limits())] == ["passed", "failed"]


def test_tests_import_little_and_look_up_nothing():
    tree = ast.parse(written.tests_of(mbpp_task(JsonRow("x:1", MBPPS))))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"math", "cmath", "numbers", "json"}
    assert ast.unparse(tree.body[0]) == "PARTS_PASSED = []"


def test_inputs_that_json_lacks_are_written_as_expressions():
    values = [1.5, -math.inf, complex(-0.0, 2), (1, [2], {3}), set(), {"a": (4,)}, {}, "it's", None, True, [()]]
    assert repr(eval(written._literal(values))) == repr(values)


def test_large_combinations_are_left_out():
    inputs = [[["R", "G"], 1], [["R", "G", "B", "Y", "O"], 77]]
    row = {**MBPPS, "task_id": "Mbpp/255", "base_input": inputs[:1], "plus_input": inputs}
    assert mbpp_task(JsonRow("x:1", row)).plus == inputs[:1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_input": "x"}, "`base_input` must be a list of lists"),
        ({"atol": None}, "`atol` must be a number"),
        ({"canonical_solution": "  return ("}, "the reference solution does not parse"),
        ({"prompt": None}, "`prompt` must be a string"),
    ],
)
def test_unusable_rows_are_reported_with_their_line(change, message, tmp_path):
    for kind, row in KINDS:
        with pytest.raises(UsageError, match=f"plus.jsonl:1: .*{message}"):
            kind(write(tmp_path / "plus.jsonl", {**row, **change})).check(judged=True)


def test_without_a_file_and_without_the_hub_the_message_names_both_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path))
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    for kind, _ in KINDS:
        with pytest.raises(UsageError, match=rf"{kind.hub}.*run this once online.*give `path:` {kind.file}"):
            kind().check()


def test_the_hubs_rows_give_the_same_problems_and_its_commit_counts(tmp_path, monkeypatch):
    import datasets

    tests = ["assert set(shared((1, 2),(2, 3))) == {2}"]
    arguments = [restored("Mbpp/2", one) for one in MBPPS["base_input"] + MBPPS["plus_input"]]
    humanevals = {**HUMANEVALS, "task_id": "HumanEval/35"}  # whose own tests have two inputs, as this row has
    of_hub = {
        "evalplus/humanevalplus": hub_humaneval(humanevals, HUMANEVALS["base_input"] + HUMANEVALS["plus_input"]),
        "evalplus/mbppplus": hub_mbpp(MBPPS, arguments, tests),
    }
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    loaded = {name: datasets.Dataset.from_list([row]) for name, row in of_hub.items()}
    monkeypatch.setattr(hub_rows, "_load", lambda ref, local: (loaded[ref.path], "abc123", False))
    for kind, row in ((HumanEvalPlus, humanevals), (MbppPlus, MBPPS)):
        assert kind().problems() == kind(write(tmp_path / "plus.jsonl", row)).problems()
        assert kind().fingerprint()["revision"] == "abc123"


def test_rows_of_the_hub_without_inputs_are_reported():
    row = hub_humaneval(HUMANEVALS, [[1]])
    for test in ("x = 1", "inputs = f()\nfor i in inputs:\n    a(1, 2)", "(", "inputs = [[1]]\nfor i in inputs: pass"):
        with pytest.raises(UsageError, match="has no list `inputs` as EvalPlus writes it"):
            humaneval_task(JsonRow("x:1", {**row, "test": test}))


def hub_rows_are_the_same_tasks(name, every):
    """Inputs that repeat others are missing on the hub, as the order of `distinct` says."""
    is_mbpp = "Mbpp" in name
    for row in list(read_json_rows(shared_data(*name.split("/"))))[::every]:
        ours = (mbpp_task if is_mbpp else humaneval_task)(row)
        inputs = distinct([*ours.base, *ours.plus])
        if is_mbpp:
            tests = row.text("assertion").split("\nassert ")[1:]
            first = row.text("prompt").split("\nassert ")[1].rpartition('\n"""')[0]
            other = hub_mbpp(dict(row.fields), inputs, [f"assert {first}", *tests[1:]])
            if len(distinct(ours.base)) != len(ours.base):
                continue  # Mbpp/799 has a base input twice, which moves one input to the other part
            theirs = mbpp_task(JsonRow("hub", other))
        else:
            theirs = humaneval_task(JsonRow("hub", hub_humaneval(dict(row.fields), inputs)))
        for field in ("task_id", "prompt", "entry_point", "reference", "tolerance"):
            assert getattr(theirs, field) == getattr(ours, field), ours.task_id
        assert theirs.base == distinct(ours.base), ours.task_id
        assert theirs.plus == inputs[len(distinct(ours.base)) :], ours.task_id


WHOLE = ["humanevalplus/HumanEvalPlus.jsonl.gz", "mbppplus/MbppPlus.jsonl.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_some_of_evalpluss_rows_in_the_hubs_form_are_the_same_tasks(name):
    hub_rows_are_the_same_tasks(name, every=10)


@pytest.mark.slow
def test_arguments_have_the_types_that_evalplus_gives_them():
    theirs = pytest.importorskip("evalplus.data.mbpp")
    for row in read_json_rows(shared_data("mbppplus", "MbppPlus.jsonl.gz")):
        task_id = row.text("task_id")
        for name in ("base_input", "plus_input"):
            inputs = row.fields[name]
            ours = [restored(task_id, arguments) for arguments in inputs]
            expected = theirs.mbpp_deserialize_inputs(task_id, json.loads(json.dumps(inputs)))
            assert repr(ours) == repr([list(arguments) for arguments in expected]), task_id
