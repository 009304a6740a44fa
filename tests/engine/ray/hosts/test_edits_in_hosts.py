"""Edits made one after the other in a shared host equal those made alone in one process, bit for bit."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysweep.engine.base import EditRun, GenerateJob
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster.cluster import Placement
from raysweep.engine.ray.hosts.generation import edit_with_ray
from raysweep.generators.base import LiveModel
from raysweep.records import Decoding, Spec
from raysweep.storage.files import Files
from raysweep.trainers.editors.base import EDITORS, EditJob
from raysweep.trainers.editors.running import run_edit, save_edit
from tests.models.tiny import EDITED
from tests.tiny import make_tiny, prompt_pair
from tests.trainers.editors import digest
from tests.trainers.editors.localized import Judge

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("connected")]

IN_TRIAL = Placement(cpus=1, gpus=0, memory_bytes=0, in_trial=True)
EDITS = {
    "creme": Spec("creme", {"max_new_tokens": 6, "temperature": 1.0, "top_p": 1.0, "steps": 5, "stop_below": 0.0}),
    "rome": Spec("rome", {"edit_at": 1, "prefixes": 2, "steps": 3}),
    "dinm": Spec("dinm", {"steps": 3}),
    "lora_edit": Spec("lora_edit", {"steps": 2}),
}
Edit = Callable[[LiveModel, Callable[[], None]], dict[str, Any]]


class JudgeInHost(Judge):
    """Passes the original prompt's samples and no one of the perturbed prompt; others by their texts."""

    def __init__(self, alive: Callable[[], None]) -> None:
        super().__init__(lambda text: len(text) % 2 == 0, [True] * 5 + [False] * 5)
        self.alive = alive  # type: ignore[method-assign]


def edit(spec: Spec, family: str, pair: int, out: str, base: LiveModel, alive: Callable[[], None]) -> dict[str, Any]:
    """Edit a base, write what came of it, and return what is equal of equal edits."""
    job = EditJob(base, family, prompt_pair(pair), 7)
    found = run_edit(EDITORS.create(spec), job, JudgeInHost(alive))
    Path(out).mkdir(parents=True)
    save_edit(found, base.network, Path(out))
    return {"digest": digest(found), "pid": os.getpid()}


def written(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.long
@pytest.mark.parametrize("family", EDITED)
def test_edits_in_a_shared_host_equal_those_made_alone(
    family: str, keeper: Callable[..., Any], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In small: tests/trainers/editors/test_running.py."""
    base = make_tiny(family, tmp_path_factory.mktemp(family), initializer_range=0.2)
    edits = {"creme.2": (EDITS["creme"], 2), **{f"{editor}.1": (spec, 1) for editor, spec in EDITS.items()}}
    kept = keeper(**dict.fromkeys(edits, family))

    def run_of(cell: str, place: str) -> tuple[EditRun, ProgressFile]:
        spec, pair = edits[cell]
        made: Edit = functools.partial(edit, spec, family, pair, str(tmp_path / place / cell))
        job = GenerateJob("", base, Spec("transformers"), Decoding(6), (), None, cell, base=base)
        return EditRun(made, job), ProgressFile(Files(str(tmp_path)), cell)

    shared = {}
    for cell in edits:
        run, progress = run_of(cell, "ray")
        shared[cell] = edit_with_ray(run, IN_TRIAL, progress, kept)
    assert len({one.pop("pid") for one in shared.values()} - {os.getpid()}) == 1
    for cell in reversed(edits):
        with LocalStages() as stages:  # a base of its own
            alone = stages.edit(*run_of(cell, "local"))
        assert alone.pop("pid") == os.getpid() and alone == shared[cell]
        assert written(tmp_path / "local" / cell) == written(tmp_path / "ray" / cell)
    assert shared["creme.1"]["digest"]["blocks"] and shared["creme.1"] != shared["creme.2"]
