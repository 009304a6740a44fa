"""The replication package: alone in a fresh folder it recomputes every table, and a changed byte is found."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import raysweep
from raysweep.config.loading import load_config
from raysweep.errors import UsageError
from raysweep.records import PromptRow
from raysweep.rows.parquet import read_rows
from raysweep.storage.files import Files
from raysweep.sweep.export.replication import replicate
from raysweep.sweep.folder import open_folder
from raysweep.sweep.report.write import export
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.paths import NANO, REPO
from tests.storage.object_store import ACCOUNT, served

pytestmark = pytest.mark.slow


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def follow(readme: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Give the commands of a package's README in its folder, with a `raysweep` on the PATH."""
    (lines,) = re.findall(r"```bash\n(.*?)```", readme.read_text(), re.DOTALL)
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "raysweep").write_text(f'#!/bin/sh\nexec {sys.executable} -m raysweep "$@"\n')
    (programs / "raysweep").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(REPO)}
    environment.pop("RAYSWEEP_STORAGE", None)
    command = ["bash", "-e", "-c", lines]
    return subprocess.run(command, cwd=readme.parent, env=environment, capture_output=True, text=True, timeout=300)


def test_the_package_alone_recomputes_every_table_byte_for_byte(tmp_path):
    """The smallest sweep that trains: base model, fine-tuned model, training and test sets."""
    store = str(tmp_path / "store")
    assert not run_sweep(load_config(NANO), RunOptions(store, "local")).errors
    export(open_folder("nano", store), "csv", tmp_path / "tables")
    scores = raysweep.load_results("nano", store)
    before = files(tmp_path / "store")
    done = replicate(open_folder("nano", store), tmp_path / "package")
    assert done.notes == () and set(done.files) == set(files(tmp_path / "package"))
    assert files(tmp_path / "store") == before
    shutil.rmtree(store)
    package = Path(shutil.move(tmp_path / "package", tmp_path / "fresh" / "moved"))
    whole = files(package)
    followed = follow(package / "README.md", tmp_path)
    assert (followed.returncode, followed.stderr) == (0, ""), followed.stdout + followed.stderr
    tables = files(tmp_path / "tables")
    assert files(package / "recomputed") == tables == files(package / "tables") and "trainings.csv" in tables
    after = {name: content for name, content in files(package).items() if not name.startswith("recomputed/")}
    assert after == whole
    assert raysweep.load_results("nano", str(package / "store")).equals(scores)
    stages = {name.split("/")[2] for name in whole if name.endswith("rows.parquet")}
    assert stages == {"training_set", "test_set", "completions", "references", "results"}
    assert not [name for name in whole if name.endswith((".safetensors", ".bin"))]


@pytest.fixture
def package(swept, tmp_path) -> Path:
    return replicate(swept, tmp_path / "package").folder


def test_a_changed_byte_is_found(package):
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=package, capture_output=True).returncode == 0
    file = next(package.glob("store/artefacts/results/*/*/rows.parquet"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    found = subprocess.run(check, cwd=package, capture_output=True, text=True)
    assert found.returncode == 1 and f"{file.relative_to(package)}: FAILED" in found.stdout


def test_the_index_names_every_artefact_and_numbers_are_there_as_csv(package, swept):
    rows = list(csv.DictReader((package / "artefacts.csv").read_text().splitlines()))
    there = {row["key"] for row in rows if row["in the package"] == "files"}
    grid = swept.grid()
    assert {row.results_key for row in grid} | {row.completions_key for row in grid} <= there
    for row in rows:
        assert not row["path"] or (package / row["path"]).is_dir()
        if row["stage"] == "test_set":
            assert len(read_rows(package / row["path"] / "rows.parquet", PromptRow)) == int(row["rows"])
    numbers = {path.name for path in (package / "numbers").iterdir()}
    assert numbers == {"scores.csv", "problems.csv", "differences.csv"}
    licence = "| problem set humaneval | https://github.com/openai/human-eval | MIT |"
    assert licence in (package / "LICENCES.md").read_text()
    made = json.loads((package / "replication.json").read_text())
    assert made["sweep"] == "small" and made["exported_with"]["packages"]["numpy"]


def test_a_package_is_replaced_by_a_newer_one_and_nothing_else_is(package, swept, tmp_path):
    (package / "recomputed").mkdir()
    (package / "recomputed" / "table.csv").write_text("")
    (package / "README.md").write_text("damaged")
    assert "README.md" in replicate(swept, package).files
    assert "# Replication package of small" in (package / "README.md").read_text()
    assert not (package / "recomputed").exists() and {path.name for path in tmp_path.iterdir()} == {"package"}
    (package / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds 1 file that the package didn't bring, such as notes.txt; move them"):
        replicate(swept, package)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="other holds files that are no replication package; give a new or an empty"):
        replicate(swept, tmp_path / "other")
    with pytest.raises(UsageError, match=r"thesis.tex is a file; give a new folder"):
        replicate(swept, tmp_path / "other" / "thesis.tex")
    (package / "notes.txt").unlink()
    (package / "replication.json").write_text('{"sweep": "another"}')
    with pytest.raises(UsageError, match="holds the package of the sweep 'another'; give a new or an empty folder"):
        replicate(swept, package)


def test_a_killed_export_leaves_no_package_and_the_next_one_begins_again(swept, tmp_path):
    def killed(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replicate(swept, tmp_path / "package", killed)
    assert {path.name for path in tmp_path.iterdir()} == {"package.partial"}
    replicate(swept, tmp_path / "package")
    assert {path.name for path in tmp_path.iterdir()} == {"package"}
    (tmp_path / "package").rename(tmp_path / "package.former")  # killed while the new one takes the old one's place
    replicate(swept, tmp_path / "package")
    assert {path.name for path in tmp_path.iterdir()} == {"package"}
    for name in ("else.partial", "other.former"):
        (tmp_path / name).mkdir()
        with pytest.raises(UsageError, match=rf"{name}, which is needed while the package is made, holds something e"):
            replicate(swept, tmp_path / name.partition(".")[0])


def test_missing_results_and_prompts_are_named_and_the_tables_are_those_of_the_sweep(storage, tmp_path):
    store = Path(shutil.copytree(storage, tmp_path / "store"))
    folder = open_folder("small", str(store))
    first, second, _ = (row for row in folder.grid() if row.model == "none")
    folder.store.remove(first.test_set)
    folder.store.remove(second.results)
    done = replicate(folder, tmp_path / "package")
    assert done.notes == (
        "none.base: 1 of 3 evaluations without results",
        f"test set: {first.test_set.label} is not in the store",
    )
    assert all(f"- {note}\n" in (done.folder / "README.md").read_text() for note in done.notes)
    export(open_folder("small", str(done.folder / "store")), "csv", tmp_path / "again")
    assert files(tmp_path / "again") == files(done.folder / "tables")
    for row in folder.grid():
        folder.store.remove(row.results)
    with pytest.raises(UsageError, match="the sweep 'small' has no results yet, so there are no tables to recompute"):
        replicate(folder, tmp_path / "none")


def test_a_rated_sheet_that_the_config_names_goes_with_the_package(storage, tmp_path):
    store = Path(shutil.copytree(storage, tmp_path / "store"))
    folder = open_folder("small", str(store))
    perturbed = next(row.test_set for row in folder.grid() if row.perturbation == "C1")
    prompts = folder.store.rows(perturbed, PromptRow)
    sheet = tmp_path / "sheet"
    sheet.mkdir()
    of_c1 = {"method": "C1", "clean": ""}
    items = [{"id": n, "row_id": p.task_id, "text": p.prompt, **of_c1} for n, p in enumerate(prompts)]
    (sheet / "key.json").write_text(json.dumps(items))
    answers = [f"{item['id']},{'no' if item['id'] else 'yes'},yes" for item in items]
    (sheet / "rater.csv").write_text("\n".join(["id,same_task,readable", *answers]))
    config = store / "sweeps" / "small" / "config.yaml"
    config.write_text(config.read_text().replace("audit: null", f"audit: {sheet}/rater.csv"))
    package = replicate(open_folder("small", str(store)), tmp_path / "package").folder
    assert "RD_valid" in (package / "numbers" / "scores.csv").read_text()
    assert "audit: rated/rater.csv" in (package / "store" / "sweeps" / "small" / "config.yaml").read_text()
    shutil.rmtree(sheet)
    shutil.rmtree(store)
    followed = follow(package / "README.md", tmp_path)
    assert (followed.returncode, followed.stderr) == (0, ""), followed.stdout + followed.stderr
    assert any(b"valid" in text for text in files(package / "recomputed").values())


@pytest.mark.long
def test_a_store_in_an_object_store_gives_the_same_package(storage, package, tmp_path, monkeypatch):
    """In small: test_the_package_alone_recomputes_every_table_byte_for_byte."""
    with served() as server:
        for name, value in {**ACCOUNT, "RAYSWEEP_CACHE": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        remote = Files(server.uri("store"))
        for name, content in files(storage).items():
            remote.write(name, content)
        keys = server.keys()
        again = replicate(open_folder("small", server.uri("store")), tmp_path / "again")
        assert files(again.folder) == files(package)
        assert server.keys() == keys
