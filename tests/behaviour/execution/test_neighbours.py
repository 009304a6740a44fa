"""What one program leaves, the next one doesn't see: pairs, one right after the other in one slot, in both lanes."""

from __future__ import annotations

import pytest

from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Oracle, Outcome, Program, Sandbox

pytestmark = pytest.mark.slow

LIMITS = Limits(timeout=2)
PAIRS = {
    "builtins": (
        "import builtins\nbuiltins.len = lambda x: 7\nbuiltins.left = 1\n__builtins__['sum'] = None",
        "import builtins\nassert len('ab') == 2 and sum([1]) == 1 and not hasattr(builtins, 'left')",
    ),
    "modules": (
        "import math, sys\nmath.pi = 3\nsys.modules['json'] = sys\nsys.modules['left'] = math",
        "import math, json, sys\nassert math.pi > 3.1 and json.dumps(1) == '1' and 'left' not in sys.modules",
    ),
    "classes of the library": (
        "import collections\ncollections.Counter.most_common = lambda self: 'left'\ncollections.OrderedDict.left = 1",
        "import collections\nassert collections.Counter('a').most_common() == [('a', 1)]\n"
        "assert not hasattr(collections.OrderedDict, 'left')",
    ),
    "environment": (
        "import os\nos.environ['LEFT'] = '1'\nos.putenv('LEFT', '1')\ndel os.environ['HOME']",
        "import os\nassert 'LEFT' not in os.environ and os.environ['HOME']",
    ),
    "files": (
        "import os, tempfile\nopen('left', 'w').close()\nopen(tempfile.gettempdir() + '/left', 'w').close()\n"
        "os.makedirs('a/b')\nos.symlink('/', 'a/root')\nos.chmod('a/b', 0)\nos.chmod('a', 0)",
        "import os, tempfile\nassert os.listdir('.') == [] and not os.path.exists(tempfile.gettempdir() + '/left')",
    ),
    "the working folder and its mode": (
        "import os\nfolder = os.getcwd()\nos.chmod('.', 0)\nos.umask(0o777)\nos.chdir('/')\n"
        "try: os.rmdir(folder)\nexcept OSError: pass",
        "import os\nassert os.getcwd() == os.path.realpath(os.environ['HOME']) != '/'\n"
        "open('x', 'w').close()\nassert os.stat('x').st_mode & 0o700 == 0o600",
    ),
    "the interpreter's settings": (
        "import sys, gc, random\nsys.setrecursionlimit(200)\nsys.path.insert(0, '/left')\nsys.argv.append('left')\n"
        "gc.disable()\nrandom.seed(1)\nsys.stdout = None\nsys.settrace(lambda *a: None)",
        "import sys, gc\nassert sys.getrecursionlimit() == 1000\n"
        "assert '/left' not in sys.path and 'left' not in sys.argv\n"
        "assert gc.isenabled() and sys.stdout is not None and sys.gettrace() is None",
    ),
    "contexts and caches": (
        "import decimal, warnings, re, linecache\ndecimal.getcontext().prec = 1\nwarnings.simplefilter('error')\n"
        "for n in range(600): re.compile(f'left{n}')\nlinecache.cache['left'] = (1, None, [''], 'left')",
        "import decimal, warnings, linecache\nassert decimal.getcontext().prec == 28\n"
        "assert 'left' not in linecache.cache\n"
        "warnings.warn('x')",
    ),
    "signals and limits": (
        "import signal, resource\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "try: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))\nexcept OSError: pass",
        "import signal, resource, time\ntime.sleep(0.1)\nassert not signal.pthread_sigmask(signal.SIG_BLOCK, ())\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 16\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL",
    ),
    "threads": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(20,), daemon=True).start()",
        "import threading\nassert threading.active_count() == 1",
    ),
    "names": (
        "left = 1\nclass Left: pass\ndef check(x): pass\nint = str",
        "try: left\nexcept NameError: pass\nelse: assert 0\nassert int('3') == 3\ntry: Left\nexcept NameError: pass\n"
        "else: assert 0",
    ),
    "what a pure program sets in pure modules": (
        "import typing, re, string\nfound = re.compile('a|b')\nalias = typing.List[int]\n"
        "assert string.ascii_letters.upper()\nclass Left(dict): left = 1\nLeft.left = 2",
        "import typing, re\nassert re.compile('a|b').match('b') and not hasattr(dict, 'left')\n"
        "assert typing.List[int] == typing.List[int]",
    ),
    "lists in modules": (
        "import __future__\nimport typing\n__future__.all_feature_names.append('left')\n"
        "try: typing.EXCLUDED_ATTRIBUTES.append('left')\nexcept AttributeError: pass",
        "import __future__\nimport typing\nassert 'left' not in __future__.all_feature_names\n"
        "assert 'left' not in typing.EXCLUDED_ATTRIBUTES",
    ),
    "a generator's end": (
        "def endless():\n    try:\n        yield 1\n    finally:\n        while True: pass\nheld = [endless()]\n"
        "next(held[0])\nheld.append(held)",
        "made = [[] for _ in range(5000)]\nfor one in made: one.append(one)\nassert len(made) == 5000",
    ),
    "defaults and attributes of functions": (
        "def keep(x, seen=[]):\n    seen.append(x)\n    return seen\nassert keep(1) == [1]\nkeep.left = 1",
        "def keep(x, seen=[]):\n    seen.append(x)\n    return seen\nassert keep(1) == [1]\n"
        "assert not hasattr(keep, 'left')",
    ),
    "exceptions that are kept": (
        "class Left(Exception): pass\ndef fail():\n    raise Left('left')\n"
        "try: fail()\nexcept Left as error: kept = error",
        "import sys\nassert sys.exc_info() == (None, None, None) and not hasattr(sys, 'last_value')",
    ),
}


@pytest.fixture(scope="module", params=list(Lane))
def executor(request):
    with Executor(1, Sandbox(request.param, Level.LIMITS)) as made:
        yield made


@pytest.mark.parametrize("name", PAIRS)
def test_nothing_of_a_program_is_left_for_the_next(executor, name):
    leaves, looks = PAIRS[name]
    work = [Program(looks + "\n# before"), Program(leaves), Program(looks), Program("assert 1"), Program(looks + "\n")]
    before, first, *after = executor.run(work, LIMITS)
    assert before.outcome is Outcome.PASSED, before.detail
    assert first.outcome in (Outcome.PASSED, Outcome.EXCEPTION, Outcome.KILLED, Outcome.TIMEOUT), first.detail
    assert [(verdict.outcome, verdict.detail) for verdict in after] == [(Outcome.PASSED, "")] * 3


@pytest.mark.parametrize("oracle", Oracle)
@pytest.mark.parametrize(
    ("leaves", "looks", "sees"),
    [
        (
            "from typing import List\nmade = List[0.0]",
            "from typing import List\ndef look(): return str(List[-0.0])",
            "[-0.0]",
        ),
        (
            "import re\nmade = re.compile('left')",
            "import re\ndef look(): return str(re.compile('left', 0.0))",
            "TypeError",
        ),
    ],
)
def test_what_a_pure_program_keeps_in_caches_is_not_found_by_equal_keys(executor, leaves, looks, sees, oracle):
    tests = "class Seen(Exception): pass\nseen = look()\nif seen: raise Seen(seen)\n"
    texts = ["def look(): return ''", f"{leaves}\ndef look(): return ''", looks]
    verdicts = executor.run([Program(text, tests, oracle=oracle) for text in texts], LIMITS)
    assert sees in verdicts[2].detail


def test_the_tests_of_one_program_are_no_help_for_the_next(executor):
    tests = "def check(candidate):\n    assert candidate(2) == 4\ncheck(square)"
    programs = [
        Program("def square(n): return n * n", tests),
        Program("try: square\nexcept NameError: square = 0\ncheck = square", tests),
        Program("x = 1", tests),
        Program("def square(n): return 4 if 'check' in dir() else 0", tests),
        Program("def square(n): return n + n", tests),
    ]
    outcomes = [verdict.outcome for verdict in executor.run(programs, LIMITS)]
    assert outcomes[0] is outcomes[4] is Outcome.PASSED
    assert Outcome.PASSED not in outcomes[1:4]
