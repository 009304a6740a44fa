"""Settings that ZeRO can't follow, where a training finds them out."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

from raysweep.errors import MissingInput, UsageError
from raysweep.trainers.base import Recipe
from raysweep.trainers.sharding.choice import make_sharding


def test_zero_refuses_in_a_training_what_a_config_would_be_refused_for(monkeypatch):
    def refused(**settings: Any) -> UsageError:
        with pytest.raises(UsageError) as error:
            make_sharding(None, Recipe(parallel="zero2", **settings), torch.device("cpu"), world_size=1)
        return error.value

    assert str(refused(clip=2, clip_value=1)) == "`clip`: `clip_value` takes its place; remove one of them"
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "deepspeed" else found(name))
    assert isinstance(refused(), MissingInput)
