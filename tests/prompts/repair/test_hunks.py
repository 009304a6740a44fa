"""Code with a hunk: whole files come back byte for byte, and one text holds all three parts."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.errors import UsageError
from raysweep.prompts.repair.hunks import Hunk, dedented, fault_between, hunk_at, hunk_in, is_marked, lines_of, marked

JAVA = "class A {\n    int f(int n) {\n        return n - 1;\n    }\n}\n"


@given(st.text(alphabet="a{\r\n \t#/", max_size=30), st.integers(1, 8), st.integers(0, 4))
def test_a_hunk_in_its_own_place_gives_the_same_file(text: str, first: int, lines: int) -> None:
    if first + lines <= len(lines_of(text)) + 1:
        hunk = hunk_at(text, first, first + lines, "a file")
        assert hunk.code == hunk.patched(hunk.buggy) == text


def test_a_patch_without_a_line_end_gets_one_and_a_common_indent_goes() -> None:
    hunk = hunk_at(JAVA, 3, 4, "A.java")
    assert hunk.patched("        return n;") == JAVA.replace("n - 1", "n")
    assert hunk.patched("") == JAVA.replace("        return n - 1;\n", "")
    assert dedented(["    a\n\n", "", "      b\n"]) == ["a\n\n", "", "  b\n"]
    assert dedented(["    a\n", "b\n"]) == ["    a\n", "b\n"]


@pytest.mark.parametrize("comment", ["//", "#"])
def test_marks_hold_a_hunk_in_one_text(comment: str) -> None:
    hunk = hunk_at(JAVA, 3, 4, "A.java")
    text = marked(hunk, comment)
    assert f"{comment} bug start: \n        return n - 1;\n{comment} bug end \n" in text
    assert hunk_in(text) == (hunk, comment)
    assert is_marked(text) and not is_marked(JAVA)


@pytest.mark.parametrize(
    "fixed, hunk, mended",
    [
        (JAVA.replace("n - 1", "n"), "        return n - 1;\n", "        return n;\n"),
        (JAVA.replace("        return", "        n++;\n        return"), "", "        n++;\n"),
        (JAVA.replace("        return n - 1;\n", ""), "        return n - 1;\n", ""),
        ("// a comment\n" + JAVA.replace("return  n", "return n").replace("1;", "2; // two"), None, None),
    ],
)
def test_the_fault_between_two_versions_is_their_difference_in_code(fixed: str, hunk: str, mended: str) -> None:
    fault = fault_between(JAVA, fixed, "java")
    assert fault.hunk.code == JAVA
    if hunk is not None:
        assert (fault.hunk.buggy, fault.fixed) == (hunk, mended)
        assert fault.hunk.patched(fault.fixed) == fixed
    else:
        assert fault.fixed == "        return n - 2; // two\n"


def test_a_position_makes_a_hunk_larger_and_never_smaller() -> None:
    fixed = JAVA.replace("n - 1", "n")
    fault = fault_between(JAVA, fixed, "java", at_least=(2, 3))
    assert fault.hunk.buggy == "    int f(int n) {\n        return n - 1;\n"
    assert fault.hunk.patched(fault.fixed) == fixed


FIXED = JAVA.replace("n - 1", "n")
MARKED = Hunk(marked(hunk_at(JAVA, 3, 4, "A"), "//"), "x\n", "")
OUTSIDE = r"A\.java: the hunk of lines {} to {} .* has 5 lines"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *((partial(hunk_at, JAVA, *at, "A.java"), OUTSIDE.format(*at)) for at in ((0, 1), (3, 2), (2, 7), (8, 8))),
        (partial(fault_between, JAVA, FIXED, "java", at_least=(9, 10), place="A.java"), OUTSIDE.format(9, 10)),
        (partial(fault_between, JAVA, f"// so\n{JAVA}", "java", place="a:3"), "a:3: the correct code is the faulty"),
        (partial(marked, MARKED, "//"), "holds the comment // .bug start:"),
        (partial(hunk_in, "Add two numbers."), "needs code with a marked hunk.*not 'Add two numbers.'"),
    ],
)
def test_what_has_no_hunk_is_one_clear_error(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wrong()
