"""The command line as a user meets it: output, errors, exit codes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
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
        (("sets", NANO, "--engine", "spark"), "unknown engine 'spark'"),
        (("run", NANO, "--nonsense"), "--nonsense"),
        (("status", "nosuch"), "unknown sweep"),
        (("report", "nosuch"), "unknown sweep"),
        (("list", "modles"), "did you mean 'models'?"),
        (("perturb", "humaneval", "--method", "C4"), "unknown perturbation 'C4'"),
        (("perturb", "humanevil", "--method", "C1"), "did you mean 'humaneval'?"),
        (("perturb", "humaneval", "--method", "nlperturbator"), "needs --set path=... --set category=..."),
        (("perturb", "humaneval", "--method", "W1", "--set", "tagger=spicy"), "did you mean 'spacy'?"),
        (("perturb", "humaneval", "--method", "W1", "--set", "tagger"), "write it as key.path=value"),
        (("evaluate", "reference", "--problems", "humaneval", "--perturbations", "mix"), "needs arguments; name it"),
        (("evaluate", "reference", "--problems", "humaneval", "--set", "languge.tagger=x"), "did you mean 'language'?"),
        (("perturb", "nowhere.jsonl", "--method", "C1"), "nowhere.jsonl doesn't exist"),
        (("evaluate", "./nowhere", "--problems", "humaneval"), "no model at ./nowhere"),
        (("evaluate", "reference", "--problems", "humaneval"), "--allow-code-execution"),
        (("execute", "nowhere.jsonl"), "nowhere.jsonl doesn't exist"),
        (("execute", NANO, "--lane", "strikt"), "unknown --lane 'strikt' (did you mean 'strict'?)"),
        (("execute", NANO, "--require", "full"), "unknown --require 'full'; known: filtered, limits, partial, strong"),
        (("execute", NANO, "--workers", "0"), "--workers 0 can't run anything; give 1 or more"),
        (("execute", NANO, "--out", NANO), "would overwrite"),
        (("execute", NANO, "--out", "nowhere/o.jsonl"), "the folder nowhere doesn't exist"),
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


def test_commands_without_a_config_take_arguments_of_perturbations(cli):
    members = ("--set", "members=[C1, C3]", "--set", "strengths={C1: 0, C3: 0}")
    code, out, _ = cli("perturb", "humaneval", "--method", "mix", *members, "--limit", "12", "--show", "0")
    assert code == 0 and "12 rows, 0 changed" in out
    named = ("--perturbations", "typos", "--set", "perturbations.typos={name: mix, members: [C1, C3], strength: 0}")
    arguments = ("--problems", "humaneval", *named, "--limit", "12", "--allow-code-execution", "--quiet", "--json")
    code, out, _ = cli("evaluate", "reference", *arguments)
    found = {(s["perturbation"], s["metric"]): s["value"] for s in json.loads(out)["scores"]}
    assert code == 0 and found["typos", "pass@1"] == 1.0 and found["typos", "rows_unchanged"] == 12


def test_execute_scores_a_samples_file_in_human_evals_format(cli, tmp_path):
    from raysweep.problems.base import PROBLEMS

    problems = PROBLEMS.get("humaneval")().problems()[:4]
    samples = tmp_path / "samples.jsonl"
    lines = [{"task_id": p.task_id, "completion": p.reference if at else "    pass\n"} for at, p in enumerate(problems)]
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "results.jsonl"
    code, shown, _ = cli("execute", str(samples), "--allow-code-execution", "--json", "--out", str(out))
    found = json.loads(shown)
    assert code == 0 and found["pass_at_k"] == {"pass@1": 0.75}
    assert found["interval_95"]["pass@1"]["low"] <= 0.75 <= found["interval_95"]["pass@1"]["high"]
    assert (found["samples"], found["tasks"], found["programs"], found["repeated_share"]) == (4, 4, 4, 0)
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["passed"] for row in results] == [False, True, True, True]
    assert results[0]["result"].startswith("failed") and results[1]["result"] == "passed"


def test_execute_says_how_programs_were_isolated_and_run(cli, tmp_path):
    problem_file(tmp_path / "p.jsonl", 1)
    row = json.dumps({"task_id": "T/1", "completion": "    return 1\n"}) + "\n"
    (tmp_path / "s.jsonl").write_text(3 * row)
    code, shown, _ = cli(
        "execute", "s.jsonl", "--problems", "p.jsonl", "--lane", "strict", "--workers", "1", "--allow-code-execution"
    )
    lines = shown.splitlines()
    assert code == 0 and lines[0].startswith("3 samples of 1 task: 1 distinct program; 66.7 % of the samples repeat")
    assert any(re.match(r"isolation: (partial|filtered|strong); lanes: strict 1", line) for line in lines)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_execute_needs_permission_and_leaves_nothing_without(cli, tmp_path):
    problem_file(tmp_path / "p.jsonl", 1)
    (tmp_path / "s.jsonl").write_text(json.dumps({"task_id": "T/1", "completion": "    return 0\n"}) + "\n")
    code, _, err = cli("execute", "s.jsonl", "--problems", "p.jsonl", "--out", "o.jsonl")
    assert code == 2 and "--allow-code-execution" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.jsonl", "s.jsonl"]


def test_commands_that_only_look_import_neither_ray_nor_torch(tmp_path):
    code = (
        "import sys\nfrom raysweep.cli import main\n"
        f"for arguments in (['plan', {NANO!r}], ['list', 'trainers'], ['--version']):\n"
        "    try: main(arguments)\n"
        "    except SystemExit as end: assert not end.code, end.code\n"
        "print([name for name in ('ray', 'torch', 'transformers', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_list_is_aligned_to_the_longest_name(cli):
    _, out, _ = cli("list", "metrics")
    names = json.loads(cli("list", "metrics", "--json")[1])
    starts = {line.index(text) for line, text in zip(out.splitlines(), names.values(), strict=True)}
    assert starts == {max(map(len, names)) + 2}


def problem_file(path: Path, *answers: int, test: str = "def check(f):\n    assert f() == {0}\n") -> Path:
    rows = [
        {
            "task_id": f"T/{answer}",
            "prompt": f'def f{answer}():\n    """Return the number {answer}, which is a number."""\n',
            "entry_point": f"f{answer}",
            "canonical_solution": f"    return {answer}\n",
            "test": test.format(answer),
        }
        for answer in answers
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evaluate(cli, problems: Path, *more: str, model: str = "reference") -> tuple[int, str, str]:
    return cli("evaluate", model, "--problems", str(problems), "--allow-code-execution", "--quiet", *more)


@pytest.mark.parametrize("name", ["st[red]x", "st[/x]y", ":warning:"])
def test_square_brackets_in_a_path_are_no_markup(cli, tmp_path, name):
    problems = problem_file(tmp_path / "p.jsonl", 1)
    code, out, err = evaluate(cli, problems, "--storage", name)
    assert (code, err) == (0, "")
    assert f"/{name}/sweeps/evaluate-reference-" in out
    assert f"storage: {tmp_path / name}" in cli("plan", NANO, "--storage", name)[1]


def test_a_report_is_written_again_where_the_problem_file_is_gone(cli, tmp_path, monkeypatch):
    problems = problem_file(tmp_path / "p.jsonl", 1, 2)
    code, out, _ = evaluate(
        cli, Path("p.jsonl"), "--perturbations", "C1", "--storage", str(tmp_path / "store"), "--json"
    )
    assert code == 0
    name, before = json.loads(out)["sweep"], Path(json.loads(out)["report"]).read_text()
    problems.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, err = cli("report", name, "--storage", str(tmp_path / "store"), "--out", "again")
    assert (code, err, out.strip()) == (0, "", "again/report.html")
    assert Path("again/report.html").read_text() == before
    code, out, _ = cli("report", name, "--storage", str(tmp_path / "store"), "--format", "csv")
    assert code == 0 and [line for line in out.splitlines() if line.startswith("# ")]


def test_a_report_below_a_file_is_refused(cli, tmp_path):
    _, out, _ = evaluate(cli, problem_file(tmp_path / "p.jsonl", 1), "--json")
    (tmp_path / "file").write_text("")
    for more in ((), ("--format", "md")):
        code, _, err = cli("report", json.loads(out)["sweep"], "--out", "file/below", *more)
        assert code == 2 and "--out" in err and "file/below" in err


def test_an_edited_problem_file_is_another_sweep(cli, tmp_path):
    path = tmp_path / "p.jsonl"
    names = []
    for answers in ((1,), (1, 2), (1,)):
        names.append(json.loads(evaluate(cli, problem_file(path, *answers), "--json")[1])["sweep"])
    assert names[0] == names[2] != names[1]


def test_results_of_evaluate_begin_as_human_evals_do(cli, tmp_path):
    problems = problem_file(tmp_path / "p.jsonl", *range(12))
    assert evaluate(cli, problems, "--out", "samples.jsonl", model="fake")[0] == 0
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert {row["result"] for row in rows if row["passed"]} == {"passed"}
    failed = [row["result"] for row in rows if not row["passed"]]
    assert failed and all(text.startswith("failed: ") for text in failed)


def test_several_draws_give_the_worst_case_over_them(cli, tmp_path):
    options = ("--perturbations", "C1", "--draws", "3", "--limit", "30", "--allow-code-execution", "--quiet", "--json")
    code, out, _ = cli("evaluate", "fake", "--problems", "humaneval", *options, "--out", "samples.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    passed = {(row["perturbation"], row["test_draw"], row["task_id"]): row["passed"] for row in rows}
    tasks = {row["task_id"] for row in rows}
    worst = sum(all(passed["C1", draw, task] for draw in range(3)) for task in tasks)
    found = {(s["perturbation"], s["metric"]): s["value"] for s in json.loads(out)["scores"]}
    assert code == 0 and len(rows) == 4 * 30
    assert 0 < worst < 30 and found["C1", "RP_3@1"] == pytest.approx(worst / 30)
    assert found["C1", "pass@1"] == pytest.approx(sum(passed["C1", 0, task] for task in tasks) / 30)
    _, tables, _ = cli("report", json.loads(out)["sweep"], "--format", "md")
    assert "Robust pass over draws, humaneval" in tables and "RP_3@1 (%)" in tables


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf"])
def test_a_timeout_that_is_no_time_is_refused(cli, tmp_path, timeout):
    (tmp_path / "s.jsonl").write_text("")
    code, _, err = cli("execute", "s.jsonl", "--allow-code-execution", "--timeout", timeout)
    assert code == 2 and "--timeout" in err


def test_problems_without_tests_judge_nothing(cli, tmp_path):
    problem_file(tmp_path / "p.jsonl", 1, test="")
    (tmp_path / "s.jsonl").write_text(json.dumps({"task_id": "T/1", "completion": "    return 0\n"}) + "\n")
    code, _, err = cli("execute", "s.jsonl", "--problems", "p.jsonl", "--allow-code-execution")
    assert code == 2 and "has no `test`" in err


def test_options_that_cannot_count_are_refused(cli):
    code, _, err = cli("perturb", "humaneval", "--method", "C1", "--compat", "recode", "--strength", "2")
    assert code == 2 and "--strength has no effect" in err
    code, _, err = cli("evaluate", "reference", "--problems", "humaneval", "--samples", "3")
    assert code == 2 and "give --temperature" in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_so_once_and_its_status_too(tmp_path, number, code):
    arguments = ["run", NANO, "--engine", "local", "--storage", str(tmp_path), "--set", "recipes.tiny.epochs=500"]
    running = subprocess.Popen(
        [sys.executable, "-m", "raysweep", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    training = '"stage": "training"'
    deadline = time.time() + 120
    while not any(training in path.read_text() for path in tmp_path.glob("sweeps/nano/progress/base-model-*.json")):
        assert running.poll() is None and time.time() < deadline
        time.sleep(0.05)
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == code
    assert err.count("\nstopped; artefacts, checkpoints and blocks that were written are kept") == 1
    assert "Traceback" not in err and f"raysweep {arguments[0]} {NANO} --engine local" in err
    status = [sys.executable, "-m", "raysweep", "status", "nano", "--storage", str(tmp_path)]
    shown = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    assert re.search(r"base-model-llama-\w+ +stopped \(training \d+/[\d,]+\)", shown)
    assert "failed" not in shown
