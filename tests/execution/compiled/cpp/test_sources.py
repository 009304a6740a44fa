"""Tests of C++ programs outside and inside, in plain processes: what passes, and that nothing else does."""

from __future__ import annotations

import random
import re
import signal
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from raysweep.execution.compiled.cpp.sources import INCLUDE, inside, libraries, split
from raysweep.execution.compiled.outside import MOST_BYTES
from tests.execution.compiled.processes import (
    Candidate,
    CompileError,
    frame,
    judged,
    judged_inside,
    needs,
    process,
    read_frame,
    write,
)

pytestmark = pytest.mark.slow

HEADERS = ("cstdio", "cstdlib", "deque", "list", "map", "set", "stdexcept", "string", "unistd.h", "vector")
"""What is compiled beforehand, for all texts of these tests."""
DECLARATION = "#include <string>\n#include <vector>\n#include <stdexcept>\nusing namespace std;\n"
SORTED = "vector<string> f(vector<int> &numbers, const string &name, double x) {"
SORTED_TESTS = """
#undef NDEBUG
#include <assert.h>
int main() {
    vector<int> numbers = {3, 1, 2};
    vector<string> found = f(numbers, "a\\n\\0b", 0.5);
    assert(found.size() == 2 && found[1] == "x");
    assert(numbers.size() == 3 && numbers[0] == 1);
    try {
        f(numbers, "", -1);
        assert(false);
    } catch (const out_of_range &error) {
        assert(string(error.what()) == "negative");
    }
}
"""
OWN = ("program.cpp", "tests.cpp")
"""The texts that differ from one program to the next."""
BODY = """
    if (x < 0) throw out_of_range("negative");
    numbers = {1, 2, 3};
    return {name, "x"};
}
"""
FAILING = "#include <cassert>\nint main() { assert(f(1) == 2); }\n"


class Compiler:
    """Compiles behind a precompiled header, and what isn't a candidate's or the tests' own text only once."""

    def __init__(self, folder: Path) -> None:
        needs("cpp")
        self.folder = folder
        self.command = ["g++", "-O0", "-w", f"-I{INCLUDE}"]
        (folder / "all.hpp").write_text("".join(f"#include <{name}>\n" for name in HEADERS))
        subprocess.run([*self.command, "-x", "c++-header", "all.hpp", "-o", "all.hpp.gch"], cwd=folder, check=True)
        self.objects: dict[str, str] = {}

    def object(self, text: str) -> str:
        """Compile a source text to an object file, or return the one that there is."""
        if text not in self.objects:
            folder = self.folder / str(len(self.objects))
            self.objects[text] = self.run([*write(folder, {"source.cpp": text}), "-c"], folder / "source.o")
        return self.objects[text]

    def program(self, folder: Path, files: Mapping[str, str], *flags: str) -> str:
        """Compile sources into an executable; return its path."""
        own = {name: text for name, text in files.items() if name in OWN}
        others = [self.object(text) for name, text in files.items() if name not in OWN]
        return self.run([*others, *write(folder, own), *flags], folder / "program", behind="program.cpp" in own)

    def run(self, arguments: list[str], target: Path, *, behind: bool = True) -> str:
        """Run g++ behind the header, or without it: tests set a macro before they include any."""
        command = [*self.command, *(["-include", str(self.folder / "all.hpp")] if behind else [])]
        done = subprocess.run([*command, *arguments, "-o", str(target)], capture_output=True, text=True)
        if done.returncode:
            raise CompileError(done.stderr)
        return str(target)

    def inside(self, folder: Path, text: str, tests: str) -> str:
        """Compile a program with its tests; return its path."""
        sources = inside(tests).of(text)
        return self.program(folder, sources.sources, *sources.flags, *libraries(text))


@pytest.fixture(scope="module")
def gxx(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("gxx"))


class Problem:
    """A problem whose tests and server are compiled once."""

    def __init__(self, gxx: Compiler, folder: Path, declaration: str, tests: str) -> None:
        self.split = split(declaration, tests)
        assert self.split.reason == ""
        self.gxx, self.folder = gxx, folder
        self.flags = libraries(declaration)
        self.tests = gxx.program(folder / "tests", self.split.tests, *self.split.flags, *self.flags)
        self.server = [gxx.object(text) for text in self.split.server.values()]
        self.count = 0

    def program(self, text: str) -> str:
        """Compile a candidate; return the path of the executable."""
        self.count += 1
        files = {OWN[0]: f"{text}\n{self.split.candidate_end}"}
        return self.gxx.program(self.folder / f"candidate{self.count}", files, *self.server, *self.flags)

    def judge(self, text: str) -> dict[str, str]:
        """Return the verdict on a candidate, outcome `ended` where its process ended before it answered."""
        candidate = Candidate([self.program(text)], 3)
        with process([self.tests]) as tests:
            try:
                verdict = judged(tests, candidate.answer)
            except EOFError:
                verdict = {"outcome": "ended", "detail": ""}
        candidate.end()
        return verdict


@pytest.fixture(scope="module")
def problem(gxx, tmp_path_factory):
    return Problem(gxx, tmp_path_factory.mktemp("sorted"), DECLARATION + SORTED, SORTED_TESTS)


def test_arguments_changed_in_place_and_exceptions_reach_the_tests(problem):
    assert problem.judge(DECLARATION + SORTED + BODY) == {"outcome": "passed", "detail": ""}


@pytest.mark.parametrize(
    ("old", "new", "outcome", "detail"),
    [
        ("1, 2, 3", "2, 2, 3", "failed", "Assertion `numbers.size() == 3 && numbers[0] == 1' failed."),
        ("numbers = {1, 2, 3}", "numbers.clear()", "failed", "numbers.size() == 3"),
        ('out_of_range("negative")', 'domain_error("a\\"\\n\\xff")', "exception", 'std::domain_error: a"\n\xff'),
        ('out_of_range("negative")', "1", "exception", "int"),
        ("return", "abort(); return", "ended", ""),
        ("return", "exit(0); return", "ended", ""),
        ("return", 'puts("passed"); fflush(stdout); _Exit(0); return', "ended", ""),
        ('"x"', '"y"', "failed", "found.size() == 2"),
        ("{name,", "{string(9000000, 'a'),", "memory", "too large"),
        ("return {", "numbers.resize(1 << 20); return {string(1 << 22, 'a'),", "memory", "too large"),
        ("return", "vector<char>(size_t(-1), 0); return", "exception", "length_error"),
        ("return", "throw bad_alloc(); return", "memory", "bad_alloc"),
    ],
)
def test_what_a_candidate_does_otherwise_is_no_pass(problem, old, new, outcome, detail):
    text = "#include <cstdio>\n#include <cstdlib>\n" + DECLARATION + SORTED + BODY
    verdict = problem.judge(text.replace(old, new))
    assert verdict["outcome"] == outcome
    assert detail in verdict["detail"]


def test_answers_that_are_written_ahead_or_behind_a_guess_are_no_answers(problem):
    ahead = """
        #include <unistd.h>
        static struct Ahead { Ahead() {
            static char a[4096] = {0, 0, 0, 17}; a[20] = 'R'; write(3, a, 21);
        } } ahead_of_calls;
    """
    verdict = problem.judge(DECLARATION + ahead + SORTED + BODY)
    assert verdict == {"outcome": "killed", "detail": "an answer of its process can't be read"}


def test_a_candidate_with_its_own_main_or_another_function_does_not_compile(problem):
    for text in (SORTED + BODY + "int main() { }", SORTED.replace(" f(", " g(") + BODY):
        with pytest.raises(CompileError, match=r"main|f\b"):
            problem.program(DECLARATION + text)


def test_tests_that_crash_at_an_answer_are_no_pass(gxx, tmp_path):
    tests = "int main() { return f(1)[5] + f(1)[0]; }"
    problem = Problem(gxx, tmp_path, f"{DECLARATION}vector<int> f(int a) {{", tests)
    verdict = problem.judge(f"{DECLARATION}vector<int> f(int a) {{ return {{0}}; }}")
    assert verdict == {"outcome": "killed", "detail": "the tests crashed at an answer"}
    assert problem.judge(f"{DECLARATION}vector<int> f(int a) {{ return vector<int>(6, 0); }}")["outcome"] == "passed"
    verdict = problem.judge(f"{DECLARATION}vector<int> f(int a) {{ return vector<int>(6, 1); }}")
    assert verdict == {"outcome": "failed", "detail": "main returned 2"}


def test_no_bytes_of_an_answer_pass_or_crash_the_tests(problem):
    """Answers of random bytes, and right ones with a few bytes changed, cut or added."""
    candidate = Candidate([problem.program(DECLARATION + SORTED + BODY)], 3)
    generator = random.Random(1)

    def changed(answer: bytes) -> bytes:
        data = bytearray(answer)
        kind = generator.randrange(5)
        if kind == 0:
            return answer[:16] + generator.randbytes(generator.randrange(1, 60))
        if kind == 1:
            return bytes(data[: generator.randrange(1, len(data))])
        if kind == 2:
            return answer + generator.randbytes(1)
        if kind == 3:  # a count
            at = generator.randrange(17, len(data) - 4)
            data[at : at + 4] = struct.pack(">I", generator.choice([0, 7, 2**16, MOST_BYTES, 2**31, 2**32 - 1]))
        else:
            data[generator.randrange(16, len(data))] ^= 1 << generator.randrange(8)
        return bytes(data)

    outcomes = set()
    for _ in range(150):
        with process([problem.tests]) as tests:
            outcomes.add(judged(tests, lambda call: changed(candidate.answer(call)))["outcome"])
    candidate.end()
    assert outcomes <= {"killed", "failed", "exception"}
    assert len(outcomes) == 3


def test_values_of_all_types_are_the_same_on_both_sides(gxx, tmp_path):
    head = "#include <list>\n#include <set>\n#include <map>\n#include <deque>\n" + DECLARATION
    heading = (
        "map<string, vector<pair<char, bool>>> f(set<long long> a, list<float> b, deque<unsigned> c, vector<bool> d,"
        " map<char, double> e, const short g, unsigned long long h) {"
    )
    check = """
        bool is_same = a == set<long long>{-1, 1LL << 60} && b == list<float>{0.1f};
        is_same = is_same && c == deque<unsigned>{4294967295u} && d == vector<bool>{true, false};
        is_same = is_same && e.at('\\xff') == 1.0 / 3 && g == -7;
        if (!is_same || h != 18446744073709551615ull) return {};
    """
    call = "f({-1, 1LL << 60}, {0.1f}, {4294967295u}, {true, false}, {{'\\xff', 1.0 / 3}}, -7, 18446744073709551615ull)"
    expected = (
        "map<string, vector<pair<char, bool>>>{{string(\"\\0\", 1), {{'a', true}, {'\\x80', false}}}, {\"\", {}}}"
    )
    tests = f"int main() {{ return {call} == {expected} ? 0 : 1; }}"
    problem = Problem(gxx, tmp_path, head + heading, tests)
    assert problem.judge(f"{head}{heading} {check} return {expected}; }}")["outcome"] == "passed"
    assert problem.judge(f"{head}{heading} return {{}}; }}")["outcome"] == "failed"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("return a + 1;", "passed"),
        ("return a;", "failed"),
        ("throw 1;", "exception"),
        ("exit(0);", "ended"),
        ('puts("passed"); _exit(0);', "ended"),
        (
            "char d[21] = {0, 0, 0, 17, 'D'}; write(3, d, 21); read(3, d, 16); d[4] = 'S'; write(3, d, 21); _exit(0);",
            "ended",
        ),
        ("return main();", "ended"),
    ],
)
def test_inside_a_pass_needs_the_secret_that_comes_behind_the_tests(gxx, tmp_path, body, outcome):
    text = f"#include <cstdio>\n#include <cstdlib>\n#include <unistd.h>\nint main();\nint f(int a) {{ {body} }}"
    tests = "#include <assert.h>\nint main() { assert(f(1) == 2); }"
    assert judged_inside([gxx.inside(tmp_path, text, tests)], 3) == outcome


_TO_NOTHING = 'extern "C" void __assert_fail(const char*, const char*, unsigned, const char*) noexcept {}'


@pytest.mark.parametrize(
    "own",
    [
        "#define NDEBUG",
        "#define assert(x)",
        "#include <assert.h>\n#define __assert_fail(...) ((void)0)",
        _TO_NOTHING,
        'asm(".globl __assert_fail\\n__assert_fail: ret");',
    ],
)
def test_inside_a_program_without_assertions_leaves_those_of_its_tests_alone(gxx, tmp_path, own):
    assert judged_inside([gxx.inside(tmp_path, f"{own}\nint f(int a) {{ return a; }}", FAILING)], 3) == "failed"
    assert judged_inside([gxx.inside(tmp_path, f"{own}\nint f(int a) {{ return 2; }}", FAILING)], 3) == "passed"


@pytest.mark.parametrize("reader", ["a reader", "no reader"])
def test_inside_an_assertion_is_on_stderr_before_its_verdict_is_told(gxx, tmp_path, reader):
    """A judge kills a process whose verdict it has. Without a reader of stderr, writing there ends the process."""
    candidate = Candidate([gxx.inside(tmp_path, "int f(int a) { return a; }", FAILING)], 3)
    stderr = candidate.process.stderr
    assert stderr is not None
    if reader == "no reader":
        stderr.close()
        candidate.socket.sendall(frame(bytes(16)))
        with pytest.raises(EOFError):
            read_frame(candidate.socket.recv)
        assert candidate.end() == -signal.SIGPIPE
    else:
        candidate.socket.sendall(frame(bytes(16)))
        assert read_frame(candidate.socket.recv)[:1] == b"V"
        assert re.search(rb"/program\.cpp:\d+: int main\(\): Assertion `f\(1\) == 2' failed\.\n$", stderr.read())
        assert candidate.end() == 1


LAST = "#include <unistd.h>\n#include <stdexcept>\nstruct Last { ~Last() { _exit(42); } } last;\n"


@pytest.mark.parametrize(
    ("body", "code"), [("return 0;", 0), ("return 3;", 1), ('throw std::range_error("a");', 1), ("throw 3;", 1)]
)
def test_inside_nothing_of_a_program_runs_once_its_verdict_is_told(gxx, tmp_path, body, code):
    candidate = Candidate([gxx.inside(tmp_path, LAST, f"int main() {{ {body} }}\n")], 3)
    token = bytes(16)
    candidate.socket.sendall(frame(token))
    if read_frame(candidate.socket.recv) == b"D" + token:
        candidate.socket.sendall(frame(token))
        assert read_frame(candidate.socket.recv) == b"S" + token
    assert candidate.end() == code


def test_outside_nothing_of_a_program_runs_once_its_tests_have_ended(problem):
    candidate = Candidate([problem.program(f"{LAST}{DECLARATION}{SORTED}{BODY}")], 3)
    assert candidate.end() == 0


def test_libraries_are_those_of_the_headers_that_a_text_includes():
    assert libraries("# include <openssl/md5.h>\nint f();") == ("-lcrypto",)
    assert libraries('// #include <openssl/md5.h>\n#include <map>\nchar a[] = "openssl/md5.h";') == ()
    assert libraries('#include "openssl/md5.h"\n/* no end') == ("-lcrypto",)
    assert libraries('R"a(' * 200_000 + "\n" + "#/*\n" * 200_000) == ()


@pytest.mark.parametrize(
    ("declaration", "tests", "reason"),
    [
        ("int f() {", " ", "there are no tests"),
        ("", "int main() {}", "there is no declaration of what they call"),
        (
            "int f(int *a) {",
            "int main() {}",
            "the problem's declaration has int *a as parameter 1 of f, which is no plain data",
        ),
    ],
)
def test_tests_that_have_to_run_inside_have_a_reason(declaration, tests, reason):
    assert split(declaration, tests).reason == reason
