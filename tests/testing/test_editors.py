"""Each test of the suite for editors fails on an editor that is broken in its way."""

from __future__ import annotations

import functools
import os
from math import nan
from typing import Any, ClassVar

import pytest
import torch

from raysweep.records import ModelKind, ModelRef
from raysweep.testing import editors
from raysweep.testing.contract import elsewhere
from raysweep.testing.editors import EditorContract
from raysweep.testing.services import Interrupted
from raysweep.testing.tiny import make_tiny
from raysweep.trainers.editors.base import EDITORS, Editor, ModelEdit
from raysweep.trainers.editors.states import matrix_of
from tests.testing.bites import Broken, claims_of, message

pytestmark = pytest.mark.slow


class Scales(Editor):
    """Scales the matrix of block 0 by a factor that depends on the pair."""

    name = "dinm"  # any that is registered
    kind = ModelKind.DELTA

    def edit(self, job, services):
        services.alive()
        matrix, factor = matrix_of(job, 0), self.factor(job)
        with self.prepared(job):
            services.alive()
        return ModelEdit(tensors={matrix.name: matrix.changed(factor * matrix.weight)}, counts=self.counts(factor))

    def factor(self, job):
        return float(len(job.pair.task_id) + int(job.pair.task_id[-1]))

    def prepared(self, job):
        return torch.no_grad()

    def counts(self, factor):
        return {"factor": factor}


class Renamed(Scales):
    def edit(self, job, services):
        edit = super().edit(job, services)
        return ModelEdit(tensors={f"{name}s": tensor for name, tensor in edit.tensors.items()})


class Idle(Scales):
    def factor(self, job):
        return 0.0


class Uncounted(Scales):
    def counts(self, factor):
        return {"loss": nan}


class Silent(Scales):
    def edit(self, job, services):
        class Deaf:
            def alive(self) -> None:
                pass

        return super().edit(job, Deaf())


class Writes(Scales):
    """Changes its base while it works, and doesn't put it back after an error."""

    def edit(self, job, services):
        weight = job.base.network.lm_head.weight
        before = weight.detach().clone()
        with torch.no_grad():
            weight[0] += 1
        edit = super().edit(job, services)
        with torch.no_grad():
            weight.copy_(before)
        return edit


class Keeps(Scales):
    kept: ClassVar[list[float]] = []

    def factor(self, job):
        self.kept.append(super().factor(job))
        return sum(self.kept)


class Draws(Scales):
    def factor(self, job):
        return float(torch.rand(()))


class OfTheProcess(Scales):
    def factor(self, job):
        return float(os.getpid())


class Asks(Scales):
    def __init__(self, k: int) -> None:
        self.k = k


BROKEN: Broken = {
    "test_it_is_built_without_arguments": (lambda: Asks(1), "all that it has need a default; k has none"),
    "test_its_edit_is_of_its_kind_and_fits_the_base": (Renamed, "this base doesn't have in this form"),
    "test_its_edit_acts": (Idle, "the edit changes no logit of its prompts"),
    "test_its_counts_are_json": (Uncounted, "the counts of an edit are JSON"),
    "test_it_signals_that_it_goes_on": (Silent, "services.alive() is called at least once a minute"),
    "test_after_an_error_its_base_is_what_it_was": (Writes, "an editor puts its base back before it returns or raises"),
    "test_edits_made_before_change_nothing": (
        Keeps,
        "an edit after another one of the same base equals one made alone",
    ),
    "test_the_same_seed_gives_the_same_edit": (Draws, "the generator of the whole process in torch was used"),
    "test_another_process_makes_the_same_edit": (OfTheProcess, "another process makes the same edit"),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return make_tiny("codegen", tmp_path_factory.mktemp("base"), initializer_range=0.2)


def told(test: str, make: Any, base: ModelRef) -> str:
    suite = type("Suite", (EditorContract,), {"family": "codegen"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(editors, "elsewhere", functools.partial(elsewhere, with_registered, make))
        return message(suite, test, make, base=base, error=Interrupted)


def with_registered(kind, function, *arguments):
    """Call a function where the editor's name stands for a class of this module."""
    EDITORS.names()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EDITORS._classes, kind.name, kind)
        return function(*arguments)


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_a_broken_editor_fails(test, base):
    make, words = BROKEN[test]
    assert words in told(test, make, base)


def test_every_test_was_seen_to_fail():
    assert claims_of(EditorContract) == set(BROKEN)


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_an_editor_that_keeps_the_contract_passes(test, base):
    assert told(test, Scales, base) == ""
