"""Programs in another Python environment: what it lacks is left out and counted, what fails there is told apart."""

import json
import sys
from pathlib import Path

import pytest

from raysweep.config.loading import config_from
from raysweep.records import ReferenceRun, Result
from raysweep.storage.artefacts import Unit
from raysweep.sweep.folder import open_folder
from raysweep.sweep.guards import environments_of
from raysweep.sweep.numbers import SavedNumbers
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from raysweep.tools.doctor.check import State
from raysweep.tools.doctor.part_checks import environment
from tests.problems.test_packages import problem_set

LACKS = "its environment lacks absent_a"


def problems(folder: Path) -> dict[str, str]:
    """A file of four problems, of which one needs what nobody has, and one has a reference solution that fails."""
    path = problem_set(folder, "import json", "import absent_a", "import re", "import math").path
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[2]["canonical_solution"] = "    return 2\n"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"name": "jsonl", "path": str(path)}


@pytest.mark.slow
def test_problems_without_their_packages_have_no_verdict_and_those_whose_reference_fails_are_told_apart(
    tmp_path, caplog
):
    of = {"environment": "here", "as": "mine"}
    config = config_from(
        {
            "name": "s",
            "allow_code_execution": True,
            "models": [{"name": "half", "generator": {"name": "fake", "share": 0.5}}],
            "evaluation": {"problems": [{**problems(tmp_path), **of}, "minicode"], "limit": 4},
            "execution": {"environments": {"here": sys.executable}},
        },
        "test",
        [],
    )
    (facts,) = environments_of(config)
    assert facts.words.endswith("; problems left out: 1 of 4; modules that they lack: absent_a (T/1)")
    found = environment(config, config.evaluation.problems[0])
    assert found.state is State.WARNING and found.found == f"mine: {facts.words}"
    assert not run_sweep(config, RunOptions(str(tmp_path / "store"), "local")).errors
    assert f"programs on mine: {facts.words}; install the packages that have these modules" in caplog.messages[0]

    folder = open_folder("s", str(tmp_path / "store"))
    row, plain = sorted(folder.grid(), key=lambda row: row.problem_set)
    results = {result.task_id: result for result in folder.store.rows(row.results, Result)}
    assert (results["T/1"].outcome, results["T/1"].detail) == ("untested", LACKS)
    assert [task for task, result in results.items() if result.outcome == "untested"] == ["T/1"]
    manifest = folder.store.manifest(row.results)
    assert manifest["counts"]["lacking_packages"] == 1 and sum(manifest["counts"]["levels"].values()) == 3
    assert "lacking_packages" not in folder.store.counts(plain.results)

    units = [Unit("references", key, "") for key in manifest["inputs"]]
    (runs,) = [folder.store.rows(unit, ReferenceRun) for unit in units if folder.store.has(unit)]
    assert [run.outcome for run in runs] == ["passed", "untested", "failed", "passed"]
    assert [run.detail for run in runs][1:3] == [LACKS, "assert f() == 1"]

    scores = {(one.problem_set, one.metric): one for one in SavedNumbers(folder).scores()}
    over_all, solvable = scores["mine", "pass@1"], scores["mine", "pass@1 where references pass"]
    passed = {task for task, result in results.items() if result.outcome == "passed"}
    assert (over_all.n, over_all.value) == (3, pytest.approx(len(passed) / 3))
    assert (solvable.n, solvable.value) == (2, len(passed & {"T/0", "T/3"}) / 2)
    assert [metric for name, metric in scores if name == "minicode" and "where" in metric] == []
    page = (folder.path / "report.html").read_text().replace("\xa0", " ")
    assert f"1 of 4 problems: T/1 ({LACKS})" in page
    assert "2 of 3 reference solutions pass; not those of T/2 (failed: assert f() == 1)" in page
