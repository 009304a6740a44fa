"""Natural language of code with a marked hunk: comments and docstrings, never the hunk or its marks."""

import pytest

from raysweep.prompts.repair.hunks import Hunk, marked
from raysweep.prompts.repair.natural import split_marked

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
