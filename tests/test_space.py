"""Does what a sweep will write fit on the disk?"""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep import machine
from raysweep.config_file import load_config
from raysweep.errors import UsageError
from raysweep.planning import build_plan
from raysweep.space import CHECKPOINTS, LEAST, OF_WEIGHTS, require_space
from raysweep.storage.store import Store
from tests.models.tiny import tiny

__all__ = ["tiny"]

NANO = Path(__file__).parent / "nano.yaml"


@pytest.fixture
def free(monkeypatch):
    """Sets how much the disk is said to have left."""

    def give(size: int) -> None:
        monkeypatch.setattr("raysweep.space.disk", lambda path: machine.Disk("ext4", 2**40, size))

    return give


def test_a_disk_with_next_to_nothing_left_is_refused_with_the_numbers(tmp_path, free):
    plan, store = build_plan(load_config(NANO)), Store(tmp_path)
    free(LEAST)
    require_space(store, plan.cells, 2)
    free(LEAST - 1)
    with pytest.raises(UsageError, match=r"has 31 MiB free, and this sweep needs about 32 MiB; .* another --storage"):
        require_space(store, plan.cells, 2)


def test_models_that_are_trained_whole_count_with_their_checkpoints(tmp_path, free, tiny):
    folder = Path(tiny["llama"].location)
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert weights
    sets = [f"models=[{{name: m, path: {folder}, recipes: [tiny]}}]", "training.sets=[C1, C2, C3]"]
    plan, store = build_plan(load_config(NANO, sets)), Store(tmp_path)
    needed = LEAST + OF_WEIGHTS * weights * (3 + 2 * CHECKPOINTS)
    free(needed)
    require_space(store, plan.cells, 2)
    free(needed - 1)
    with pytest.raises(UsageError, match=r"3 fully fine-tuned models and their checkpoints"):
        require_space(store, plan.cells, 2)
    lora = build_plan(load_config(NANO, [*sets, "recipes.tiny.trainer=lora", "recipes.tiny.lora={targets: [q_proj]}"]))
    require_space(store, lora.cells, 2)
