"""Statements `assert` of tests in Java become statements that throw, and nothing else changes."""

from __future__ import annotations

import pytest

from raysweep.execution.compiled.java.assertions import throwing
from raysweep.execution.compiled.syntax import UnreadableError

ERROR = "new java.lang.AssertionError"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("assert a;", f"{{ if (!( a)) throw {ERROR}(); }}"),
        ("assert(a);", f"{{ if (!((a))) throw {ERROR}(); }}"),
        ("assert a : b + 1;", f"{{ if (!( a )) throw {ERROR}( b + 1); }}"),
        ("assert a ? b : c : d ? e : f;", f"{{ if (!( a ? b : c )) throw {ERROR}( d ? e : f); }}"),
        ("assert a instanceof List<?> : b;", f"{{ if (!( a instanceof List<?> )) throw {ERROR}( b); }}"),
        (
            "assert a instanceof Map<String, ? extends B> // c\n: d;",
            f"{{ if (!( a instanceof Map<String, ? extends B> // c\n)) throw {ERROR}( d); }}",
        ),
        ('assert f(\'?\', ";:") : "a : b";', f'{{ if (!( f(\'?\', ";:") )) throw {ERROR}( "a : b"); }}'),
        (
            "if (a) assert f(() -> { assert b : c; }); else d();",
            f"if (a) {{ if (!( f(() -> {{ {{ if (!( b )) throw {ERROR}( c); }} }}))) throw {ERROR}(); }} else d();",
        ),
        ("assert all(A::b) : c;", f"{{ if (!( all(A::b) )) throw {ERROR}( c); }}"),
        (
            '// assert a;\nassertTrue(b); String c = "assert d;";',
            '// assert a;\nassertTrue(b); String c = "assert d;";',
        ),
        ("assert a", "assert a"),
    ],
)
def test_an_assertion_becomes_a_block_that_throws(written: str, expected: str) -> None:
    assert throwing(written) == expected
    assert throwing(f"class A {{ void f() {{ {written} }} }}\n") == f"class A {{ void f() {{ {expected} }} }}\n"


def test_a_text_without_an_end_is_refused() -> None:
    with pytest.raises(UnreadableError, match="can't be read from line 2 on"):
        throwing("class A { }\n/* assert")
