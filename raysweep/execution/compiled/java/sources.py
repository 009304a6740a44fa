"""Writes what is compiled to judge a Java program: tests and candidate apart, or both in one program."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from raysweep.execution.compiled.java.assertions import throwing
from raysweep.execution.compiled.java.declarations import Method, read_declaration, read_tested_class
from raysweep.execution.compiled.java.junit import class_of_tests, files_of, is_junit, runner
from raysweep.execution.compiled.outside import MARK, PROGRAM, Inside, Split
from raysweep.execution.compiled.syntax import UnreadableError, before, leaves_of, parts_of, text_of, tree_of

SOURCES = Path(__file__).parent
"""The folder of what is shipped, of the package `raysweep` in Java."""
SHARED = ("Wire.java", "Verdict.java", "Server.java", "Inside.java")
"""What the candidate's process has beside the candidate; compiled once."""
TESTS_SHARED = ("Wire.java", "Verdict.java", "Tests.java")
"""What the tests' process has beside the tests; compiled once."""
MAIN = "Main"
"""The class of tests."""
CALLER = "RaysweepCaller"
"""The class that calls the candidate, where tests run outside."""
SERVER_MAIN = "raysweep.Server"
"""The class whose `main` serves the candidate's process, where tests run outside."""
INSIDE_MAIN = "raysweep.Inside"
"""The class whose `main` runs the tests, where they run inside."""
TESTS_MAIN = "raysweep.Tests"
"""The class whose `main` serves the tests' process."""
CANDIDATE = "the-candidate.java"
"""The name of a file with nothing but the candidate: no file of tests has it. Any public class may stand in it."""
SEEN = "Seen.java"
"""The name of the file that doesn't compile if a candidate hides the tests behind it."""


def split(declaration: str, tests: str) -> Split:
    """Return the sources for tests outside, or the reason for which they have to run inside.

    `declaration`: the problem's imports and its class with helper methods, up to the brace that opens the method to
    complete; what stands behind that brace is left out. For tests of JUnit 4's the whole faulty file. `tests`: text
    that defines `class Main` with a `main`, or tests of JUnit 4's.
    """
    if not tests.strip():
        return Split("there are no tests")
    if is_junit(tests):
        return _junit_split(declaration, tests)
    if not declaration.strip():
        return Split("there is no declaration of what they call")
    try:
        imports, tests, classes = _read_tests(tests)
    except UnreadableError as error:
        return Split(f"their text {error}")
    if MAIN not in classes:
        return Split("they define no class Main")
    try:
        read = read_declaration(declaration)
    except UnreadableError as error:
        return Split(f"the problem's declaration {error}")
    method = read.method
    members = f"    private final int raysweepObject = raysweep.Tests.object();\n{read.members}"
    made = "null" if method.is_static else f"new {read.class_name}()"
    on = read.class_name if method.is_static else f"(({read.class_name}) on)"
    stand_in = f"{read.class_heading} {{\n{members}\n{_asking(0, method)}}}"
    return Split(
        tests={"Main.java": f"{read.imports}\n{imports}\n{read.types}\n{stand_in}\n{tests}\n"},
        server={f"{CALLER}.java": _server(read.imports, made, [method], on)},
    )


def _junit_split(declaration: str, tests: str) -> Split:
    if not declaration.strip():
        return Split("there is no declaration of the class that they test")
    name = class_of_tests(tests)
    test_package, _, test_class = name.rpartition(".")
    files = files_of(tests)
    try:
        read = read_tested_class(declaration)
    except UnreadableError as error:
        return Split(f"the file of the class that they test {error}")
    trees = [tree_of(text, "java") for text in files.values()]
    if any(tree.has_error for tree in trees):
        return Split("their text can't be read")
    words = [text_of(leaf) for tree in trees for leaf in leaves_of(tree)]
    if read.package == test_package:
        return Split("they are in the package of the class that they test, so that they see more of it")
    behind = {
        (second, third) for one, second, third in zip(words, words[1:], words[2:], strict=False) if one == read.name
    }
    if any(second not in (".", "::", ";") or (second, third) == (".", "class") for second, third in behind):
        return Split(f"they use the class {read.name} itself, and not only its static methods")
    own = f"{read.name}.java"
    shared = {file: text for file, text in files.items() if file != f"{test_class}.java"}
    if own in files or "Main.java" in files:
        return Split(f"they bring {own} or Main.java along")
    methods = "".join(_asking(number, method) for number, method in enumerate(read.methods))
    stand_in = f"package {read.package};\n{read.imports}\npublic class {read.name} {{\n{methods}}}\n"
    return Split(
        tests={**files, own: stand_in, "Main.java": runner(tests)},
        server={**shared, f"{CALLER}.java": _server(read.imports, "null", read.methods, f"{read.package}.{read.name}")},
    )


def inside(tests: str) -> Inside:
    """Return the source of a program: the candidate with its tests. `INSIDE_MAIN` runs it.

    A candidate that ends in a comment, or in the character at which javac stops to read, would hide its tests. So a
    class with a name that no candidate can know stands between the two, and another file refers to it. Statements
    `assert` of the tests throw, whatever the candidate does to assertions.
    """
    try:
        if is_junit(tests):
            files = files_of(tests)
            name = f"{class_of_tests(tests).rpartition('.')[2]}.java"
            asserting = {name: throwing(files[name])} if name in files else {}
            return Inside(sources={CANDIDATE: PROGRAM, **files, **asserting, "Main.java": runner(tests)}, is_junit=True)
        tests = throwing(tests)
    except UnreadableError as error:
        return Inside(f"its tests' text {error}")
    try:
        imports, tests, classes = _read_tests(tests)
    except UnreadableError:
        imports, classes = "", [MAIN]
    if MAIN not in classes:
        return Inside(f"its tests define no class {MAIN}, whose method `main` runs them")
    sources = {
        "Main.java": f"{imports}{PROGRAM}\n;final class {MARK} {{}}\n{tests}\n",
        SEEN: f"final class {MARK}Seen {{\n    Object mark = {MARK}.class;\n}}\n",
    }
    return Inside(sources=sources)


def _read_tests(tests: str) -> tuple[str, str, list[str]]:
    """Return the imports at the beginning of tests, in one line, the rest, and the names of classes in it."""
    root = tree_of(tests, "java")
    parts = parts_of(root)
    if any(node.is_error for node in (root, *parts)):  # as for a text block that begins with a comment's mark
        raise UnreadableError("can't be read")
    imports = list(takewhile(lambda part: part.type == "import_declaration", parts))
    named = [part.child_by_field_name("name") for part in parts if part.type.endswith("_declaration")]
    lines = " ".join(" ".join(text_of(one).split()) for one in imports)
    rest = tests[len(before(tests, imports[-1].end_byte)) :] if imports else tests
    return lines, rest, [text_of(name) for name in named if name]


def _asking(number: int, method: Method) -> str:
    """Return a method of a stand-in, which asks the candidate's process."""
    named = ", ".join(f"{one} a{index}" for index, one in enumerate(method.parameters))
    given = ", ".join(f"a{index}" for index in range(len(method.parameters)))
    on = "0" if method.is_static else "raysweepObject"
    call = f"raysweep.Tests.call({number}, {on}, new Object[] {{{given}}})"
    return (
        '    @java.lang.SuppressWarnings("unchecked")\n'
        f"    public {'static ' if method.is_static else ''}{method.result} {method.name}({named}) {method.throws} {{\n"
        f"        {call if method.result == 'void' else f'return ({method.result}) {call}'};\n"
        "    }\n"
    )


def _server(imports: str, made: str, methods: Sequence[Method], on: str) -> str:
    """Return the class that calls the candidate. It avoids what makes a JVM start slowly: lambdas, joined strings.

    `made`: the expression for the object whose methods are called. `on`: for that, or the class, in a call.
    """
    cases = (f"            case {number}: return call{number}(on, a);\n" for number, _ in enumerate(methods))
    return (
        f"{imports}\n"
        f"public class {CALLER} implements raysweep.Server.Candidate {{\n"
        f"    public Object object() {{ return {made}; }}\n"
        f"{''.join(_caller(number, method, on) for number, method in enumerate(methods))}"
        "    public Object call(int function, Object on, Object[] a) throws Throwable {\n"
        f"        switch (function) {{\n{''.join(cases)}"
        "            default: throw new IllegalArgumentException();\n"
        "        }\n"
        "    }\n"
        f"    static {{ raysweep.Server.register(new {CALLER}()); }}\n"
        "}\n"
    )


def _caller(number: int, method: Method, on: str) -> str:
    given = ", ".join(f"({one}) a[{index}]" for index, one in enumerate(method.parameters))
    call = f"{on}.{method.name}({given});"
    body = [call, "return null;"] if method.result == "void" else [f"{method.result} result = {call}", "return result;"]
    return (
        '    @java.lang.SuppressWarnings("unchecked")\n'
        f"    private static Object call{number}(Object on, Object[] a) {method.throws} {{\n"
        f"        {body[0]}\n        {body[1]}\n"
        "    }\n"
    )
