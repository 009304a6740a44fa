"""The contract of trainers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from raysweep.hashing import describe
from raysweep.records import ModelKind, ModelRef, Spec, TrainingRow
from raysweep.rows.parquet import write_rows
from raysweep.testing.contract import WithoutArguments, elsewhere, no_global_generator
from raysweep.testing.services import FolderServices, Interrupted
from raysweep.testing.tiny import make_tiny, training_rows
from raysweep.trainers.base import TRAINERS, Recipe, Trainer, TrainJob

FILES: Mapping[ModelKind, tuple[str, ...]] = {
    ModelKind.FULL: ("config.json", "*.safetensors"),
    ModelKind.ADAPTER: ("adapter_config.json", "adapter_model.safetensors"),
    ModelKind.DELTA: ("delta.safetensors",),
}
"""What a model of each kind consists of, as patterns of file names."""
EVERY = 2
"""Steps between checkpoints."""
SEED, OTHER_SEED = 7, 8


@dataclass(frozen=True)
class Training:
    """One training: its job, what it returned and told, and the files outside of `job.out` that it changed."""

    job: TrainJob
    counts: Any
    services: FolderServices
    changed: tuple[str, ...]

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        return describe(self.job.out)


class TrainerContract(WithoutArguments):
    """Tests of what docs/contracts.md asks of a trainer. They train a tiny model a few times.

    A trainer need not use gradient descent: override `base`, `rows` and `load` for one that needs other models.

    Attributes:
        make: to be set, see `Contract`; it is called without arguments.
        recipe: of the trainings, with at least three steps; the trainer's name is set by the suite.
        family: the `model_type` of the base model.
    """

    make: Callable[..., Trainer]
    registry = TRAINERS
    recipe: ClassVar[Recipe] = Recipe(lr=1e-2, steps=6, batch_size=8, template="raw")
    family: ClassVar[str] = "llama"

    @pytest.fixture(scope="class")
    @classmethod
    def base(cls, tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
        """The model to train: a tiny one with random weights. Override it, as a fixture."""
        return make_tiny(cls.family, tmp_path_factory.mktemp("base"))

    @pytest.fixture(scope="class")
    @classmethod
    def training(cls, base: ModelRef, tmp_path_factory: pytest.TempPathFactory) -> Training:
        """A training that nothing interrupts."""
        return cls().train(base, tmp_path_factory.mktemp("training"))

    def rows(self) -> list[TrainingRow]:
        return training_rows()

    def load(self, model: ModelRef) -> Any:
        """Load what the trainer wrote; fail if it can't be used. Override it if transformers can't load it."""
        import torch

        from raysweep.models.loading import load_model

        network, _ = load_model(model)
        with torch.no_grad():
            logits = network(input_ids=torch.tensor([[1, 2, 3]])).logits
        assert logits.isfinite().all(), "the trained model computes numbers that are finite"
        return network

    def train(
        self, base: ModelRef, folder: Path, services: FolderServices | None = None, every: int = 0, seed: int = SEED
    ) -> Training:
        """Train in a folder, to the end or until the services interrupt it, with checkpoints every so many steps."""
        services = services or FolderServices(folder / "checkpoint")
        part, rows, out = self.part(), folder / "rows.parquet", folder / "out"
        write_rows(rows, TrainingRow, self.rows(), ["row_id"])
        out.mkdir(exist_ok=True)
        recipe = replace(self.recipe, trainer=part.name)
        job = TrainJob(base, self.family, recipe, rows, out, seed, "the training of a suite", every)
        before = _files_around(job)
        counts = None
        with contextlib.suppress(Interrupted):
            part.prepare()
            counts = part.train(job, services)
        after = _files_around(job)
        changed = tuple(name for name in sorted(before | after) if before.get(name) != after.get(name))
        return Training(job, counts, services, changed)

    def test_it_writes_a_model_of_its_kind(self, training: Training) -> None:
        """Other tools load it unchanged."""
        kind = self.part().kind
        missing = [pattern for pattern in FILES[kind] if not any(training.job.out.glob(pattern))]
        assert not missing, (
            f"`kind` is {kind}, so job.out has {' and '.join(FILES[kind])}; there is no {' and no '.join(missing)}"
        )

    def test_what_it_wrote_can_be_loaded(self, training: Training) -> None:
        kind, job = self.part().kind, training.job
        try:
            self.load(ModelRef(str(job.out), kind, None if kind is ModelKind.FULL else job.base))
        except Exception as error:
            pytest.fail(f"other tools load what the trainer wrote unchanged, and this can't be loaded: {error}")

    def test_its_counts_are_json(self, training: Training) -> None:
        """They go into the manifest."""
        counts = training.counts
        assert isinstance(counts, dict), "train() returns a dict of counts"
        try:
            text = json.dumps(counts, allow_nan=False)
        except (TypeError, ValueError) as error:
            pytest.fail(f"the counts that train() returns are JSON: {error}")
        assert json.loads(text) == counts, "the counts are as they were after they were read from JSON"
        for name in ("rows", "rows_dropped", "steps"):
            assert isinstance(counts.get(name, 0), int), f"reports read the count {name!r}, which is a whole number"
        for name in ("losses", "validation_losses"):
            assert all(len(pair) == 2 for pair in counts.get(name) or ()), f"{name!r} has the form [[step, loss], ...]"

    def test_it_reports_its_steps(self, training: Training) -> None:
        """Without signs of life a training is taken for hung, and started again."""
        steps, reports = training.services.ticks, training.services.reports
        assert steps, "services.tick(step, total_steps) is called after each step"
        total = steps[-1][1]
        assert steps == [(step, total) for step in range(1, total + 1)], "services.tick is called after each step, once"
        assert reports, "services.report(...) reports progress"
        numbers = [report.step for report in reports]
        assert numbers == sorted(set(numbers)) and numbers[-1] == total, "steps are reported in order, the last one too"
        assert {report.total_steps for report in reports} == {total}, "reports name the number of steps"

    def test_it_writes_into_its_folder_alone(self, training: Training) -> None:
        """Other trainings use the same base and the same rows."""
        assert not training.changed, (
            f"a trainer writes into job.out and through its services alone; changed: {', '.join(training.changed)}"
        )

    def test_the_same_seed_gives_the_same_bytes(self, training: Training, base: ModelRef, tmp_path: Path) -> None:
        """A model is found by what it was made from."""
        with no_global_generator():
            again = self.train(base, tmp_path)
        assert again.files == training.files, "equal jobs give equal files: random numbers come from job.seed"

    def test_what_the_process_did_before_changes_nothing(
        self, training: Training, base: ModelRef, tmp_path: Path
    ) -> None:
        """Cells follow one another in a process."""
        assert training.job.seed != OTHER_SEED, "the training before, in this process, has another seed"
        here = self.train(base, tmp_path, seed=OTHER_SEED)
        job = replace(here.job, out=tmp_path / "elsewhere")
        assert describe(here.job.out) == elsewhere(_trained, self.spec(), job), (
            "a training after another one in a process writes the files that it writes in another process: nothing of "
            "the one before is kept, in the class or its module"
        )

    def test_an_interrupted_training_ends_with_the_same_bytes(
        self, training: Training, base: ModelRef, tmp_path: Path
    ) -> None:
        """It resumes from `services.latest_checkpoint()`."""
        saved = tmp_path / "checkpoint"
        first = self.train(base, tmp_path, FolderServices(saved, die_after=EVERY), EVERY)
        if not first.services.saved:
            pytest.skip("it saves no checkpoints, so it begins again")
        second = self.train(base, tmp_path, FolderServices(saved), EVERY)
        assert second.services.ticks[0][0] == EVERY + 1, (
            f"a training resumes from the newest checkpoint, here after step {EVERY}"
        )
        assert second.files == training.files, "a resumed training writes the files that an undisturbed one writes"

    def test_a_checkpoint_that_is_asked_for_is_saved(self, base: ModelRef, tmp_path: Path) -> None:
        """A machine may be about to go."""
        services = FolderServices(tmp_path / "checkpoint")
        services.asked_for = {1}
        self.train(base, tmp_path, services, EVERY)
        if not services.saved:
            pytest.skip("it saves no checkpoints")
        assert services.saved[0] == 1, "a checkpoint is saved where services.tick returned True, here after step 1"


def _trained(spec: Spec, job: TrainJob) -> dict[str, Any]:
    """Train with the trainer of a spec, without checkpoints, and describe its files."""
    part = TRAINERS.create(spec)
    job.out.mkdir()
    part.prepare()
    part.train(job, FolderServices())
    return describe(job.out)


def _files_around(job: TrainJob) -> dict[str, Any]:
    """Return the files of a training's base and of its folder, without those that it may write."""
    base = describe(Path(job.base.location))
    beside = describe(job.out.parent)
    written = (f"{job.out.name}/", "checkpoint/")
    kept = {name: entry for name, entry in beside.items() if not name.startswith(written)}
    return {f"the base's {name}": entry for name, entry in base.items()} | kept
