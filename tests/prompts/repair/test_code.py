"""Braces and comments of code: those in strings, characters and comments don't count."""

import pytest

from raysweep.prompts.repair.code import end_of_block, function_around, normal, without_comments


@pytest.mark.parametrize(
    "block",
    [
        "f() { if (a) { b(); } }",
        "f() { /* } */ g(); }",
        "f() { // }\n}",
        'f() { g("}"); }',
        'f() { g("\\"}"); }',
        "f() { g('}'); g('\\''); }",
        'f() { g("""\n } "quoted" \n"""); }',
        "} f() { }",
    ],
)
def test_a_block_ends_with_the_brace_that_closes_its_first(block: str) -> None:
    assert end_of_block(f"{block} rest }}") == len(block)


@pytest.mark.parametrize("text", ["", "no brace", "f() { if (a) { }", "f() { /* }", "f() { // }"])
def test_a_block_that_stays_open_has_no_end(text: str) -> None:
    assert end_of_block(text) is None


def test_comments_go_and_strings_stay() -> None:
    code = 'a(); // one\n    // alone\n    /* two\n lines */ b("// no comment");\n'
    assert without_comments(code, "java") == 'a();\n b("// no comment");\n'
    assert without_comments('x = "# no"  # yes\n# alone\ny = 1\n', "python") == 'x = "# no"\ny = 1\n'


def test_hunks_are_equal_without_comments_and_white_space() -> None:
    assert normal("  return  n;\n\n // why\n", "java") == normal("return n; /* so */", "java") == "return n;"
    assert normal("return n;", "java") != normal("return m;", "java")


CLASS = """package p;

/** Says { nothing. */
public class A {
    static int x = 1;

    /** First. */
    @SuppressWarnings("a;b")
    static int f(int n) {
        return n;
    }
    // g {
    static int g() { return 2; }
}
"""


def test_a_method_begins_with_its_heading_and_ends_with_its_brace() -> None:
    start, end = function_around(CLASS, CLASS.index("return n")) or (0, 0)
    assert CLASS[start:end].startswith('    @SuppressWarnings("a;b")\n    static int f')
    assert CLASS[start:end].endswith("return n;\n    }\n")
    start, end = function_around(CLASS, CLASS.index("return 2")) or (0, 0)
    assert CLASS[start:end] == "    static int g() { return 2; }\n"
    assert function_around(CLASS, CLASS.index("static int x")) is None
