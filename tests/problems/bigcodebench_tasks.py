"""Twenty small tasks in BigCodeBench's shape, and programs on them with the outcomes that are right.

A program is a completion of its task's `complete_prompt`; `Program.whole` is the same one as an answer of its own.
Nothing here runs anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from raysweep.programs import Outcome

PASSED, FAILED, EXCEPTION = (Outcome.PASSED,), (Outcome.FAILED,), (Outcome.EXCEPTION,)
ENDED = (Outcome.KILLED, Outcome.EXCEPTION)
"""Of a program that ends itself: which one depends on who notices first."""
WRONG = (Outcome.FAILED, Outcome.EXCEPTION, Outcome.TIMEOUT, Outcome.KILLED)
"""Anything but a pass, where the reason may differ."""
REFERENCE = "reference"


@dataclass(frozen=True)
class Program:
    """A completion of a task and the outcomes of which one is right."""

    task_id: str
    name: str
    text: str
    outcomes: tuple[Outcome, ...]
    head: str  # of the task's program: imports and signature

    @property
    def whole(self) -> str:
        return f"{self.head}\n{self.text}"


@dataclass(frozen=True)
class Task:
    """A row with all columns, and programs on it, of which the first is its reference."""

    row: dict[str, Any]
    programs: tuple[Program, ...]


def tasks() -> list[Task]:
    """Return the tasks in order."""
    return [_task(number, **written) for number, written in enumerate(_TASKS)]


def rows() -> list[dict[str, Any]]:
    return [task.row for task in tasks()]


def programs() -> Iterator[Program]:
    """Yield all programs of all tasks."""
    for task in tasks():
        yield from task.programs


def write_rows(path: Path) -> str:
    """Write the rows as a file of the set; return its path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return str(path)


def _task(
    number: int,
    says: str,
    imports: str,
    arguments: str,
    body: str,
    test: str,
    others: dict[str, tuple[str, tuple[Outcome, ...]]],
    outcomes: tuple[Outcome, ...] = PASSED,
    constants: str = "",
) -> Task:
    lines = "".join(f"{line}\n" for line in imports.split("; ") if line) + constants
    head = f"{lines}\ndef task_func({arguments}):"
    libraries = sorted({line.split()[1].partition(".")[0] for line in imports.split("; ") if line})
    needed = "".join(f"\n    - {name}" for name in libraries)
    task_id, solution = f"Mine/{number}", _indented(body)
    row = {
        "task_id": task_id,
        "complete_prompt": f'{head}\n    """\n    {says}\n\n    Requirements:{needed}\n    """\n',
        "instruct_prompt": f"{says}\nYou should write self-contained code starting with:\n```\n{head}\n```",
        "canonical_solution": solution,
        "code_prompt": head,
        "test": dedent(test).strip("\n") + "\n",
        "entry_point": "task_func",
        "doc_struct": json.dumps({"description": [says], "notes": [], "params": [], "returns": [], "reqs": libraries}),
        "libs": repr(libraries),
    }
    written = {REFERENCE: (solution, outcomes)}
    written |= {name: (_indented(text), right) for name, (text, right) in others.items()}
    return Task(row, tuple(Program(task_id, name, text, right, head) for name, (text, right) in written.items()))


def _indented(body: str) -> str:
    """Return a function's body as a completion; what stands behind a line ``---`` is outside of the function."""
    inside, _, outside = dedent(body).strip("\n").partition("\n---\n")
    return indent(inside, "    ") + "\n" + (f"\n{outside}\n" if outside else "")


_NUMBER_TEST = """
    import unittest

    class TestCases(unittest.TestCase):
        def test_small(self):
            self.assertEqual(task_func(3), 6)

        def test_zero(self):
            self.assertEqual(task_func(0), 0)
"""
_TASKS: list[dict[str, Any]] = [
    dict(
        says="Write the lines to a file in the working folder and return how many characters it has.",
        imports="import os",
        arguments="name, lines",
        body="""
            with open(name, "w") as file:
                file.write("\\n".join(lines))
            return os.path.getsize(name)
        """,
        test="""
            import os
            import unittest

            class TestCases(unittest.TestCase):
                def setUp(self):
                    self.name = "written.txt"

                def tearDown(self):
                    if os.path.exists(self.name):
                        os.remove(self.name)

                def test_size(self):
                    self.assertEqual(task_func(self.name, ["ab", "c"]), 4)

                def test_content(self):
                    task_func(self.name, ["ab", "c"])
                    with open(self.name) as file:
                        self.assertEqual(file.read(), "ab\\nc")
        """,
        others={
            "writes nothing": ("return 4", WRONG),
            "wrong size": ('open(name, "w").close()\nreturn 5', FAILED),
            "raises": ('raise ValueError("no")', EXCEPTION),
            "is no code": ("return os.path.getsize(name", (Outcome.SYNTAX_ERROR,)),
        },
    ),
    dict(
        says="Pack all csv files of a folder as JSON files into a zip file and return its sorted names.",
        imports="import csv; import json; import zipfile; from pathlib import Path",
        arguments="folder, target",
        body="""
            with zipfile.ZipFile(target, "w") as packed:
                for path in sorted(Path(folder).glob("*.csv")):
                    with path.open(newline="") as file:
                        packed.writestr(path.stem + ".json", json.dumps(list(csv.DictReader(file))))
            with zipfile.ZipFile(target) as packed:
                return sorted(packed.namelist())
        """,
        test="""
            import json
            import os
            import tempfile
            import unittest
            import zipfile

            class TestCases(unittest.TestCase):
                def setUp(self):
                    self.folder = tempfile.TemporaryDirectory()
                    with open(os.path.join(self.folder.name, "a.csv"), "w") as file:
                        file.write("x,y\\n1,2\\n")
                    self.target = tempfile.NamedTemporaryFile(suffix=".zip", delete=False).name

                def tearDown(self):
                    self.folder.cleanup()
                    os.remove(self.target)

                def test_names(self):
                    self.assertEqual(task_func(self.folder.name, self.target), ["a.json"])

                def test_rows(self):
                    task_func(self.folder.name, self.target)
                    with zipfile.ZipFile(self.target) as packed:
                        self.assertEqual(json.loads(packed.read("a.json")), [{"x": "1", "y": "2"}])
        """,
        others={"no rows": ('zipfile.ZipFile(target, "w").close()\nreturn ["a.json"]', WRONG)},
    ),
    dict(
        says="Return the sum of a list, each number times the factor.",
        imports="",
        arguments="numbers, factor",
        body="return sum(number * factor for number in numbers)",
        test="""
            import unittest

            CALLS = []

            def setUpModule():
                CALLS.append("module")

            def tearDownModule():
                CALLS.clear()

            class TestCases(unittest.TestCase):
                @classmethod
                def setUpClass(cls):
                    CALLS.append("class")
                    cls.numbers = [1, 2]

                @classmethod
                def tearDownClass(cls):
                    cls.numbers = None

                def setUp(self):
                    self.numbers = [*self.numbers, 3]
                    self.addCleanup(CALLS.append, "cleanup")

                def tearDown(self):
                    CALLS.append("test")

                def test_a(self):
                    self.assertEqual(CALLS, ["module", "class"])
                    self.assertEqual(task_func(self.numbers, 2), 12)

                def test_b(self):
                    self.assertEqual(CALLS, ["module", "class", "test", "cleanup"])
                    self.assertEqual(task_func(self.numbers, 0), 0)
        """,
        others={"adds the factor": ("return sum(numbers) + factor", FAILED)},
    ),
    dict(
        says="Fetch an address and return the number of its words.",
        imports="import urllib.request",
        arguments="url",
        body="""
            with urllib.request.urlopen(url) as answer:
                return len(answer.read().decode().split())
        """,
        test="""
            import unittest
            from unittest.mock import patch

            class TestCases(unittest.TestCase):
                @patch("urllib.request.urlopen")
                def test_words(self, urlopen):
                    urlopen.return_value.__enter__.return_value.read.return_value = b"one two three"
                    self.assertEqual(task_func("http://example.com"), 3)
                    urlopen.assert_called_once_with("http://example.com")
        """,
        others={"asks nobody": ("return 3", FAILED)},
    ),
    dict(
        says="Run a command and return its exit code and its output without white space at the ends.",
        imports="import subprocess",
        arguments="command",
        body="""
            done = subprocess.run(command, capture_output=True, text=True)
            return done.returncode, done.stdout.strip()
        """,
        test="""
            import unittest
            from unittest.mock import MagicMock, patch

            class TestCases(unittest.TestCase):
                @patch("subprocess.run", return_value=MagicMock(returncode=3, stdout=" out "))
                def test_run(self, run):
                    self.assertEqual(task_func(["anything"]), (3, "out"))
                    self.assertEqual(run.call_args.args[0], ["anything"])
        """,
        others={"doesn't strip": ("done = subprocess.run(command)\nreturn done.returncode, done.stdout", FAILED)},
    ),
    dict(
        says="Return the names in the working folder that end in the suffix, behind the folder's name.",
        imports="import os; from os import getcwd",
        arguments="suffix",
        body='return [getcwd() + "/" + name for name in os.listdir(getcwd()) if name.endswith(suffix)]',
        test="""
            import unittest
            from unittest.mock import patch

            class TestCases(unittest.TestCase):
                @patch("os.listdir", return_value=["a.txt", "b.csv"])
                @patch("__test__.getcwd", return_value="/here")
                def test_names(self, getcwd, listdir):
                    self.assertEqual(task_func(".csv"), ["/here/b.csv"])
                    listdir.assert_called_once_with("/here")
        """,
        others={"all names": ("return [getcwd() + '/' + name for name in os.listdir(getcwd())]", FAILED)},
    ),
    dict(
        says="Return the mean of each column of a matrix as an array.",
        imports="import numpy as np",
        arguments="matrix",
        body="return np.asarray(matrix).mean(axis=0)",
        test="""
            import unittest
            import numpy as np

            class TestCases(unittest.TestCase):
                def test_means(self):
                    np.testing.assert_allclose(task_func([[1, 2], [3, 4]]), [2, 3])
                    self.assertIsInstance(task_func([[1.0]]), np.ndarray)
        """,
        others={
            "means of rows": ("return np.asarray(matrix).mean(axis=1)", FAILED),
            "matrices of other widths": ("return np.asarray(matrix) @ np.ones(7)", EXCEPTION),
        },
    ),
    dict(
        says="Return a frame with the sum of the values of each group, sorted by the group.",
        imports="import pandas as pd",
        arguments="rows",
        body='return pd.DataFrame(rows).groupby("group", as_index=False)["value"].sum()',
        test="""
            import unittest
            import pandas as pd

            class TestCases(unittest.TestCase):
                def test_sums(self):
                    rows = [{"group": "b", "value": 1}, {"group": "a", "value": 2}, {"group": "b", "value": 3}]
                    wanted = pd.DataFrame({"group": ["a", "b"], "value": [2, 4]})
                    pd.testing.assert_frame_equal(task_func(rows), wanted)
        """,
        others={"no such column": ('return pd.DataFrame(rows)["total"]', EXCEPTION)},
    ),
    dict(
        says="Draw a histogram with the title 'Values' and return its axes.",
        imports="import matplotlib.pyplot as plt",
        arguments="values",
        body="""
            figure, axes = plt.subplots()
            axes.hist(values, bins=3)
            axes.set_title("Values")
            return axes
        """,
        test="""
            import unittest
            import matplotlib.pyplot as plt

            class TestCases(unittest.TestCase):
                def tearDown(self):
                    plt.close("all")

                def test_axes(self):
                    axes = task_func([1, 2, 2, 3])
                    self.assertEqual(axes.get_title(), "Values")
                    self.assertEqual(len(axes.patches), 3)
        """,
        others={
            "no title": ("axes = plt.subplots()[1]\naxes.hist(values, bins=3)\nreturn axes", FAILED),
            "shows it": (
                """
                axes = plt.subplots()[1]
                axes.hist(values, bins=3)
                axes.set_title("Values")
                plt.show()
                return axes
                """,
                PASSED,
            ),
        },
    ),
    dict(
        says="Return as many random numbers from 1 to 6 as asked for, drawn with a seed.",
        imports="import random",
        arguments="number, seed=42",
        body="""
            random.seed(seed)
            return [random.randint(1, 6) for _ in range(number)]
        """,
        test="""
            import random
            import unittest

            class TestCases(unittest.TestCase):
                def test_seed(self):
                    random.seed(42)
                    wanted = [random.randint(1, 6) for _ in range(50)]
                    self.assertEqual(task_func(50), wanted)
                    self.assertEqual(task_func(50), task_func(50))
        """,
        others={"no seed": ("return [random.randint(1, 6) for _ in range(number)]", FAILED)},
    ),
    dict(
        says="Return the digits of a text as a number, or None.",
        imports="import re",
        arguments="text",
        body="""
            digits = "".join(re.findall(r"\\d", text))
            return int(digits) if digits else None
        """,
        test="""
            import unittest

            class TestCases(unittest.TestCase):
                def test_all(self):
                    for text, wanted in [("a1b2", 12), ("", None), ("007", 7)]:
                        with self.subTest(text=text):
                            self.assertEqual(task_func(text), wanted)
        """,
        others={"one case fails": ('return int("0" + "".join(re.findall(r"\\d", text)))', FAILED)},
    ),
    dict(
        says="Return twice a number.",
        imports="import os; import sys; import time",
        arguments="n",
        body="return 2 * n",
        test=_NUMBER_TEST,
        others={
            "loops": ("while True:\n    pass", (Outcome.TIMEOUT,)),
            "sleeps": ("while True:\n    time.sleep(1000)", (Outcome.TIMEOUT,)),
            "sleeps when it is defined": ("return 2 * n\n---\ntime.sleep(10 ** 6)", (Outcome.TIMEOUT,)),
            "takes all memory": (
                "held = []\nwhile True:\n    held.append(bytearray(64 * 2 ** 20))",
                (Outcome.MEMORY,),
            ),
            "writes without end": ('while True:\n    print("x" * 10 ** 5)', (Outcome.OUTPUT_LIMIT,)),
            "ends its process": ("os._exit(0)", (Outcome.KILLED,)),
            "ends its process when it is defined": ("return 2 * n\n---\nos._exit(0)", (Outcome.KILLED,)),
            "exits": ("sys.exit(0)", ENDED),
            "exits when it is defined": ("return 2 * n\n---\nsys.exit(0)", ENDED),
            "aborts": ("os.abort()", (Outcome.KILLED,)),
            "never returns from a call": ("return task_func(n)", EXCEPTION),
            "skips": ('import unittest\nraise unittest.SkipTest("too hard")', WRONG),
            "skips when it is defined": ("return 2 * n\n---\nimport unittest\nraise unittest.SkipTest('no')", WRONG),
            "is interrupted": ("raise KeyboardInterrupt", ENDED),
        },
    ),
    dict(
        says="Return thrice a number.",
        imports="import subprocess; import threading; import time",
        arguments="n",
        body="return 3 * n",
        test=_NUMBER_TEST.replace("6", "9"),
        others={
            "leaves files": (
                "for at in range(50):\n    open(f'left-{at}', 'w').write('x' * 1000)\nreturn 3 * n",
                PASSED,
            ),
            "leaves open files": ("global held\nheld = [open(f'{at}', 'w') for at in range(50)]\nreturn 3 * n", PASSED),
            "leaves threads": (
                "for _ in range(5):\n    threading.Thread(target=time.sleep, args=(1000,)).start()\nreturn 3 * n",
                PASSED,
            ),
            "leaves a busy thread": (
                """
                def spin():
                    while True:
                        pass

                threading.Thread(target=spin, daemon=True).start()
                return 3 * n
                """,
                PASSED,
            ),
            "leaves processes": ('for _ in range(3):\n    subprocess.Popen(["sleep", "1000"])\nreturn 3 * n', PASSED),
        },
    ),
    dict(
        says="Return a number plus one.",
        imports="import builtins; import os; import sys; import unittest",
        arguments="n",
        body='assert "BCB_LEFT" not in os.environ and "lambda" not in open.__name__\nreturn n + 1',
        test=_NUMBER_TEST.replace("6", "4").replace("(0), 0", "(0), 1"),
        others={
            "leaves another world": (
                """
                os.environ["BCB_LEFT"] = "1"
                os.makedirs("deep", exist_ok=True)
                os.chdir("deep")
                builtins.open = lambda *arguments, **options: None
                sys.path.insert(0, "/nowhere")
                return n + 1
                """,
                PASSED,
            ),
            "would see what another one left": ('return n + 1 + ("BCB_LEFT" in os.environ)', PASSED),
            "finds nothing equal": (
                "unittest.TestCase.assertEqual = lambda self, one, other: None\nreturn None",
                WRONG,
            ),
        },
    ),
    dict(
        says="Return the title of a page.",
        imports="import re; import urllib.request",
        arguments="url",
        body="""
            with urllib.request.urlopen(url, timeout=5) as answer:
                return re.search("<title>(.*?)</title>", answer.read().decode())[1]
        """,
        test="""
            import unittest

            class TestCases(unittest.TestCase):
                def test_title(self):
                    self.assertEqual(task_func("http://example.com"), "Example Domain")
        """,
        others={},
        outcomes=WRONG,
    ),
    dict(
        says="Return the path of a file below the folder that the environment names.",
        imports="",
        arguments="variable, name",
        body="return os.path.join(environ.get(variable, sys.prefix), name)",
        test="""
            import os
            import sys
            import unittest
            from unittest.mock import patch

            class TestCases(unittest.TestCase):
                @patch.dict(os.environ, {"BCB_FOLDER": "/there"})
                def test_named(self):
                    self.assertEqual(task_func("BCB_FOLDER", "a"), "/there/a")

                def test_unnamed(self):
                    self.assertEqual(task_func("BCB_NOTHING", "a"), os.path.join(sys.prefix, "a"))
        """,
        others={"forgets what there isn't": ("return shutil.which(name)", EXCEPTION)},
    ),
    dict(
        says="Return the longest word of a text.",
        imports="",
        arguments="text",
        body='return max(text.split(), key=len, default="")',
        test="""
            import unittest

            class TestCases(unittest.TestCase):
                def test_longest(self):
                    self.assertEqual(task_func("a bcd ef"), "bcd")
                    self.assertEqual(task_func(""), "")
        """,
        others={
            "brings tests of its own": (
                'return max(text.split(), key=len, default="")\n---\nimport unittest\n\n'
                'if __name__ == "__main__":\n    unittest.main()',
                PASSED,
            ),
            "runs tests of its own": (
                'return max(text.split(), key=len, default="")\n---\nimport unittest\nunittest.main()',
                WRONG,
            ),
        },
    ),
    dict(
        says="Print each number on a line of its own, and return nothing.",
        imports="",
        arguments="numbers",
        body="for number in numbers:\n    print(number)",
        test="""
            import contextlib
            import io
            import unittest
            from unittest.mock import patch

            class TestCases(unittest.TestCase):
                @patch("sys.stdout", new_callable=io.StringIO)
                def test_patched(self, out):
                    task_func([1, 2])
                    self.assertEqual(out.getvalue(), "1\\n2\\n")

                def test_redirected(self):
                    with contextlib.redirect_stdout(io.StringIO()) as out:
                        self.assertIsNone(task_func([3]))
                    self.assertEqual(out.getvalue(), "3\\n")
        """,
        others={"prints a list": ("print(numbers)", FAILED)},
    ),
    dict(
        says="Return the share of values above a limit; raise a ValueError if there are none.",
        imports="import logging",
        arguments="values, limit",
        constants="LIMIT_NAME = 'limit'\n",
        body="""
            if not values:
                logging.getLogger("shares").error("no values above the %s", LIMIT_NAME)
                raise ValueError("no values")
            return sum(value > limit for value in values) / len(values)
        """,
        test="""
            import unittest

            class TestCases(unittest.TestCase):
                def test_share(self):
                    self.assertAlmostEqual(task_func([1, 2, 3], 1), 2 / 3)

                def test_none(self):
                    with self.assertLogs("shares", "ERROR") as logs, self.assertRaisesRegex(ValueError, "no values"):
                        task_func([], 1)
                    self.assertIn("limit", logs.output[0])
        """,
        others={
            "divides by zero": ("return sum(value > limit for value in values) / len(values)", WRONG),
            "says nothing": (
                "return sum(value > limit for value in values) / len(values) if values else 0",
                FAILED,
            ),
        },
    ),
    dict(
        says="Return the days from one date to another, both as YYYY-MM-DD.",
        imports="from datetime import date",
        arguments="start, end",
        body="return (date.fromisoformat(end) - date.fromisoformat(start)).days",
        test="""
            import unittest

            class Shared:
                def test_forwards(self):
                    self.assertEqual(task_func(self.start, "2024-03-01"), self.days)

            class TestCases(Shared, unittest.TestCase):
                start, days = "2024-02-28", 2

            class TestMoreCases(unittest.TestCase):
                def test_backwards(self):
                    self.assertEqual(task_func("2024-01-02", "2024-01-01"), -1)
        """,
        others={
            "right for the first class": (
                "return abs((date.fromisoformat(end) - date.fromisoformat(start)).days)",
                FAILED,
            ),
        },
    ),
]
