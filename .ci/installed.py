"""Judges programs in Python, Java and C++ with an installed raysweep, at several levels of isolation.

    python .ci/installed.py [--every-level]     where PYTHON has raysweep installed, outside the checkout

One right and one wrong program for each language, place of the tests and level. Java and C++ are left out, with a line
that says so, where this machine lacks their compilers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import raysweep
from raysweep.errors import MissingInput
from raysweep.execution.isolation.layers import LAYERS
from raysweep.execution.pool import Executor
from raysweep.programs import CPP, JAVA, PYTHON, Level, Limits, Oracle, Outcome, Program, Sandbox

CPP_DECLARATION = "#include <vector>\nusing namespace std;\nint twice(int n) {\n"
JAVA_DECLARATION = "class Solution {\n    public int twice(int n) {\n"
JAVA_TESTS = """public class Main {
    public static void main(String[] args) {
        if (new Solution().twice(2) != 4) { throw new AssertionError(); }
    }
}
"""
KINDS = {  # a text, what takes the place of X in it, tests, declaration
    PYTHON: ("import numpy\ndef twice(n):\n    return X\n", "def check(f):\n    assert f(2) == 4\ncheck(twice)\n", ""),
    JAVA: (f"{JAVA_DECLARATION}        return X;\n    }}\n}}\n", JAVA_TESTS, JAVA_DECLARATION),
    CPP: (
        f"{CPP_DECLARATION}    return X;\n}}\n",
        "#undef NDEBUG\n#include <assert.h>\nint main() { assert(twice(2) == 4); }\n",
        CPP_DECLARATION,
    ),
}
LEFT_OUT = [(), ("namespaces",)]
MORE_LEFT_OUT = [("landlock",), ("seccomp",), ("namespaces", "landlock"), LAYERS]


def main() -> None:
    """Judge the programs; end with exit code 1 where one gets another outcome than it should."""
    wrong = 0
    print(f"raysweep of {Path(raysweep.__file__).parent}")
    for without in LEFT_OUT + (MORE_LEFT_OUT if "--every-level" in sys.argv else []):
        with Executor(sandbox=Sandbox(require=Level.LIMITS), without=without) as executor:
            for language in KINDS:
                for oracle in (Oracle.OUTSIDE, Oracle.INSIDE):
                    told = outcomes(executor, language, oracle)
                    left_out = ", ".join(without) or "nothing"
                    print(f"without {left_out:30} {language:6} {oracle:7} {executor.level():8} {told}")
                    wrong += told not in ("passed, failed", "passed, exception", "left out")
    sys.exit(wrong > 0)


def outcomes(executor: Executor, language: str, oracle: Oracle) -> str:
    """Return the outcomes of the right and of the wrong program, in one line."""
    text, tests, declaration = KINDS[language]
    programs = [
        Program(text.replace("X", value), tests, language, oracle=oracle, declaration=declaration)
        for value in ("n + n", "n + 1")
    ]
    try:
        verdicts = executor.run(programs, Limits(timeout=20))
    except MissingInput as error:
        print(error)
        return "left out"
    if any(verdict.outcome is Outcome.HARNESS_ERROR for verdict in verdicts):
        return "; ".join(verdict.detail for verdict in verdicts)
    return ", ".join(verdict.outcome for verdict in verdicts)


if __name__ == "__main__":
    main()
