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
    for still_open in ("", "no brace", "f() { if (a) { }", "f() { /* }", "f() { // }"):
        assert end_of_block(still_open) is None


def test_comments_go_and_strings_stay() -> None:
    code = 'a(); // one\n    // alone\n    /* two\n lines */ b("// no comment");\n'
    assert without_comments(code, "java") == 'a();\n b("// no comment");\n'
    assert without_comments('x = "# no"  # yes\n# alone\ny = 1\n', "python") == 'x = "# no"\ny = 1\n'


@pytest.mark.parametrize(
    ("language", "one", "other", "equal"),
    [
        ("java", "  return  n;\n\n // why\n", "return n; /* so */", True),  # without comments and layout
        ("java", "return n;", "return m;", False),
        ("java", 'f("a  b");', 'f("a b");', False),  # blanks in strings are no layout
        ("java", 'f("a b");', ' f("a b"); // so', True),
        ("java", 'f("""\n a\n""");', 'f("""\n  a\n""");', False),
        ("python", "if a:\n    b( 1 )  # so\n", "if a:\n\n  b(1)\n", True),
        ("python", "def f(:\n  'a", "def f(:  # so\n\n  'a", True),
        ("python", "def f(:\n  'a", "f(:\n", False),
        ("python", "f('a  b')", "f('a b')", False),
        ("python", "if a:\n    b()\n    c()\n", "if a:\n    b()\nc()\n", False),  # indents count
        ("python", "f(:\n    b\n", "f(:\nb\n", False),
    ],
)
def test_code_is_equal_without_comments_and_layout(language: str, one: str, other: str, equal: bool) -> None:
    assert (normal(one, language) == normal(other, language)) is equal


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
    found = method_around(code, start, start + len(text), "java")
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
    assert around(NESTED, "six();") == f"{' ' * 12}boolean search(Node node) {{\n{' ' * 16}six();\n{' ' * 12}}}\n"
    assert around(NESTED, "seven") == "            public void run() { seven(); }\n"
    both = NESTED[NESTED.index("five") : NESTED.index("six")]
    assert (around(NESTED, both) or "").startswith("    <T> int f(@Named")
    assert around(NESTED, "ten") is None
