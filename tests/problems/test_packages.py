"""Problems whose own code imports packages that their environment lacks."""

import json
import sys
from pathlib import Path

import pytest

from raysweep.errors import MissingInput, UsageError
from raysweep.problems.jsonl import JsonlProblems
from raysweep.problems.packages import environment_facts, lacking_modules
from raysweep.programs import Sandbox

SANDBOX = Sandbox(environments=(("here", sys.executable),))
"""With raysweep's own Python as another environment, which lacks what nobody has."""


def problem_set(folder: Path, *imports: str, environment: str | None = "here") -> JsonlProblems:
    """Return a set with a problem for each text of imports, which stands in its prompt."""
    rows = [
        {
            "task_id": f"T/{at}",
            "prompt": f"{text}\n\ndef f():\n",
            "entry_point": "f",
            "canonical_solution": "    return 1\n",
            "test": "def check(f):\n    assert f() == 1\n",
        }
        for at, text in enumerate(imports)
    ]
    path = folder / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return JsonlProblems(str(path), environment)


def test_a_problem_lacks_what_its_own_code_imports_and_its_environment_has_not(tmp_path):
    optional = "try:\n    import absent_c\nexcept (ImportError, OSError):\n    absent_c = None"
    imports = (
        "import json",
        "import absent_a.b as x",
        "from absent_b import y",
        optional,
        "from . import z",
        "(",
    )
    found = lacking_modules(problem_set(tmp_path, *imports).problems(), SANDBOX)
    assert found == {"T/1": ("absent_a",), "T/2": ("absent_b",)}
    assert lacking_modules(problem_set(tmp_path, *imports, environment=None).problems(), SANDBOX) == {}


def test_a_line_names_modules_what_they_cost_and_the_first_problems(tmp_path):
    of_set = problem_set(tmp_path, *["import absent_a"] * 7, "import absent_b, json", "import json")
    facts = environment_facts("mine", of_set, SANDBOX)
    assert (facts.python, facts.problems) == (sys.executable, 9)
    assert facts.words.endswith(
        "left out: 8 of 9; modules that they lack: absent_a (T/0, T/1, T/2 and 4 more problems), absent_b (T/7)"
    )


def test_an_environment_that_nothing_names_or_that_is_gone_is_an_error(tmp_path):
    problems = problem_set(tmp_path, "import json").problems()
    with pytest.raises(UsageError, match=r"`execution.environments: \{here: PATH\}`"):
        lacking_modules(problems, Sandbox())
    with pytest.raises(MissingInput, match=r"there is no .*gone on this machine"):
        lacking_modules(problems, Sandbox(environments=(("here", str(tmp_path / "gone")),)))
