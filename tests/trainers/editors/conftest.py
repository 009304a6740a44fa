"""Edits of tiny models of every family, with weights large enough that texts differ."""

from __future__ import annotations

from typing import Any

import pytest

from raysweep.generators.base import LiveModel
from raysweep.models.loading import load_model
from raysweep.trainers.editors.base import EditJob
from tests.conftest import MadeWhenAsked
from tests.tiny import make_tiny, prompt_pair


@pytest.fixture(scope="session")
def wild(tmp_path_factory):
    """A tiny model of each family, with larger random weights than usual ones."""
    return MadeWhenAsked(lambda family: make_tiny(family, tmp_path_factory.mktemp(family), initializer_range=0.2))


@pytest.fixture
def make_edit(wild):
    """A factory of jobs, each with a base that was just loaded: ``make_edit("llama", pair=...)``."""

    def make(family: str, **fields: Any) -> EditJob:
        network, tokenizer = load_model(wild[family])
        values = {"pair": prompt_pair(1), "seed": 7, **fields}
        return EditJob(LiveModel(network.eval(), tokenizer), family, **values)

    return make
