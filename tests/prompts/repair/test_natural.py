"""Natural language of code with a marked hunk: comments and docstrings, never the hunk or its marks."""

import pytest

from raysweep.prompts.repair.hunks import Hunk, marked
from raysweep.prompts.repair.natural import protected_marked, split_marked

JAVA = Hunk(
    '/* Add two numbers and return them.\n>>> add(2, 3)\n5 */\nint add(int x, int y) {\n    // first look at "both"\n',
    "    return x - y; // not right\n",
    "}\n",
)
PYTHON = Hunk(
    'def add(x, y):\n    """Add two numbers.\n\n    >>> add(1, 2)\n    3\n    """\n    # look at both\n',
    "    return x - y  # not right\n",
    '\n\n"""\nIt adds numbers of any kind.\n"""\n',
)


@pytest.mark.parametrize(
    "hunk, comment, language, natural",
    [
        (JAVA, "//", "java", ["Add two numbers and return them.", 'first look at "both"']),
        (PYTHON, "#", "python", ["Add two numbers.", "look at both", "It adds numbers of any kind."]),
    ],
)
def test_comments_and_docstrings_are_natural(hunk: Hunk, comment: str, language: str, natural: list[str]) -> None:
    text = marked(hunk, comment)
    segments = split_marked(text, language, "add")
    assert "".join(segment.text for segment in segments) == text
    assert [segment.text for segment in segments if segment.natural] == natural


def natural(before: str, language: str = "python", after: str = "", buggy: str = "    return 1\n") -> list[str]:
    text = marked(Hunk(before, buggy, after), "#" if language == "python" else "//")
    segments = split_marked(text, language, "f")
    assert "".join(segment.text for segment in segments) == text
    return [segment.text for segment in segments if segment.natural]


@pytest.mark.parametrize(
    "code",
    [
        'q = """\n    select the name of every user\n    """\n',
        's = """\n# a heading of some text\n"""\n',
        's = "# no comment at all"\n',
        'f("""the name of every user""",\n"""and of the others""")\n',
    ],
)
def test_strings_that_python_uses_are_verbatim(code: str) -> None:
    assert natural(code) == natural("def f():\n", after=code) == []


def test_comments_behind_code_and_docstrings_in_apostrophes_are_natural() -> None:
    assert natural("def f(x):\n    '''Return the largest of all.'''\n") == ["Return the largest of "]  # the quotes stay
    assert natural("def f(x):\n    'Return the largest of all.'\n") == ["Return the largest of "]
    assert natural("y = 1  # the largest of all\n") == ["the largest of all"]
    assert natural("int y = 1; // the largest of all\n", "java") == ["the largest of all"]
    assert natural('s = "// no comment"; /* the largest */ // of all\n', "java") == ["the largest", "of all"]


def test_the_hunk_is_verbatim_whatever_begins_in_it() -> None:
    assert natural("int y; // above\n// it\n", "java", "// below\n", "// in it\n") == ["above", "it", "below"]
    assert natural('"""\nabove\n', "python", '\nbelow\n"""\n', "in it\n") == []
    assert natural("# above\n", "python", "# below\n", "") == ["above", "below"]
    assert natural('# above\ns = """\n', after="# below\n") == ["above"], "verbatim from what can't be read on"


@pytest.mark.parametrize("language, comment", [("java", "//"), ("python", "#")])
def test_the_names_of_the_code_are_protected_and_the_words_of_its_comments_are_not(language: str, comment: str) -> None:
    before = f"    largest = numbers\n    {comment} the largest of the given collection\n"
    protected = protected_marked(marked(Hunk(before, "    return offset\n", ""), comment), language)
    assert {"largest", "numbers", "offset"} <= protected and not {"given", "collection"} & protected
