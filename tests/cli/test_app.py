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

import raysweep
from raysweep.analysis.exhibits.base import EXHIBITS
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.config.examples import examples
from raysweep.hashing import text_sha
from raysweep.problems.jsonl import JsonlProblems
from raysweep.prompts.templates import Prompter, PromptTemplate
from raysweep.records import Completion
from raysweep.sweep.folder import open_folder
from tests import paths
from tests.behaviour.sweeps.test_environments import LACKS
from tests.behaviour.sweeps.test_environments import problems as problems_here
from tests.conftest import shared_data
from tests.execution.compiled.processes import needs
from tests.models.tiny import chat_tokenizer, make_chat_model
from tests.patience import PATIENCE
from tests.problems.repair.rows import GCD, quixbugs
from tests.tiny import make_tiny

NANO = str(paths.NANO)


def test_version_and_help_answer(cli):
    assert cli("--version")[1].startswith("raysweep 0.")
    code, out, _ = cli("--help")
    assert code == 0
    for command in ("run", "plan", "status", "report", "export", "gc", "perturb", "evaluate", "execute", "list"):
        assert command in out


@pytest.mark.slow
def test_a_config_without_models_gets_sets_and_no_plan_but_the_way_to_each(cli, tmp_path):
    (tmp_path / "sets.yaml").write_text(
        "name: s\ntraining: {source: {name: minicode, rows: 16}, sets: [C1]}\n"
        "evaluation: {problems: [{name: minicode, count: 2}]}\n"
    )
    for command in ("plan", "run"):
        code, out, err = cli(command, "sets.yaml")
        (first, told) = err.splitlines()
        assert (code, out, first) == (2, "", "error: sets.yaml: 1 error")
        assert told.startswith(
            "  models: this key is missing; list the models to evaluate, as in `models: [{name: mine, "
        )
        assert "`raysweep sets CONFIG` makes the training and test sets" in told
    assert cli("sets", "sets.yaml", "--engine", "local", "--quiet")[0] == 0


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


def test_config_shows_the_first_level_the_keys_below_one_and_json(cli):
    code, out, _ = cli("config")
    assert code == 0 and "\nexecution " in out and "(11 keys below)" in out and "execution.timeout" not in out
    code, out, _ = cli("config", "execution")
    assert code == 0 and "\nexecution.timeout: number above 0, or null (seconds); default null\n    Limit of" in out
    assert [line for line in out.splitlines() if line != line.rstrip()] == []
    (found,) = json.loads(cli("config", "recipes.full.lr", "--json")[1])
    assert (found["key"], found["default"], found["required"]) == ("recipes.NAME.lr", 2e-5, False)
    assert len(json.loads(cli("config", "--json")[1])) > 80


def test_init_writes_a_config_once_and_says_what_comes_next(cli, tmp_path):
    code, out, _ = cli("init", "mine", "--from", "quickstart")
    assert code == 0 and out.splitlines()[0] == "wrote mine/quickstart.yaml"
    assert "\n  raysweep plan mine/quickstart.yaml\n  raysweep run mine/quickstart.yaml\n" in out
    assert cli("plan", "mine/quickstart.yaml")[0] == 0
    code, _, err = cli("init", "mine", "--from", "quickstart")
    assert code == 2 and "mine/quickstart.yaml exists already" in err
    plan, run = [line for line in cli("init", ".")[1].splitlines() if line.startswith("  ")]
    assert plan.startswith("  raysweep plan own-model.yaml --set models.0.path=") and "--allow-code" not in plan
    assert run.startswith("  raysweep run own-model.yaml --set models.0.path=") and run.endswith(
        "--allow-code-execution"
    )
    assert cli("init", "other", "--list")[0] == 2 and not (tmp_path / "other").exists()


def test_init_lists_what_there_is_to_start_from(cli):
    assert list(json.loads(cli("init", "--list", "--json")[1])) == list(examples())
    assert cli("init", "--list")[1].startswith("own-model")


def test_list_of_exhibits_shows_the_ids_that_a_report_takes_and_below_them_the_kinds(cli):
    ids, _, kinds = cli("list", "exhibits")[1].partition("\n\n")
    assert [line.split()[0] for line in ids.splitlines()] == list(read_exhibits())
    assert re.search(r"^table-2 +pass@1 on clean prompts \(kind scores\)$", ids, re.M)
    heading, *lines = kinds.splitlines()
    assert heading == "exhibit-kinds, for files of your own"
    assert [line.split()[0] for line in lines] == EXHIBITS.names()


def test_list_of_one_kind_tells_the_arguments_that_a_config_may_give(cli):
    lines = cli("list", "problems")[1].splitlines()
    mbpp = next(line for line in lines if line.startswith("mbpp "))
    assert mbpp.endswith("Takes path, config=full, split=test, revision.")
    assert "model" not in cli("list", "generators")[1].split("fake")[1].split("Takes")[1].split("\n")[0]


@pytest.mark.slow
def test_help_shows_every_option_whole_on_a_terminal_of_80_columns(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for command in ("run", "sets", "status", "gc", "perturb", "evaluate", "attack", "execute", "audit"):
        code, out, _ = cli(command, "--help")
        assert code == 0 and "…" not in out, command


@pytest.mark.slow
def test_list_alone_shows_every_kind_that_a_config_or_a_package_can_name(cli):
    code, out, _ = cli("list")
    every = json.loads(cli("list", "--json")[1])
    assert code == 0 and [line for line in out.splitlines() if line and line[0] != " "] == list(every)
    for kind, names in every.items():
        assert names == json.loads(cli("list", kind, "--json")[1])
        assert all(re.search(rf"^  {re.escape(name)} +{re.escape(text)}$", out, re.M) for name, text in names.items())
    assert {"hanta"} <= set(every["taggers"]) and {"wordnet"} <= set(every["synonyms"])
    assert {"apertium", "marian"} <= set(every["translators"])


def test_list_knows_every_registry(cli):
    from raysweep.cli.views.names import REGISTRIES

    folders = [path for path in (paths.REPO / "raysweep").rglob("*.py") if "cli" not in path.parts]
    made = sum(len(re.findall(r"^[A-Z]+: Registry\[.*\] = Registry\(", path.read_text(), re.M)) for path in folders)
    assert len(set(map(id, REGISTRIES.values()))) == len(REGISTRIES) == made


@pytest.mark.slow
def test_evaluate_the_reference_passes_everything_clean_and_perturbed(cli):
    named = "perturbations.typos={name: mix, members: [C1, C3], strength: 0}"
    arguments = ("--problems", "humaneval", "--perturbations", "C1,C2,C3,typos", "--set", named, "--limit", "12")
    code, out, _ = cli("evaluate", "reference", *arguments, "--allow-code-execution", "--quiet", "--json")
    found = {(s["perturbation"], s["metric"]): s["value"] for s in json.loads(out)["scores"]}
    scores = {perturbation: value for (perturbation, metric), value in found.items() if metric == "pass@1"}
    assert code == 0 and scores == dict.fromkeys(("clean", "C1", "C2", "C3", "typos"), 1.0)
    assert found["typos", "rows_unchanged"] == 12


@pytest.mark.long
@pytest.mark.parametrize("language", ["cpp", "java"])
def test_evaluate_the_reference_passes_compiled_programs_as_the_readmes_line_says(cli, language):
    """In small: test_evaluate_the_reference_passes_everything_clean_and_perturbed; .ci/wheel does it, too."""
    needs(language)
    problems = f"humaneval-x={shared_data('humaneval_x', f'humaneval_{language}.jsonl.gz')}"
    arguments = ("--problems", problems, "--limit", "2", "--allow-code-execution", "--quiet", "--json")
    code, out, _ = cli("evaluate", "reference", *arguments)
    assert [s["value"] for s in json.loads(out)["scores"] if s["metric"] == "pass@1"] == [1.0]
    assert code == 0


def test_perturb_takes_arguments_of_a_perturbation(cli):
    members = ("--set", "members=[C1, C3]", "--set", "strengths={C1: 0, C3: 0}")
    code, out, _ = cli("perturb", "humaneval", "--method", "mix", *members, "--limit", "12", "--show", "0")
    assert code == 0 and "12 rows, 0 changed" in out


@pytest.mark.slow
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
    assert any(re.match(r"isolation: (partial|filtered|strong); mode: isolated 1", line) for line in lines)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_execute_refuses_ways_that_take_whole_programs_out_of_patches(cli, tmp_path):
    (tmp_path / "s.jsonl").write_text(json.dumps({"task_id": "QuixBugs/gcd", "completion": ""}) + "\n")
    problems = f"quixbugs={quixbugs(tmp_path, GCD)}"
    code, _, err = cli("execute", "s.jsonl", "--problems", problems, "--extract", "last", "--allow-code-execution")
    assert code == 2 and "--extract last is for whole programs" in err and "give auto or none" in err


@pytest.mark.slow
def test_commands_that_only_look_import_neither_ray_nor_torch(tmp_path):
    code = (
        "import sys\nfrom raysweep.cli.app import main\n"
        f"for arguments in (['plan', {NANO!r}], ['list', 'trainers'], ['config', 'execution'], ['--version']):\n"
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


@pytest.mark.slow
def test_a_problem_set_is_given_its_file_or_a_file_its_name(cli, tmp_path):
    problem_file(tmp_path / "p.jsonl", 1, 2)
    code, out, _ = evaluate(cli, Path("p.jsonl"), "-p", "mine=p.jsonl", "-p", "mbpp=p.jsonl", "--json")
    assert code == 0 and {score["problem_set"] for score in json.loads(out)["scores"]} == {"jsonl", "mine", "mbpp"}
    assert "2 rows, " in cli("perturb", "mine=p.jsonl", "--method", "C1", "--show", "0")[1]
    own = ("--set", "perturbations.typos={name: mix, members: [C1, C2]}", "--perturbations", "typos")
    named = ("--set", "evaluation.problems.0={name: jsonl, path: p.jsonl}")
    assert evaluate(cli, Path("mbpp"), *named, *own)[0] == 0, "--set holds before names are looked up"


@pytest.mark.slow
def test_a_model_and_its_sweep_are_called_by_the_cell_or_as_asked_and_listed(cli, tmp_path):
    problems = problem_file(tmp_path / "p.jsonl", 1)
    folder = make_tiny("llama", tmp_path / "0b5e").location
    (Path(folder) / "manifest.json").write_text(json.dumps({"label": "llama.full.C1.s42"}))
    cell = "llama.full.C1.s42"
    for more, name, sweep in (((), cell, f"evaluate-{cell}-"), (("--name", "模", "--sweep", "first"), "模", "first")):
        code, out, _ = evaluate(cli, problems, "--max-new-tokens", "2", "--json", *more, model=folder)
        assert code == 0 and {score["model"] for score in json.loads(out)["scores"]} == {name}
        assert json.loads(out)["sweep"].startswith(sweep)
    _, *lines = cli("status")[1].splitlines()
    day = r"\d{4}-\d\d-\d\d \d\d:\d\d"
    assert re.fullmatch(rf" *first +模 +{day} +jsonl 0\.000 *", lines[0])
    assert re.fullmatch(rf" *evaluate-{cell}-\w{{8}} +{cell} +{day} +jsonl 0\.000 *", lines[1])
    assert json.loads(cli("status", "--json")[1])[0]["sweep"] == "first"
    assert "name it: raysweep status SWEEP" in cli("status", "--watch")[2]


@pytest.mark.slow
def test_a_chat_model_is_judged_by_its_chat_template_where_that_is_asked_for(cli, tmp_path):
    problems = problem_file(tmp_path / "p.jsonl", 1, 2)
    folder = make_chat_model("chatml", tmp_path / "chat").location
    options = ("--prompt-format", "chat", "--max-new-tokens", "4", "--set", "models.0.system_prompt=Be brief.")
    evaluated = ("evaluate", folder, "--problems", str(problems), "--allow-code-execution")
    hint = "chat: its chat template isn't used; `template: chat`"
    assert hint in cli(*evaluated, "--max-new-tokens", "4")[2]
    code, out, err = cli(*evaluated, *options, "--out", "samples.jsonl")
    assert code == 0 and hint not in err
    swept = open_folder(re.search(r"/sweeps/([^/]+)/", out)[1], None)
    (row,) = swept.grid()
    read = {completion.prompt_sha for completion in swept.store.rows(row.completions, Completion)}
    prompter = Prompter("chat", False, PromptTemplate("raw", "Be brief.", chat_tokenizer("chatml")))
    expected = {text_sha(prompter.text(problem, problem.prompt)) for problem in JsonlProblems(str(problems)).problems()}
    assert read == expected and len(read) == 2
    rows = [json.loads(line) for line in Path("samples.jsonl").read_text().splitlines()]
    assert {text_sha(row["shown"]) for row in rows} == read and "<|im_start|>" in rows[0]["shown"]
    frame = raysweep.load_samples(swept.name)
    assert list(frame.shown) == [row["shown"] for row in rows] and "<|im_start|>" not in frame.prompt[0]
    assert "shown to chat" in (swept.path / "report.html").read_text()


@pytest.mark.slow
def test_square_brackets_in_a_path_are_no_markup(cli, tmp_path):
    problems = problem_file(tmp_path / "p.jsonl", 1)
    code, out, err = evaluate(cli, problems, "--storage", "st[red]x[/x]y:warning:")
    assert (code, err) == (0, "")
    assert "/st[red]x[/x]y:warning:/sweeps/evaluate-reference-" in out
    for name in ("st[red]x", "st[/x]y", ":warning:"):
        assert f"storage: {tmp_path / name}" in cli("plan", NANO, "--storage", name)[1]


@pytest.mark.slow
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
    Path("file").write_text("")
    for more in ((), ("--format", "md")):
        code, _, err = cli("report", name, "--storage", str(tmp_path / "store"), "--out", "file/below", *more)
        assert code == 2 and "--out" in err and "file/below" in err


@pytest.mark.slow
def test_an_edited_problem_file_is_another_sweep(cli, tmp_path):
    path = tmp_path / "p.jsonl"
    names = []
    for answers in ((1,), (1, 2), (1,)):
        names.append(json.loads(evaluate(cli, problem_file(path, *answers), "--json")[1])["sweep"])
    assert names[0] == names[2] != names[1]


@pytest.mark.slow
def test_results_of_evaluate_begin_as_human_evals_do(cli, tmp_path):
    problems = problem_file(tmp_path / "p.jsonl", *range(12))
    assert evaluate(cli, problems, "--out", "samples.jsonl", model="fake")[0] == 0
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert {row["result"] for row in rows if row["passed"]} == {"passed"}
    failed = [row["result"] for row in rows if not row["passed"]]
    assert failed and all(text.startswith("failed: ") for text in failed)


@pytest.mark.slow
def test_several_draws_give_the_worst_case_over_them(cli, tmp_path):
    options = ("--perturbations", "C1", "--draws", "3", "--limit", "30", "--allow-code-execution", "--quiet", "--json")
    code, out, _ = cli("evaluate", "fake", "--problems", "humaneval", *options, "--out", "samples.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    passed = {(row["perturbation"], row["draw"], row["task_id"]): row["passed"] for row in rows}
    tasks = {row["task_id"] for row in rows}
    worst = sum(all(passed["C1", draw, task] for draw in range(3)) for task in tasks)
    found = {(s["perturbation"], s["metric"]): s["value"] for s in json.loads(out)["scores"]}
    assert code == 0 and len(rows) == 4 * 30
    assert 0 < worst < 30 and found["C1", "RP_3@1"] == pytest.approx(worst / 30)
    passes = sum(passed["C1", draw, task] for draw in range(3) for task in tasks)
    assert found["C1", "pass@1"] == pytest.approx(passes / 90)
    _, tables, _ = cli("report", json.loads(out)["sweep"], "--format", "md")
    assert "Robust pass over draws, humaneval" in tables and "RP_3@1 (%)" in tables


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)]
)
def test_a_stopped_run_says_so_once_and_its_status_too(tmp_path, number, code):
    """A run stops by one signal as by the other: test_exit.py sends both to a command."""
    arguments = ["run", NANO, "--engine", "local", "--storage", str(tmp_path), "--set", "recipes.tiny.epochs=500"]
    running = subprocess.Popen(
        [sys.executable, "-m", "raysweep", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    training = re.compile(r'"stage": "training", "done": \d+, "total": [1-9]')
    deadline = time.time() + PATIENCE
    while not any(
        training.search(path.read_text()) for path in tmp_path.glob("sweeps/nano/progress/base-model-*.json")
    ):
        assert running.poll() is None and time.time() < deadline
        time.sleep(0.05)
    running.send_signal(number)
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == code
    assert err.count("\nstopped; artefacts, checkpoints and blocks that were written are kept") == 1
    assert "Traceback" not in err and f"raysweep {arguments[0]} {NANO} --engine local" in err
    status = [sys.executable, "-m", "raysweep", "status", "nano", "--storage", str(tmp_path)]
    shown = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    assert re.search(r"base-model-llama-\w+ +stopped \(training \d+/[\d,]+\)", shown)
    assert "failed" not in shown


@pytest.mark.slow
def test_verdicts_from_inside_are_not_shown_where_only_outside_is_accepted(cli, tmp_path):
    equal = "class P:\n    x = 1\n    def __eq__(self, other):\n        return self.x == other.x\n\ndef f():\n"
    row = {"task_id": "T/1", "prompt": equal, "entry_point": "f", "canonical_solution": "    return P()\n"}
    problems = tmp_path / "p.jsonl"
    problems.write_text(json.dumps({**row, "test": "def check(f):\n    assert f() == f()\n"}) + "\n")
    outside = ("--set", "execution.require_oracle=outside")
    why = "the tests of T/1 (its reference solution has another outcome with out-of-process tests) have to run in"
    code, out, _ = evaluate(cli, problems, *outside)
    assert (code, out.count(why)) == (1, 1), "made in this run"
    assert evaluate(cli, problems, "--out", "s.jsonl")[0] == 0
    assert json.loads((tmp_path / "s.jsonl").read_text())["oracle"] == "inside"
    code, out, err = evaluate(cli, problems, *outside)
    assert (code, out, err.count(why)) == (2, "", 1), "stored"
    config = tmp_path / "c.yaml"
    config.write_text(
        "name: c\nmodels: [{name: reference, generator: reference}]\nallow_code_execution: true\n"
        "evaluation: {problems: [{name: jsonl, path: p.jsonl}], perturbations: [clean]}\n"
    )
    for command in ("plan", "run"):
        code, out, err = cli(command, str(config), *outside)
        assert (code, out, err.count(why)) == (2, "", 1)


@pytest.mark.slow
def test_evaluate_the_reference_names_the_problems_that_it_fails_with_their_outcomes(cli, tmp_path):
    tests = "def check(f):\n    assert f() == {0} % 20\n"
    problems = problem_file(tmp_path / "p.jsonl", *range(1, 33), test=tests)
    code, out, _ = evaluate(cli, problems)
    (line,) = [line for line in out.splitlines() if line.startswith("the reference solution of")]
    assert code == 1 and line.startswith(
        "the reference solution of 13 problems of jsonl fails: T/20 (failed: assert f() == 20 % 20), T/21 (failed: as"
    )
    assert line.endswith("T/29 (failed: assert f() == 29 % 20) and 3 more")
    assert "the reference solution" not in evaluate(cli, problem_file(tmp_path / "right.jsonl", 1, 2))[1]


@pytest.mark.slow
def test_tests_that_check_nothing_are_counted_by_plan_by_evaluate_and_in_the_report(cli, tmp_path):
    rows = [json.loads(line) for line in problem_file(tmp_path / "p.jsonl", 1, 2, 3).read_text().splitlines()]
    rows[1]["test"], rows[2]["test"] = "def check(f):\n    f()\n", "def check(f):\n    assert True\n"
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fault = {"name": "R/1", "buggy": "def f(n):\n    return n + 1\n", "correct": "def f(n):\n    return 1 + n\n"}
    (tmp_path / "r.jsonl").write_text(json.dumps({**fault, "tests": "assert f(1)\n"}) + "\n")
    (tmp_path / "c.yaml").write_text(
        "name: c\nmodels: [{name: reference, generator: reference}]\nallow_code_execution: true\nevaluation:\n"
        "  problems: [{name: jsonl, path: p.jsonl}, {name: repair, path: r.jsonl}]\n  perturbations: [clean]\n"
    )
    label = "tests that check nothing on"
    assert f"{label} jsonl: 1 problem: T/2 (no assertion is in them)" in cli("plan", "c.yaml")[1]
    code, out, _ = cli("run", "c.yaml", "--engine", "local", "--quiet")
    functions = "they pass functions that do nothing"
    said = f"{label} jsonl: 2 of 3 problems: T/2 ({functions}), T/3 ({functions})\n"
    assert code == 0 and said in out and f"{label} repair: 1 of 1 problem: R/1 (they pass the faulty code)" in out
    assert f"{label} repair: 1 problem: R/1 (they pass the faulty code)" in cli("plan", "c.yaml")[1]
    assert f"T/3 ({functions})" in (tmp_path / "raysweep-store/sweeps/c/report.html").read_text()


@pytest.mark.slow
def test_a_limited_evaluation_judges_only_its_references_and_shows_their_errors(cli, tmp_path):
    errors = {"return missing": "NameError", "return [][0]": "IndexError", "import no_such": "ModuleNotFoundError"}
    row = json.loads(problem_file(tmp_path / "p.jsonl", 1).read_text())
    rows = [
        {**row, "task_id": f"T/{at}", "canonical_solution": f"    {text}\n"}
        for at, text in enumerate([*errors, "return missing"])
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, out, _ = evaluate(cli, Path("p.jsonl"), "--limit", "3", "--storage", "store")
    (line,) = [line for line in out.splitlines() if line.startswith("the reference solution of 3 problems")]
    assert code == 1 and all(f"T/{at} (exception: {name}" in line for at, name in enumerate(errors.values()))
    (manifest,) = (tmp_path / "store" / "artefacts" / "references").rglob("manifest.json")
    assert json.loads(manifest.read_text())["counts"]["rows"] == 3


@pytest.mark.slow
def test_a_command_line_may_name_the_python_of_an_environment(cli, tmp_path):
    path = problems_here(tmp_path)["path"]
    lines = [{"task_id": f"T/{task}", "completion": "    return 1\n"} for task in (0, 1, 2)]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = ("execute", "s.jsonl", "--allow-code-execution", "--environment", sys.executable)
    code, out, err = cli(*command, "--problems", path, "--out", "o.jsonl")
    assert code == 0, err
    assert f"left out, not run: 1 of 3 tasks: T/1 ({LACKS})" in out and "33 % of the samples" not in out
    assert "reference solutions that fail: T/2 (failed: assert f() == 1)" in out
    assert re.findall(r"pass@1.*: [\d.]+", out) == ["pass@1: 1.0000", "pass@1 where references pass: 1.0000"]
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [row["passed"] for row in rows] == [True, None, True]
    assert rows[1]["result"] == f"untested: {LACKS}"
    code, _, err = cli(*command, "--problems", "minicode")
    assert code == 2 and "--environment: programs on minicode run in raysweep's own Python; others may on" in err

    evaluated = ("evaluate", "reference", "--problems", path, "--allow-code-execution", "--storage", "store", "-q")
    code, out, _ = cli(*evaluated, "--environment", sys.executable)
    assert code == 1 and "fails: T/2 (failed: assert f() == 1)" in out, "as wherever a reference solution fails"
    assert f"left out of jsonl: 1 of 4 problems: T/1 ({LACKS})" in out
    code, _, err = cli(*evaluated, "--environment", "gone/python")
    assert code == 2 and re.search("--environment: there is no .*/gone/python on this machine", err)
