"""Writes what is compiled to judge a C++ program: tests and candidate apart, or both in one program."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from raysweep.execution.compiled.cpp.declarations import CppFunction, Type, read_declaration
from raysweep.execution.compiled.outside import MARK, PROGRAM, Inside, Split
from raysweep.execution.compiled.syntax import UnreadableError

INCLUDE = Path(__file__).parent
"""The folder of raysweep's own headers."""
HEADERS = tuple(f"raysweep_{name}.hpp" for name in ("any", "special", "strings", "verdict", "wire"))
STRINGS = "raysweep_strings.cpp"
"""Has what raysweep_strings.hpp says is compiled elsewhere; it is linked with all that stands behind that header."""
TESTS_FLAGS = ("-Wl,--wrap=main", "-Wl,--wrap=__assert_fail")
"""What tests are linked with, outside and inside: the harness runs before and after their `main`."""
_OWN_MAIN = "#ifdef main\n#error it renames main, which is the tests'\n#endif\n"
CHECKED = "-D_GLIBCXX_ASSERTIONS=1"
"""The flag with which a wrong index in tests ends them, and reads nothing that isn't there."""
_MEANT = (
    "if", "else", "while", "do", "for", "switch", "case", "default", "return", "throw", "try", "catch", "break",
    "continue", "true", "false", "abort", "exit", "quick_exit", "_exit", "_Exit", "terminate",
)  # fmt: skip
"""Words by which tests end: a program that makes macros of them leaves those of its tests alone."""
_OWN_WORDS = "".join(f"#undef {word}\n" for word in _MEANT)
_ASSERTIONS = """\
#undef NDEBUG
#undef __assert_fail
#define __assert_fail {name}
extern "C" [[noreturn]] void __assert_fail(const char*, const char*, unsigned, const char*) noexcept;
#include <assert.h>
"""
"""Stands before tests inside: a program that switches its own assertions off, or takes the place of what the C library
calls where one fails, leaves those of its tests alone."""
LIBRARIES = {"openssl/": "-lcrypto"}
"""Folders of headers, and the flag for the library that defines what they declare."""
_INCLUDED = re.compile(r"^[ \t]*(?:#|%:)[ \t]*include[ \t]*[<\"]([^>\"\n]*)", re.MULTILINE)


def split(declaration: str, tests: str) -> Split:
    """Return the sources for tests outside, or the reason for which they have to run inside.

    `declaration`: the problem's includes, types and helper functions, and the function to complete, up to the brace
    that opens it; what stands behind that brace is left out. `tests`: text that defines `main`.
    """
    if not tests.strip():
        return Split("there are no tests")
    if not declaration.strip():
        return Split("there is no declaration of what they call")
    try:
        read = read_declaration(declaration)
    except UnreadableError as error:
        return Split(f"the problem's declaration {error}")
    function = read.function
    return Split(
        tests={
            "tests.cpp": f"{read.before}\n{_declared(function)}#line 1\n{tests}\n",
            "stand_in.cpp": _stand_in(function),
            "raysweep_tests.cpp": _shipped("tests"),
            STRINGS: _shipped("strings"),
        },
        server={
            "server.cpp": _server(function),
            "raysweep_server.cpp": _shipped("server"),
            STRINGS: _shipped("strings"),
        },
        candidate_end=_shim(function),
        flags=(CHECKED, *TESTS_FLAGS),
    )


def inside(tests: str) -> Inside:
    """Return the sources of a program: the candidate with its tests, and what reports their end.

    A candidate that ends in a raw string or a comment would hide its tests up to the next sign that ends one. So a
    class with a name that no candidate can know is declared between the two, and needed behind the tests. An empty line
    stands behind the candidate, whose last one may end in a backslash.
    """
    seen = f'#line 1 "seen"\nstatic ::{MARK}* {MARK}_seen;\n'
    failed = f"{MARK}_failed"
    before = f"struct {MARK};\n{_OWN_MAIN}{_OWN_WORDS}{_ASSERTIONS.format(name=failed)}"
    program = f"{PROGRAM}\n\n{before}{tests}\n{seen}"
    flags = (*TESTS_FLAGS, f"-Wl,--defsym={failed}=__wrap___assert_fail")
    sources = {"inside.cpp": _shipped("inside"), STRINGS: _shipped("strings"), "program.cpp": program}
    return Inside(sources=sources, flags=flags)


def libraries(text: str) -> tuple[str, ...]:
    """`text`: a candidate or a declaration, which no C++ has to be."""
    included = "\n".join(_INCLUDED.findall(text))
    return tuple(flag for start, flag in LIBRARIES.items() if start in included)


@cache
def _shipped(name: str) -> str:
    return (INCLUDE / f"raysweep_{name}.cpp").read_text(encoding="utf-8")


def _head(function: CppFunction, *, tests: bool) -> str:
    """Return the beginning of a generated source, which names types in full: problems with equal ones share it."""
    has_any = any(one.has_any for one in (function.result, *function.parameters))
    of_any = [*(["#define RAYSWEEP_TESTS"] if tests else []), '#include "raysweep_any.hpp"'] if has_any else []
    return "\n".join(['#include "raysweep_wire.hpp"', *of_any])


def _named(parameters: tuple[Type, ...]) -> str:
    types = (one.full if one.is_reference else one.text for one in parameters)
    return ", ".join(f"{one} raysweep_a{index}" for index, one in enumerate(types))


def _given(parameters: tuple[Type, ...]) -> str:
    return ", ".join(
        f"raysweep_a{index}" if one.is_reference else f"static_cast<{one.text} &&>(raysweep_a{index})"
        for index, one in enumerate(parameters)
    )


def _declared(function: CppFunction) -> str:
    """It stands before the tests, behind nothing but the problem's headers: its name may be one of the C library's."""
    stand_in = f"{function.result.full} raysweep_stand_in_0({_named(function.parameters)})"
    return (
        f"{function.heading};\n{stand_in};\n"
        f"{function.result.full} {function.name}({_named(function.parameters)}) {{\n"
        f"    return raysweep_stand_in_0({_given(function.parameters)});\n}}\n"
    )


def _stand_in(function: CppFunction) -> str:
    numbered = list(enumerate(function.parameters))
    result = function.result.text
    lines = [
        "raysweep::Call call(0);",
        *(f"call.give(raysweep_a{index});" for index, _ in numbered),
        "call.ask();",
        *(f"call.take(raysweep_a{index});" for index, one in numbered if one.is_changed),
        "call.done();" if result == "void" else f"return call.result<{result}>();",
    ]
    body = "\n".join(f"    {line}" for line in lines)
    return (
        f"{_head(function, tests=True)}\n"
        f"{function.result.full} raysweep_stand_in_0({_named(function.parameters)}) {{\n{body}\n}}\n"
    )


def _shim(function: CppFunction) -> str:
    """Return a function with a name that no candidate has, which calls the candidate's."""
    given = _given(function.parameters)
    return (
        f"{function.result.text} raysweep_call_0({_named(function.parameters)}) {{\n"
        f"    return ::{function.name}({given});\n}}\n"
    )


def _server(function: CppFunction) -> str:
    numbered = list(enumerate(function.parameters))
    types = ", ".join(one.full for one in function.parameters)
    call = f"raysweep_call_0({_given(function.parameters)})"
    if function.result.text == "void":
        run = f"{call}; result.byte('n');"
    else:
        run = f"raysweep::put<{function.result.text}>(result, {call});"
    lines = [
        *(f"{one.text} raysweep_a{index} = raysweep::get<{one.text} >(call);" for index, one in numbered),
        "raysweep::Writer result, changes;",
        f"char kind = raysweep::run(result, [&] {{ {run} }});",
        *(f"raysweep::put(changes, raysweep_a{index});" for index, one in numbered if one.is_changed),
        "raysweep::answer(out, kind, changes, result);",
    ]
    body = "\n".join(f"    {line}" for line in lines)
    return (
        f"{_head(function, tests=False)}\n"
        f"{function.result.text} raysweep_call_0({types});\n"
        f"static void serve_0(raysweep::Reader& call, raysweep::Writer& out) {{\n    (void)call;\n{body}\n}}\n"
        "int main() {\n"
        "    void (*const functions[])(raysweep::Reader&, raysweep::Writer&) = {serve_0};\n"
        "    raysweep::serve(functions, 1);\n}\n"
    )
