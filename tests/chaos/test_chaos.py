"""A sweep that loses its driver, any of its processes or a node ends as if nothing had happened, and does little twice.

RAYSWEEP_CHAOS_MOMENTS (default 1): how many moments each kind of process is killed at; RAYSWEEP_CHAOS_SEED (default 1)
chooses them.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.chaos.harness import Disturbed, Reference, Strike, Sweep, disturbed, undisturbed
from tests.chaos.processes import Victim
from tests.chaos.two_nodes import two_nodes

pytestmark = [pytest.mark.ray, pytest.mark.chaos]

NANO = Path(__file__).parents[1] / "nano.yaml"
LONGER = (  # so that each kind of process is there for some seconds
    "ray.dashboard=false",
    "models.0.pretrain.source.rows=4000",
    "training.source.rows=4800",
    "checkpoint_every=20",
    "evaluation.problems.0.count=20",
    "evaluation.samples=4",
    "evaluation.temperature=0.8",
    "evaluation.max_new_tokens=48",
)
IN_WORKERS = "resources.processes=workers"
LIMIT = 400.0  # seconds for one run of the command
MOMENTS = range(1, 1 + int(os.environ.get("RAYSWEEP_CHAOS_MOMENTS", "1")))
SEED = os.environ.get("RAYSWEEP_CHAOS_SEED", "1")
VICTIMS = [victim for victim in Victim if victim not in (Victim.TRAIN_WORKER, Victim.GCS)]


def nano(storage: Path, *overrides: str, **more) -> Sweep:
    return Sweep(NANO, storage, (*LONGER, *overrides), **more)


def struck(
    sweep: Sweep, victim: Victim, moment: int, reference: Reference, before: Path | None = None, **more
) -> Disturbed:
    """Strike once at a random moment; at an earlier one when the sweep was faster this time and had ended by then."""
    rng = random.Random(f"{SEED}/{victim.label}/{moment}")
    share = rng.random()
    for tried in range(3):
        shutil.rmtree(sweep.storage, ignore_errors=True)
        if before is not None:
            shutil.copytree(before, sweep.storage)
        strike = Strike(victim, share * reference.exposure[victim] / 2**tried)
        outcome = disturbed(sweep, [strike], rng, LIMIT, **more)
        if outcome.kills:
            return outcome
    raise AssertionError(f"no {victim.label} was there in time")


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("undisturbed") / "store"


@pytest.fixture(scope="module")
def reference(storage) -> Reference:
    """An undisturbed run, trainings in their trials."""
    return undisturbed(nano(storage), LIMIT)


@pytest.fixture(scope="module")
def untuned(storage, reference, tmp_path_factory) -> Path:
    """The undisturbed store without fine-tuned models and all that came after them."""
    copy = Path(shutil.copytree(storage, tmp_path_factory.mktemp("untuned") / "store"))
    for stage in ("model", "completions", "results"):
        shutil.rmtree(copy / "artefacts" / stage)
    return copy


@pytest.fixture(scope="module")
def reference_in_workers(untuned, tmp_path_factory) -> Reference:
    """An undisturbed run from there, with trainings in worker processes of Ray Train."""
    copy = shutil.copytree(untuned, tmp_path_factory.mktemp("workers") / "store")
    return undisturbed(nano(Path(copy), IN_WORKERS), LIMIT)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"moment {moment}")
@pytest.mark.parametrize("victim", VICTIMS, ids=lambda victim: victim.label)
def test_killed_with_kill_9_the_sweep_ends_as_if_nothing_had_happened(victim, moment, reference, tmp_path):
    outcome = struck(nano(tmp_path / "store"), victim, moment, reference)
    assert not outcome.problems(reference.content)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"moment {moment}")
def test_so_it_does_when_a_worker_process_of_a_training_is_killed(
    moment, reference, reference_in_workers, untuned, tmp_path
):
    sweep = nano(tmp_path / "store", IN_WORKERS)
    outcome = struck(sweep, Victim.TRAIN_WORKER, moment, reference_in_workers, untuned)
    assert not outcome.problems(reference.content)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"moment {moment}")
def test_so_it_does_when_a_node_is_lost_that_cells_run_on(moment, reference, tmp_path):
    with two_nodes(tmp_path / "nodes.log") as cluster:
        sweep = nano(tmp_path / "store", address=cluster.address, roots=(cluster.process.pid,))
        outcome = struck(sweep, Victim.TRIAL, moment, reference, strike=cluster.remove_node_of)
        assert len(cluster.removed) == 1
    assert not outcome.problems(reference.content)
