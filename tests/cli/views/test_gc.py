"""What `raysweep gc` says: numbers and sizes by kind, how to remove them, what stays and why."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

from raysweep.storage.artefacts import Node
from raysweep.storage.store import Store
from raysweep.storage.uses import Use, write_uses

USED = Node("test_set", 1, {"name": "used"}, (), "used")
UNUSED = [Node("model", 1, {"name": name}, (), name) for name in ("one", "two")]


@pytest.fixture
def root(tmp_path) -> Path:
    """A store with a sweep that uses one of three artefacts, and a leftover; an hour old."""
    root = tmp_path / "st[red]x"
    store = Store(root)
    store.require_writable()
    for node in (USED, *UNUSED):
        with store.writing(node) as draft:
            (draft.folder / ("rows.parquet" if node is USED else "model.safetensors")).write_bytes(bytes(3 * 2**20))
    write_uses(store, "s", [Use(USED.stage, USED.key, USED.label)])
    store.files.write("staging/model-0123-ab/part", "x")
    for path in root.rglob("*"):
        os.utime(path, (time.time() - 3600, time.time() - 3600))
    return root


def lines(out: str) -> list[str]:
    return [" ".join(line.split()) for line in out.splitlines()]


def test_it_says_what_could_be_removed_and_how_and_removes_nothing(cli, root):
    before = sorted(root.rglob("*"))
    code, out, err = cli("gc", "--storage", str(root))
    assert (code, err) == (0, "")
    assert lines(out) == [
        "not used by any sweep number size",
        "model 2 6 MiB",
        "staging 1 < 1 MiB",
        "together 3 6 MiB",
        f"nothing was removed; to remove them: raysweep gc --storage '{root}' --delete",
        f"storage: {root}",
    ]
    assert sorted(root.rglob("*")) == before


def test_delete_removes_it_and_a_second_one_finds_nothing(cli, root):
    code, out, _ = cli("gc", "--storage", str(root), "--delete")
    assert code == 0 and "removed 3 folders and files, 6 MiB" in lines(out)
    assert Store(root).has(USED) and not any(Store(root).has(node) for node in UNUSED)
    for options in ((), ("--delete",)):
        code, out, _ = cli("gc", "--storage", str(root), *options)
        assert code == 0 and re.search(r"^nothing .*: all artefacts are used by 1 sweep$", out, re.M)


def test_what_a_running_process_may_use_is_left_out_with_the_reason(cli, root):
    lease = Store(root).leases.take("sweep-new")
    assert lease is not None
    with lease:
        for options, nothing in (((), "to remove"), (("--delete",), "was removed")):
            code, out, _ = cli("gc", "--storage", str(root), *options)
            assert code == 0 and f"nothing {nothing}: what no sweep uses is left out" in lines(out)
            assert re.search(rf"^left out: 3 folders and files, 6 MiB: process {os.getpid()} on \S+ since ", out, re.M)
    assert Store(root).has(UNUSED[0])


def test_json_names_every_folder_and_says_whether_it_was_removed(cli, root):
    for options, deleted in (((), False), (("--delete",), True)):
        found = json.loads(cli("gc", "--storage", str(root), "--json", *options)[1])
        assert (found["deleted"], found["sweeps"], found["number"], found["left_out"]) == (deleted, 1, 3, [])
        assert {one["kind"] for one in found["things"]} == {"model", "staging"}
        assert sum(one["bytes"] for one in found["things"]) == found["bytes"] > 6 * 2**20
        assert "staging/model-0123-ab" in {one["name"] for one in found["things"]}


def test_a_folder_that_is_no_store_is_one_error(cli, tmp_path):
    code, out, err = cli("gc", "--storage", str(tmp_path), "--delete")
    assert (code, out) == (2, "") and err.startswith(f"error: {tmp_path} is no store: ") and err.count("\n") == 1
