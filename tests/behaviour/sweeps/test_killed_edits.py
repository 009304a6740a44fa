"""A sweep of edits that is killed in the middle of one ends as an undisturbed one, with Ray as without.

In small: tests/stages/test_editing.py makes an edit, tests/engine/ray/hosts/test_hosts.py kills a host that edits, and
tests/trainers/editors/test_running.py compares edits of one base in any order.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from raysweep.config.loading import load_config
from raysweep.planning.planner import build_plan
from raysweep.storage.store import STAGING, Store
from tests.behaviour.chaos.processes import ProcessTree, Victim
from tests.behaviour.sweeps.commands import finished, start
from tests.behaviour.sweeps.test_edits import judge_base
from tests.paths import NANO
from tests.patience import PATIENCE, eventually
from tests.storage.stores import content

pytestmark = [pytest.mark.ray, pytest.mark.long]

EDITS = [
    "recipes.dinm={trainer: dinm, edit: {steps: 4000, stop_below: 0.0}}",
    "recipes.creme={trainer: creme, edit: {samples: 2, max_new_tokens: 4}}",
    "models.0.recipes=[dinm, creme]",
    "training=null",
    "edits={perturbations: [C1], pairs: 3}",
]
"""Two edits that take some ten seconds, two without a pair, two that aren't reproduced."""
SETS = [argument for override in EDITS for argument in ("--set", override)]


def prepared(store: Path) -> Path:
    """Return a store in which the base is judged, since so small a model solves nothing."""
    opened = Store(store)
    opened.require_writable()
    judge_base(build_plan(load_config(NANO, EDITS)), opened)
    return store


@pytest.fixture(scope="module")
def undisturbed(temporary: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the sweep without Ray, in peace."""
    store = prepared(tmp_path_factory.mktemp("edits") / "undisturbed")
    done = finished(start(NANO, store, temporary, "--engine", "local", *SETS))
    assert done.returncode == 0, done.stderr
    return store


def edits_in(store: Path) -> list[Path]:
    """Return the folders of edits that are being made."""
    models = [cell.model for cell in build_plan(load_config(NANO, EDITS)).cells if cell.model]
    staging = Store(store).scratch / STAGING
    return [folder for model in models for folder in staging.glob(f"{model.stage}-{model.key[:16]}-*")]


def awaited_edit(command: subprocess.Popen[str], store: Path) -> ProcessTree:
    """Return the processes of a command once a host edits."""
    tree = ProcessTree()
    tree.add_root(command.pid, Victim.DRIVER)

    def is_editing() -> bool:
        tree.look()
        assert command.poll() is None, command.communicate()
        return bool(edits_in(store)) and any("Host edits" in host.title for host in tree.alive(Victim.HOST))

    assert eventually(is_editing)
    return tree


def test_a_sweep_that_is_killed_in_mid_edit_ends_as_an_undisturbed_one(undisturbed, temporary, tmp_path):
    store = prepared(tmp_path / "killed")
    command = start(NANO, store, temporary, *SETS)
    tree = awaited_edit(command, store)
    command.kill()
    command.communicate()
    again = start(NANO, store, temporary, *SETS)
    tree.add_root(again.pid, Victim.DRIVER)
    done = finished(again)
    assert done.returncode == 0, done.stderr
    assert content(store) == content(undisturbed)
    assert tree.leftovers(PATIENCE) == []


def test_an_edit_whose_host_is_killed_is_made_again_and_the_user_is_told(undisturbed, temporary, tmp_path):
    store = prepared(tmp_path / "host")
    command = start(NANO, store, temporary, *SETS)
    for host in awaited_edit(command, store).alive(Victim.HOST):
        host.process.kill()
    done = finished(command)
    assert done.returncode == 0, done.stderr
    assert "the process that held llama died; another one does its batch" in done.stderr
    assert content(store) == content(undisturbed)
