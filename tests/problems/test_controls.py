"""Controls: programs that tests should fail."""

from dataclasses import replace

import pytest

from raysweep.problems.controls import control_of, has_assertion
from raysweep.problems.humaneval_x import CompiledProblem
from raysweep.prompts.repair.hunks import Hunk
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.records import Problem

ADD = Problem("T/0", "def add(a, b):\n", "add", "def check(f):\n    assert f(1, 2) == 3", "    return a + b\n")
COMPILED = {
    "java": (
        "class Solution {\n  final int n;\n  Solution(int n) { this.n = n; }\n  interface A { int f(); }\n"
        "  // ünïcödé\n  public int[] list() { return new int[n]; }\n  void go() { list(); }\n"
        "  <T> boolean is(T a) { if (true) { return true; } return false; }\n  char c() { return 'c'; }\n}\n",
        "class Solution {\n  final int n;\n  Solution(int n) { this.n = n; }\n  interface A { int f(); }\n"
        "  // ünïcödé\n  public int[] list() { return null; }\n  void go() {}\n"
        "  <T> boolean is(T a) { return false; }\n  char c() { return 0; }\n}\n",
    ),
    "cpp": (
        "struct P { int n; P(int n) : n(n) { n++; } };\n// ünïcödé\nvector<int> list(int n){ return {n}; }\n"
        "void go() { list(1); }\nvoid* at() { return nullptr; }\nbool is(int n) { if (n) { n++; } return 0; }\n",
        "struct P { int n; P(int n) : n(n) {} };\n// ünïcödé\nvector<int> list(int n){ return {}; }\n"
        "void go() {}\nvoid* at() { return {}; }\nbool is(int n) { return {}; }\n",
    ),
}


def test_functions_in_python_return_none():
    assert control_of(ADD).text == "def add(a, b):\n    return None"
    assert control_of(ADD).tests == ADD.assemble("").tests
    assert control_of(replace(ADD, reference=None)) is None
    assert control_of(replace(ADD, prompt="add = lambda a, b: ", reference="a + b")) is None, "no function is left out"
    assert control_of(replace(ADD, reference="    return (")) is None
    unused = replace(ADD, prompt="def unused(): return 1\nadd = lambda a, b: ", reference="a + b")
    assert control_of(unused) is None, "a lambda would stay as it is"
    long = replace(ADD, reference=f"    return a + b\ntext = {' + '.join(['1'] * 2000)}\n")
    assert control_of(long) is None, "ast can't write it"


@pytest.mark.parametrize("language", COMPILED)
def test_functions_in_java_and_cpp_return_a_default_value(language):
    text, empty = COMPILED[language]
    problem = CompiledProblem("T/0", "", "list", "tests", text, language)
    assert control_of(problem).text == empty
    assert control_of(replace(problem, reference="int n;")) is None


def test_the_control_of_code_to_be_repaired_is_the_faulty_code():
    hunk = Hunk("def add(a, b):\n", "    return a - b\n", "")
    problem = RepairProblem("T/0", "", "add", ADD.test, "    return a + b\n", hunk=hunk, file_before="import re\n")
    assert control_of(problem).text == f"import re\n{hunk.code}"
    assert control_of(replace(problem, test="")) is None, "nothing is tested"


@pytest.mark.parametrize(
    "test",
    ["def check(f):\n    assert f()", "class T(TestCase):\n    def test(self):\n        self.assertEqual(f(), 1)",
     "if f() != 1:\n    raise ValueError", "if f(): sys.exit(1)", "if f(): os.abort()",
     "np.testing.assert_allclose(f(), 1)", "def check(f"],
)  # fmt: skip
def test_tests_assert_something(test):
    assert has_assertion(replace(ADD, test=test))


def test_tests_without_an_assertion_are_known_by_their_text():
    assert not has_assertion(replace(ADD, test="def check(f):\n    f(1, 2)\n    # assert f(1, 2) == 3"))
    assert not has_assertion(replace(ADD, test=f"x{'.f()' * 300}\nexits(f)"))
    assert has_assertion(replace(ADD, test="")), "none are there"
    assert has_assertion(replace(ADD, test="int main() {}", language="cpp")), "it isn't looked into"
