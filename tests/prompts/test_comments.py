"""Descriptions in comments: the natural parts of a Java or C++ prompt."""

import pytest

from raysweep.prompts.comments import entry_point_of, protected_in_comments, split_comment_prompt, split_comments

JAVA = """class Solution {
    // a helper
    int other(int x) { return x; }

    /**
     * Return the sum of all numbers in xs.
     * It is 0 for none.
     * >>> sum(xs)
     * 3
     */
    public int sum(List<Integer> xs) throws Exception {
"""
CPP = """/*
Return true if the
string is long.
Examples:
is_long("a") => false
*/
#include<string>
bool is_long(string s){
"""
AFTER = """int half(int x){
    // returns half of x.
    return x/2;
}
int twice(int x){
    // returns twice of x,
    // as a number.
"""


def natural(prompt, entry_point=None):
    segments = split_comment_prompt(prompt, entry_point or entry_point_of(prompt))
    assert "".join(segment.text for segment in segments) == prompt
    return [segment.text for segment in segments if segment.natural]


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        (JAVA, ["Return the ", " of all numbers in ", ".\n", "It is 0 for none."]),  # no stars, nothing after a doctest
        (CPP, ["Return true if the\n", " is long."]),  # types of the code are verbatim, examples end it
        (AFTER, ["returns ", " of ", ",\n", "as a number."]),  # line comments after the signature, when they are last
        ("/** Return the product. */\nint times(int a, int b) {\n", ["Return the product."]),
        ("Write a function that adds numbers.", ["Write a function that adds numbers."]),  # an instruction
    ],
)
def test_descriptions_are_natural(prompt, texts):
    assert natural(prompt) == texts


@pytest.mark.parametrize(("prompt", "name"), [(JAVA, "sum"), (CPP, "is_long"), (AFTER, "twice"), ("// f(x) {\n", "")])
def test_the_entry_point_is_the_last_function_that_the_prompt_opens(prompt, name):
    assert entry_point_of(prompt) == name


@pytest.mark.parametrize(
    "code",
    [
        'String a = "/* no comment"; String b = "*/ nor here";\n',
        'char a = \'"\'; String b = "\\" /* no */";\n',
        'String a = """\n    // no "comment"\n    /* nor this */\n    """;\n',
    ],
)
def test_marks_of_comments_in_strings_begin_none(code):
    segments = split_comments(f"{code}/* Return the product. */\n{code}", "")
    assert "".join(segment.text for segment in segments) == f"{code}/* Return the product. */\n{code}"
    assert [segment.text for segment in segments if segment.natural] == ["Return the product."]
    assert natural(f"// Return the product.\n{code}", "f") == ["Return the product."]


def test_the_words_of_indented_comments_are_not_protected_and_names_are():
    protected = protected_in_comments(JAVA, "java")
    assert {"Solution", "sum", "xs", "other", "x"} <= protected and not {"Return", "numbers", "helper"} & protected
    assert "numbers" not in protected_in_comments("Write a function that adds numbers.", "java")


def test_comments_behind_code_are_natural_and_describe_no_task():
    code = "int a = 1; // end /* begins nothing\nint b; // nor */ here\n"
    assert [one.text for one in split_comments(code, "") if one.natural] == ["end /* begins nothing", "nor */ here"]
    assert natural(f"/* Return the product. */\n{code}") == ["Return the product."]
