"""Small whole sweeps: both engines agree, nothing is done twice, failures are reported.

That a killed sweep resumes is shown in tests/behaviour/chaos.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas
import pytest

import raysweep
from raysweep.cli.app import main
from raysweep.config.loading import load_config
from raysweep.errors import UsageError
from raysweep.records import Completion, Result
from raysweep.sweep.export.formats import export_format
from raysweep.sweep.folder import open_folder
from raysweep.sweep.run import SweepResult, run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.paths import CONFIGS, EVERYTHING, NANO, REPO, WITH_SOLVER

pytestmark = pytest.mark.slow

PEFTS = ("README.md", "adapter_config.json")
PAIR = ["model", "training_set", "perturbation"]
WRONG = "    raise NotImplementedError\n"
"""The body with which the generator `fake` fails."""


def run(storage: Path, *overrides: str, engine: str = "local") -> SweepResult:
    return run_sweep(load_config(NANO, [WITH_SOLVER, *overrides]), RunOptions(str(storage), engine))


def command(storage: Path, *arguments: str) -> list[str]:
    start = [sys.executable, "-m", "raysweep", "run", str(NANO), "--storage", str(storage)]
    return [*start, "--set", WITH_SOLVER, *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}


def artefacts(storage: Path) -> dict[str, dict[str, str]]:
    """Hashes of the files of each artefact, without those that contain run times, or the path of an adapter's base."""
    hashes = {}
    for path in sorted((storage / "artefacts").rglob("manifest.json")):
        manifest = json.loads(path.read_text())
        if manifest["stage"] not in ("results", "references", "quality"):
            hashes[f"{manifest['stage']}/{manifest['key']}"] = {
                n: f["sha256"] for n, f in manifest["files"].items() if n not in PEFTS
            }
    return hashes


def tune_results(storage: Path, cell: str) -> list[dict[str, Any]]:
    """The last two results of a cell in Tune's own files: the end of its training, and its pass@1."""
    (file,) = next((storage / "sweeps").glob("*/tune")).rglob(f"{cell}/result.json")
    return [json.loads(line) for line in file.read_text().splitlines()][-2:]


def verdicts(storage: Path) -> list[tuple[str, ...]]:
    from raysweep.records import Result
    from raysweep.rows.parquet import read_rows

    paths = sorted((storage / "artefacts" / "results").rglob("rows.parquet"))
    rows = [(path.parent.name, row) for path in paths for row in read_rows(path, Result)]
    return [(key, r.task_id, str(r.sample), r.outcome, r.detail, r.program_sha) for key, r in rows]


def commit_times(storage: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (storage / "artefacts").rglob("manifest.json")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """A store with a finished nano sweep of the local engine."""
    storage = tmp_path_factory.mktemp("undisturbed")
    result = run(storage)
    assert not result.errors and result.cells_run == 3
    return storage


@pytest.fixture
def finished(undisturbed, tmp_path) -> Path:
    """A copy of this store, which a test may change."""
    return Path(shutil.copytree(undisturbed, tmp_path / "store"))


def test_load_results_has_scores_of_every_pair_one_number_a_row(undisturbed):
    frame = raysweep.load_results("nano", storage=str(undisturbed))
    assert ",".join(frame.columns) == (
        "model,recipe,training_set,seed,problem_set,perturbation,metric,value,low,high,n,note"
    )
    passing = frame[frame.metric == "pass@1"]
    assert set(zip(passing.training_set, passing.perturbation, strict=True)) == {
        (trained, tested) for trained in ("base", "C1") for tested in ("clean", "C1")
    }
    assert set(passing.n) == {6} and set(frame[frame.training_set == "base"].recipe) == {"none"}


def test_load_samples_has_every_completion_with_its_prompt_and_verdict(undisturbed):
    samples = raysweep.load_samples("nano", storage=str(undisturbed))
    tables = {"load_differences", "load_problems", "load_quality", "load_results", "load_samples"}
    assert set(raysweep.__dir__()) == {"__version__", "plan", "run", "status", *tables} <= set(dir(raysweep))
    frame = raysweep.load_results("nano", storage=str(undisturbed))
    passing = frame[frame.metric == "pass@1"].set_index(PAIR).value
    shares = samples.groupby(PAIR).passed.mean()
    assert len(samples) == 6 * len(passing) and shares.to_dict() == passing.to_dict()
    clean = samples[samples.perturbation == "clean"]
    assert (clean.prompt == clean.clean_prompt).all() and clean.prompt.str.len().gt(0).all()
    assert (samples[samples.perturbation == "C1"].prompt != samples[samples.perturbation == "C1"].clean_prompt).any()
    assert set(samples["sample"]) == {0} and set(samples.outcome) >= {"passed", "exception"}


def test_load_problems_has_the_verdicts_of_the_samples(undisturbed):
    problems = raysweep.load_problems("nano", storage=str(undisturbed)).set_index([*PAIR, "task_id"])
    samples = raysweep.load_samples("nano", storage=str(undisturbed))
    counted = samples.groupby([*PAIR, "task_id"]).passed.agg(["count", "sum"])
    assert len(problems) == len(counted) and set(problems.harness_errors) == {0}
    counted = counted.loc[problems.index]
    assert (problems.n == counted["count"]).all() and (problems.passed == counted["sum"]).all()
    one = ["model", "training_set", "task_id", "sample"]
    clean = samples[samples.perturbation == "clean"].set_index(one).passed
    perturbed = samples[samples.perturbation == "C1"].set_index(one)
    perturbed["lost"], perturbed["won"] = clean & ~perturbed.passed, ~clean & perturbed.passed
    flips = perturbed.reset_index().groupby([*PAIR, "task_id"])[["lost", "won"]].sum()
    compared = problems.loc[flips.index]
    assert (compared.lost == flips.lost).all() and (compared.won == flips.won).all() and set(compared.pairs) == {1}


def test_load_differences_has_each_fine_tuned_model_beside_its_base_model(undisturbed):
    differences = raysweep.load_differences("nano", storage=str(undisturbed))
    assert set(zip(differences.training_set, differences.against, strict=True)) == {("C1", "base")}
    frame = raysweep.load_results("nano", storage=str(undisturbed))
    passing = frame[frame.metric == "pass@1"].set_index(PAIR).value
    expected = passing.xs("C1", level="training_set") - passing.xs("base", level="training_set")
    found = differences[differences.metric == "pass@1_difference"].set_index(["model", "perturbation"]).value
    assert found.sort_index().to_dict() == pytest.approx(expected.dropna().sort_index().to_dict())


@pytest.mark.parametrize("number", range(5))
def test_the_questions_of_the_docs_are_answered(number, undisturbed, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (REPO / "docs" / "questions.md").read_text(), re.DOTALL)
    assert len(blocks) == 5
    exec(blocks[number].replace('("quickstart")', f'("nano", storage={str(undisturbed)!r})'), {})
    shown = capsys.readouterr().out
    assert "C1" in shown or "MiniCode/" in shown or "Empty DataFrame" in shown  # nano has no clean fine-tuning
    assert ("Empty DataFrame" in shown) is (number in (1, 2))


def test_a_program_passes_where_its_completion_is_right_and_fails_where_it_is_not(undisturbed):
    folder = open_folder("nano", str(undisturbed))
    counted = {"llama": Counter(), "solver": Counter()}
    for row in folder.grid():
        completions = folder.store.rows(row.completions, Completion)
        verdicts = {result.task_id: result.outcome for result in folder.store.rows(row.results, Result)}
        for completion in completions:
            counted[row.model][completion.text == WRONG, verdicts[completion.task_id]] += 1
    assert set(counted["solver"]) == {(True, "exception"), (False, "passed")}
    assert set(counted["llama"]) and "passed" not in {outcome for _, outcome in counted["llama"]}


def test_the_second_run_makes_nothing_and_imports_neither_ray_nor_torch(finished):
    before = commit_times(finished)
    code = (
        f"import sys; sys.argv[1:] = ['run', {str(NANO)!r}, '--set', {WITH_SOLVER!r}, '--storage', {str(finished)!r}]\n"
        "from raysweep.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'ray' not in sys.modules and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert "no work was done" in done.stdout
    assert commit_times(finished) == before


def test_adding_a_training_set_trains_exactly_one_cell(finished):
    before = commit_times(finished)
    result = run(finished, "training.sets=[C1, C2]")
    assert result.cells_run == 1 and not result.errors
    new = {path.split("/artefacts/")[1].split("/")[0] for path in commit_times(finished).keys() - before.keys()}
    models = [path for path in commit_times(finished).keys() - before.keys() if "/artefacts/model/" in path]
    assert new == {"perturbed_rows", "training_set", "model", "completions", "results"} and len(models) == 1
    assert {k: v for k, v in commit_times(finished).items() if k in before} == before


def test_adding_a_seed_trains_exactly_one_cell_on_the_sets_that_are_there(finished, tmp_path):
    before = commit_times(finished)
    result = run(finished, "seeds=[7, 8]")
    assert result.cells_run == 1 and not result.errors
    new = Counter(path.split("/artefacts/")[1].split("/")[0] for path in commit_times(finished).keys() - before.keys())
    assert new == {"model": 1, "completions": 2, "results": 2}
    assert {k: v for k, v in commit_times(finished).items() if k in before} == before
    cards = export_format(open_folder("nano", str(finished)), "model-card", tmp_path)
    texts = {name: (tmp_path / name).read_text() for name in cards.files}
    of_seeds = {name for name, text in texts.items() if "| mean over seeds | SD | seeds |" in text}
    assert of_seeds == {name for name in texts if ".base/" not in name} and len(of_seeds) == 2
    rows = [next(line for line in texts[name].splitlines() if "| pass@1 |" in line).split(" | ") for name in of_seeds]
    mean = sum(float(row[2]) for row in rows) / 2
    assert all(row[8] == "2" and float(row[6]) == pytest.approx(mean, abs=0.001) for row in rows)


def test_a_name_taken_by_another_config_is_refused(finished):
    with pytest.raises(UsageError, match="--set name=nano-2"):
        run(finished, "recipes.tiny.lr=0.002")


def test_a_limit_is_part_of_the_key(undisturbed, tmp_path):
    storage = Path(shutil.copytree(undisturbed, tmp_path / "store"))
    result = run(storage, "name=limited", "evaluation.limit=2")
    assert result.cells_run == 3
    assert {score.n for score in result.scores if score.metric == "pass@1"} == {2}


def test_a_damaged_artefact_is_made_again_with_a_warning(finished, caplog):
    models = list((finished / "artefacts" / "model").rglob("model.safetensors"))
    intact = models[0].read_bytes()
    models[0].write_bytes(intact[:-1] + bytes([intact[-1] ^ 1]))
    result = run(finished)
    assert "was damaged" in caplog.text and "another content" in caplog.text
    assert not result.errors and models[0].read_bytes() == intact


def test_a_failed_cell_is_reported_and_the_others_continue(tmp_path, capsys):
    sets = ["--set", "recipes.broken={max_tokens: 8}", "--set", "models.0.recipes=[broken]"]
    with pytest.raises(SystemExit) as ended:
        main([*command(tmp_path, "--engine", "local")[3:], *sets])
    assert ended.value.code == 1
    assert "failed: llama.broken.C1.s7: " in capsys.readouterr().out
    frame = raysweep.load_results("nano", storage=str(tmp_path))
    assert set(frame.training_set) == {"base"}
    assert "llama · broken · C1 · seed 7" in (tmp_path / "sweeps" / "nano" / "report.html").read_text()


def tuners_frame(storage: Path) -> pandas.DataFrame:
    """Return the results of the last run as Ray Tune's own table, as docs/store.md does."""
    from ray import tune

    run = max(next((storage / "sweeps").glob("*/tune")).iterdir())
    return tune.Tuner.restore(str(run), "Cell").get_results().get_dataframe()


@pytest.mark.ray
def test_ray_and_the_local_engine_make_the_same_bytes(shared_ray, tmp_path):
    """Also of adapters, a choice, near misses, patches, code quality and dropped weights; trials hold a GPU."""
    local, ray = tmp_path / "local", tmp_path / "ray"
    assert not run_sweep(load_config(EVERYTHING), RunOptions(str(local), "local")).errors
    more = ["--address", shared_ray.address, "--set", "resources.processes=trial", "--set", "resources.gpus=1"]
    start = [sys.executable, "-m", "raysweep", "run", str(EVERYTHING), "--storage", str(ray), *more]
    done = subprocess.run(start, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert artefacts(ray) == artefacts(local)
    assert verdicts(ray) == verdicts(local)
    for messages in (False, True):
        ours, theirs = (raysweep.load_quality("everything", str(root), messages=messages) for root in (local, ray))
        assert ours.equals(theirs) and len(ours)
    trained, judged = tune_results(ray, "llama.lora.C1.s7")
    assert (trained["step"], trained["tokens"] > 0, trained["loss"] > 0) == (4, True, True)
    frame = raysweep.load_results("everything", storage=str(ray)).query("training_set == 'C1' and recipe == 'lora'")
    scores = frame[frame.metric.isin(["pass@1", "RD"])].dropna(subset="value")
    named = {f"{row.metric} {row.problem_set} {row.perturbation}": row.value for row in scores.itertuples()}
    assert named == {name: value for name, value in judged.items() if name.startswith(("pass@1", "RD"))} != {}
    restored = tuners_frame(ray).set_index("config/cell").loc["llama.lora.C1.s7"]
    assert {name: restored[name] for name in named} == named
    (links,) = (ray / "sweeps" / "everything" / "tune").rglob("llama.lora.C1.s7/artefacts.json")
    folders = json.loads(links.read_text())
    assert {name.partition(" ")[0] for name in folders} == {"model", "completions", "results"}
    assert all((Path(folder) / "manifest.json").is_file() for folder in folders.values())
    assert list((ray / "sweeps" / "everything" / "tune").rglob("llama.lora.C1.s7/events.out.tfevents.*"))
    tables = [sorted((root / "sweeps" / "everything" / "tables").glob("*.csv")) for root in (local, ray)]
    assert [one.name for one in tables[0]] == [one.name for one in tables[1]]
    differ = [one.name for one, other in zip(*tables, strict=True) if one.read_bytes() != other.read_bytes()]
    assert all("cost" in name for name in differ), differ  # in them are hours


@pytest.mark.long
@pytest.mark.ray
def test_worker_processes_give_the_same_weights_and_two_of_them_nearly_so(undisturbed, shared_ray, tmp_path):
    """In small, without Ray: tests/trainers/test_distributed.py."""
    from safetensors.torch import load_file

    shutil.copytree(undisturbed, tmp_path / "store")
    storage = tmp_path / "store"
    shutil.rmtree(storage / "artefacts" / "model")
    two = "recipes.two={epochs: 1, batch_size: 16, lr: 1.0e-3, max_tokens: 256, workers: 2}"
    rejected = "rejected: {mutator: python, seed: 1}"
    validation = f"training.validation={{name: minicode, part: validation, rows: 8, {rejected}}}"
    overrides = ["resources.processes=workers", "resources.cpus=0.9", two, "models.0.recipes=[tiny, two]", validation]
    arguments = ["--address", shared_ray.address, *(part for override in overrides for part in ("--set", override))]
    done = subprocess.run(command(storage, *arguments), capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert artefacts(undisturbed).items() <= artefacts(storage).items()
    one, other = (load_file(path) for path in (storage / "artefacts" / "model").rglob("model.safetensors"))
    assert max((one[name] - other[name]).abs().max().item() for name in one) < 1e-4
    alone, together = (tune_results(storage, f"llama.{recipe}.C1.s7")[-2] for recipe in ("tiny", "two"))
    assert alone["step"] == together["step"] == 4
    assert alone["validation_loss"] == pytest.approx(together["validation_loss"], abs=1e-4)
    for name in ("validation_cross_entropy", "validation_margin"):  # of plain fine-tuning, by Tune's loggers
        assert alone[name] == pytest.approx(together[name], abs=1e-3)
    assert 0 <= alone["validation_preferred"] == together["validation_preferred"] <= 1
    assert "reference preferred (%)" in (storage / "sweeps" / "nano" / "report.html").read_text()
    assert "validation loss" in (storage / "sweeps" / "nano" / "report.html").read_text()


def test_a_users_own_model_and_rows_go_through_the_shipped_config(undisturbed, tmp_path, monkeypatch):
    rows = tmp_path / "rows.jsonl"
    lines = [{"instruction": f"Add {n} to a number.", "output": f"def add(x):\n    return x + {n}"} for n in range(16)]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    base = next((undisturbed / "artefacts" / "base_model").rglob("config.json")).parent
    overrides = [
        f"models.0.path={base}",
        f"training.source.path={rows}",
        "training.sets=[C]",
        "allow_code_execution=true",
        "evaluation.limit=2",
        "evaluation.perturbations=[C]",
        "evaluation.max_new_tokens=8",
        "recipes.lora.epochs=1",
        "resources.gpus=0",
    ]
    config = load_config(CONFIGS / "own-model.yaml", overrides)
    result = run_sweep(config, RunOptions(str(tmp_path / "store"), "local"))
    assert not result.errors and result.cells_run == 2
    assert {score.problem_set for score in result.scores} == {"humaneval"}
    adapters = list((tmp_path / "store" / "artefacts" / "model").rglob("adapter_model.safetensors"))
    assert len(adapters) == 1


def test_any_causal_model_on_disk_can_be_evaluated(undisturbed, tmp_path):
    base = next((undisturbed / "artefacts" / "base_model").rglob("config.json")).parent
    out = tmp_path / "samples.jsonl"
    arguments = ["evaluate", str(base), "--problems", "humaneval", "--perturbations", "C2", "--limit", "2"]
    more = [
        "--samples",
        "2",
        "--temperature",
        "0.8",
        "--max-new-tokens",
        "8",
        "--allow-code-execution",
        "--out",
        str(out),
    ]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, *more, "--storage", str(tmp_path / "store")])
    assert not ended.value.code
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {(row["perturbation"], row["sample"]) for row in rows} == {(p, d) for p in ("clean", "C2") for d in (0, 1)}
    assert len(rows) == 8 and {row["passed"] for row in rows} == {False}
