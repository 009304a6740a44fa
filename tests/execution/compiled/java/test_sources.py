"""Tests of Java programs outside and inside, in plain processes: what passes, and that nothing else does."""

from __future__ import annotations

import contextlib
import random
import re
import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from raysweep.execution.compiled.builders import OUT_OF_MEMORY
from raysweep.execution.compiled.java.builder import prepare
from raysweep.execution.compiled.java.sources import (
    CALLER,
    CANDIDATE,
    INSIDE_MAIN,
    SERVER_MAIN,
    SHARED,
    SOURCES,
    TESTS_MAIN,
    TESTS_SHARED,
    inside,
    split,
)
from raysweep.execution.compiled.toolchains import toolchain as find_toolchain
from raysweep.hashing import text_sha
from tests.execution.compiled.processes import (
    WAIT,
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

JAVA = ("java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
HEAD = "import java.util.*;\n\nclass Solution {\n"


class Toolchain:
    """A warm compiler, and a warm process for tests."""

    def __init__(self, folder: Path, compiler: subprocess.Popen[str]) -> None:
        self.folder = folder
        self.count = 0
        self.compiler = compiler
        shared = {name: (SOURCES / name).read_text() for name in dict.fromkeys(SHARED + TESTS_SHARED)}
        self.shared = self.folder
        self.shared = self.compile(shared)

    def compile(self, files: Mapping[str, str]) -> Path:
        """Compile sources; return the folder of the classes. Raise CompileError for a text that doesn't compile."""
        self.count += 1
        folder = self.folder / str(self.count)
        (folder / "classes").mkdir(parents=True)
        line = "\t".join([str(self.shared), str(folder / "classes"), *write(folder, files)])
        assert self.compiler.stdin is not None and self.compiler.stdout is not None
        self.compiler.stdin.write(f"{line}\n")
        self.compiler.stdin.flush()
        said = self.compiler.stdout.readline().strip()
        if said != "done":
            raise CompileError(said)
        return folder / "classes"

    def command(self, classes: Path, main: str) -> list[str]:
        """Return the command as a slot has it: Java's folder for temporary files holds the program's classes alone."""
        return [*JAVA, f"-Djava.io.tmpdir={classes}", "-cp", f"{self.shared}:{classes}", main]

    def inside(self, text: str, tests: str) -> str:
        """Return the outcome of a candidate whose tests run in its process."""
        return judged_inside(self.command(self.compile(inside(tests).of(text).sources), INSIDE_MAIN), 0)


@pytest.fixture(scope="module")
def toolchain(tmp_path_factory) -> Iterator[Toolchain]:
    needs("java")
    compile_java = Path(__file__).parents[1] / "Compile.java"
    with process(["java", *JAVA[2:], str(compile_java)], text=True) as compiler:
        yield Toolchain(tmp_path_factory.mktemp("java"), compiler)


@pytest.fixture(scope="module")
def server(toolchain) -> Iterator[subprocess.Popen[bytes]]:
    with process([*JAVA, "-cp", str(toolchain.shared), TESTS_MAIN]) as tests:
        yield tests


class Problem:
    """A problem whose tests are compiled once."""

    def __init__(self, toolchain: Toolchain, server: subprocess.Popen[bytes], declaration: str, tests: str) -> None:
        self.split = split(declaration, tests)
        assert self.split.reason == ""
        self.toolchain, self.server = toolchain, server
        self.sha = text_sha(declaration + tests).encode()
        archive = b""
        for path in toolchain.compile(self.split.tests).glob("*.class"):
            name, data = path.stem.encode(), path.read_bytes()
            archive += struct.pack(">H", len(name)) + name + struct.pack(">I", len(data)) + data
        self.say(b"P" + self.sha + archive)

    def say(self, message: bytes) -> None:
        assert self.server.stdin is not None
        self.server.stdin.write(frame(message))
        self.server.stdin.flush()

    def start(self, text: str) -> Candidate:
        """Compile and start a candidate."""
        classes = self.toolchain.compile({**self.split.server, CANDIDATE: text})
        return Candidate(self.toolchain.command(classes, SERVER_MAIN), 0)

    def judge(self, text: str) -> dict[str, str]:
        candidate = self.start(text)
        self.say(b"T" + self.sha)
        verdict = judged(self.server, candidate.answer)
        candidate.end()
        return verdict


HEADING = "    public List<String> f(List<Integer> numbers, Object other, Map<String, Integer> map) {\n"
TESTS = """
public class Main {
    public static void main(String[] args) {
        List<Integer> numbers = new ArrayList<>(Arrays.asList(3, 1, 2));
        Map<String, Integer> map = new HashMap<>();
        String text = new String("text");
        List<String> found = new Solution().f(numbers, text, map);
        if (found.get(0) != text || found.get(1) != "literal" || found.get(2) == "literal") {
            throw new AssertionError("identity");
        }
        if (!numbers.equals(List.of(1, 2)) || !map.equals(Map.of("a", 1))) {
            throw new AssertionError("changes \\u00e9");
        }
        try {
            new Solution().f(List.of(), 1, map);
            throw new AssertionError("no error");
        } catch (UnsupportedOperationException e) {
        }
    }
}
"""
BODY = """
        numbers.remove(Integer.valueOf(3));
        map.put("a", 1);
        return new ArrayList<>(Arrays.asList((String) other, "literal", new String("literal")));
    }
}
"""


@pytest.fixture(scope="module")
def problem(toolchain, server):
    return Problem(toolchain, server, HEAD + HEADING, TESTS)


def test_identity_changes_in_place_and_exceptions_reach_the_tests(problem, toolchain):
    text = HEAD + HEADING + BODY.replace("        map", "        if (numbers.isEmpty()) numbers.add(1);\n        map")
    assert problem.judge(text) == {"outcome": "passed", "detail": ""}
    assert toolchain.inside(text, TESTS) == "passed"


@pytest.mark.parametrize(
    ("old", "new", "outcome", "detail"),
    [
        ("(String) other", "new String((String) other)", "failed", "java.lang.AssertionError: identity"),
        ('new String("literal")', '"literal"', "failed", "java.lang.AssertionError: identity"),
        ('"a"', '"b"', "failed", "java.lang.AssertionError: changes \xe9"),
        ("return", 'if (true) throw new IllegalStateException("a"); return', "exception", "IllegalStateException: a"),
        ("return", "if (true) throw new java.io.UncheckedIOException(null); return", "exception", "Exception"),
        ("return", "f(numbers, other, map); return", "exception", "java.lang.StackOverflowError"),
        ("return", "long[][] a = new long[1 << 20][1 << 10]; return", "memory", ""),
        ("return", "System.exit(0); return", "killed", "its process ended"),
        ("return", "Runtime.getRuntime().halt(0); return", "killed", "its process ended"),
        ("return", 'System.out.println("passed"); System.exit(0); return', "killed", "its process ended"),
        ("return", 'if (true) throw new AssertionError("mine"); return', "failed", "mine"),
        ("return", "if (true) return null; return", "exception", "NullPointerException"),
        ("return", "if (true) return (List<String>) (List<?>) numbers; return", "failed", "identity"),
        ('"literal", new', '"x".repeat(1 << 23), new', "memory", ""),
    ],
)
def test_what_a_candidate_does_otherwise_is_no_pass(problem, old, new, outcome, detail):
    verdict = problem.judge(HEAD + HEADING + BODY.replace(old, new))
    assert verdict["outcome"] == outcome
    assert detail in verdict["detail"]


def test_answers_that_are_written_ahead_are_no_answers(problem):
    ahead = """    static {
        try {
            java.io.FileOutputStream out = new java.io.FileOutputStream(java.io.FileDescriptor.in);
            byte[] frame = new byte[4 + 20];
            frame[3] = 20; frame[20] = 'R'; frame[23] = 'n';
            out.write(frame);
        } catch (java.io.IOException e) { }
    }
"""
    verdict = problem.judge(HEAD + ahead + HEADING + BODY)
    assert verdict == {"outcome": "killed", "detail": "an answer of its process can't be read"}


def test_a_class_of_the_callers_name_does_not_compile(problem):
    with pytest.raises(CompileError, match=f"duplicate class: {CALLER}"):
        problem.start(f"{HEAD}{HEADING}{BODY}class {CALLER} {{ }}")


def test_no_bytes_of_an_answer_pass_or_end_the_process_of_tests(problem):
    """Answers of random bytes, and right ones with a byte changed, cut or added; each byte of the last one counts."""
    candidate = problem.start(HEAD + HEADING + BODY)
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
        if kind == 3:
            at = generator.randrange(16, len(data))
            data[at] = generator.choice(bytes(set(b"ntfilcgdbhuUROoxLSMYafk\x00\x7f\xff") - {data[at]}))
        else:
            data[generator.randrange(16, len(data))] ^= 1 << generator.randrange(8)
        return bytes(data)

    outcomes = set()
    for _ in range(1000):
        problem.say(b"T" + problem.sha)
        outcomes.add(judged(problem.server, lambda call: changed(candidate.answer(call)))["outcome"])
    candidate.end()
    assert outcomes <= {"killed", "failed", "exception", "memory"}
    assert "killed" in outcomes and "failed" in outcomes


def test_nested_counts_make_no_room_for_what_has_not_arrived(problem):
    kinds = [b"Lf", b"La", b"Li", b"Lk", b"Y\1\x11"] * 18  # 17 names an array of objects
    nested = b"".join(kind + struct.pack(">I", 2**22 - 1000) for kind in kinds)
    problem.say(b"T" + problem.sha)
    verdict = judged(problem.server, lambda call: (call[:16] + b"R\0\0" + nested).ljust(2**22, b"n"))
    assert verdict == {"outcome": "killed", "detail": "an answer of its process can't be read"}


def test_values_of_all_kinds_are_the_same_on_both_sides(toolchain, server):
    heading = "    public Object f(Object a) {\n"
    values = """
        Map<Object, Object> map = new LinkedHashMap<>();
        map.put("z", Optional.of(1)); map.put(null, Optional.empty());
        map.put(List.of(1), new TreeSet<>(List.of(2, 1)));
        List<Object> a = new ArrayList<>(Arrays.asList(1, -129, 1L << 40, 7L, 'c', '\\uffff', 0.1, 0.1f, (byte) -1,
            (short) 300, true, false, null, "\\ud800", "", Double.NaN, -0.0, map, new LinkedList<>(List.of("a")),
            Arrays.asList(1, null), new HashSet<>(Set.of("b")), new TreeMap<>(Map.of("k", 2)),
            Collections.emptyList()));
        a.add(a.get(1)); a.add(map);
    """
    tests = (
        f"public class Main {{ public static void main(String[] args) {{ {values}"
        " List<Object> copy = new ArrayList<>(a);\n"
        " List<?> found = (List<?>) new Solution().f(a);\n"
        " for (int i = 0; i < a.size(); i++) if (found.get(i) != copy.get(i)) throw new AssertionError(i);\n"
        " if (!new Solution().f(null).equals(copy)) throw new AssertionError();\n"
        "} }"
    )
    body = (
        f"if (a == null) {{ return made(); }}\n List<?> items = (List<?>) a;"
        " if (items.get(1) != items.get(23) || items.get(17) != items.get(24)) return List.of();"
        " if (!items.equals(made())) return List.of();"
        f" return new ArrayList<Object>(items); }}\n static Object made() {{ {values} return a; }} }}"
    )
    problem = Problem(toolchain, server, HEAD + heading, tests)
    assert problem.judge(HEAD + heading + body) == {"outcome": "passed", "detail": ""}


ARRAYS = """
package tested;
import java.util.*;
public class C {
    public static int[] sorted(int[] a) { Arrays.sort(a); return a; }
    public static String[] named(String[] names, double[][] shares, boolean[] flags) {
        names[0] = "first"; shares[1] = shares[0]; shares[0][1] = -0.0; flags[0] = !flags[0];
        return new String[] {names[1], "last"};
    }
    public static Object kept(List<Integer[]> lists, char c, long n) {
        lists.get(0)[0] = (int) n; return new char[] {c};
    }
    static int hidden = 0;
}
"""
ARRAY_TESTS = """// JUnit 4: tests.CTest
// file: CTest.java
package tests;
import java.util.*;
import org.junit.Test;
import static org.junit.Assert.*;
import tested.C;
public class CTest {
    int[] numbers = {300, -5, 300, 1};
    @Test public void test0() {
        int[] found = C.sorted(numbers);
        assertSame(numbers, found);
        assertArrayEquals(new int[] {-5, 1, 300, 300}, numbers);
    }
    @Test public void test1() {
        String[] names = {"a", null};
        double[][] shares = {{0.5, Double.NaN}, {}};
        boolean[] flags = {false, true};
        assertArrayEquals(new String[] {null, "last"}, C.named(names, shares, flags));
        assertEquals("first", names[0]);
        assertSame(shares[0], shares[1]);
        assertTrue(1 / shares[0][1] < 0 && flags[0] && flags[1]);
    }
    @Test public void test2() {
        List<Integer[]> lists = new ArrayList<>(List.<Integer[]>of(new Integer[] {1, 2}));
        assertArrayEquals(new char[] {'x'}, (char[]) C.kept(lists, 'x', 7L));
        assertEquals(Integer.valueOf(7), lists.get(0)[0]);
    }
    @Test(expected = ArrayIndexOutOfBoundsException.class) public void test3() { C.named(new String[0], null, null); }
}
"""


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("", "", ""),
        ("new int[] {-5", "new C() == null ? null : new int[] {-5", "they use the class C itself"),
        ("int[] numbers =", "Class<?> c = C.class; int[] numbers =", "they use the class C itself"),
        ("package tests;", "package tests; class D extends C { }", "they use the class C itself"),
        ("// JUnit 4: tests.", "// JUnit 4: tested.", "in the package of the class that they test"),
        (
            "// file: CTest.java",
            "// file: Main.java\nclass D { }\n// file: CTest.java",
            "they bring C.java or Main.java",
        ),
    ],
)
def test_tests_that_need_more_than_static_methods_have_a_reason(old, new, reason):
    assert reason in split(ARRAYS, ARRAY_TESTS.replace(old, new)).reason or not reason
    assert bool(split(ARRAYS, ARRAY_TESTS.replace(old, new)).reason) == bool(reason)


def test_an_argument_that_has_no_form_has_to_be_tested_inside(toolchain, server):
    heading = "    public int f(Object a) {\n"
    tests = "public class Main { public static void main(String[] args) { new Solution().f(new Thread[0]); } }"
    problem = Problem(toolchain, server, HEAD + heading, tests)
    verdict = problem.judge(HEAD + heading + "return 1; } }")
    assert verdict == {"outcome": "harness_error", "detail": "an argument can't be sent: [Ljava.lang.Thread;"}


def test_an_array_may_be_the_only_argument(toolchain, server):
    heading = "    public static String[] f(String[] a) {\n"
    tests = (
        'public class Main { public static void main(String[] given) { String[] a = {"x"};'
        ' if (Solution.f(a) != a || a[0] != "y") throw new AssertionError(); } }'
    )
    problem = Problem(toolchain, server, HEAD + heading, tests)
    assert problem.judge(f'{HEAD}{heading}a[0] = "y"; return a; }} }}')["outcome"] == "passed"
    assert problem.judge(f'{HEAD}{heading}a = a.clone(); a[0] = "y"; return a; }} }}')["outcome"] == "failed"


def test_an_answer_that_has_no_form_is_no_reason_to_test_inside(toolchain, server):
    heading = "    public Object f(Object a) {\n"
    tests = "public class Main { public static void main(String[] a) { new Solution().f(new Solution().f(1)); } }"
    problem = Problem(toolchain, server, HEAD + heading, tests)
    verdict = problem.judge(HEAD + heading + "return new Thread[1]; } }")
    assert verdict["outcome"] == "killed"


def test_tests_that_catch_everything_end_with_the_process(toolchain, server):
    tests = (
        "public class Main { public static void main(String[] a) {"
        " for (int i = 0; i < 3; i++) try { new Solution().f(1); } catch (Throwable e) { } } }"
    )
    problem = Problem(toolchain, server, f"{HEAD}int f(int a) {{", tests)
    assert problem.judge(f"{HEAD}int f(int a) {{ System.exit(0); return 1; }} }}")["outcome"] == "killed"
    assert problem.judge(f"{HEAD}int f(int a) {{ return 1 / 0; }} }}")["outcome"] == "passed"


def test_each_stand_in_is_an_object_of_its_own_and_static_methods_need_none(toolchain, server):
    tests = (
        "public class Main { public static void main(String[] a) { Solution s = new Solution(), t = new Solution();"
        " if (s.f() != 1 || s.f() != 2 || t.f() != 1) throw new AssertionError(); } }"
    )
    heading = "    public int f() {\n"
    problem = Problem(toolchain, server, HEAD + heading, tests)
    assert problem.judge(HEAD + heading + "return ++n; } int n; }")["outcome"] == "passed"
    assert problem.judge(HEAD + heading + "return ++n; } static int n; }")["outcome"] == "failed"
    tests = "public class Main { public static void main(String[] a) { Solution.f(); } }"
    problem = Problem(toolchain, server, f"{HEAD}static void f() {{", tests)
    assert problem.judge(f"{HEAD}private Solution() {{ }} static void f() {{ }} }}")["outcome"] == "passed"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("return a + 1;", "passed"),
        ("return a;", "failed"),
        ("return a / 0;", "exception"),
        ("System.exit(0); return 2;", "ended"),
        ("return f(a);", "exception"),
        ("int[] b = new int[1 << 30]; return 2;", "memory"),
    ],
)
def test_inside_a_pass_needs_the_secret_that_comes_behind_the_tests(toolchain, body, outcome):
    tests = (
        "public class Main { public static void main(String[] a) {"
        " if (new Solution().f(1) != 2) throw new AssertionError(); } }"
    )
    assert toolchain.inside(f"{HEAD}int f(int a) {{ {body} }} }}", tests) == outcome


def test_assertions_of_tests_hold_and_those_of_programs_do_not(toolchain, server):
    tests = "public class Main { public static void main(String[] a) { assert new Solution().f(1) == 2 : 7; } }"
    problem = Problem(toolchain, server, f"{HEAD}int f(int a) {{", tests)
    for body, outcome in (("assert a > 1; return 2;", "passed"), ("return 3;", "failed")):
        text = f"{HEAD}int f(int a) {{ {body} }} }}"
        assert (problem.judge(text)["outcome"], toolchain.inside(text, tests)) == (outcome, outcome)


@pytest.mark.parametrize(
    ("declaration", "tests", "reason"),
    [
        ("class A { int f() {", " ", "there are no tests"),
        ("class A { int f() {", "class Other { }", "they define no class Main"),
        ("class A { int f() {", 'class Main { "', "their text can't be read"),
        ("", "class Main { }", "there is no declaration of what they call"),
        (
            "class A { int f(Thread[] a) {",
            "class Main { }",
            r"the problem's declaration has Thread\[\] a as parameter 1 of f",
        ),
    ],
)
def test_tests_that_have_to_run_inside_have_a_reason(declaration, tests, reason):
    assert re.match(reason, split(declaration, tests).reason)


def test_a_frame_that_no_memory_is_left_for_ends_the_process_and_is_not_read_as_others(toolchain):
    """What follows in the frame would be the classes of other tests."""
    small = [word if word != "-Xmx128m" else "-Xmx12m" for word in toolchain.command(toolchain.shared, TESTS_MAIN)]
    with process(small) as tests:
        problem = Problem(toolchain, tests, HEAD + HEADING, TESTS)
        problem.say(b"T" + problem.sha)
        assert tests.stdout is not None
        assert read_frame(tests.stdout.read)[:1] == b"C"
        with contextlib.suppress(BrokenPipeError):
            problem.say(b"A" + frame(b"P" + problem.sha) * (2**24 // (len(problem.sha) + 5)))
        assert tests.wait(WAIT) == OUT_OF_MEMORY
        assert tests.stdout.read() == b""


def test_no_class_of_raysweeps_takes_a_name_that_a_program_may_have(tmp_path):
    needs("java")
    prepare(tmp_path, find_toolchain("java", ""))
    assert list(tmp_path.glob("*.class")) == []
    assert (tmp_path / "raysweep" / "CompilerServer.class").exists()


OTHER_CLASSES = """
record Pair(int left) {
    void check() {
        assert left == 2 : "of another class";
    }
}
enum Kind { ONE }
public class Main {
    public static void main(String[] args) {
        Class<?> kind = Kind.class;
        new Pair(new Solution().half(4)).check();
    }
}
"""


@pytest.mark.parametrize(("divisor", "outcome"), [(2, "passed"), (1, "failed")])
def test_assertions_hold_in_all_classes_of_tests_and_not_in_the_programs(toolchain, server, divisor, outcome):
    declaration = HEAD + "    public int half(int a) {\n"
    text = f"{declaration}        assert false;\n        return a / {divisor};\n    }}\n}}\n"
    assert Problem(toolchain, server, declaration, OTHER_CLASSES).judge(text)["outcome"] == outcome
    assert toolchain.inside(text, OTHER_CLASSES) == outcome
