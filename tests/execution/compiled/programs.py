"""Programs in Java and C++ that halve a number, by the way in which they end."""

from __future__ import annotations

from raysweep.programs import Limits, Oracle, Program

LIMITS = Limits(timeout=5)
DECLARATIONS = {"java": "class Solution {\n    public int half(int a) {\n", "cpp": "int half(int a) {\n"}
BODIES = {
    "java": {
        "passed": "return a / 2;",
        "failed": "return a;",
        "exception": "int none = 0; return a / none;",
        "compile_error": 'return "half";',
        "killed": "System.exit(0); return a / 2;",
        "memory": "int[][] all = new int[1 << 20][]; for (int i = 0; ; i++) all[i] = new int[1 << 20];",
    },
    "cpp": {
        "passed": "return a / 2;",
        "failed": "return a;",
        "exception": 'throw std::string("half").substr(9);',
        "compile_error": 'return "half";',
        "killed": "exit(0);",
        "memory": "std::vector<long> all; for (;;) all.resize(2 * all.size() + 1);",
    },
}
TESTS = {
    "java": """\
public class Main {
    public static void main(String[] args) {
        Solution s = new Solution();
        if (s.half(4) != 2 || s.half(7) != 3) {
            throw new AssertionError();
        }
    }
}
""",
    "cpp": "#include <cassert>\nint main() {\n    assert(half(4) == 2);\n    assert(half(7) == 3);\n}\n",
}
INCLUDES = "".join(f"#include <{one}>\n" for one in ("sys/socket.h", "unistd.h", "string", "vector"))


def program(language: str, outcome: str, oracle: Oracle | None = None) -> Program:
    """Return a program that ends in a way."""
    body = BODIES[language][outcome]
    if language == "java":
        text = f"class Solution {{\n    public int half(int a) {{\n        {body}\n    }}\n}}\n"
    else:
        text = f"{INCLUDES}int half(int a) {{\n    {body}\n}}\n"
    return Program(text, TESTS[language], language, oracle, DECLARATIONS[language])
