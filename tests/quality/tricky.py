"""Files whose reports would change if files of a batch knew of each other, or that pylint can hardly read."""

from __future__ import annotations

PLAIN = '''from typing import List


def mean(numbers: List[float]) -> float:
    """Return the mean of some numbers."""
    return sum(numbers) / len(numbers)
'''
LONG = "".join(f"def step_{i}(value):\n    value = value * {i} + {i}\n    return value\n\n\n" for i in range(12))
TRICKY = {
    "plain": PLAIN,
    "syntax error": PLAIN + "\n\ndef f(:\n",
    "bad indentation": PLAIN + "\n\ndef f():\n  return 1\n   return 2\n",
    "open string": PLAIN + '\n\nTEXT = """never closed\n',
    "open bracket": PLAIN + "\n\nVALUES = [1, 2,\n",
    "cut in a word": PLAIN + "\n\ndef g(x):\n    retu",
    # names, types and modules that one file defines or changes and another one uses
    "class A with b": "class A:\n    def __init__(self):\n        self.b = 1\n\n\nprint(A().b, A().c)\n",
    "class A with c": "class A:\n    def __init__(self):\n        self.c = 1\n\n\nprint(A().b, A().c)\n",
    "changes typing": "import typing\n\ntyping.List = None\ntyping.Nothing = 3\n",
    "uses what it changed": "import typing\n\nprint(typing.Nothing, typing.List)\n",
    "changes math": "import math\n\nmath.double = lambda x: 2 * x\nprint(math.double(2))\n",
    "uses it of math": "import math\n\nprint(math.double(2), math.sqroot(2))\n",
    "changes a class of collections": "import collections\n\ncollections.OrderedDict.twice = 2\n",
    "uses it of collections": "import collections\n\nprint(collections.OrderedDict().twice)\n",
    "imports itself": "import completion\n\nprint(completion.X)\nX = 1\n",
    "imports the next one": "from completion import mean\n\nprint(mean([1.0]))\n",
    "imports by number": "from . import mean\nimport f1\n",
    "missing package": "import sqlalchemy_is_not_here\nfrom numpyy import array\n",
    "installed package": "import numpy as np\n\nprint(np.zeros(3), np.no_such_name)\n",
    "order of imports": "import numpy\nimport os, sys\nimport completion\nfrom typing import *\nimport os\n",
    "wrong names": "import re\n\nprint(re.matches('a', 'b'), undefined)\n",
    # equal code, which R0801 would report
    "long": LONG,
    "long again": "# the same\n" + LONG,
    # comments that switch checks
    "switches a check off": "# pylint: disable=missing-module-docstring,invalid-name\nx = 1\n",
    "switches all off": "# pylint: disable=all\nx = undefined\n",
    "switches on": "# pylint: enable=useless-suppression\nx = 1  # pylint: disable=line-too-long\n",
    "skips itself": "# pylint: skip-file\nx = undefined\n",
    "unknown switch": "x = 1  # pylint: disable=no-such-check\n",
    "bad switch": "x = 1  # pylint: frobnicate=yes\n",
    "fixme": "# TODO: write this\n# XXX and that\n",
    # encodings, ends of lines and of the file
    "empty": "",
    "comment only": "# nothing\n",
    "docstring only": '"""Nothing."""\n',
    "no final newline": PLAIN.rstrip("\n"),
    "trailing newlines": PLAIN + "\n\n\n",
    "trailing spaces": PLAIN + "   \nx = 1   \n   ",
    "crlf": PLAIN.replace("\n", "\r\n"),
    "mixed line ends": PLAIN.replace("\n", "\r\n", 3),
    "lone carriage returns": PLAIN.replace("\n", "\r"),
    "form feed": "x = 1\n\f\ny = 2\n",
    "tabs": "def f():\n\treturn 1\n\n\ndef g():\n        return 1\n\treturn 2\n",
    "lone surrogate": PLAIN + "\nX = '\udc80'\n",
    "nul": PLAIN + "\nX = '\0'\n",
    "byte order mark": "\ufeff" + PLAIN,
    "latin-1": "# -*- coding: latin-1 -*-\nNAME = 'é'\n",
    "unknown encoding": "# coding: no-such-encoding\nNAME = 'é'\n",
    "unicode names": "größe = 1\nπ = 3.14\nprint(größe, π, '\u202e')\n",
    "long line": f"X = '{'x' * 300}'\n",
    # what costs time, memory or depth
    "deep brackets": f"X = {'(' * 150}{')' * 150}\n",
    "deep list": f"X = {'[' * 80}{']' * 80}\n",
    "many operators": f"X = {'+'.join('1' * 2000)}\n",
    "huge text": 'X = "a" * 10**10\nY = [0] * 10**10\nZ = 10**10**8\n',
    "many statements": "def f(x):\n" + "".join(f"    if x == {i}:\n        return {i}\n" for i in range(60)),
    # language
    "brains": (
        "import enum\nfrom collections import namedtuple\nfrom dataclasses import dataclass\n\n\n"
        "class Color(enum.Enum):\n    RED = 1\n\n\nPoint = namedtuple('Point', 'x y')\n\n\n@dataclass\nclass Box:\n"
        "    side: int = []\n\n\nprint(Color.GREEN, Point(1, 2).z, Box(1).size, Point(1))\n"
    ),
    "calls": "def f(a, b):\n    return a + b\n\n\nf(1)\nf(1, 2, 3)\nf(1, c=2)\nprint(f(a=1, b=2).x)\n",
    "match": (
        "def f(x):\n    match x:\n        case [a, *_]:\n            return a\n"
        "        case {'k': v}:\n            pass\n"
    ),
    "async": "import asyncio\n\n\nasync def f():\n    await asyncio.sleep(1)\n    yield 1\n\n\nasyncio.run(f())\n",
    "hierarchy": "class A(B):\n    pass\n\n\nclass B(A):\n    pass\n\n\nclass C(A, A, metaclass=type):\n    pass\n",
    "shadows": "list = [1]\nsum = 0\n\n\ndef len(x):\n    return list(x)\n\n\nprint(len(3), sum([1]))\n",
    "recursion": "def f(n):\n    return f(n - 1) if n else [f]\n\n\nprint(f(3)[0].x, (lambda x: x(x))(f))\n",
    "main": (
        "def main():\n    global X\n    X = 1\n    try:\n        pass\n    except:\n        pass\n\n\n"
        "if __name__ == '__main__':\n    main()\n"
    ),
}
