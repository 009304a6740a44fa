"""Which programs may share a process: honest ones mostly may, and nothing that could outlast its verdict does."""

from __future__ import annotations

import dis

from raysweep.execution.python import harmless
from raysweep.execution.python.harmless import ALLOWED_TEST_MODULES
from raysweep.execution.python.screen import is_pure
from raysweep.problems.humaneval import HumanEval

PURE = [
    "def f(x): return sorted(set(x), key=lambda y: -y)",
    "from typing import List\ndef f(x: List[int]) -> int:\n    'doc __string__ with some words'\n    return sum(x)",
    "import math, re\nfrom collections import Counter\ndef f(x): return math.sqrt(x), re.compile('a').sub('', x)",
    "class A:\n    def __init__(self): self.x = 1\n    def __eq__(self, other): return self.x == other.x\nA().x = 2",
    "def f(x):\n    try: return x[0]\n    except (IndexError, TypeError) as e: raise ValueError(str(e)) from e",
    "def f(n):\n    _seen = {}\n    for _ in range(n): yield from (i for i in range(3) if i not in _seen)",
    "print('{} {:.2f}'.format(1, 2), f'{3!r:>5}')",
    "def f(x): return type(x) is int and isinstance(x, (int, float)) or type(x) in (str, bytes) or type(x) == type('')",
    "a, *b = [1, 2, 3]\nb[0:1] = [x := 5]\ndel b[0]\nassert a < 2 <= 3 and x",
    "import heapq\ndef f(x):\n    heapq.heapify(x)\n    with_default = max(x, default=None)\n    return with_default",
    "from functools import lru_cache, reduce\n@lru_cache(maxsize=None)\ndef f(n): return n and f(n - 1)",
    "class B(Exception): pass\nclass C(B):\n    def __init__(self, x):\n        super().__init__(x)\n",
    "def f(s):\n    global count\n    count = len(s)\n    return ''.join(map(str, s)).zfill(3)",
    "if __name__ == '__main__':\n    pass",
]
IMPURE = [
    "from typing import List\nclass M:\n    def __hash__(self): return 1",
    "import re\nclass E(str): pass",
    "T = type\nT('A', (), {})",
    "type('A', (), {})",
    "type(*x)",
    "kind = type(int)",
    "type(int)('A', (), {})",
    "class A(type(int)): pass",
    "def f(x): return type(x)",
    "class A:\n    def __eq__(self, other): return other\nassert A() == type(1)",
    "import typing\ntyping.List.__init__(dict, 3, name='List')",
    "from fractions import Fraction\nFraction.numerator.__init__(lambda self: 7)",
    "import functools\nfunctools.partialmethod",
    "import re\nre.copyreg.pickle(int, str)",
    "__build_class__(lambda: None, 'A')",
    "import typing\ntyping.get_origin(typing.Type[int])",
    "import typing\ntyping.NamedTupleMeta",
    "'a b c d {0.__init__.__globals__}'.format(f)",
    "import os",
    "import sys",
    "from os import path",
    "import collections as c\nc.Counter.x = 1",
    "import math\nmath.sqrt = abs",
    "import math\nfor math.pi in [3]: pass",
    "import math\ndel math.pi",
    "import math\nclass A: pass\nA().x = 1",
    "exec('1')",
    "eval('1')",
    "open('x')",
    "getattr(1, 'real')",
    "setattr(print, 'x', 1)",
    "globals()",
    "vars()",
    "locals()",
    "__import__('os')",
    "__builtins__",
    "(1).__class__",
    "x = ().__class__.__base__.__subclasses__()",
    "def f(): pass\nf.__code__",
    "def f(): pass\nf.__globals__",
    "try: 1/0\nexcept Exception as e: e.__traceback__",
    "try: 1/0\nexcept Exception as e: e.with_traceback(None)",
    "def g(): yield\ng().gi_frame",
    "e.tb_frame",
    "e.f_back",
    "import typing\ntyping.sys.modules",
    "import re\nre.enum",
    "from typing import sys",
    "import copy\ncopy.copyreg",
    "import operator\noperator.attrgetter('x')",
    "from operator import methodcaller",
    "from functools import wraps",
    "import functools\nfunctools.update_wrapper",
    "import collections.abc\ncollections.abc.Sized.register(int)",
    "import copy\ncopy.dispatch_table",
    "from math import *",
    "import string\nstring.Formatter",
    "'{0.x}'.format_map({})",
    "x = '{0.' + 'x}'\nx.format(1)",
    "'__class__'",
    "x = ('__reduce__', 1)",
    "class A:\n    def __reduce__(self): return 1",
    "class A:\n    def __del__(self): pass",
    "class A:\n    def __getattr__(self, n): pass",
    "class A:\n    __slots__ = ()",
    "class A(metaclass=type):\n    def __new__(cls): pass",
    "import copy\ntype('A', (), {})",
    "async def f(): pass",
    "async def f():\n    async for x in y: pass",
    "raise SystemExit",
    "raise KeyboardInterrupt",
    "input()",
    "breakpoint()",
    "memoryview(b'')",
    "import threading",
    "import ctypes",
    "import gc",
    "import hashlib\nhashlib.algorithms_available.add('x')",
    "match x:\n    case int(): pass",
    "help",
    "exit()",
    "import typing\ntyping.get_type_hints(f)",
    "from typing import ForwardRef",
    "import random",
    "import numpy",
]


def found_pure(texts: list[str]) -> list[str]:
    return [text for text in texts if is_pure(compile(text, "p", "exec"), text)]


def test_honest_programs_are_pure():
    assert found_pure(PURE) == PURE


def test_whatever_could_outlast_a_program_is_not():
    assert found_pure(IMPURE) == []


def test_what_is_refused_is_refused_in_inner_functions_too():
    text = "class K:\n    def g(self):\n        def h():\n            return (1).__class__\n        return h"
    assert not is_pure(compile(text, "p", "exec"), text)


def test_most_of_humaneval_is_pure():
    problems = HumanEval().problems()
    texts = [one.prompt + (one.reference or "") for one in problems]
    pure = [is_pure(compile(text, "p", "exec"), text) for text in texts]
    tests = [is_pure(compile(one.test, "t", "exec"), one.test, ALLOWED_TEST_MODULES) for one in problems]
    assert sum(pure) >= 160
    assert sum(tests) >= 160


def test_an_instruction_that_is_not_known_is_refused(monkeypatch):
    code = compile("x = [1][0]", "p", "exec")
    assert is_pure(code, "")
    used = {step.opcode for step in dis.get_instructions(code)}
    monkeypatch.setattr(harmless, "ALLOWED_OPCODES", harmless.ALLOWED_OPCODES - {max(used)})
    assert not is_pure(code, "")
