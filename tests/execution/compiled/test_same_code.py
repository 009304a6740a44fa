"""What a compiler sees of a changed prompt, without asking one."""

from __future__ import annotations

import pytest

from raysweep.execution.compiled.same_code import same_code

PROMPT = '/* Find the path. */\nString f(String a) { return "x"; // done\n'


@pytest.mark.parametrize("language", ["java", "cpp"])
@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("Find", "Fnid *  / // \"'", True),
        ("done", "dnoe", True),
        (" a)", "  a )", True),
        ("path", "pa*/th", False),
        ("path. */", "path.", False),
        ("done\n", "done\nint b;", False),
        ("String f", "String g", False),
        ('"x"', '"y"', False),
        ('"x"', '"x', False),
    ],
)
def test_code_is_the_same_if_only_comments_and_space_differ(language, old, new, same):
    assert same_code(PROMPT, PROMPT.replace(old, new), language) is same


def test_what_each_language_reads_in_comments_counts():
    broken = PROMPT.replace("path", r"\user")
    assert not same_code(PROMPT, broken, "java")  # an escape without its digits, which javac refuses anywhere
    assert same_code(PROMPT, broken, "cpp")
    assert same_code(PROMPT, PROMPT.replace("path", r"\\user \u00e9"), "java")
    assert same_code(broken, broken, "java")
    followed = PROMPT + "int b;\n"
    assert not same_code(followed, followed.replace("done", "done \\"), "cpp")  # the next line is in the comment
    assert not same_code(
        followed, followed.replace("done", "done \\ \t"), "cpp"
    )  # for g++, blanks behind it don't count
    assert same_code(followed, followed.replace("done", "done \\"), "java")
    assert not same_code("#define A 1\n", "#define A 2\n", "cpp")


def test_of_a_text_that_has_no_tokens_nothing_is_known():
    assert same_code('String a = "', "int", "java")
