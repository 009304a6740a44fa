"""Typical mistakes: each is one error with the place, the value and the way out, exit code 2, before any work.

What a config says by mistake is tested where it is checked, in tests/config; here is how the command line tells it.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests import paths
from tests.config.mistakes import ROWS, lasting
from tests.models.configs import make_random

pytestmark = pytest.mark.slow

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
IN_COMMANDS = """\
run nowhere.yaml
run quickstart
run mine
plan model
run org/model
run 'my model'
run humaneval
run mine.yaml --set models.3.path=x --set seed=010 --set seeed=1
run mine.yaml --set seeed=1 --set evaluation.perturbations=[C9]
run mine.yaml --set recipes.lora.batch_size=9
run mine.yaml --set allow_code_execution=false
run mine.yaml --allow-code-execution --engine spark
run mine.yaml --storage /proc/nowhere
run mine.yaml --nonsense
plan mine.yaml --storage ''
plan mine.yaml --storage /etc/passwd
plan mine.yaml --storag x
plann mine.yaml
sets mine.yaml --engine spark
status nosuch
report nosuch
config recipes.NAME.lorra
init
init mine --from quikstart
init other --list
list modles
perturb humaneval --method C4
perturb humanevil --method C1
perturb nowhere.jsonl --method C1
perturb humaneval --method nlperturbator
perturb humaneval --method W1 --set tagger=spicy
perturb humaneval --method W1 --set tagger
perturb humaneval --method C1 --compat recode --strength 2
evaluate reference --problems humaneval
evaluate reference --problems humaneval --samples 3
evaluate reference --problems humaneval --perturbations mix
evaluate reference --problems humaneval --set languge.tagger=x
evaluate m -p humaneval --perturbations C1 C2
evaluate m -p humaneval mbpp
evaluate humaneval --problems model
evaluate mine.yaml --problems humaneval
evaluate ./nowhere --problems humaneval
evaluate reference -p problems.jsonl --allow-code-execution --perturbations C1,C9
evaluate reference -p problems.jsonl --allow-code-execution --prompt-format chatt
evaluate reference -p problems.jsonl --allow-code-execution --name 'a b'
evaluate reference -p mine=nowhere.jsonl --allow-code-execution
attack m -p humaneval -m C1, C2 C3
attack m -p humaneval --methods=C1 C2
execute nowhere.jsonl
execute rows.jsonl --lane strikt
execute rows.jsonl --require full
execute rows.jsonl --workers 0
execute rows.jsonl --out rows.jsonl
execute s.jsonl --problems problems.jsonl --allow-code-execution --out link.jsonl
execute s.jsonl --problems problems.jsonl --out o.jsonl
execute s.jsonl --problems untested.jsonl --allow-code-execution
perturb problems.jsonl --method C1 --out problems.jsonl
perturb problems.jsonl --method C1 --out no/such/folder.jsonl
evaluate reference --problems problems.jsonl --allow-code-execution --out problems.jsonl
attack reference --problems problems.jsonl --allow-code-execution --out link.jsonl
execute rows.jsonl --out nowhere/o.jsonl
execute rows.jsonl --allow-code-execution --timeout 0
execute rows.jsonl --allow-code-execution --timeout -1
execute rows.jsonl --allow-code-execution --timeout nan
execute rows.jsonl --allow-code-execution --timeout inf
execute s.jsonl --allow-code-execution
execute s.jsonl --allow-code-execution --problems problems.jsonl
audit nothere
audit . ann.csv
audit sheet ann.csv
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_random("llama", tmp_path / "model")
    (tmp_path / "rows.jsonl").write_text(ROWS[: len(ROWS) // 2])
    (tmp_path / "problems.jsonl").write_text(json.dumps(PROBLEM) + "\n")
    (tmp_path / "untested.jsonl").write_text(json.dumps({**PROBLEM, "test": ""}) + "\n")
    (tmp_path / "link.jsonl").symlink_to("problems.jsonl")
    (tmp_path / "s.jsonl").write_text(json.dumps({"task_id": "mine/1", "completion": ""}) + "\n")
    (tmp_path / "mine.yaml").write_text(CONFIG)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "quickstart.yaml").write_text(CONFIG)
    (tmp_path / "sheet").mkdir()
    item = {"id": 1, "method": "C1", "row_id": "0", "clean": "Sort it.", "text": "Sprt it."}
    (tmp_path / "sheet" / "key.json").write_text(json.dumps([item]))
    return tmp_path


def told(cli, *arguments: str) -> str:
    """Return the error of a command that must end with code 2 before any work."""
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "") and "Traceback" not in err, (arguments, err)
    assert not Path("raysweep-store", "artefacts").exists()
    return err


def files(folder: Path) -> dict[Path, bytes]:
    """Return the files in a folder, but for those of a store without artefacts."""
    own = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "raysweep-store")
    return {path: path.read_bytes() for path in own}


def test_a_mistake_in_a_command(cli, folder, snapshot):
    before = files(folder)
    told_of = {line: told(cli, *shlex.split(line)) for line in IN_COMMANDS.splitlines()}
    screens = [f"$ raysweep {line}\n{error[error.casefold().index('error:') :]}" for line, error in told_of.items()]
    assert lasting("\n".join(screens)) == snapshot
    assert files(folder) == before, "nothing is written, and nothing written over"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("resources.cpus=4000", "4000 CPU (`resources.cpus`, or `resources.training.cpus` of"),
        ("resources.gpus=9", "9 GPU (`resources.gpus`, or"),
        ("resources.memory_gib=9000", "9000.0 GiB of memory (`resources.memory_gib`, or"),
        ("recipes.tiny.workers=16", "16 training workers"),
    ],
)
def test_what_this_machine_does_not_have_is_told_before_a_run(cli, override, said):
    assert said in told(cli, "run", str(paths.NANO), "--set", override)


@pytest.mark.parametrize("named", ["rows.jsonl", "problems.jsonl", "model"])
def test_what_is_not_there_stops_a_run_and_no_plan_whatever_lies_beside_it(cli, folder, named):
    wrong = {"rows.jsonl": "row.jsonl", "problems.jsonl": "problem.jsonl", "model": "modle"}[named]
    (folder / "mine.yaml").write_text(CONFIG.replace(f"path: {named}", f"path: {wrong}"))
    for has_neighbours in (True, False):
        if not has_neighbours:
            (folder / named).rename(folder / "elsewhere")
        code, out, err = cli("plan", "mine.yaml")
        missing = out.partition("missing (a run would stop here):")[2]
        assert code == 0 and wrong in missing, err
        assert (f"did you mean '{named}'" in missing) == has_neighbours, missing
    assert wrong in told(cli, "run", "mine.yaml")


def test_the_config_without_a_mistake_is_planned(cli, folder):
    assert cli("plan", "mine.yaml")[0] == 0
