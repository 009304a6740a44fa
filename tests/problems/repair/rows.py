"""Small files in the shapes of the sets for repair, written here."""

import gzip
import json
from pathlib import Path
from typing import Any

NODE = (
    "class Node:\n    def __init__(self, value=None, successor=None):\n"
    "        self.value, self.successor = value, successor\n"
)
JAVA_NODE = "package java_programs;\n\npublic class Node {\n    public int value = 4;\n}\n"
GCD = {
    "name": "gcd",
    "python_buggy": (
        "def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(a % b, b)\n\n\n"
        '"""\nGreatest divisor of a and b.\n"""\n'
    ),
    "python_correct": (
        'def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(b, a % b)\n\n"""\nanother way\n"""\n'
    ),
    "java_buggy": (
        "package java_programs;\nimport java.util.*;\n\npublic class GCD {\n"
        "    public static int gcd(int a, int b) {\n        if (b == 0) {\n            return a;\n        }\n"
        "        return gcd(a % b, b); // wrong\n    }\n}\n"
    ),
    "java_correct": (
        "package correct_java_programs;\n\n/** Right. */\npublic class GCD {\n"
        "    public static int gcd(int a, int b) {\n        if (b == 0) {\n            return a;\n        }\n"
        "        return gcd(b, a % b);\n    }\n}\n"
    ),
    "testcases": [[[13, 13], 13], [[37, 600], 1]],
    "python_test": None,
    "java_test": (
        "package java_testcases.junit;\n\nimport java_programs.Node;\n\npublic class GCD_TEST {\n"
        "    @org.junit.Test(timeout = 3000)\n    public void test_0() throws java.lang.Exception {\n"
        "        org.junit.Assert.assertEquals(13, java_programs.GCD.gcd(13, 13));\n    }\n"
        "    @org.junit.Test(timeout = 3000)\n    public void test_1() throws java.lang.Exception {\n"
        "        org.junit.Assert.assertEquals(new Node().value, java_programs.GCD.gcd(12, 8));\n    }\n}\n"
    ),
}
LAST = {
    "name": "last",
    "python_buggy": "def last(node):\n    while node:\n        node = node.successor\n    return node\n",
    "python_correct": ("def last(node):\n    while node.successor:\n        node = node.successor\n    return node\n"),
    "testcases": [],
    "python_test": (
        "import pytest\nfrom node import Node\n\nif pytest.use_correct:\n    from a import last\n"
        "else:\n    from b import last\n\n\ndef test1():\n    end = Node(2)\n    assert last(Node(1, end)) is end\n"
    ),
}
ADD = {
    "name": "FIB4",
    "java_buggy": (
        "package humaneval.buggy;\n\n/* Add two numbers and nothing else.\n>>> add(2, 3)\n5 */\n\n"
        "public class FIB4 {\n    public static int add(int x, int y) {\n        return x | y;\n    }\n}\n"
    ),
    "java_correct": (
        "package humaneval.correct;\n\n"
        "public class FIB4 {\n    public static int add(int x, int y) {\n        return x + y;\n    }\n}\n"
    ),
    "java_test": (
        "package humaneval;\n\npublic class TEST_FIB4 {\n    @org.junit.Test(timeout = 3000)\n"
        "    public void test_0() throws java.lang.Exception {\n"
        "        org.junit.Assert.assertEquals(3, humaneval.buggy.FIB4.add(1, 2));\n"
        "        org.junit.Assert.assertEquals(4, humaneval.buggy.FIB4.add(2, 2));\n    }\n}\n"
    ),
}


def quixbugs(folder: Path, *rows: dict[str, Any]) -> str:
    """Write QuixBugs' two files; return the path of its rows."""
    support = {"python/node.py": NODE, "java/Node.java": JAVA_NODE}
    (folder / "support_files.json").write_text(json.dumps(support))
    return lines(folder / "quixbugs.jsonl.gz", *rows)


def lines(path: Path, *rows: dict[str, Any]) -> str:
    """Write rows as JSON lines, gzipped; return the path."""
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return str(path)
