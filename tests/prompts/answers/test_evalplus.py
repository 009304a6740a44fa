"""What EvalPlus's sanitize keeps. The expected texts follow from the source of its release 0.3.1."""

from __future__ import annotations

import pytest

from raysweep.prompts.answers.evalplus import sanitized
from raysweep.prompts.answers.python import PythonReader

HELPED = (
    "import math\n\ndef helper(x):\n    return x\n\ndef unused(x):\n    return x\n\ndef f(x):\n    return helper(x)"
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            f"Here:\n```python\n{HELPED}\n\nprint(f(1))\n```\nDone.",
            HELPED.replace("def unused(x):\n    return x\n\n", "").replace("\n\n", "\n"),
        ),
        ("Prose here.\nx = 1\ndef f(y):\n    return x + y\nassert f(1) == 2", "x = 1\ndef f(y):\n    return x + y"),
        ("def f(x):\n    print(x)\n", ""),
        ("def f(x):\n    return 1\ndef f(x):\n    return 2\n", "def f(x):\n    return 1"),
        ("no code at all", ""),
        ("class A:\n    y = 1\ndef f(x):\n    return A.y\n", "class A:\n    y = 1\ndef f(x):\n    return A.y"),
    ],
)
def test_imports_and_what_the_entry_point_needs_are_kept(text, kept):
    assert sanitized(text, "f", PythonReader("", "f").parsed) == kept
