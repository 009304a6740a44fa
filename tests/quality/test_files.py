"""Completions as files: what the model saw and wrote, with the traps of encoding."""

import pickle

import pytest

from raysweep.errors import UsageError
from raysweep.problems.humaneval import HumanEval
from raysweep.prompts.answers.ways import Extract
from raysweep.quality.files import SourceFile, completion_file
from raysweep.records import Completion, Problem

PROBLEM = Problem(
    "a/1", 'def one():\n    """Return 1."""\n', "one", "def check(candidate):\n    assert candidate() == 1\n"
)


def completion(text, stop="\ndef", task_id="a/1"):
    return Completion(task_id, 0, text, stop, 3, "sha")


def test_a_file_is_the_clean_prompt_and_the_completion_without_tests_or_the_program_in_an_answer():
    file = completion_file("x", PROBLEM, completion("    return 1"))
    assert file == SourceFile("x", 'def one():\n    """Return 1."""\n    return 1', prompt_lines=2)
    assert pickle.loads(pickle.dumps(file)) == file
    problem = Problem("a/1", "def one():\n    return", "one", "")
    assert completion_file("x", problem, completion(" 1\n")).prompt_lines == 1, "a line that both share is not its own"
    answer = completion("Sure:\n```python\ndef one():\n    return 1\n```\n", stop="eos")
    assert completion_file("x", PROBLEM, answer, Extract.AUTO) == SourceFile("x", "def one():\n    return 1\n")


def test_humanevals_references_are_files_that_compile():
    for problem in HumanEval().problems():
        file = completion_file(problem.task_id, problem, completion(problem.reference, task_id=problem.task_id))
        assert "check(" not in file.text.replace(problem.prompt, "").replace(problem.reference, "")
        compile(file.content, problem.task_id, "exec")
        assert file.text.splitlines()[: file.prompt_lines] == problem.prompt.splitlines()[: file.prompt_lines]


@pytest.mark.parametrize(
    "text,traps",
    [
        ("x = 1\n", []),
        ("", []),
        ("x = 1", ["no_final_newline"]),
        ("x = '\ud800'\n", ["surrogate"]),
        ("x = '\0'\n", ["nul"]),
        ("x = 1\r\n", ["line_ends"]),
        ("x = 1\ry = 2\r", ["line_ends"]),
        ("# coding: latin-1\n", ["declared_encoding"]),
        ("#!python\n# -*- coding: latin-1 -*-\n", ["declared_encoding"]),
        ("x = 1\n# coding: latin-1\n", []),
        ("# a\n# b\n# coding: latin-1\n", []),
        ("# coding: UTF-8\n", []),
        ("# coding: no-such-encoding\n", ["declared_encoding"]),
        ("# '\ud800'\n", ["surrogate"]),
        ("\ufeffx = 1\n", []),
        ("# vim: set fileencoding=utf_8 :\n", []),
    ],
)
def test_traps(text, traps):
    assert SourceFile("x", text).traps == tuple(traps)


def test_bytes_are_kept_and_a_text_that_reached_its_longest_length_is_marked():
    assert SourceFile("x", "x = 'é\ud800'\r\n\0").content == b"x = '\xc3\xa9\xed\xa0\x80'\r\n\0"
    files = [completion_file("x", PROBLEM, completion("    return 1\n", stop)) for stop in ("length", "eos")]
    assert ["cut_short" in file.traps for file in files] == [True, False]


def test_other_languages_and_other_problems_are_refused():
    java = Problem("J/1", "class A {", "a", "", language="java")
    with pytest.raises(UsageError, match="J/1 is in java"):
        completion_file("x", java, completion("}", task_id="J/1"))
    with pytest.raises(UsageError, match="a completion of b/2 doesn't belong to a/1"):
        completion_file("x", PROBLEM, completion("", task_id="b/2"))
