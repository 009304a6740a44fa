"""What `raysweep status` tells: states, errors, and paths that can be copied."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import textwrap
import time
from pathlib import Path

import pytest
from peft import LoraConfig, PeftModel

from raysweep.cli.views import status
from raysweep.cli.views.status import print_status, print_sweeps
from raysweep.engine.progress import DONE, FAILED, RUNNING, STOPPED, Activity, write_end
from raysweep.errors import UsageError
from raysweep.machine import CPU_CAPABILITY
from raysweep.models.loading import load_model
from raysweep.rows.parquet import write_rows
from raysweep.storage.artefacts import Node
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow
from raysweep.sweep.overview.sweeps import SweepLine
from tests.tiny import make_tiny

ERROR = "RuntimeError: [/model] broke [red]here"


def commit(store: Store, stage: str, *names: str) -> str:
    node = Node(stage, 1, {"files": list(names)}, (), stage)
    with store.writing(node) as draft:
        for name in names:
            (draft.folder / name).write_text('{"base_model_name_or_path": "/moved/away"}')
        draft.counts = (
            {CPU_CAPABILITY: "AVX2" if "adapter_config.json" in names else "AVX512"} if stage == "model" else {}
        )
    return node.key


def trained_on(cell: str) -> tuple[str, str]:
    """The recipe and the training set of a cell."""
    return ("none", "base") if cell == "m.base" else ("r", "t")


@pytest.fixture
def folder(tmp_path) -> SweepFolder:
    """One base model with results, two fine-tuned ones, a failed, a blocked and a stopped cell, a failed input."""
    store = Store(tmp_path / "st[red]x")
    store.require_writable()
    folder = SweepFolder(store, "s")
    results = commit(store, "results", "rows.parquet")
    base = commit(store, "base_model", "config.json", "model.safetensors")
    models = {
        "m.base": ("base_model", base, results),
        "m.full.C1.s1": ("model", commit(store, "model", "config.json", "model.safetensors"), "0" * 64),
        "m.lora.C1.s1": ("model", commit(store, "model", "adapter_config.json", "adapter_model.safetensors"), "1" * 64),
        "m.full.C2.s1": ("model", "2" * 64, "2" * 64),
        "m.full.C3.s1": ("model", "3" * 64, "3" * 64),
        "m.full.C.s1": ("model", "4" * 64, "4" * 64),
    }
    rows = [
        GridRow(cell, "m", *trained_on(cell), 1, "p", "clean", stage, key, "5" * 64, "6" * 64, verdicts)
        for cell, (stage, key, verdicts) in models.items()
    ]
    folder.path.mkdir(parents=True)
    write_rows(folder.path / "grid.parquet", GridRow, rows, ["cell"])
    now = time.time()
    for activity in (
        Activity("m.full.C1.s1", RUNNING, "generating", 5, 10, updated=now - 7810),
        Activity("m.full.C2.s1", FAILED, "training", error=ERROR),
        Activity("m.full.C3.s1", FAILED, error="not started: training-set-C3 failed: why"),
        Activity("m.full.C.s1", STOPPED, "training", 3, 10, updated=now - 100),
        Activity("training-set-C3", FAILED, "making", error="why"),
        Activity("training-set-C1", DONE, "making"),
    ):
        folder.progress.write(f"{activity.id}.json", json.dumps(activity.__dict__))
    write_end(folder.progress, "was stopped at 2026-01-31 12:00:00")
    return folder


def test_of_many_cells_those_are_listed_that_need_a_look(folder, capsys, monkeypatch):
    monkeypatch.setattr(status, "LISTED", 3)
    print_status(folder, as_json=False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        "models cells waiting done stopped failed evaluations",
        "m, not fine-tuned 1 0 1 0 0 1 of 1",
        "m, recipe r 5 1 0 2 2 0 of 5",
    ]
    assert [line.split(" ")[0] for line in lines[3:8]] == ["cell", "m.full.C.s1", "m.full.C1.s1", "m.full.C2.s1", "and"]
    assert "and 1 more" in lines and f"failed: m.full.C2.s1: {ERROR}" in lines
    assert "folder" not in "".join(lines), "three models are listed one by one"
    monkeypatch.setattr(status, "LISTED", 2)
    print_status(folder, as_json=False)
    assert "folders of 3 models: --cell ID shows one, --json all of them" in capsys.readouterr().out


@pytest.mark.parametrize("is_held", [True, False], ids=["while a process runs it", "after its process"])
def test_every_state_is_told_with_its_reason_and_each_model_with_lines_that_load_it(folder, capsys, snapshot, is_held):
    """What claims to run in a sweep that no process holds has stopped. A model of another CPU rounds otherwise."""
    with folder.store.leases.take(folder.lease) if is_held else contextlib.nullcontext():
        print_status(folder, as_json=False)
    out = capsys.readouterr().out.replace(str(folder.store.root), "STORE")
    lines = [line.rstrip() for line in re.sub(r"\b[0-9a-f]{2}/[0-9a-f]{8,}", "KEY", out).splitlines()]
    assert "\n".join(lines) == snapshot


@pytest.mark.parametrize("width", [40, 80])
def test_paths_stand_whole_on_lines_of_their_own(folder, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_status(folder, as_json=False)
    out = capsys.readouterr().out
    weights = [row.weights for row in folder.grid() if row.weights and folder.store.has(row.weights)]
    assert len(weights) == 3
    assert all(f"\n  {folder.store.folder(one)}\n" in out for one in weights)
    assert "…" not in out


def test_json_holds_cells_and_shared_inputs(folder, capsys):
    print_status(folder, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["cpu_capabilities"] == {"AVX2": 1, "AVX512": 1}, "of a base trained elsewhere, three models not there"
    cells = {cell["cell"]: cell for cell in found["cells"]}
    assert cells["m.full.C2.s1"]["state"] == FAILED and cells["m.full.C2.s1"]["error"] == ERROR
    assert [(item["id"], item["error"]) for item in found["shared"]] == [("training-set-C3", "why")]


def watched(folder, monkeypatch, amounts: list[int]) -> None:
    """Watch a sweep whose C1 cell is so far at each look; it ends after the last one."""
    left = list(amounts)
    with contextlib.ExitStack() as held:
        held.enter_context(folder.store.leases.take(folder.lease))

        def go_on(seconds: float = 0) -> None:
            if not left:
                held.close()
                return
            activity = Activity("m.full.C1.s1", RUNNING, "generating", left.pop(0), 10, updated=time.time())
            folder.progress.write(f"{activity.id}.json", json.dumps(activity.__dict__))

        monkeypatch.setattr(status.time, "sleep", go_on)
        go_on()
        status.watch_status(folder)


def test_a_watched_sweep_is_printed_in_a_log_when_it_changes(folder, capsys, monkeypatch):
    watched(folder, monkeypatch, [5, 5, 6, 7])
    out = capsys.readouterr().out
    assert re.findall(r"running \(generating (\d+)/10\)", out) == ["5", "6", "7"]
    heads = re.findall(r"^\d\d:\d\d:\d\d \d+%: 1 of 6 models and 1 of 2 inputs done", out, re.MULTILINE)
    assert len(heads) == 3 and "\x1b" not in out
    assert "load full weights" in out, "at the end comes what `status` prints"


def test_a_watched_sweep_is_redrawn_in_place_on_a_terminal(folder, capsys, monkeypatch):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    watched(folder, monkeypatch, [5, 6])
    out = capsys.readouterr().out
    assert "\x1b[?25l" in out and "generating 6/10" in out and "%: 1 of 6 models" in out
    assert not re.search(r"^\d\d:\d\d:\d\d ", out, re.MULTILINE)


def test_a_sweep_that_is_about_to_start_is_waited_for(folder, capsys, monkeypatch):
    new = SweepFolder(folder.store, "new")
    looks = []

    def start(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            shutil.copytree(folder.path, new.path)
            for activity in ("m.full.C1.s1", "m.full.C2.s1"):
                new.progress.write(f"{activity}.json", json.dumps(Activity(activity, DONE).__dict__))
            rows = [row for row in folder.grid() if row.cell == "m.base"]
            write_rows(new.path / "grid.parquet", GridRow, rows, ["cell"])

    monkeypatch.setattr(status.time, "sleep", start)
    status.watch_status(new)
    out = capsys.readouterr().out
    assert "no process runs new yet; waiting for one, for up to 30 s" in out and "m.base" in out and len(looks) == 3
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(status.time, "monotonic", lambda: next(clock))
    with pytest.raises(UsageError, match="unknown sweep 'never'"):
        status.watch_status(SweepFolder(folder.store, "never"))


@pytest.mark.slow
def test_the_lines_load_and_generate(capsys, tmp_path):
    model = make_tiny("llama", tmp_path / "full")
    adapter = tmp_path / "adapter"
    PeftModel(load_model(model)[0], LoraConfig(target_modules=["q_proj"])).save_pretrained(adapter)
    load_model(model)[1].save_pretrained(adapter)
    full = Path(model.location)
    for code, paths in ((status._FULL, {"PATH": full}), (status._ADAPTER, {"PATH": adapter, "BASE": full})):
        for name, path in paths.items():
            code = code.replace(f'"{name}"', f'"{path}"')
        exec(textwrap.dedent(code), {})
        assert capsys.readouterr().out.startswith("def ")


def test_cells_that_fail_alike_are_one_line(folder, capsys, monkeypatch):
    monkeypatch.setattr(status, "LISTED", 2)
    for cell in ("m.full.C1.s1", "m.full.C3.s1", "m.full.C.s1"):
        folder.progress.write(f"{cell}.json", json.dumps(Activity(cell, FAILED, error=ERROR).__dict__))
    print_status(folder, as_json=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if ERROR in line]
    assert lines == [f"failed: m.full.C.s1, m.full.C1.s1 and 2 others: {ERROR}"]


def test_a_sweeps_number_stands_behind_the_problem_set_that_it_is_of(folder, capsys, monkeypatch):
    passed = {"p": (0.4, 0.4), "q": (0.25, 0.5), "s": (0.0, 0.0)}
    line = SweepLine("s", ("m",), ("p", "new", "q", "s"), 0.0, passed)
    monkeypatch.setattr("raysweep.sweep.overview.sweeps.all_sweeps", lambda store: [line])
    print_sweeps(folder.store, as_json=False)
    assert "p 0.400, new, q 0.250 to 0.500 and 1 more set" in capsys.readouterr().out
