"""The configs to start from: found in a checkout and in a wheel, and right in the folder that they are written to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from raysweep.config.examples import examples, write_example
from raysweep.config.loading import load_config, read_config, to_yaml
from raysweep.errors import StoreError, UsageError
from tests.paths import CONFIGS, NANO, REPO


def test_every_config_is_there_with_its_first_sentence_and_the_default_is_first():
    known = examples()
    assert sorted(known) == sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    assert next(iter(known)) == "own-model"
    assert all(example.about.endswith((".", "?")) and len(example.about) < 200 for example in known.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*examples()} - {"held-out", "creme"}))  # which need published prompts
def test_a_config_with_all_its_defaults_as_a_sweep_keeps_it_is_read_again(name, tmp_path):
    config = load_config(CONFIGS / f"{name}.yaml", missing=[])
    kept = tmp_path / "config.yaml"
    kept.write_text(to_yaml(config))
    assert read_config(kept) == config


def test_a_sweeps_own_config_is_read_without_the_packages_of_its_parts_or_refused_with_its_path(tmp_path):
    kept, values = tmp_path / "config.yaml", yaml.safe_load(to_yaml(load_config(NANO)))
    values["models"][0]["pretrain"]["family"] = "plugged"
    kept.write_text(yaml.safe_dump(values))
    assert read_config(kept).models[0].pretrain.family == "plugged"
    values["models"] = [{"name": "x", "generator": {"name": "plugged"}}]
    kept.write_text(yaml.safe_dump({**values, "training": None}))
    with pytest.raises(StoreError, match=f"^{kept} can't be read: unknown generator 'plugged'"):
        read_config(kept)


@pytest.mark.parametrize("name", sorted(examples()))
def test_a_copys_first_line_is_the_command_that_runs_it_and_the_rest_is_equal(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_example(name, Path("new", "folder"))
    written = (tmp_path / "new" / "folder" / f"{name}.yaml").read_text()
    shipped = (CONFIGS / f"{name}.yaml").read_text()
    assert written.splitlines()[0].startswith(f"# raysweep run new/folder/{name}.yaml")
    assert written.splitlines()[0] == shipped.splitlines()[0].replace("configs/", "new/folder/")
    assert written.splitlines()[1:] == shipped.splitlines()[1:] and "configs/" not in written
    assert yaml.safe_load(written) == yaml.safe_load(shipped)


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "study.yaml").write_text("mine")
    with pytest.raises(UsageError, match=r"study.yaml exists already"):
        write_example("study", tmp_path)
    assert (tmp_path / "study.yaml").read_text() == "mine"
    with pytest.raises(UsageError, match=r"study.yaml exists already"):
        write_example("quickstart", tmp_path / "study.yaml")
    with pytest.raises(UsageError, match="can't be written"):
        write_example("quickstart", tmp_path / "study.yaml" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def copied(folder: Path) -> Path:
    """Return a copy of the checkout, as far as it is built."""
    source = folder / "raysweep"
    source.mkdir()
    for name in ("raysweep", "configs"):
        shutil.copytree(REPO / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(REPO / name, source)
    return source


def built(what: str, source: Path, folder: Path) -> Path:
    """Have setuptools build a wheel of a checkout, and return a folder with what it holds."""
    pytest.importorskip("setuptools")
    code = f"from setuptools import build_meta; build_meta.{what}({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "out")
    return folder / "out"


@pytest.mark.slow
def test_an_editable_installation_is_found_in_the_folder_above_the_checkout(tmp_path):
    """There Python would take the checkout itself for a package of this name, one without modules."""
    source = copied(tmp_path)
    site = built("build_editable", source, tmp_path)
    add = f"import importlib.util, site; site.addsitedir({str(site)!r})"
    code = f"{add}; print(importlib.util.find_spec('raysweep').origin)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(source / "raysweep" / "__init__.py")


@pytest.mark.slow
def test_a_wheel_holds_the_configs_and_starts_from_them(tmp_path):
    """Build a wheel of a copy, unpack it elsewhere, and run it there."""
    source = copied(tmp_path)
    out = built("build_wheel", source, tmp_path)
    shutil.rmtree(source)
    packed = {path.name for path in (out / "raysweep" / "configs").iterdir()}
    assert packed == {path.name for path in CONFIGS.glob("*.yaml")}
    command = [sys.executable, "-m", "raysweep", "init", "mine"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(out)}, capture_output=True, text=True, check=True
    )
    assert "raysweep plan mine/own-model.yaml" in done.stdout
    assert (tmp_path / "mine" / "own-model.yaml").read_text().startswith("# raysweep run mine/own-model.yaml")
