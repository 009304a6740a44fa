"""What of a sweep goes to the hub, and how a command that was interrupted goes on. The hub is a fake one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, constants

from raysweep.errors import RaysweepError, UsageError
from raysweep.rows.parquet import write_rows
from raysweep.storage.artefacts import Node
from raysweep.sweep.export import push as push_module
from raysweep.sweep.export.push import prepare_push, send
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.grid import GridRow
from tests.paths import REPO
from tests.sweep.export.fake_hub import TOKEN, FakeHub, fake_hub

COMMANDS = """
import contextlib, io, json, sys
from raysweep.cli.app import main
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(json.loads(line))
        except SystemExit as ended:
            code = ended.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""
FULL = {"config.json": "{}", "model.safetensors": "weights", "README.md": "of the trainer"}
LOCAL_ADAPTER = {
    "adapter_config.json": json.dumps({"base_model_name_or_path": "/models/llama"}),
    "adapter_model.safetensors": "adapter",
}


@pytest.fixture
def folder(storage, tmp_path) -> SweepFolder:
    """The finished sweep in a store of its own, whose models are to be given."""
    shutil.copytree(storage, tmp_path / "store")
    return open_folder("small", str(tmp_path / "store"))


def give(folder: SweepFolder, **models: dict[str, str]) -> None:
    """Put files of models into the store and into the grid, by the names of the cells' models."""
    rows = folder.grid()
    for name, files in models.items():
        node = Node("model", 1, {"name": name}, (), name)
        with folder.store.writing(node) as draft:
            for file, text in files.items():
                (draft.folder / file).write_text(text)
        rows = [replace(row, model_stage="model", model_key=node.key) if row.model == name else row for row in rows]
    write_rows(folder.path / "grid.parquet", GridRow, rows, [])


def test_a_sweep_goes_into_a_folder_for_each_model_with_its_card_and_results(folder):
    give(folder, half=FULL, none=LOCAL_ADAPTER)
    push = prepare_push(folder, "org/small")
    assert push.private and list(push.sizes()) == [
        *("half.base/config.json", "half.base/model.safetensors", "half.base/README.md"),
        *("none.base/adapter_config.json", "none.base/adapter_model.safetensors", "none.base/README.md"),
        *("config.yaml", "report.html", "scores.csv", "README.md"),
    ]
    assert push.sizes()["half.base/model.safetensors"] == len("weights")
    assert push.notes == (
        "none.base: adapter_config.json names the base by a path of this machine, /models/llama; others must put the "
        "adapter on it themselves",
    )
    front = yaml.safe_load(push.card.split("---\n")[1])
    assert [entry["name"] for entry in front["model-index"]] == ["half.base", "none.base"]
    assert "| [none.base](none.base) | `none`, as it is | adapter, < 1 MiB |" in push.card
    assert "of the trainer" not in str(push.parts)


def test_one_model_lies_at_the_top_and_its_card_is_the_repositorys(folder):
    give(folder, half=FULL, none=LOCAL_ADAPTER)
    push = prepare_push(folder, "org/half", "half.base", private=False)
    (part,) = push.parts
    assert list(push.sizes()) == ["config.json", "model.safetensors", "README.md"]
    assert push.card == part.texts["README.md"] and push.notes == () and not push.private
    assert ModelCard(push.card).data.model_name == "half.base"


def test_an_adapter_on_a_base_of_the_hub_names_it(folder):
    config = json.dumps({"base_model_name_or_path": "org/base"})
    give(folder, half=FULL, none={**LOCAL_ADAPTER, "adapter_config.json": config})
    push = prepare_push(folder, "org/small")
    assert push.notes == () and "| adapter on org/base, < 1 MiB |" in push.card


def test_of_models_that_others_cannot_load_or_that_are_gone_only_numbers_are_sent(folder):
    give(folder, half={"delta.safetensors": "edit"}, none=FULL)
    folder.store.drop(next(row.weights for row in folder.grid() if row.model == "none"))
    push = prepare_push(folder, "org/small")
    assert not any("safetensors" in name or "config.json" in name for name in push.sizes())
    assert push.notes == (
        "half.base: only raysweep can load an edit's weights, so only numbers are sent",
        "none.base: no weights are in the store, so only numbers are sent",
    )
    (part,) = push.parts
    assert "half.base/README.md" in part.texts


def test_for_all_to_read_it_says_which_files_name_paths_of_this_machine(folder):
    assert prepare_push(folder, "org/small", private=False).notes == ()
    config = folder.path / "config.yaml"
    content = yaml.safe_load(config.read_text())
    content["models"][1] |= {"path": "/models/llama", "generator": None}
    config.write_text(yaml.safe_dump(content))
    folder = open_folder("small", folder.store.root)
    told = "name paths of this machine, such as /models/llama, for all to read"
    assert prepare_push(folder, "org/small").notes == ()
    push = prepare_push(folder, "org/small", private=False)
    assert push.notes[-1] == f"config.yaml and report.html {told}"
    texts = {name: text for part in push.parts for name, text in part.texts.items()}
    named = {name for name, text in texts.items() if "/models/llama" in text}
    assert named == {"config.yaml"}
    assert prepare_push(folder, "org/small", "none.base", private=False).notes == ()


@pytest.mark.parametrize("repo", ["small", "org/small/more", "org/sma ll", "https://huggingface.co/org/small", ""])
def test_what_is_no_name_of_a_repository_is_refused(folder, repo):
    with pytest.raises(UsageError, match="names no repository of the hub; give OWNER/NAME"):
        prepare_push(folder, repo)


def test_offline_and_without_a_hub_nothing_is_tried(folder, monkeypatch):
    prepared = prepare_push(folder, "org/small")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE is set, so nothing can be sent to the hub; unset it"):
        send(folder, prepared)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(push_module, "hub_is_reachable", lambda: False)
    with pytest.raises(RaysweepError, match="can't be reached; give the same command again"):
        send(folder, prepared)


@dataclass
class CommandLine:
    """A process that gives commands where the hub is the fake one. `home`: the folder of huggingface_hub."""

    process: subprocess.Popen[str]
    home: Path
    storage: str

    def __call__(self, *options: str) -> tuple[int, str, str]:
        """Push to org/small; return (exit code, stdout, stderr)."""
        assert self.process.stdin is not None and self.process.stdout is not None
        command = ["export", "small", "--storage", self.storage, "--push", "org/small", *options]
        print(json.dumps(command), file=self.process.stdin, flush=True)
        code, out, err = json.loads(self.process.stdout.readline())
        return code, out, err


@pytest.fixture
def push(folder, hub, tmp_path) -> Iterator[CommandLine]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    with subprocess.Popen(
        [sys.executable, "-c", COMMANDS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPO,
        env={
            **kept,
            "HF_HOME": str(tmp_path / "home"),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "NO_COLOR": "1",
        },
    ) as process:
        yield CommandLine(process, tmp_path / "home", folder.store.root)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as hub:
        yield hub


@pytest.mark.slow
def test_the_command_sends_nothing_without_send_and_says_what_the_hub_refuses(folder, hub, push):
    give(folder, half=FULL, none=LOCAL_ADAPTER)
    code, out, _ = push()
    assert code == 0 and "half.base/model.safetensors" in out and "# small" in out
    assert out.endswith("nothing was sent; --send sends 10 files, < 1 MiB, to the private repository org/small\n")
    code, _, err = push("--send")
    assert code == 2 and "give `hf auth login`, with a token that may write" in err and hub.private == {}

    push.home.mkdir(exist_ok=True)
    (push.home / "token").write_text(TOKEN)  # as `hf auth login` does
    hub.refusals["/lfs/"] = 400, "Bad Request"
    code, _, err = push("--send")
    assert code == 1 and f"sending to the hub at {hub.url} failed (" in err
    assert hub.private == {"org/small": True} and hub.commits == []
    hub.refusals = {"/api/models/org/small/commit": (429, "Too many commits")}
    code, _, err = push("--send")
    assert code == 1 and "the hub can't take org/small now (" in err
    assert "give the same command again, and what is missing there is sent" in err and len(hub.uploads) == 1
    hub.refusals.clear()
    code, out, err = push("--send")
    assert (code, out.splitlines()[-1]) == (0, f"sent 10 files, < 1 MiB: {hub.url}/org/small")
    assert len(hub.uploads) == 2, "what had come is not sent again"
    assert hub.commits == ["half.base of small", "none.base of small", "results of small"]
    assert sorted(hub.files) == sorted(prepare_push(folder, "org/small").sizes())
    assert hub.files["half.base/model.safetensors"] == b"weights" and TOKEN not in out + err

    del hub.files["none.base/README.md"]
    assert push("--send")[0] == 0
    assert hub.commits[3:] == ["none.base of small"] and len(hub.uploads) == 2 and "none.base/README.md" in hub.files

    hub.private["org/small"] = False
    code, _, err = push("--send")
    assert code == 2 and "the repository org/small is public; add --public, or name another one" in err
    assert push("--send", "--public")[0] == 0 and len(hub.commits) == 4
    hub.refusals["/api/"] = 403, "You may not write here"
    code, _, err = push("--send")
    assert code == 2 and "the hub refuses org/small: " in err and "You may not write here" in err
