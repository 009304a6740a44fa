"""Patches in what models answer."""

from dataclasses import replace

import pytest

from raysweep.prompts.repair.hunks import Hunk, marked
from raysweep.prompts.repair.problems import Patch, RepairProblem
from raysweep.prompts.repair.styles import RepairAnswer

HUNK = Hunk("    int f(int n) {\n", "        return n - 1; // wrong\n", "    }\n")
SHOWN = Hunk("int f(int n) {\n", "    return n - 1;\n", "}\n")
PROBLEM = RepairProblem(
    task_id="A/f",
    prompt=marked(SHOWN, "//"),
    entry_point="f",
    test="tests",
    reference="        return n;\n",
    language="java",
    hunk=HUNK,
    file_before="class A {\n",
    file_after="}\n",
)
PYTHON = RepairProblem(
    task_id="B/f",
    prompt=marked(Hunk("def f(n):\n", "    return n - 1\n", ""), "#"),
    entry_point="f",
    test="def check(candidate):\n    assert candidate(1) == 1\n",
    reference="    return n\n",
    hunk=Hunk("def f(n):\n", "    return n - 1\n", ""),
    file_after='"""Says nothing."""\n',
)


def patch(problem: RepairProblem, answer: str, way: RepairAnswer) -> Patch:
    found = problem.patch(answer, way)
    assert found is not None
    return found


def test_the_faulty_hunk_gives_the_file_and_the_reference_is_an_exact_match() -> None:
    file = "class A {\n    int f(int n) {\n        return n - 1; // wrong\n    }\n}\n"
    assert PROBLEM.assemble(HUNK.buggy).text == file
    mended = patch(PROBLEM, PROBLEM.reference or "", RepairAnswer.HUNK)
    assert mended.is_exact and mended.program.text == file.replace("n - 1; // wrong", "n;")
    assert mended.program.tests == "tests"


@pytest.mark.parametrize(
    ("problem", "answer", "way", "is_exact"),
    [
        (PROBLEM, HUNK.buggy, RepairAnswer.HUNK, False),
        (PROBLEM, "return n;", RepairAnswer.HUNK, True),  # layout and comments don't count
        (PROBLEM, "\n    return  n; // mended\n", RepairAnswer.HUNK, True),
        (PROBLEM, "<extra_id_0> return n;<extra_id_1> }", RepairAnswer.SPAN, True),  # it ends at the next mask
        (PYTHON, "    return n\n", RepairAnswer.HUNK, True),
        (PYTHON, "return n\n", RepairAnswer.HUNK, False),  # the indent counts in Python
    ],
)
def test_an_exact_match(problem: RepairProblem, answer: str, way: RepairAnswer, is_exact: bool) -> None:
    assert patch(problem, answer, way).is_exact is is_exact


def test_nothing_and_what_stays_open_are_no_patch() -> None:
    for answer in ("", "    return n;\n", "    if (n > 0) { return n; }\n /* } */"):
        assert PROBLEM.patch(answer, RepairAnswer.REST) is None
    assert PYTHON.patch("\n\n", RepairAnswer.REST) is None
    assert PROBLEM.patch("<extra_id_0>\n\n  ", RepairAnswer.SPAN) is None, "blanks without an end fill no mask"
    assert replace(PROBLEM, hunk=replace(HUNK, buggy="")).patch("\n", RepairAnswer.HUNK) is None
    without = patch(PROBLEM, "", RepairAnswer.HUNK).program.text
    assert without == "class A {\n    int f(int n) {\n    }\n}\n", "in the place of lines nothing takes them out"


def test_the_rest_of_a_method_ends_with_its_brace() -> None:
    mended = patch(PROBLEM, '    return n; // "}"\n}\n\nint g() { return 1; }\n', RepairAnswer.REST)
    assert mended.is_exact
    assert mended.program.text == "class A {\nint f(int n) {\n    return n;\n}\n}\n"


def test_the_rest_of_a_function_in_python_ends_at_the_margin() -> None:
    mended = patch(PYTHON, "    return n\n\n# a comment\ndef g():\n    pass\n", RepairAnswer.REST)
    assert mended.is_exact
    assert mended.program.text.startswith('def f(n):\n    return n\n\n# a comment\n"""Says')
    assert mended.program.tests.endswith("\ncheck(f)")


@pytest.mark.parametrize("answer", ["<extra_id_0><extra_id_1>", "<extra_id_0> <extra_id_1> }", "<extra_id_0>", ""])
def test_a_mask_that_nothing_fills_takes_the_lines_in_its_place_out(answer: str) -> None:
    mended = patch(replace(PROBLEM, reference=""), answer, RepairAnswer.SPAN)
    assert mended.is_exact and mended.program.text == "class A {\n    int f(int n) {\n    }\n}\n"
    hole = replace(PROBLEM, hunk=replace(HUNK, buggy=""))
    assert hole.patch(answer, RepairAnswer.SPAN) is None


@pytest.mark.parametrize("answer", ["<extra_id_0> return n<extra_id_1>", "return n\n", "    return n\n"])
def test_a_masked_span_begins_behind_the_indent_before_its_mask(answer: str) -> None:
    mended = patch(PYTHON, answer, RepairAnswer.SPAN)
    assert mended.is_exact and mended.program.text.startswith("def f(n):\n    return n\n")


def test_the_functions_behind_the_one_that_a_model_goes_on_with_stay() -> None:
    hunk = Hunk("def f(n):\n", "    return g(n)\n", "\n# helps\ndef g(n):\n    return n - 1\n")
    problem = replace(PYTHON, hunk=hunk, prompt=marked(hunk, "#"), reference="    return g(n) + 1\n", file_after="")
    behind = "def g(n):\n    return n - 1\n"
    assert patch(problem, "    return n\n", RepairAnswer.REST).program.text == f"def f(n):\n    return n\n{behind}"
    for answer in ("    return g(n) + 1\n", "    return g(n) + 1", "    return g(n) + 1\n\ndef g(n):\n    return 5\n"):
        mended = patch(problem, answer, RepairAnswer.REST)
        assert mended.is_exact and mended.program.text.endswith(behind) and mended.program.text.count("def g") == 1


def test_a_span_in_the_place_of_no_lines_has_the_indent_of_the_code_around_or_its_own_deeper_one() -> None:
    hunk = Hunk("def f(n):\n", "", "    return n\n")
    problem = replace(PYTHON, hunk=hunk, prompt=marked(hunk, "#"), reference="    n += 1\n")
    mended = patch(problem, "<extra_id_0>n += 1<extra_id_1>", RepairAnswer.SPAN)
    assert mended.is_exact and "def f(n):\n    n += 1\n    return n\n" in mended.program.text
    hunk = Hunk("def f(n):\n    if n:\n        n += 1\n", "", "    return n\n")
    problem = replace(PYTHON, hunk=hunk, prompt=marked(hunk, "#"), reference="        n += 2\n")
    for span, is_exact in (("        n += 2", True), (" n += 2", False), ("n += 2", False)):
        mended = patch(problem, f"<extra_id_0>{span}<extra_id_1>", RepairAnswer.SPAN)
        assert mended.is_exact is is_exact, span
        compile(mended.program.text, "patched", "exec")


def test_lines_at_the_margin_in_a_string_or_brackets_end_no_function() -> None:
    rest = '    text = """\nx\n"""\n    return g(\nn)\n'
    assert patch(PYTHON, f"{rest}print(f(1))\n", RepairAnswer.REST).program.text.startswith(f'def f(n):\n{rest}"""Says')
    hunk = Hunk("def f(n):\n", "    n += 1\n", '    return \'n\'\n\nS = """\nx\n"""\n')
    problem = replace(PYTHON, hunk=hunk, prompt=marked(hunk, "#"), file_after="")
    assert patch(problem, rest, RepairAnswer.REST).program.text == f'def f(n):\n{rest}S = """\nx\n"""\n'
