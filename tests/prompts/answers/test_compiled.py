"""From an answer in Java or C++ to a program: every way of writing a right answer gives one that passes."""

from __future__ import annotations

import json

import pytest

from raysweep.execution.pool import Executor
from raysweep.problems.humaneval_x import CompiledProblem
from raysweep.programs import Level, Limits, Oracle, Outcome, Sandbox
from raysweep.prompts.answers.extraction import Extracted, extracted
from raysweep.prompts.answers.found import Found
from raysweep.prompts.answers.ways import Extract
from tests.execution.compiled.processes import needs

pytestmark = pytest.mark.slow

JAVA_PROMPT = """import java.util.*;

class Solution {
    public int twice(int x) {
        return 2 * x;
    }

    /** Return four times x. */
    public int fourfold(int x) {
"""
CPP_PROMPT = """/* Return four times x. */
#include <vector>
using namespace std;
int twice(int x) {
    return 2 * x;
}

int fourfold(int x) {
"""
JAVA_TESTS = """public class Main {
    public static void main(String[] args) {
        if (new Solution().fourfold(3) != 12) throw new AssertionError();
    }
}
"""
CPP_TESTS = "#undef NDEBUG\n#include <assert.h>\nint main() { assert(fourfold(3) == 12); }\n"
BODY = "    return twice(twice(x));\n"
METHOD = f"public int fourfold(int x) {{\n{BODY}}}\n"
TWICE = "int twice(int y) {\n    return y + y;\n}\n"
FUNCTION = f"int fourfold(int x) {{\n{BODY}}}\n"
MAIN = "int main() {\n    // don't use it\n    return fourfold(1);\n}\n"
PROBLEMS = {
    "java": CompiledProblem("J/1", JAVA_PROMPT, "fourfold", JAVA_TESTS, language="java", declaration=JAVA_PROMPT),
    "cpp": CompiledProblem("C/1", CPP_PROMPT, "fourfold", CPP_TESTS, language="cpp", declaration=CPP_PROMPT),
}


def fenced(code: str, info: str) -> str:
    return f"Sure, here's it:\n\n```{info}\n{code}```\n\nIt doesn't need a loop."


RIGHT = {
    "java": [
        fenced(f"{JAVA_PROMPT}{BODY}    }}\n}}\n", "java"),
        fenced(METHOD, "java"),
        fenced(f"import java.util.List;\n\n@Deprecated\npublic {TWICE}\n{METHOD}", "java").replace("\n", "\r\n"),
        fenced(f"package a.b;\n\npublic final class Numbers {{\n{TWICE}{METHOD}}}\n", ""),
        fenced(f"class Solution {{\n{TWICE}{METHOD}}}\n\npublic class Main {{\n  void f() {{}}\n}}\n", "java"),
        fenced(f"{BODY}    }}\n}}\n", "java"),
        fenced(BODY, "java"),
        f"{BODY}    }}\n\nThat's all.",
        f"{METHOD}\nThat's all.",
        f"Try this:\n{METHOD}\nOr something else; it's up to you.",
        f"[BEGIN]\n{METHOD}[DONE]\n",
        f"<answer>\nclass Solution {{\n  // see <code>x</code>\n  static\n<T>\n"
        f"T id(T x) {{ return x; }}\n{TWICE}{METHOD}}}\n</answer>",
        f'Here:\nclass Solution {{\n  String s = """\n<html>\n<code>\n</think>\n""";\n{TWICE}{METHOD}}}\n',
        f"<tool_call>{json.dumps({'arguments': {'code': METHOD}})}</tool_call>",
    ],
    "cpp": [
        fenced(f"{CPP_PROMPT}{BODY}}}\n\n{MAIN}", "c++"),
        fenced(FUNCTION, "cpp"),
        fenced(
            f"int END = 0, THINK = 0;\nint at(int* T) {{\n    return T\n    [END] + T[THINK];\n}}\n{FUNCTION}", "cpp"
        ),
        fenced(f"#include <map>\n\n{TWICE}\n{FUNCTION}\n{MAIN}", "cpp"),
        fenced(f"{BODY}}}\n\n{MAIN}", ""),
        fenced(BODY, "cpp"),
        f"{BODY}}}\n\nThat's all.",
        f"The function:\n{FUNCTION}\nThat's all.",
        f"[CPP]\n{FUNCTION}[/CPP]",
        f"```json\n{json.dumps({'code': FUNCTION}, indent=1)}\n```",
        fenced(FUNCTION.replace("twice(twice", "half(half"), "cpp")
        + "\n\n```cpp\nint half(int x) {\n    return twice(x);\n}\n```\n",
    ],
}
WRONG = ["I can't help with that.", "```\nfourfold(3)\n```", "Use `fourfold`; it returns 4 = 2 * 2.", ""]


def program_of(language: str, answer: str, way: Extract = Extract.AUTO) -> Extracted:
    return extracted(PROBLEMS[language], answer, way)


@pytest.mark.parametrize("language", RIGHT)
def test_right_answers_pass_however_they_are_written(language):
    needs(language)
    found = [program_of(language, answer) for answer in RIGHT[language]]
    assert Found.NOTHING not in {one.found for one in found}
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:
        verdicts = executor.run([one.program for one in found], Limits(timeout=10))
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * len(found)
    assert {verdict.oracle for verdict in verdicts} == {Oracle.OUTSIDE}


@pytest.mark.parametrize("language", RIGHT)
def test_what_is_no_program_is_judged_as_it_is_written(language):
    for answer in WRONG:
        one = program_of(language, answer)
        assert (one.found, one.program.text) == (Found.NOTHING, PROBLEMS[language].prompt + answer)


def test_the_first_and_the_last_block_may_be_asked_for():
    other = FUNCTION.replace("twice(twice(x))", "4 * x")
    answer = fenced(FUNCTION, "cpp") + "\n\n" + fenced(other, "cpp")
    assert program_of("cpp", answer, Extract.FIRST).program.text.endswith(FUNCTION)
    assert program_of("cpp", answer, Extract.LAST).program.text.endswith(other)
    assert program_of("cpp", answer).program.text.endswith(other)
    assert program_of("cpp", answer, Extract.EVALPLUS).found is Found.NOTHING


def test_a_class_gets_the_name_that_the_tests_know_and_long_answers_that_are_no_code_end():
    code = f'public class Fourfold {{\nFourfold() {{}}\nString name = "Fourfold";\n{METHOD}}}\n'
    text = program_of("java", fenced(code, "java")).program.text
    assert text.startswith("import java.util.*;\n")
    assert '\npublic class Solution {\nSolution() {}\nString name = "Fourfold";' in text
    for long in ("{" * 20_000, "int f(" * 50_000, "}\n" * 50_000, 'R"a(' * 10_000, "fourfold(1){}" * 9_000):
        for language in RIGHT:
            assert program_of(language, f"fourfold\n{long}").program.language == language
