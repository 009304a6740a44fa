"""Packages beside raysweep: what they register is found wherever it is used, and one that is broken stops no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import raysweep
from raysweep.perturbations.base import PERTURBATIONS
from tests.paths import NANO, REPO
from tests.plugin import environment, install
from tests.steady import STEADY, Sweep

pytestmark = pytest.mark.slow


@pytest.fixture
def broken(installed, tmp_path) -> str:
    """The folder, and one with a package whose module can't be imported, for PYTHONPATH."""
    about = tmp_path / "raysweep_ruin-2.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: raysweep-ruin\nVersion: 2.1\n")
    (about / "entry_points.txt").write_text("[raysweep.perturbations]\nRuin = ruin:Ruin\nC1 = theirs:Theirs\n")
    (tmp_path / "ruin.py").write_text("import no_such_module\n")
    (tmp_path / "theirs.py").write_text("class Theirs:\n    pass\n")
    return f"{installed}:{tmp_path}"


def command(path: str | Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run raysweep where the packages in `path` are installed; they write down things in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "raysweep", *arguments],
        capture_output=True,
        text=True,
        env={**environment(folder), "PYTHONPATH": str(path)},
    )


def test_what_an_installed_package_registers_is_listed_with_its_docstring(tmp_path):
    install(tmp_path / "installed")
    done = command(tmp_path / "installed", tmp_path, "list", "perturbations")
    assert done.returncode == 0
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert ["Shout", "Each word in capitals, with a probability of .5 x strength. Takes strength=1.0."] in lines


def test_an_installed_packages_version_goes_into_keys(plugin_parts):
    assert PERTURBATIONS.plugin_spec("Shout") == {"package of perturbation": "raysweep-extra 0.1"}
    assert PERTURBATIONS.plugin_spec("C1") == {}


def test_a_package_that_can_not_be_imported_is_named_and_the_others_work(broken, tmp_path):
    done = command(broken, tmp_path, "list", "perturbations")
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert done.returncode == 0 and {"C1", "Shout"} <= set(names) and "Ruin" not in names
    told = done.stderr.splitlines()
    assert told == [
        "warning: perturbation 'Ruin' of the installed package raysweep-ruin 2.1 can't be used: "
        "ModuleNotFoundError: No module named 'no_such_module'",
        "warning: perturbation 'C1' of the installed package raysweep-ruin 2.1 can't be used: "
        "perturbation 'C1' is registered by both raysweep.perturbations.characters.c1_butter_fingers and theirs",
    ]


def test_a_config_that_needs_such_a_package_is_refused_with_the_reason(broken, tmp_path):
    done = command(broken, tmp_path, "plan", str(NANO), "--set", "training.sets=[Ruin]")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    said = "perturbation 'Ruin' of the installed package raysweep-ruin 2.1 can't be used: ModuleNotFoundError"
    assert f"training.sets.0: {said}" in done.stderr.replace("\n", " ")


@pytest.mark.long
def test_an_installed_packages_parts_keep_their_contracts(installed, tmp_path):
    """In small: tests/test_plugin_docs.py."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            str(REPO / "tests" / "plugin" / "own.py"),
        ],
        capture_output=True,
        text=True,
        env={**environment(tmp_path), "PYTHONPATH": f"{REPO}:{installed}"},
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.long
@pytest.mark.ray
def test_every_kind_of_worker_finds_an_installed_perturbation(shared_ray):
    """In small: test_what_an_installed_package_registers_is_listed_with_its_docstring."""
    sweep = Sweep(shared_ray.folder, shared_ray.folder / "plugin")  # where parts on this Ray write down things
    notes = sweep.notes / "found"
    before = len(notes.read_text().splitlines()) if notes.exists() else 0  # by other tests on this Ray
    base = {"path": str(sweep.base()), "generator": {"name": "steady"}, "template": "raw", "recipes": ["told"]}
    config = yaml.safe_load(STEADY.read_text())
    sweep.write(
        models=[{"name": "base", **base}, {"name": "fake", "generator": {"name": "told", "share": 0.9}}],
        recipes={"told": {"trainer": "steady", "objective": "told", "steps": 4, "batch_size": 16}},
        training={**config["training"], "sets": ["Shout"]},
        evaluation={
            **config["evaluation"],
            "perturbations": ["Shout"],
            "problems": [{"name": "told", "split": "validation", "count": 6}],
        },
        resources={"processes": "workers"},
    )
    done = sweep.run("--address", shared_ray.address)
    assert done.returncode == 0, done.stderr
    where: dict[str, set[str]] = {}
    for line in notes.read_text().splitlines()[before:]:
        what, module, process = line.split("|")
        assert module == "raysweep_extra.shout"
        if "ray::" in process:  # the command itself reads problems, too: it counts their control tokens
            where.setdefault(what, set()).add(process)
    assert set(where) == {"perturbation", "problem set", "objective", "generator"}
    making_inputs, training, generating = where["perturbation"], where["objective"], where["generator"]
    trials = where["problem set"] - making_inputs
    assert len(making_inputs | training | generating | trials) >= 4
    assert not training & generating and not (training | generating) & (making_inputs | trials)
    frame = raysweep.load_results("steady", storage=str(sweep.store))
    unchanged = frame[(frame.metric == "rows_unchanged") & (frame.perturbation == "Shout")]
    assert set(unchanged.training_set) == {"base", "Shout"} and set(unchanged.value) == {0}
