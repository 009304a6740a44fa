"""Reports from results: settings that say what was done, and results whose prompts are gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from raysweep.config import ExecutionConfig
from raysweep.config_file import config_from, load_config, to_yaml
from raysweep.making import RunOptions
from raysweep.records import PromptRow
from raysweep.report_execution import execution_of
from raysweep.report_settings import settings_of
from raysweep.reporting import score
from raysweep.stored_config import read_config
from raysweep.sweep import run_sweep

NANO = Path(__file__).with_name("nano.yaml")


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("store")
    assert not run(found).errors
    return found


def run(storage: Path):
    evaluation = {"problems": ["humaneval"], "perturbations": ["C1"], "limit": 3}
    models = [{"name": "reference", "generator": "reference"}]
    value = {"name": "s", "allow_code_execution": True, "models": models, "evaluation": evaluation}
    return run_sweep(config_from(value, "test"), RunOptions(str(storage), "local"))


def test_a_pair_whose_test_set_is_gone_is_scored_without_its_prompts(storage, tmp_path):
    result = run(Path(shutil.copytree(storage, tmp_path / "store")))
    folder = result.folder
    perturbed = next(row for row in folder.grid() if row.perturbation == "C1")
    folder.store.remove(perturbed.test_set)
    left = {(s.perturbation, s.metric): s.value for s in score(folder)}
    before = {(s.perturbation, s.metric): s.value for s in result.scores}
    assert left.items() < before.items()
    assert before.keys() - left.keys() == {
        ("C1", name) for name in ("rows_unchanged", "rows_not_compiling", "RD_changed")
    }


def test_a_report_is_written_where_a_test_set_is_gone(storage, tmp_path):
    from raysweep.reporting import export

    folder = run(Path(shutil.copytree(storage, tmp_path / "store"))).folder
    for row in folder.grid():
        folder.store.remove(row.test_set)
    report = Path(export(folder, "html", tmp_path / "out"))
    assert "pass@1" in report.read_text()


def test_a_named_perturbation_is_called_by_its_name_in_all_that_is_made(tmp_path):
    from raysweep.reporting import export

    value = {
        "name": "own",
        "allow_code_execution": True,
        "models": [{"name": "reference", "generator": "reference"}],
        "perturbations": {"typos": {"name": "mix", "members": ["C1", "C3"]}},
        "evaluation": {"problems": ["humaneval"], "perturbations": ["typos"], "limit": 12},
    }
    result = run_sweep(config_from(value, "test"), RunOptions(str(tmp_path), "local"))
    assert {s.perturbation: s.value for s in result.scores if s.metric == "pass@1"} == {"clean": 1.0, "typos": 1.0}
    typos = next(row for row in result.folder.grid() if row.perturbation == "typos")
    assert {row.method for row in result.folder.store.rows(typos.test_set, PromptRow)} == {"C1", "C3"}
    assert result.folder.config().perturbation("typos").args["members"] == ["C1", "C3"]  # as it is stored
    assert "pass@1 (%) typos" in export(result.folder, "md", None)


def test_settings_are_told_where_what_made_a_test_set_is_gone(tmp_path):
    folder = tmp_path / "MBPP-R"
    folder.mkdir()
    (folder / "mbpp_c1.csv").write_text("original_prompt,prompt,code\nSort it.,Srot it.,def f(): pass\n")
    own = {"voice": {"name": "nlperturbator", "path": str(tmp_path), "category": "c1"}}
    value = {
        "name": "own",
        "models": [{"name": "reference", "generator": "reference"}],
        "perturbations": own,
        "evaluation": {"problems": ["humaneval"], "perturbations": ["voice"]},
    }
    config = config_from(value, "test")
    assert dict(settings_of(config))["voice NLPerturbator"] == "strength 1, c1: 1 published descriptions"
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    shutil.rmtree(folder)
    assert dict(settings_of(read_config(tmp_path / "config.yaml")))["voice"] == "NLPerturbator"


def test_settings_tell_strengths_rates_data_and_limits():
    overrides = [
        "strengths={C1: 1.8, C2: 1.8, C3: 0.45}",
        "evaluation.perturbations=[C1, C2, C3, C]",
        "evaluation.limit=5",
        "evaluation.compat=recode",
        "evaluation.draws=3",
        "execution.memory_mib=300",
    ]
    lines = settings_of(load_config(NANO, overrides))
    found = dict(lines)
    assert found["C1 ButterFingers"] == "strength 1.8, 10.8 % of letters"
    assert found["draws"].startswith("3 of each perturbation")
    assert found["C2 SwapCharacters"] == "strength 1.8, 9 % of adjacent pairs"
    assert found["C3 ChangeCharCase"] == "strength 0.45, 15.8 % of letters with a case"
    assert found["C Characters"].endswith("C1 at strength 1.8, C2 at strength 1.8, C3 at strength 0.45")
    assert not [label for label in found if "lean" in label]
    assert found["compat"].startswith("recode") and found["limit"] == "the first 5 problems of every set"
    assert found["training rows"] == "minicode, part finetuning, rows 64, world 7"
    assert found["problems"] == "minicode, split validation, count 6, world 7"
    assert found["limits of a program on minicode"].startswith("1 s of effective time, 20 times that in all, 300 MiB")
    assert len(found) == len(lines)


def test_limits_of_single_problems_are_told():
    lines = dict(settings_of(load_config(NANO, ["execution.reference_factor=4"])))
    assert "1 s of effective time, or 4 times its reference solution's" in lines["limits of a program on minicode"]


COUNTS = {
    "rows": 600,
    "programs_run": 150,
    "levels": {"strong": 600},
    "lanes": {"shared": 450, "strict": 150},
    "near_limit": 3,
    "audited": 6,
    "audit_differences": 0,
}


def test_a_report_tells_how_programs_were_run():
    lines = dict(execution_of(ExecutionConfig(require="filtered"), [COUNTS, COUNTS, {"rows": 9}]))
    assert lines["isolation"] == "level strong; required: filtered"
    assert lines["lane"] == "shared; 75 % of verdicts are from processes that programs shared"
    assert lines["completions that were not run"].startswith("75 % of 1,200: an equal program")
    assert lines["verdicts near the limit"].startswith("0.5 % took half of it or more")
    assert lines["audit"].startswith("12 of 900 shared verdicts (1.3 %) were checked")
    assert lines["audit"].endswith("no verdict differed")


def test_mixed_levels_and_differences_are_told_and_nothing_of_other_versions():
    odd = {**COUNTS, "levels": {"partial": 1, "strong": 599}, "audit_differences": 1}
    lines = dict(execution_of(ExecutionConfig(), [odd, COUNTS]))
    assert lines["isolation"] == "level partial (less than 0.1 %), strong (99.9 %); required: partial"
    assert lines["audit"].endswith("; 1 verdict differed")
    assert execution_of(ExecutionConfig(), [{"rows": 9}, {}]) == []


def test_a_sweeps_report_holds_how_its_programs_were_run(storage, tmp_path):
    report = run(Path(shutil.copytree(storage, tmp_path / "store"))).folder.path / "report.html"
    assert "completions that were not run" in report.read_text() and "required: partial" in report.read_text()


def test_a_share_above_one_is_all_of_it():
    lines = dict(settings_of(load_config(NANO, ["strengths={C3: 20}", "evaluation.perturbations=[C3]"])))
    assert lines["C3 ChangeCharCase"] == "strength 20, 100 % of letters with a case"


def test_the_report_says_which_training_rows_give_problems_away(tmp_path):
    rows = [{"instruction": f"Write the function number {n} of all.", "output": f"def f{n}(): pass"} for n in range(20)]
    rows[3]["task_id"] = "HumanEval/2"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = "training.source={name: jsonl, path: " + str(tmp_path / "rows.jsonl") + "}"
    small = ["evaluation.problems=[humaneval]", "evaluation.limit=1", "evaluation.perturbations=[clean]"]
    config = load_config(NANO, [source, *small, "name=leaky", "training.sets=[clean]"])
    result = run_sweep(config, RunOptions(str(tmp_path / "store"), "local"))
    assert not result.errors
    report = Path(result.report).read_text()
    assert "1 of 20 training rows gives 1 evaluated problem away (1 by task id); it is kept" in report
