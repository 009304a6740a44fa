"""Configs with mistakes, and a screen of what is told of each, for a snapshot."""

from __future__ import annotations

import atexit
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import pytest

from raysweep.config.document import ConfigError
from raysweep.config.loading import load_config
from tests.models.tiny import chat_tokenizer
from tests.paths import CONFIGS, NANO

MINIMAL = """\
name: small
models:
  - name: ref
    generator: reference
evaluation:
  problems: [humaneval]
"""
LLAMA = '{"model_type": "llama"}'
ROWS = '{"instruction": "Add.", "output": "a + b"}\n' * 16
_KNOWN = re.compile(r"((?:known(?: here)?|also|there are): ).*?(?=\s?\(did you mean|;|$)", re.MULTILINE)
_VERSION = re.compile(r"(?<=transformers )[\d.]+")
_LINE = re.compile(r"^line \d+, ")


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def findings(path: Path, *overrides: str) -> list[str]:
    """Return what is told of a config that must be refused, without the overrides that begin each line."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert caught.value.exit_code == 2
    return [_without(overrides, finding) for finding in caught.value.findings]


def _without(overrides: Sequence[str], line: str) -> str:
    """Return what is told without the overrides that begin it."""
    for override in (", ".join(overrides), *overrides):
        line = line.removeprefix(f"--set {override}, ")
    return line


def lasting(text: str) -> str:
    """Return what is told without what changes: lists of names that grow, versions, and the working directory."""
    return _VERSION.sub("...", _KNOWN.sub(r"\1...", text.replace(f"{Path.cwd()}/", "")))


def screen(mistakes: Iterable[str | Sequence[str]], told: Callable[..., list[str]] | None = None) -> str:
    """Return each mistake, one override or several, with the lines that are told of it below.

    Args:
        mistakes: overrides of tests/nano.yaml, or what `told` takes.
        told: returns the lines.
    """
    lines = []
    for mistake in mistakes:
        given = [mistake] if isinstance(mistake, str) else mistake
        found = told(*given) if told else findings(NANO, *given)
        assert found and not any("\n" in line or "Traceback" in line for line in found), (mistake, found)
        if "\n" not in given[0]:  # the file's lines are no matter of an override
            found = [_LINE.sub("", line) for line in found]
        lines += [" ".join(given).strip(), *(f"    {lasting(line)}" for line in found)]
    return "\n".join(lines)


def doubts(caplog: pytest.LogCaptureFixture, *overrides: str, path: Path = NANO) -> list[str]:
    """Return the warnings of a config that is accepted."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "raysweep"):
        load_config(path, overrides)
    return [_without(overrides, record.message.removeprefix(f"{path}: ")) for record in caplog.records]


def tiny_folder(folder: Path, config: str = LLAMA) -> Path:
    """Write a model that can be looked at, not loaded."""
    model = folder / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text(config)
    (model / "model.safetensors").write_bytes(b"0")
    shutil.copytree(_tokenizer_folder(), model, dirs_exist_ok=True)
    return model


def adapter_folder(folder: Path) -> Path:
    """Write an adapter of a `tiny_folder` that can be looked at, not loaded."""
    base, adapter = tiny_folder(folder / "base"), folder / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    (adapter / "adapter_model.safetensors").write_bytes(b"0")
    return adapter


@cache
def _tokenizer_folder() -> Path:
    """Return a folder with a tokenizer that has a chat template."""
    folder = Path(tempfile.mkdtemp(prefix="raysweep-tokenizer-"))
    atexit.register(shutil.rmtree, folder)
    chat_tokenizer("chatml").save_pretrained(folder)
    return folder


def of_own_model(config: str, *overrides: str) -> list[str]:
    """Return what is told of configs/own-model.yaml with a model of this config in the working directory."""
    shutil.rmtree("model", ignore_errors=True)
    tiny_folder(Path(), config)
    Path("rows.jsonl").write_text(ROWS)
    path = CONFIGS / "own-model.yaml"
    given = ["models.0.path=./model", "training.source.path=rows.jsonl", *overrides]
    try:
        load_config(path, given)
    except ConfigError as error:
        return [_without(given, line) for line in error.findings]
    return []
