"""Typical mistakes: each is one error with the place, the value and the way out, exit code 2, before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import paths
from tests.config.test_schema import tiny_folder

NANO = str(paths.NANO)
CONFIG = """\
name: mine
models:
  - {name: mine, path: model, recipes: [lora]}
recipes:
  lora: {trainer: lora, batch_size: 4}
training:
  source: {name: jsonl, path: rows.jsonl}
  sets: [clean, C1]
evaluation:
  problems: [{name: jsonl, as: own, path: problems.jsonl}]
  perturbations: [C1]
"""
PROBLEM = {
    "task_id": "T/0",
    "prompt": "def f():\n",
    "entry_point": "f",
    "canonical_solution": "    return 1\n",
    "test": "def check(c):\n    assert c() == 1\n",
}
ROW = {"instruction": "Add two numbers.", "output": "a + b"}
IN_COMMANDS: list[tuple[tuple[str, ...], str]] = [
    (("run", "nowhere.yaml"), "can't read config 'nowhere.yaml'"),
    (("run", "quickstart"), "'quickstart': No such file or directory; `raysweep init DIR --from quickstart` writes"),
    (("audit", "nothere"), "nothere doesn't exist; give a folder that `raysweep sets CONFIG --out DIR` wrote, or"),
    (("run", NANO, "--set", "models.3.path=x"), "there is no entry '3'; there are: 0"),
    (("run", NANO, "--set", "seed=010"), "010 has a leading zero, which YAML takes for an octal number"),
    (("run", NANO, "--set", 'report.title="\\ud800"'), "half of a surrogate pair"),
    (("run", NANO, "--set", "training.source={name: hf, path: /}"), "can't be read"),
    (("run", NANO, "--set", "recipes={lora: {trainer: lora, batchsize: 1}}"), "did you mean 'batch_size'?"),
    (("plan", NANO, "--storage", ""), "--storage is empty"),
    (("plan", NANO, "--storage", "/etc/passwd"), "storage '/etc/passwd' is a file"),
    (("plann", NANO), "Did you mean 'plan'?"),
    (("plan", NANO, "--storag", "x"), "--storage"),
    (("run", NANO, "--set", "evaluation.problems=[mine.jsonl]"), "write {name: jsonl, path: mine.jsonl}"),
    (("run", NANO, "--set", "training.source=rows.csv"), "write {name: csv, path: rows.csv}"),
    (("run", NANO, "--set", "seeed=1"), "unknown key (did you mean 'seed'?)"),
    (("run", NANO, "--set", "evaluation.perturbations=[C9]"), "unknown perturbation 'C9'"),
    (("run", NANO, "--set", "models.0.pretrain.family=lama"), "did you mean 'llama'?"),
    (("run", NANO, "--set", "resources.cpus=4000"), "4000 CPU (`resources.cpus`, or `resources.training.cpus` of"),
    (("run", NANO, "--set", "resources.gpus=9"), "9 GPU (`resources.gpus`, or"),
    (("run", NANO, "--set", "resources.memory_gib=9000"), "9000.0 GiB of memory (`resources.memory_gib`, or"),
    (("run", NANO, "--set", "recipes.tiny.workers=16"), "16 training workers"),
    (("run", NANO, "--set", "allow_code_execution=false"), "--allow-code-execution"),
    (("run", NANO, "--storage", "/proc/nowhere"), "can't be written"),
    (("run", NANO, "--engine", "spark"), "unknown engine 'spark'"),
    (("sets", NANO, "--engine", "spark"), "unknown engine 'spark'"),
    (("run", NANO, "--nonsense"), "--nonsense"),
    (("status", "nosuch"), "unknown sweep"),
    (("report", "nosuch"), "unknown sweep"),
    (("config", "recipes.NAME.lorra"), "did you mean 'recipes.NAME.lora'?"),
    (("init",), "name a folder to write into"),
    (("init", "mine", "--from", "quikstart"), "did you mean 'quickstart'?"),
    (("list", "modles"), "did you mean 'models'?"),
    (("perturb", "humaneval", "--method", "C4"), "unknown perturbation 'C4'"),
    (("perturb", "humanevil", "--method", "C1"), "did you mean 'humaneval'?"),
    (("perturb", "humaneval", "--method", "nlperturbator"), "needs --set path=... --set category=..."),
    (("perturb", "humaneval", "--method", "W1", "--set", "tagger=spicy"), "did you mean 'spacy'?"),
    (("perturb", "humaneval", "--method", "W1", "--set", "tagger"), "write it as key.path=value"),
    (("evaluate", "reference", "--problems", "humaneval", "--perturbations", "mix"), "needs arguments; name it"),
    (("evaluate", "reference", "--problems", "humaneval", "--set", "languge.tagger=x"), "did you mean 'language'?"),
    (
        ("evaluate", "m", "-p", "humaneval", "--perturbations", "C1", "C2"),
        "commas between them: `--perturbations C1,C2`",
    ),
    (("attack", "m", "-p", "humaneval", "-m", "C1,", "C2", "C3"), "several have commas between them: `-m C1,C2`"),
    (("attack", "m", "-p", "humaneval", "--methods=C1", "C2"), "have commas between them: `--methods C1,C2`"),
    (("evaluate", "m", "-p", "humaneval", "mbpp"), "several are given as `-p humaneval -p mbpp`"),
    (("perturb", "nowhere.jsonl", "--method", "C1"), "nowhere.jsonl doesn't exist"),
    (("evaluate", "./nowhere", "--problems", "humaneval"), "no model at ./nowhere"),
    (("evaluate", "reference", "--problems", "humaneval"), "--allow-code-execution"),
    (("execute", "nowhere.jsonl"), "nowhere.jsonl doesn't exist"),
    (("execute", NANO, "--lane", "strikt"), "unknown --lane 'strikt' (did you mean 'strict'?)"),
    (("execute", NANO, "--require", "full"), "unknown --require 'full'; known: filtered, limits, partial, strong"),
    (("execute", NANO, "--workers", "0"), "--workers 0 can't run anything; give 1 or more"),
    (("execute", NANO, "--out", NANO), "would overwrite"),
    (("execute", NANO, "--out", "nowhere/o.jsonl"), "the folder nowhere doesn't exist"),
]
IN_CONFIGS: list[tuple[str, str, str]] = [
    ("batch_size: 4", "batchsize: 4", "line 5, recipes.lora.batchsize: unknown key (did you mean 'batch_size'?)"),
    ("batch_size: 4", "batch_size: four", "recipes.lora.batch_size: must be a whole number, not 'four'"),
    ("batch_size: 4", "batch_size: 0", "recipes.lora.batch_size: "),
    ("batch_size: 4", "batch_size: 9", "9 is more than the 8 rows of `training.source`"),
    ("batch_size: 4", "batch_size: 4, max_tokens: 8", "0 of 8 rows fit into 8 tokens of mine"),
    (
        "batch_size: 4",
        "batch_size: 4, objective: fait",
        "training.source: its rows have no rejected response, with which",
    ),
    ("batch_size: 4", "batch_size: 4, lr: 1e-4", "recipes.lora.lr: "),
    ("batch_size: 4", "batch_size: 4, lora: {rank: 8}", "recipes.lora.lora.rank: unknown key"),
    ("trainer: lora", "trainer: qlora", "unknown trainer 'qlora' (did you mean 'lora'?)"),
    ("recipes: [lora]", "recipes: [lroa]", "no recipe called 'lroa' (did you mean 'lora'?)"),
    ("recipes: [lora]", "recipes: lora", "models.0.recipes: must be a list, not 'lora'; write [lora]"),
    ("path: model,", "path: ./model/, template: chatt,", "unknown template 'chatt' (did you mean 'chat'?)"),
    (
        "path: model,",
        "path: model, system_prompt: Hi,",
        "the template 'instruct' has no place for it; give `template: chat`",
    ),
    ("path: model,", "path: model, template: '{{ prompt }}',", "uses prompt; it can use instruction, input, system"),
    ("path: model,", "path: model, dtype: fp16,", "models.0.dtype: "),
    ("path: model,", "path: model, stop: ['\\\\n'],", "holds a literal backslash"),
    (
        "path: model,",
        "path: model, generator: fake,",
        "it has `path` and `generator` fake",
    ),
    ("evaluation:\n", "evaluation:\n  generator: fake\n", "generator 'fake' runs no weights; name it at a model"),
    (
        "evaluation:\n",
        "evaluation:\n  generator: {name: transformers, merged: 1}\n",
        "no argument 'merged' (did you mean 'merge'?)",
    ),
    ("evaluation:\n", "evaluation:\n  generator: {name: transformers, batch_tokens: 1}\n", "under `evaluation`"),
    (
        "path: model,",
        "",
        "`pretrain` and a `generator` without weights; it has none",
    ),
    ("name: mine, path", "name: my model, path", "name 'my model' can't be part of a file's name"),
    ("models:\n", "modells:\n", "modells: unknown key (did you mean 'models'?)"),
    ("path: rows.jsonl", "file: rows.jsonl", "has no argument 'file'"),
    ("name: jsonl, path: rows", "name: json, path: rows", "unknown training-set source 'json' (did you mean 'jsonl'?)"),
    ("sets: [clean, C1]", "sets: [clean, C11]", "unknown perturbation 'C11' (did you mean 'C1'?)"),
    ("sets: [clean, C1]", "sets: []", "training.sets: "),
    ("sets: [clean, C1]", "sets: [clean, {name: half, perturbation: C1, ratio: 50}]", "training.sets.1.ratio: "),
    ("sets: [clean, C1]", "sets: [clean, clean]", "the training set name 'clean' is listed twice"),
    (
        "[{name: jsonl, as: own, path: problems.jsonl}]",
        "[humanevl]",
        "unknown problem set 'humanevl' (did you mean 'humaneval'?)",
    ),
    ("[{name: jsonl, as: own, path: problems.jsonl}]", "[problems.jsonl]", "write {name: jsonl, path: problems.jsonl}"),
    (
        "[{name: jsonl, as: own, path: problems.jsonl}]",
        "[own=problems.jsonl]",
        "write {name: jsonl, as: own, path: problems.jsonl}",
    ),
    (
        "[{name: jsonl, as: own, path: problems.jsonl}]",
        "[{name: own, path: problems.jsonl}]",
        "write {name: jsonl, as: own, path: problems.jsonl}",
    ),
    ("[{name: jsonl, as: own, path: problems.jsonl}]", "humaneval", "evaluation.problems: must be a list"),
    ("perturbations: [C1]", "perturbations: [C1], samples: 5", "not valid YAML"),
    ("perturbations: [C1]", "perturbations: [C1]\n  temprature: 1", "did you mean 'temperature'?"),
    ("perturbations: [C1]", "perturbations: [C1]\n  pairs: papr", "not 'papr' (did you mean 'paper'?)"),
    ("perturbations: [C1]", "perturbations: [C1]\n  limit: 0", "evaluation.limit: "),
    ("perturbations: [C1]", "perturbations: [C1]\n  prompt_format: nativ", "did you mean 'native'?"),
    ("perturbations: [C1]", "perturbations: [C1]\nstrengths: {C11: 2}", "strengths.C11: unknown perturbation 'C11'"),
    (
        "perturbations: [C1]",
        "perturbations: [C1]\nresources: {gpu: 1}",
        "resources.gpu: unknown key (did you mean 'gpus'?)",
    ),
    ("perturbations: [C1]", "perturbations: [C1]\nseeds: 3", "seeds: must be a list"),
    ("name: mine\nmodels", "\tname: mine\nmodels", "not valid YAML"),
    ("name: mine\nmodels", "name: mine\nname: other\nmodels", "key 'name' is already on line 1; keep one"),
]
"""(what the config says, what it says by mistake, what the error says)"""
IN_FILES: list[tuple[str, str, str]] = [
    ("rows.jsonl", '{"instruction": "a"}\n', "`output`"),
    ("rows.jsonl", '{"instruction": "a", "output": "b"\n', "rows.jsonl:1"),
    ("rows.jsonl", "", "no rows"),
    ("rows.jsonl", '{"instruction": 3, "output": "b"}\n', "rows.jsonl:1"),
    ("problems.jsonl", json.dumps({**PROBLEM, "test": ""}), "has no `test`"),
    ("problems.jsonl", json.dumps({**PROBLEM, "test": "def check(c) assert"}), "can't judge"),
    ("problems.jsonl", json.dumps({**PROBLEM, "entry_point": None}), "`entry_point`"),
    ("problems.jsonl", (json.dumps(PROBLEM) + "\n") * 2, "task ids must differ"),
    ("problems.jsonl", "not JSON", "problems.jsonl:1"),
    ("model/config.json", "{", "is not valid JSON"),
    ("model/tokenizer.json", "{}", "can't be loaded"),
]
"""(file, its content, what the error says)"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_folder(tmp_path)
    (tmp_path / "rows.jsonl").write_text((json.dumps(ROW) + "\n") * 8)
    (tmp_path / "problems.jsonl").write_text(json.dumps(PROBLEM) + "\n")
    (tmp_path / "mine.yaml").write_text(CONFIG)
    return tmp_path


def told(cli, *arguments: str) -> str:
    """Return the error of a command that must end with code 2 before any work."""
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "") and "Traceback" not in err, err
    assert not Path("raysweep-store", "artefacts").exists()
    return err


@pytest.mark.parametrize(("arguments", "said"), IN_COMMANDS)
def test_a_mistake_in_a_command(cli, arguments, said):
    assert said in told(cli, *arguments).replace("\n", " ")


@pytest.mark.parametrize(("right", "wrong", "said"), IN_CONFIGS)
def test_a_mistake_in_a_config(cli, folder, right, wrong, said):
    assert right in CONFIG
    (folder / "mine.yaml").write_text(CONFIG.replace(right, wrong))
    errors = [line for line in told(cli, "plan", "mine.yaml").splitlines() if line.startswith("  ")]
    assert any(said in line for line in errors), errors
    assert len(errors) == 1 + wrong.startswith("modells"), "one line for one mistake; a misspelt section is missing too"


@pytest.mark.parametrize("named", ["rows.jsonl", "problems.jsonl", "model,"])
@pytest.mark.parametrize("has_neighbours", [True, False])
def test_what_is_not_there_stops_a_run_and_no_plan_whatever_lies_beside_it(cli, folder, named, has_neighbours):
    wrong = {"rows.jsonl": "row.jsonl", "problems.jsonl": "problem.jsonl", "model,": "modle,"}[named]
    (folder / "mine.yaml").write_text(CONFIG.replace(f"path: {named}", f"path: {wrong}"))
    if not has_neighbours:
        (folder / named.rstrip(",")).rename(folder / "elsewhere")
    code, out, err = cli("plan", "mine.yaml")
    missing = out.partition("missing (a run would stop here):")[2]
    assert code == 0 and wrong.rstrip(",") in missing, err
    assert (f"did you mean '{named.rstrip(',')}'" in missing) == has_neighbours, missing
    assert wrong.rstrip(",") in told(cli, "run", "mine.yaml")


@pytest.mark.parametrize(("name", "content", "said"), IN_FILES)
def test_a_mistake_in_a_file(cli, folder, name, content, said):
    (folder / name).write_text(content)
    errors = [line for line in told(cli, "plan", "mine.yaml").splitlines() if line.startswith("  ")]
    assert len(errors) == 1 and said in errors[0], errors


def test_a_config_named_without_its_folder_or_ending_is_found_for_the_message(cli, folder):
    (folder / "configs").mkdir()
    (folder / "configs" / "quickstart.yaml").write_text(CONFIG)
    assert "(did you mean 'configs/quickstart.yaml'?)" in told(cli, "run", "quickstart")
    assert "(did you mean 'mine.yaml'?)" in told(cli, "run", "mine")


def test_a_sample_of_another_problem_set_is_told_where_it_was_looked_for(cli, folder):
    (folder / "s.jsonl").write_text(json.dumps({"task_id": "mine/1", "completion": ""}) + "\n")
    for arguments, name in (((), "humaneval"), (("--problems", "problems.jsonl"), "problems.jsonl")):
        error = told(cli, "execute", "s.jsonl", "--allow-code-execution", *arguments)
        assert f"s.jsonl:1: no problem of {name} has the task_id 'mine/1'; --problems names" in error


def test_an_answer_file_that_is_not_there_is_no_matter_of_csv(cli, folder):
    (folder / "key.json").write_text("[]")
    assert "has no key.json of a sheet" in told(cli, "audit", ".", "ann.csv")
    item = {"id": 1, "method": "C1", "row_id": "0", "clean": "Sort it.", "text": "Sprt it."}
    (folder / "key.json").write_text(json.dumps([item]))
    error = told(cli, "audit", ".", "ann.csv")
    assert "ann.csv doesn't exist; give a rater's CSV file" in error and "Errno" not in error


def test_the_config_without_a_mistake_is_planned(cli, folder):
    assert cli("plan", "mine.yaml")[0] == 0
    assert len(IN_COMMANDS) + len(IN_CONFIGS) + len(IN_FILES) >= 60
