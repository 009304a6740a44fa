"""The contract of editors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from raysweep.errors import RaysweepError
from raysweep.generators.base import LiveModel
from raysweep.models.loading import load_model
from raysweep.records import ModelKind, ModelRef, PromptPair, Spec
from raysweep.testing.contract import WithoutArguments, elsewhere, no_global_generator
from raysweep.testing.services import EditServicesHere, Interrupted
from raysweep.testing.tiny import make_tiny, prompt_pair
from raysweep.trainers.editors.base import EDITORS, EditJob, Editor, ModelEdit
from raysweep.trainers.editors.running import SpoiledBase, run_edit

FILES = frozenset({"adapter_config.json", "adapter_model.safetensors"})
"""What an adapter consists of."""
MEASURED = ("seconds", "cpu_seconds", "memory_bytes")
"""Counts that differ from one run of an edit to the next."""
SEED = 7


class EditorContract(WithoutArguments):
    """Tests of what docs/contracts.md asks of an editor. They edit a tiny model with random weights a few times.

    Attributes:
        make: to be set, see `Contract`; it is called without arguments. Make it a method for an editor whose defaults
            don't fit a model of two blocks.
        family: the `model_type` of the base.
    """

    make: Callable[..., Editor]
    registry = EDITORS
    family: ClassVar[str] = "llama"

    @pytest.fixture(scope="class")
    @classmethod
    def base(cls, tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
        """The model to edit: a tiny one with random weights. Override it, as a fixture."""
        return make_tiny(cls.family, tmp_path_factory.mktemp("base"), initializer_range=0.2)

    def pair(self) -> PromptPair:
        """Return the edit example, whose prompts have different lengths."""
        return prompt_pair(1)

    def job(self, base: ModelRef, **fields: Any) -> EditJob:
        """Return a job with a base that was just loaded; `fields` take the place of its own."""
        network, tokenizer = load_model(base)
        job = EditJob(LiveModel(network.eval(), tokenizer), self.family, self.pair(), SEED)
        return replace(job, **fields)

    def run(self, job: EditJob, services: EditServicesHere | None = None) -> ModelEdit:
        """Make an edit, with the checks of `run_edit`; fail if it spoils its base."""
        try:
            return run_edit(self.part(), job, services or EditServicesHere())
        except SpoiledBase as error:
            pytest.fail(f"an editor puts its base back before it returns or raises: {error}")

    def test_its_edit_is_of_its_kind_and_fits_the_base(self, base: ModelRef) -> None:
        """It is stored as its `kind` says, and others put it on the base."""
        job = self.job(base)
        try:
            edit = self.run(job)
        except RaysweepError as error:
            pytest.fail(f"what edit() returns fits the base, and is of the editor's kind: {error}")
        if self.part().kind is ModelKind.ADAPTER:
            assert set(edit.adapter) >= FILES, f"an adapter consists of {' and '.join(sorted(FILES))}"
        own = {tensor.data_ptr() for tensor in job.base.network.state_dict().values()}
        shared = [name for name, tensor in edit.tensors.items() if tensor.data_ptr() in own]
        assert not shared, f"changed tensors have memory of their own; {', '.join(shared)} lies in the base's"
        assert not any(tensor.requires_grad for tensor in edit.tensors.values()), "changed tensors have no gradient"

    def test_its_edit_acts(self, base: ModelRef) -> None:
        """Otherwise nothing says why scores stay as they were."""
        edit = self.run(self.job(base))
        assert not edit.counts["changes_nothing"], "the edit changes no logit of its prompts and of two short texts"

    def test_its_counts_are_json(self, base: ModelRef) -> None:
        """They go into the manifest."""
        counts = dict(self.run(self.job(base)).counts)
        try:
            text = json.dumps(counts, allow_nan=False)
        except (TypeError, ValueError) as error:
            pytest.fail(f"the counts of an edit are JSON: {error}")
        assert json.loads(text) == counts, "the counts are as they were after they were read from JSON"

    def test_it_signals_that_it_goes_on(self, base: ModelRef) -> None:
        """Without signs of life an edit is taken for hung."""
        services = EditServicesHere()
        self.run(self.job(base), services)
        assert services.signs, "services.alive() is called at least once a minute"

    @pytest.mark.parametrize("error", [Interrupted, MemoryError])
    def test_after_an_error_its_base_is_what_it_was(self, base: ModelRef, error: type[BaseException]) -> None:
        """A host goes on with the base."""
        job, services = self.job(base), EditServicesHere(die_after=2, error=error)
        expected = _digests(job.base.network.state_dict())
        with pytest.raises((error, RaysweepError)):
            self.run(job, services)
        assert _digests(job.base.network.state_dict()) == expected, "after an error, the base is bit for bit the same"

    def test_edits_made_before_change_nothing(self, base: ModelRef) -> None:
        """One base serves many edits, in any order."""
        alone = digest(self.run(self.job(base)))
        job = self.job(base)
        self.run(replace(job, pair=prompt_pair(2)))
        assert digest(self.run(job)) == alone, "an edit after another one of the same base equals one made alone"

    def test_the_same_seed_gives_the_same_edit(self, base: ModelRef) -> None:
        """It is found by what it was made from."""
        first = digest(self.run(self.job(base)))
        with no_global_generator():
            again = digest(self.run(self.job(base)))
        assert again == first, "equal jobs give equal edits: random numbers come from job.seed"

    def test_another_process_makes_the_same_edit(self, base: ModelRef) -> None:
        """Which host makes an edit isn't part of its key."""
        here = digest(self.run(self.job(base)))
        there = elsewhere(_edited, self.spec(), base, self.family, self.pair())
        assert here == there, "another process makes the same edit"


def digest(edit: ModelEdit) -> dict[str, Any]:
    """Return what is equal of two equal edits: hashes of tensors and files, and the counts that aren't measured."""
    counts = {name: value for name, value in edit.counts.items() if name not in MEASURED}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in edit.adapter.items()}
    return {"tensors": _digests(edit.tensors), "files": files, "counts": counts, "blocks": list(edit.blocks)}


def _digests(tensors: Any) -> dict[str, str]:
    import torch

    return {
        name: hashlib.sha256(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()).hexdigest()
        for name, tensor in tensors.items()
    }


def _edited(spec: Spec, base: ModelRef, family: str, pair: PromptPair) -> dict[str, Any]:
    network, tokenizer = load_model(base)
    job = EditJob(LiveModel(network.eval(), tokenizer), family, pair, SEED)
    return digest(run_edit(EDITORS.create(spec), job, EditServicesHere()))
