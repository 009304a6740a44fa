from __future__ import annotations

import json
from typing import Any

import httpx
import huggingface_hub
import pytest
import requests
from huggingface_hub import errors

from raysweep.errors import UsageError
from raysweep.models import hub
from raysweep.models.hub import hub_config


@pytest.fixture(autouse=True)
def hub_answers(monkeypatch):
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: None)


def answer_with(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)


def test_the_commit_comes_with_the_config(monkeypatch, tmp_path):
    folder = tmp_path / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(folder / "config.json"))
    assert hub_config("org/model", None) == ({"model_type": "llama"}, "a" * 40)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.GatedRepoError, r"gated: accept its licence at https://huggingface.co/org/model, then run `hf auth lo"),
        (errors.RepositoryNotFoundError, r"check the spelling.*private or gated.*hf auth login.*HF_TOKEN.*licence"),
        (errors.RevisionNotFoundError, r"no revision 'v9'"),
        (errors.EntryNotFoundError, r"has no config.json"),
        (errors.LocalEntryNotFoundError, r"neither a folder nor in the local cache.*HF_HUB_OFFLINE"),
        (errors.OfflineModeIsEnabled, r"neither a folder nor in the local cache.*HF_HUB_OFFLINE"),
        (ConnectionError, r"the hub can't be reached"),
        (errors.HFValidationError, r"neither a folder nor a hub id"),
    ],
)
def test_every_refusal_says_what_to_do(monkeypatch, error, message):
    answer_with(monkeypatch, error)
    with pytest.raises(UsageError, match=message):
        hub_config("org/model", "v9")


def test_a_mistyped_folder_is_offered(monkeypatch, tmp_path):
    (tmp_path / "models" / "llama-tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    answer_with(monkeypatch, errors.RepositoryNotFoundError)
    with pytest.raises(UsageError, match="did you mean 'llama-tiny'"):
        hub_config("models/lama-tiny", None)


@pytest.mark.parametrize(
    "error",
    [requests.ConnectionError, requests.Timeout, lambda: httpx.ConnectError("gone"), errors.OfflineModeIsEnabled],
)
def test_a_hub_that_does_not_answer_is_asked_once_and_the_cache_then(monkeypatch, error):
    asked: list[dict[str, Any]] = []

    def silent(*_: Any, **__: Any) -> None:
        raise error()

    def download(*_: Any, **options: Any) -> str:
        asked.append(options)
        raise errors.LocalEntryNotFoundError("not cached")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", silent)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(UsageError, match="the hub can't be reached"):
        hub_config("org/model", None)
    assert [options["local_files_only"] for options in asked] == [True]


def test_a_model_that_the_hub_does_not_know_is_not_looked_for_in_the_cache(monkeypatch):
    def unknown(*_: Any, **__: Any) -> None:
        raise errors.RepositoryNotFoundError.__new__(errors.RepositoryNotFoundError)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unknown)
    with pytest.raises(UsageError, match="check the spelling"):
        hub_config("org/model", None)
