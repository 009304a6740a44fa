"""What `raysweep submit` refuses before anything is sent, and the command that it prints."""

from __future__ import annotations

import json
import os
import platform
import shlex
from importlib.metadata import version
from pathlib import Path

import pytest

from raysweep.config.loading import load_config
from raysweep.errors import ExecutionNotAllowed, UsageError
from raysweep.generators.vllm import Vllm
from raysweep.sweep.submit import KEPT_HERE, PASSED_ON, prepare
from tests import paths

URL, STORE = "http://head:8265", "s3://bucket/store"
SECRET = "s3cr3t"


@pytest.fixture
def config(monkeypatch, tmp_path):
    """The smallest sweep's file, in a folder of its own in which the command is given."""
    for name in (*PASSED_ON, *KEPT_HERE, "RAYSWEEP_STORAGE", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    (folder / "configs").mkdir(parents=True)
    monkeypatch.chdir(folder)
    file = folder / "configs" / "nano.yaml"
    file.write_text(paths.NANO.read_text())
    return file


def prepared(file, address=URL, storage=STORE, options=(), variables=(), overrides=()):
    there = Path(os.path.relpath(file))
    return prepare(there, load_config(there, overrides), address, storage, options, variables)


def test_the_command_is_complete_and_can_be_given_to_a_shell(config, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    command = prepared(config, options=["--set", "seed=3"], variables=["NOTE=two words"]).job.command
    *before, environment = shlex.split(command.partition(" -- ")[0])
    assert before == ["ray", "job", "submit", "--address", URL, "--working-dir", ".", "--runtime-env-json"]
    assert json.loads(environment) == {"env_vars": {"AWS_ENDPOINT_URL": "http://minio:9000", "NOTE": "two words"}}
    run = ["raysweep", "run", "configs/nano.yaml", "--storage", STORE, "--set", "seed=3"]
    assert shlex.split(command.partition(" -- ")[2]) == run


def test_the_store_and_the_address_may_come_from_the_environment(config, monkeypatch):
    monkeypatch.setenv("RAYSWEEP_STORAGE", "/shared/store")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", URL)
    command = prepared(config, address=None, storage=None).job.command
    assert f"--address {URL} " in command and command.endswith(" --storage /shared/store")
    assert "--runtime-env-json" not in command, "there are neither excludes nor variables"


@pytest.mark.parametrize(
    ("address", "url"),
    [("http://head:8265/", URL), ("head:8265", URL), ("https://proxy/ray", "https://proxy/ray")],
)
def test_an_address_may_lack_its_scheme(config, address, url):
    assert prepared(config, address=address).job.address == url


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"address": None}, "name the cluster with --address: give the URL of the head's dashboard"),
        ({"address": "auto"}, "jobs can't be submitted to --address 'auto'"),
        ({"address": "ray://head:10001"}, "jobs can't be submitted to --address 'ray://head:10001'"),
        ({"storage": None}, "name the store that every node reaches: --storage"),
        ({"storage": "results"}, "storage 'results' would lie in the job's folder, which Ray removes"),
        ({"storage": f"s3://key:{SECRET}@bucket/store"}, "the storage has a password in it"),
        ({"variables": [f"HF_TOKEN={SECRET}"]}, "--env HF_TOKEN looks like a secret"),
        ({"variables": [f"OPENAI_API_KEY={SECRET}"]}, "--env OPENAI_API_KEY looks like a secret"),
        ({"variables": [f"PROXY=http://me:{SECRET}@proxy"]}, "--env PROXY looks like a secret"),
        ({"variables": ["NOWHERE"]}, "--env NOWHERE: this shell has no such variable"),
        ({"variables": ["A B=1"]}, "--env 'A B': write it as NAME=VALUE"),
    ],
)
def test_what_can_not_run_is_refused_and_no_secret_is_repeated(config, changed, told):
    with pytest.raises(UsageError) as refused:
        prepared(config, **changed)
    assert told in str(refused.value) and SECRET not in str(refused.value)


def test_secrets_of_the_shell_stay_here_and_the_user_is_told(config, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://me:{SECRET}@minio:9000")
    submission = prepared(config)
    assert any(note.startswith("HF_TOKEN of this shell is not sent") for note in submission.notes)
    assert SECRET not in submission.job.command + " ".join(submission.notes) and not submission.job.environment


def test_programs_are_only_run_with_permission(config):
    with pytest.raises(ExecutionNotAllowed):
        prepared(config, overrides=["allow_code_execution=false"])


@pytest.mark.parametrize("ignored", [False, True])
def test_a_config_that_is_not_uploaded_is_refused(config, monkeypatch, ignored):
    if ignored:
        (config.parent / ".gitignore").write_text("*.yaml\n")
    else:
        (config.parent / "other").mkdir()
        monkeypatch.chdir(config.parent / "other")
    why = "since .gitignore or .rayignore leaves it out" if ignored else "lies outside of"
    with pytest.raises(UsageError, match=why):
        prepared(config)


@pytest.mark.parametrize(
    ("path", "why"),
    [("rows.jsonl", ""), ("../../rows.jsonl", "lies outside of"), ("ignored.jsonl", "is not uploaded, since")],
)
def test_data_that_the_config_names_must_be_uploaded_too(config, path, why):
    (config.parent / ".gitignore").write_text("ignored.jsonl\n")
    rows = config.parent / path
    rows.write_text('{"instruction": "Add.", "output": "a + b"}\n' * 64)
    minicode = "source: {name: minicode, part: finetuning, rows: 64}"
    config.write_text(config.read_text().replace(minicode, f"source: {{name: jsonl, path: {path}}}"))
    if not why:
        assert prepared(config).uploaded.startswith("3 files")
        return
    with pytest.raises(UsageError, match=why):
        prepared(config)


def test_an_interpreter_that_is_left_out_is_refused(config):
    python = config.parent / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    versions = {name: version(name) for name in ("ray", "raysweep")}
    found = {"Python": platform.python_version(), "vllm": "1.0", **dict.fromkeys(Vllm.modules, "here"), **versions}
    python.write_text(f"#!/bin/sh\necho '{json.dumps(found)}'\n")
    python.chmod(0o755)
    (config.parent / "env" / "pyvenv.cfg").write_text("")
    generator = "evaluation.generator={name: vllm, python: configs/env/bin/python}"
    with pytest.raises(UsageError, match="'configs/env/bin/python', which is not uploaded"):
        prepared(config, overrides=[generator])


def test_an_absolute_path_below_the_folder_that_is_not_uploaded_is_told(config):
    (config.parent / ".gitignore").write_text("ignored.jsonl\n")
    before = config.read_text()
    for name in ("rows.jsonl", "ignored.jsonl"):
        rows = config.parent / name
        rows.write_text('{"instruction": "Add.", "output": "a + b"}\n' * 64)
        minicode = "source: {name: minicode, part: finetuning, rows: 64}"
        config.write_text(before.replace(minicode, f"source: {{name: jsonl, path: {rows}}}"))
        told = [note for note in prepared(config).notes if "is not uploaded" in note]
        said = f"{rows} is not uploaded; unless every node sees it under that name, the job won't find it"
        assert told == [said] * (name == "ignored.jsonl")


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "VLLM_MAX_TOKENS", "KEYBOARD"])
def test_variables_that_only_sound_like_secrets_are_passed_on(config, name):
    assert dict(prepared(config, variables=[f"{name}=1"]).job.environment) == {name: "1"}
