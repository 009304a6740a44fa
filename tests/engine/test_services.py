"""The services of a training (reports, checkpoints), and completions and verdicts from inside a stage."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.engine.base import BatchOutput, ExecuteJob, GenerateJob
from raysweep.engine.checkpoints import Notice, TrainingServices
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.engine.services import ModelService
from raysweep.generators.base import LiveModel
from raysweep.models.loading import load_model
from raysweep.programs import Limits, Outcome, Program, Verdict
from raysweep.records import Completion, Decoding, GenerationRequest, TrainingStep
from raysweep.storage.files import Files
from raysweep.storage.store import Store
from tests.clock import Clock
from tests.tiny import make_tiny


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return make_tiny("llama", tmp_path_factory.mktemp("llama"))


def services(folder: Path, **more: int) -> tuple[TrainingServices, ProgressFile]:
    progress = ProgressFile(Files(str(folder / "progress")), "cell")
    model_service = ModelService(LocalStages(), store_in(folder), progress)
    return TrainingServices(Files(str(folder / "work")), progress, model_service, **more), progress


def store_in(folder: Path) -> Store:
    store = Store(folder / "store")
    store.require_writable()
    return store


class CountingStages(LocalStages):
    """Counts what reaches the engine."""

    def __init__(self) -> None:
        self.models: list[object] = []
        self.programs = 0

    def generate(self, job: GenerateJob, progress: ProgressFile) -> Iterator[BatchOutput[Completion]]:
        self.models.append(job.model)
        return super().generate(job, progress)

    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[BatchOutput[Verdict]]:
        self.programs += sum(len(batch.programs) for batch in job.batches)
        return super().execute(job, progress)


def newest(shim: TrainingServices) -> str | None:
    with shim.latest_checkpoint() as folder:
        return (folder / "state").read_text() if folder else None


def test_the_newest_complete_checkpoint_is_kept_and_found(tmp_path):
    shim, _ = services(tmp_path)
    assert newest(shim) is None
    for step in (10, 20):
        shim.save_checkpoint(step, lambda folder, step=step: (folder / "state").write_text(str(step)))
    assert newest(shim) == "20"
    assert len(list(tmp_path.glob("work/step-*"))) == 1


class Warned(TrainingServices):
    """Services that are told which machines will be taken away."""

    told: Notice | None = None

    def notice(self) -> Notice | None:
        return self.told


def test_a_notice_asks_for_a_checkpoint_and_for_further_ones_as_time_passes(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("raysweep.engine.checkpoints.time", clock)
    plain, progress = services(tmp_path)
    shim = Warned(Files(str(tmp_path / "work")), progress, plain._model_service)
    assert not plain.tick(1, 9) and not shim.tick(1, 9)

    def save(step: int) -> None:
        shim.save_checkpoint(step, lambda folder: clock.sleep(0.5))

    shim.told = Notice({"a": "10.0.0.7"}, clock.time() + 24.4)
    assert shim.tick(2, 9) and shim.tick(3, 9), "until one is saved"
    save(3)
    assert not shim.tick(4, 9)
    clock.sleep(0.6)
    assert shim.tick(5, 9), "as much time has passed as a checkpoint takes"
    save(8)
    shim.told = Notice({"a": "10.0.0.7", "b": "10.0.0.8"})
    assert shim.tick(8, 9)
    save(8)
    told = [line.partition("! ")[2] for line in progress.activity.tail if "! " in line]
    assert told == [
        "node 10.0.0.7 is drained, 24 s left; checkpoint saved at step 3",
        "nodes 10.0.0.7, 10.0.0.8 are drained; checkpoint saved at step 8",
    ]


def test_a_checkpoint_that_was_not_finished_does_not_count(tmp_path):
    shim, _ = services(tmp_path)
    shim.save_checkpoint(10, lambda folder: (folder / "state").write_text("10"))

    def fail(folder: Path) -> None:
        (folder / "state").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        shim.save_checkpoint(20, fail)
    assert newest(shim) == "10"


@pytest.mark.parametrize("harm", ["20", "3", ""])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, harm):
    shim, _ = services(tmp_path)
    shim.save_checkpoint(10, lambda folder: (folder / "state").write_text("10"))
    older = next(tmp_path.glob("work/step-*"))
    shutil.copytree(older, tmp_path / "kept")
    shim.save_checkpoint(30, lambda folder: (folder / "state").write_text("30"))
    shutil.copytree(tmp_path / "kept", older)
    assert newest(shim) == "30"
    (next(tmp_path.glob("work/step-00000030*")) / "state").write_text(harm)
    assert newest(shim) == "10"


def test_only_rank_zero_tells(tmp_path):
    shim, told = services(tmp_path, rank=1, world_size=2)
    shim.report(TrainingStep(1, 4, 0.5, 1e-3, 100))
    first, heard = services(tmp_path / "first")
    first.report(TrainingStep(1, 4, 0.5, 1e-3, 100))
    assert told.latest() is None
    latest = heard.latest()
    assert latest is not None and (latest.done, latest.total, latest.detail) == (1, 4, "loss 0.500, lr 1.0e-03")


def test_equal_programs_are_run_once_and_the_next_process_finds_their_verdicts(tmp_path):
    programs = [Program("assert 1 == 1"), Program("assert 1 == 2"), Program("assert 1 == 1")]
    for expected in (2, 0):
        stages = CountingStages()
        with stages, ModelService(stages, store_in(tmp_path), ProgressFile(Files(str(tmp_path)), "x")) as service:
            for _ in range(2):
                verdicts = service.execute(programs, Limits(timeout=5))
                assert [v.outcome for v in verdicts] == [Outcome.PASSED, Outcome.FAILED, Outcome.PASSED]
        assert stages.programs == expected


@pytest.mark.slow
def test_a_live_model_writes_what_its_files_write_and_stays_as_it_was(tmp_path, llama):
    ref, decoding = llama, Decoding(max_new_tokens=6)
    requests = [GenerationRequest(str(n), f"T/{n}", "def f0(xs):\n" * (1 + n % 3)) for n in range(7)]
    network, tokenizer = load_model(ref)
    network.train()
    stages = CountingStages()
    with stages, ModelService(stages, store_in(tmp_path), ProgressFile(Files(str(tmp_path)), "x")) as service:
        live = service.generate(LiveModel(network, tokenizer), requests, decoding)
        assert not stages.models and network.training and not network.get_output_embeddings()._forward_pre_hooks
        assert live == service.generate(ref, requests, decoding) and stages.models == [ref]
    assert [completion.task_id for completion in live] == [request.task_id for request in requests]


def test_a_model_is_loaded_once_for_several_calls(tmp_path, llama, monkeypatch):
    loads = []
    monkeypatch.setattr("raysweep.models.versions.load_model", lambda ref: loads.append(ref) or load_model(ref))
    request = GenerationRequest("0", "T/0", "def f0(xs):\n")
    with LocalStages() as stages:
        service = ModelService(stages, store_in(tmp_path), ProgressFile(Files(str(tmp_path)), "x"))
        for prompt in ("def f0(xs):\n", "def f1(xs):\n"):
            service.generate(llama, [dataclasses.replace(request, prompt=prompt)], Decoding(max_new_tokens=2))
    assert loads == [llama]
