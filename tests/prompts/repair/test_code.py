"""Braces and comments of code: those in strings, characters and comments don't count."""

import pytest

from raysweep.prompts.repair.code import end_of_block, method_around, normal, without_comments


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
        '@A({"a", "b"}) f(@B({}) int n) { g(); }',
        "f() { g(x -> { return h(); }); }",
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


def test_code_is_equal_without_comments_and_layout() -> None:
    assert normal("  return  n;\n\n // why\n", "java") == normal("return n; /* so */", "java")
    assert normal("return n;", "java") != normal("return m;", "java")
    assert normal("if a:\n    b( 1 )  # so\n", "python") == normal("if a:\n\n  b(1)\n", "python")
    assert normal("def f(:\n  'a", "python") == normal("def f(:  # so\n\n  'a", "python") != normal("f(:\n", "python")


def test_blanks_in_strings_are_no_layout() -> None:
    assert normal('f("a  b");', "java") != normal('f("a b");', "java") == normal(' f("a b"); // so', "java")
    assert normal('f("""\n a\n""");', "java") != normal('f("""\n  a\n""");', "java")
    assert normal("f('a  b')", "python") != normal("f('a b')", "python")


def test_indents_count_in_python() -> None:
    assert normal("if a:\n    b()\n    c()\n", "python") != normal("if a:\n    b()\nc()\n", "python")
    assert normal("f(:\n    b\n", "python") != normal("f(:\nb\n", "python")


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


def around(code: str, text: str) -> str | None:
    start = code.index(text)
    found = method_around(code, start, start + len(text))
    return code[found.begin : found.end] if found else None


def test_a_method_begins_with_its_heading_and_ends_with_its_brace() -> None:
    assert around(CLASS, "return n") == (
        '    @SuppressWarnings("a;b")\n    static int f(int n) {\n        return n;\n    }\n'
    )
    assert around(CLASS, "return 2") == "    static int g() { return 2; }\n"
    assert around(CLASS, "static int x") is None
    assert around(CLASS, "return n;\n    }\n    // g {\n    static int g") is None


NESTED = """class A {
    <T> int f(@Named("f") List<T> all, int[] n /* { */) throws IOException, E {
        for (int i = 0; i < g(all); i += g(all)) { one(); }
        if (all.isEmpty()) { two(); } else if (n(1)) { three(); }
        all.forEach(x -> { four(); });
        class Search {
            Search(int n) { five(); }
            boolean search(Node node) {
                six();
            }
        }
        run(new Runnable() {
            public void run() { seven(); }
        });
        Object o = new Object() {{ eight(); }};
        synchronized (this) { nine(); }
    }
    static { ten(); }
}
"""


@pytest.mark.parametrize("call", ["one", "two", "three", "four", "eight", "nine"])
def test_what_is_no_method_lies_in_the_method_around_it(call: str) -> None:
    method = around(NESTED, call) or ""
    assert method.startswith("    <T> int f(@Named") and method.endswith("nine(); }\n    }\n")


def test_the_innermost_method_is_the_one_that_holds_all_lines() -> None:
    assert around(NESTED, "five") == "            Search(int n) { five(); }\n"
    assert (
        around(NESTED, "six();") == "            boolean search(Node node) {\n                six();\n            }\n"
    )
    assert around(NESTED, "seven") == "            public void run() { seven(); }\n"
    both = NESTED[NESTED.index("five") : NESTED.index("six")]
    assert (around(NESTED, both) or "").startswith("    <T> int f(@Named")
    assert around(NESTED, "ten") is None
