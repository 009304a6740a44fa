"""Answers that are a diff, edits, or the function, class or file around a hunk, instead of the hunk's lines."""

from __future__ import annotations

import json
import time

import pytest

from raysweep.prompts.answers.extraction import Extract, extracted
from raysweep.prompts.answers.found import Found, in_words
from raysweep.prompts.repair.hunks import Hunk, marked
from raysweep.prompts.repair.problems import RepairProblem

GCD = Hunk("def gcd(a, b):\n    if b == 0:\n        return a\n", "    return gcd(a % b, b)\n", "")
ONE = Hunk("    @property\n    def one(self):\n", "        return 2\n", "")
TWICE = Hunk("    static int twice(int n) {\n", "        return n;\n", "    }\n")
PROBLEMS = {
    "function": RepairProblem(
        "p",
        marked(GCD, "#"),
        "gcd",
        "t",
        "    return gcd(b, a % b)\n",
        hunk=GCD,
        file_before="import math\n\n\n",
        file_after="\n\ndef lcm(a, b):\n    return a * b // gcd(a, b)\n",
    ),
    "method": RepairProblem(
        "m",
        marked(ONE, "#"),
        "A",
        "t",
        "        return 1\n",
        hunk=ONE,
        file_before='class A:\n    """It is."""\n\n',
        file_after="\n    two = 2\n",
    ),
    "Java": RepairProblem(
        "j",
        marked(TWICE, "//"),
        "twice",
        "t",
        "        return 2 * n;\n",
        "java",
        hunk=TWICE,
        file_before="class A {\n    int m;\n\n",
        file_after="}\n",
    ),
}
OLD, NEW = GCD.buggy, "    return gcd(b, a % b)\n"
FUNCTION = f"{GCD.before}{NEW}"
FILE = f"import math\n\n\n{FUNCTION}\n\ndef lcm(a, b):\n    return a * b // gcd(a, b)\n"
HEADS = "--- a/x.py\n+++ b/x.py\n"
DIFF = f"@@ -4,4 +4,4 @@\n     if b == 0:\n         return a\n-{OLD}+{NEW}"
METHOD = "    static int twice(int n) {\n        return 2 * n;\n    }\n"


def fenced(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}```\n"


def replacing(old: str, new: str, opening: str = "<<<<<<< SEARCH", closing: str = ">>>>>>> REPLACE") -> str:
    return f"{opening}\n{old}=======\n{new}{closing}\n"


def patch(changes: str) -> str:
    return f"*** Begin Patch\n*** Update File: x\n{changes}*** End Patch\n"


ANSWERS = {
    "function": [
        FUNCTION,
        f"Fixed:\n{fenced(FUNCTION)}",
        f"Here it is:\n\n{FUNCTION}\nIt swaps the arguments.",
        f"{fenced(FUNCTION)}Use it:\n{fenced('print(gcd(12, 8))')}Output:\n{fenced('4', '')}",
        fenced(f"{FUNCTION}\nprint(gcd(int(input()), 8))\n"),
        f"{fenced(FUNCTION)}instead of\n{fenced(GCD.code)}",
        f"In\n{fenced(GCD.code)}the last line should be\n{fenced(NEW)}instead of\n{fenced(OLD)}",
        f"<think>\n{fenced(GCD.code.replace('%', '-'))}</think>\n{FUNCTION}",
        FILE,
        fenced(f"{FILE}\n\nif __name__ == '__main__':\n    print(gcd(*map(int, input().split())))\n"),
        fenced(FILE.replace("import math", "")),
        f"{HEADS}{DIFF}",
        fenced(f"-{OLD}+{NEW}", "diff"),
        f"Fix:\n\n{HEADS}{DIFF}\nNow it ends.\n\n- It's right.\n",
        f"{HEADS}{DIFF}It is right.",
        f"{HEADS}{DIFF}--- a/other.py\n+++ b/other.py\n@@ -1 +1 @@\n-x\n+y\n",
        f"{HEADS}@@ -9,99 +1,2 @@\n{DIFF.partition(chr(10))[2]}",
        f"{HEADS}@@ ... @@\n    if b == 0:\n        return a\n-{OLD}+{NEW}\n\ndef lcm(a, b):\n",
        fenced(f"def gcd(a, b):\n    if b == 0:\n        return a\n-{OLD}+{NEW}", "diff"),
        f"{fenced(f'- {OLD}+ {NEW}', 'diff')}",
        f"Change this:\n\n-{OLD}+{NEW}\nThat's it.",
        f"{fenced(f'{HEADS}{DIFF}', 'diff')}Try\n{fenced('print(gcd(12, 8))')}",
        f"{fenced(f'-{OLD}+    return 0', 'diff')}No, rather\n{fenced(DIFF, 'diff')}",
        replacing(OLD, NEW),
        f"x.py\n{fenced(replacing(OLD, NEW, '<<<<<<< ORIGINAL', '>>>>>>> UPDATED'))}Done.",
        replacing(OLD, NEW, "<<<<<<< HEAD", ">>>>>>> a-branch"),
        replacing(OLD, NEW, "<<<<<<<", ">>>>>>>"),
        replacing(f"{OLD}||||||| base\n{OLD}", NEW, "<<<<<<< HEAD", ">>>>>>> fix"),
        replacing(OLD.lstrip(), NEW.lstrip(), "   <<<<<<< SEARCH"),
        replacing(fenced(OLD), fenced(NEW)),
        replacing(OLD, NEW, "------- SEARCH", "+++++++ REPLACE"),
        replacing(f":start_line:7\n-------\n{OLD}", NEW),
        patch(f"@@ def gcd(a, b):\n     if b == 0:\n-{OLD}+{NEW}"),
        f"So:\n{fenced(patch(f'@@{chr(10)}-{OLD}+{NEW}'), 'bash')}",
        patch(f"-{OLD}+{NEW}"),
        json.dumps({"name": "apply_patch", "arguments": {"input": patch(f"@@\n-{OLD}+{NEW}")}}),
        json.dumps({"name": "edit", "arguments": {"path": "x.py", "old_str": OLD, "new_str": NEW}}),
        f"<tool_call>\n<function=e>\n<parameter=old_str>\n{OLD}</parameter>\n<parameter=new_str>\n{NEW}</parameter>\n",
        f"<tool_call>\n{json.dumps({'name': 'write', 'arguments': {'code': FUNCTION}})}\n</tool_call>",
        f"<tool_call>\n{json.dumps({'code': GCD.code.replace('%', '+')})}\n</tool_call>\nRather\n{fenced(FUNCTION)}",
    ],
    "method": [
        "def one(self):\n    return 1\n",
        "@property\ndef one(self):\n    return 1\n",
        "@@ @@\n def one(self):\n-    return 2\n+    return 1\n",
        fenced("class A:\n    @property\n    def one(self):\n        return 1\n"),
        fenced("class A:\n    ...\n\n    def one(self):\n        return 1\n"),
        fenced("class B:\n    def one(self):\n        return 1\n"),
        'So:\n\nclass A:\n    """It is."""\n\n    def one(self):\n        return 1\n\nThat is all.',
    ],
    "Java": [
        "static int twice(int n) {\n    return 2 * n;\n}\n",
        fenced(METHOD, "java"),
        f"So:\n\n{METHOD}\nDone.",
        f"class A {{\n    int m;\n\n{METHOD}}}\n",
        fenced(f"class A {{\n    // ...\n{METHOD}}}\n", "java"),
        fenced(f"public class Solution {{\n{METHOD}}}\n", "java"),
        fenced(f"class A {{\n{METHOD}\n    public static void main(String[] a) {{\n    }}\n}}\n", "java"),
        f"So:\n\nclass A {{\n    int m;\n\n{METHOD}}}\nDone.",
        "@@ -4,3 +4,3 @@\n     static int twice(int n) {\n-        return n;\n+        return 2 * n;\n     }\n",
        "- It's n.\n\n--- a/A.java\n+++ b/A.java\n@@ @@\n    static int twice(int n) {\n-        return n;\n"
        "+        return 2 * n;\n    }\nDone.",
        patch("@@ static int twice(int n) {\n-        return n;\n+        return 2 * n;\n"),
    ],
}


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, some in ANSWERS.items() for answer in some])
def test_a_whole_function_or_a_diff_is_put_where_it_belongs_or_named(name, answer):
    problem = PROBLEMS[name]
    patched = extracted(problem, answer, Extract.AUTO)
    is_edit = any(mark in answer for mark in ("@@", "=======", "*** Begin", "\n-", "old_str"))
    as_lines = Found.LINES if "the last line should be" in answer else Found.WHOLE
    assert patched.is_exact and patched.found is (Found.EDITS if is_edit else as_lines), patched.program.text
    assert "patch" not in in_words({patched.found: 1}), "it is counted by name"
    assert patched.program.tests == problem.assemble("").tests
    as_lines = extracted(problem, answer, Extract.NONE)
    assert as_lines.found is Found.MISPLACED and "--extract auto" in in_words({as_lines.found: 1})
    assert as_lines.program == problem.assemble(answer), "what is judged stays as it is"


LINES = [
    f'    text = """\n<<<<<<< HEAD\n=======\n>>>>>>> main\n"""\n{NEW}',
    f'    text = """\n{HEADS}{DIFF}"""\n{NEW}',
    f"    # @@ *** Begin Patch <think> @@\n{NEW}",
    f'    x = \'{{"code": "return 0"}}\'\n{NEW}',
    f'    x = """\n<think>\na\n</think>\n[BEGIN]\n"""\n{NEW}',
    f'    """Gives:\n\n    ```\n    4\n    ```\n    """\n{NEW}',
    f'    mark = "```"\n{NEW}',
    "    return (0\n- -gcd(b, a % b))\n",
    f"    def help(x):\n        return x\n{NEW}",
]


@pytest.mark.parametrize("lines", LINES)
def test_lines_whose_strings_and_comments_look_like_more_are_the_hunks_lines(lines):
    problem = PROBLEMS["function"]
    for way in (Extract.AUTO, Extract.NONE):
        taken = extracted(problem, lines, way)
        assert (taken.program, taken.found) == (problem.assemble(lines), Found.PATCH)
    assert extracted(problem, f"So:\n````\n{lines}````\n", Extract.AUTO).program == problem.assemble(lines)


def test_a_hunk_of_a_string_that_holds_a_diff_is_read_as_such_lines_or_as_an_edit_of_them():
    hunk = Hunk('def f():\n    return """\n@@ -1 +1 @@\n-old\n', "+old\n", '"""\n')
    problem = RepairProblem("d", marked(hunk, "#"), "f", "t", "+new\n", hunk=hunk)
    whole = hunk.patched("+new\n")
    for answer in ("+new\n", "@@ @@\n-+old\n++new\n", whole, f"So:\n\n{whole}\nDone.", fenced(whole)):
        assert extracted(problem, answer, Extract.AUTO).is_exact, answer


def test_of_two_edits_both_count_and_what_a_function_lacks_comes_with_it():
    problem, other = PROBLEMS["function"], "-    return a * b // gcd(a, b)\n+    return a // gcd(a, b) * b\n"
    wanted = FILE.replace("a * b // gcd(a, b)", "a // gcd(a, b) * b")
    for first, second in ((DIFF, f"@@ -11 +11 @@\n{other}"), (f"@@ -11 +11 @@\n{other}", DIFF)):
        two = f"{fenced(first, 'diff')}and\n{fenced(second, 'diff')}"
        assert extracted(problem, two, Extract.AUTO).program.text == wanted
    helper = "def step(a, b):\n    return b, a % b\n"
    helped = FUNCTION.replace("b, a % b", "*step(a, b)")
    text = extracted(problem, fenced(f"import os\n\n\n{helper}\n\n{helped}"), Extract.AUTO).program.text
    assert text == f"import os\n{FILE.replace(FUNCTION, f'{helper}{helped}')}"


WITHOUT_PATCH = [f"<think>\n{fenced(FUNCTION)}", replacing(OLD, NEW)[:40], replacing("    x\n", NEW)]


@pytest.mark.parametrize("answer", WITHOUT_PATCH)
def test_reasoning_alone_and_edits_that_are_cut_or_fit_nowhere_are_no_patch(answer):
    problem = PROBLEMS["function"]
    assert extracted(problem, answer, Extract.AUTO).found is Found.NO_PATCH
    assert extracted(problem, answer, Extract.NONE).found is Found.MISPLACED


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_lines_of_a_hunk_are_a_patch_as_ever(name):
    problem = PROBLEMS[name]
    assert problem.reference is not None
    for answer in (problem.reference, f"```\n{problem.reference}```"):
        taken = extracted(problem, answer, Extract.AUTO)
        assert taken.is_exact and taken.found is (Found.LINES if "`" in answer else Found.PATCH)
        dedented = extracted(problem, answer.replace("\n    ", "\n").lstrip(), Extract.AUTO)
        assert dedented.is_exact and dedented.found is (
            Found.PATCH if name == "Java" and "`" not in answer else Found.LINES
        )
    assert extracted(problem, problem.reference, Extract.HUNK).found is Found.PATCH
    quoted = extracted(PROBLEMS["function"], f"Not `{OLD.strip()}` but `{NEW.strip()}` is right.", Extract.AUTO)
    assert quoted.is_exact and quoted.found is Found.LINES
    recursive = "    return gcd(b, a % b) if b else a\n"
    assert extracted(PROBLEMS["function"], recursive, Extract.NONE).found is Found.PATCH


def test_lines_are_told_from_an_example_of_their_use_and_found_in_json():
    java, lines = PROBLEMS["Java"], PROBLEMS["Java"].reference
    example = f"{fenced(lines, 'java')}Use it:\n{fenced('System.out.println(A.twice(3));', 'java')}"
    for answer in (example, json.dumps({"patch": lines})):
        taken = extracted(java, answer, Extract.AUTO)
        assert taken.is_exact and taken.found is Found.LINES, taken.program.text


def test_a_diff_that_does_not_fit_the_file_is_no_patch_and_another_function_stays_in_the_hunks_place():
    problem = PROBLEMS["function"]
    unfit = extracted(problem, "@@ -1 +1 @@\n-    return 7\n+    return 8\n", Extract.AUTO)
    assert (unfit.found, unfit.is_exact) == (Found.NO_PATCH, False)
    helper = "    def help(x):\n        return x\n    return gcd(b, a % b)\n"
    assert extracted(problem, helper, Extract.AUTO).program == problem.assemble(helper)
    heading = Hunk("", "def f(n):\n    return n\n", "")
    own = RepairProblem("h", marked(heading, "#"), "f", "t", "def f(n):\n    return 1\n", hunk=heading)
    assert extracted(own, own.reference, Extract.HUNK).found is Found.PATCH, "the hunk is the function itself"


def test_searches_without_an_end_are_read_in_one_pass():
    began = time.process_time()
    assert extracted(PROBLEMS["function"], "<<<<<<< SEARCH\n" * 13_000, Extract.AUTO).found is Found.NO_PATCH
    assert time.process_time() - began < 10, "tenths of a second"
