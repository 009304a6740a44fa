"""The command line as a user meets it: output, errors, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.cli import main

NANO = str(Path(__file__).with_name("nano.yaml"))


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run a command in this process; return (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYSWEEP_STORAGE", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out, out.err

    return run


def test_version_and_help_answer(cli):
    assert cli("--version")[1].startswith("raysweep 0.")
    code, out, _ = cli("--help")
    assert code == 0
    for command in ("run", "plan", "status", "report", "perturb", "evaluate", "execute", "list"):
        assert command in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nowhere.yaml"), "can't read config 'nowhere.yaml'"),
        (("run", NANO, "--set", "seeed=1"), "unknown key (did you mean 'seed'?)"),
        (("run", NANO, "--set", "evaluation.perturbations=[C9]"), "unknown perturbation 'C9'"),
        (("run", NANO, "--set", "models.0.pretrain.family=lama"), "did you mean 'llama'?"),
        (("run", NANO, "--set", "resources.cpus=4000"), "4000 CPU (`resources.cpus`)"),
        (("run", NANO, "--set", "resources.gpus=9"), "9 GPU (`resources.gpus`)"),
        (("run", NANO, "--set", "resources.memory_gib=9000"), "9000.0 GiB memory (`resources.memory_gib`)"),
        (("run", NANO, "--set", "recipes.tiny.workers=4000"), "4000 training workers"),
        (("run", NANO, "--set", "allow_code_execution=false"), "--allow-code-execution"),
        (("run", NANO, "--storage", "/proc/nowhere"), "can't be written"),
        (("run", NANO, "--engine", "spark"), "unknown engine 'spark'"),
        (("run", NANO, "--nonsense"), "--nonsense"),
        (("status", "nosuch"), "unknown sweep"),
        (("report", "nosuch"), "unknown sweep"),
        (("list", "modles"), "did you mean 'models'?"),
        (("perturb", "humaneval", "--method", "C4"), "unknown perturbation 'C4'"),
        (("perturb", "humanevil", "--method", "C1"), "did you mean 'humaneval'?"),
        (("perturb", "nowhere.jsonl", "--method", "C1"), "nowhere.jsonl doesn't exist"),
        (("evaluate", "./nowhere", "--problems", "humaneval"), "no model at ./nowhere"),
        (("evaluate", "reference", "--problems", "humaneval"), "--allow-code-execution"),
        (("execute", "nowhere.jsonl"), "nowhere.jsonl doesn't exist"),
    ],
)
def test_bad_input_is_one_error_and_exit_code_2_before_any_work(cli, arguments, said, tmp_path):
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert said in err.replace("\n", " ")
    assert "Traceback" not in err
    assert not (tmp_path / "raysweep-store" / "artefacts").exists()


def test_plan_counts_cells_and_spends_nothing(cli, tmp_path):
    code, out, _ = cli("plan", NANO, "--json")
    found = json.loads(out)
    assert code == 0
    assert [cell["cell"] for cell in found["cells"]] == ["llama.base", "llama.tiny.C1.s7"]
    assert all(cell["missing"] for cell in found["cells"])
    assert not (tmp_path / "raysweep-store").exists()


def test_perturb_writes_the_same_rows_with_other_prompts(cli, tmp_path):
    out = tmp_path / "rows.jsonl"
    code, shown, _ = cli("perturb", "humaneval", "--method", "C1", "--limit", "4", "--out", str(out))
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert code == 0 and "4 rows" in shown
    assert set(rows[0]) >= {"task_id", "prompt", "entry_point", "canonical_solution", "test"}
    code, shown, _ = cli("perturb", str(out), "--method", "C2")
    assert code == 0 and "4 rows" in shown


def test_list_prints_names_with_what_they_do(cli):
    _, out, _ = cli("list", "perturbations", "--json")
    assert {"C", "C1", "C2", "C3", "clean"} <= set(json.loads(out))


def test_evaluate_the_reference_passes_everything_clean_and_perturbed(cli):
    arguments = ("--problems", "humaneval", "--perturbations", "C1,C2,C3", "--limit", "12", "--allow-code-execution")
    code, out, _ = cli("evaluate", "reference", *arguments, "--quiet", "--json")
    scores = {s["perturbation"]: s["value"] for s in json.loads(out)["scores"] if s["metric"] == "pass@1"}
    assert code == 0 and scores == {"clean": 1.0, "C1": 1.0, "C2": 1.0, "C3": 1.0}


def test_execute_scores_a_samples_file_in_human_evals_format(cli, tmp_path):
    from raysweep.problems.base import PROBLEMS

    problems = PROBLEMS.get("humaneval")().problems()[:4]
    samples = tmp_path / "samples.jsonl"
    lines = [{"task_id": p.task_id, "completion": p.reference if at else "    pass\n"} for at, p in enumerate(problems)]
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "results.jsonl"
    code, shown, _ = cli("execute", str(samples), "--allow-code-execution", "--json", "--out", str(out))
    assert code == 0 and json.loads(shown)["pass_at_k"] == {"pass@1": 0.75}
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["passed"] for row in results] == [False, True, True, True]
    assert results[0]["result"].startswith("failed") and results[1]["result"] == "passed"


def test_the_command_starts_fast_enough_to_be_pleasant():
    done = subprocess.run([sys.executable, "-m", "raysweep", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("raysweep ")
