"""Tokens: what looks like code inside strings and comments is none."""

from __future__ import annotations

from contextlib import suppress

import pytest

from raysweep.execution.compiled.syntax import UnreadableError
from raysweep.execution.compiled.tokens import closing, tokens_of


def texts(text, directives=True):
    return [token.text for token in tokens_of(text, directives=directives)]


def test_comments_are_dropped_and_strings_are_one_token():
    assert texts("int a; // {\n/* } */ f(\"}//\\\"\", '{', 1.5e-3f, 1'000);") == (
        ["int", "a", ";", "f", "(", '"}//\\""', ",", "'{'", ",", "1.5e-3f", ",", "1'000", ")", ";"]
    )
    assert texts('R"x({")"})x" u8"a" a$b é') == ['R"x({")"})x"', 'u8"a"', "a$b", "é"]
    assert texts('"""a "b"\n{\\""" é""" a', directives=False) == ['"""a "b"\n{\\""" é"""', "a"]


def test_directives_are_one_token_where_a_line_begins():
    text = "#include <map>\n  # define F(x) \\\n  x\nint a = 1; # 2\n#if 0 /* a\nb */\nint b;"
    found = texts(text)
    assert found[0] == "#include <map>"
    assert found[1] == "# define F(x) \\\n  x"
    assert found[2:] == ["int", "a", "=", "1", ";", "#", "2", "#if 0 /* a\nb */", "int", "b", ";"]
    assert texts("#include", directives=False) == ["#", "include"]


@pytest.mark.parametrize("end", ["\\", "\\ \t", "\\\r", "\\\f\v "])
def test_a_backslash_at_the_end_of_a_line_goes_on_in_cpp_alone(end):
    assert texts(f"a; // b {end}\nc;\nd;") == ["a", ";", "d", ";"]
    assert texts(f"a; // b {end}\nc;", directives=False) == ["a", ";", "c", ";"]
    assert texts(f"#define a b {end}\nc\nd")[1:] == ["d"]
    assert texts(f"#define a // /* {end}\nc */\nd")[1:] == ["d"]
    assert texts(f"a; // b {end} c\nd;") == ["a", ";", "d", ";"]


def test_angle_brackets_are_single_and_two_colons_are_one():
    assert texts("std::map<int,vector<int>>&&") == [
        "std", "::", "map", "<", "int", ",", "vector", "<", "int", ">", ">", "&", "&",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ['int a = "', "/* no end", "'ab", "'", 'R"x(a)', '"""a', '"a\nb"'])
def test_what_has_no_end_is_unreadable(text):
    with pytest.raises(UnreadableError, match="can't be read from line 2 on"):
        tokens_of(f"int b;\n{text}", directives=True)


@pytest.mark.slow
@pytest.mark.parametrize("is_cpp", [True, False])
@pytest.mark.parametrize("text", ['R"a(\n', "#/*\n", "/*", "#/*", '"""\\', '"\\', "'", "//\\ "])
def test_many_beginnings_without_an_end_are_searched_once(text, is_cpp):
    """A text that is searched for an end at each beginning would take hours."""
    with suppress(UnreadableError):
        assert len(tokens_of(text * 200_000, directives=is_cpp)) <= 3 * 200_000


def test_places_are_those_in_the_text():
    text = "int  f ( ) { }"
    assert [text[token.start : token.end] for token in tokens_of(text, directives=True)] == texts(text)


def test_brackets_close_those_of_their_kind():
    tokens = tokens_of("f(a[1], {2}) }", directives=True)
    assert tokens[closing(tokens, 1)].text == ")"
    assert closing(tokens_of("(a", directives=True), 0) is None
    with pytest.raises(UnreadableError, match="closes nothing"):
        closing(tokens_of("(a]", directives=True), 0)
