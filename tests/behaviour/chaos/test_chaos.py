"""A sweep that loses its driver, any of its processes or a node ends as if nothing had happened, and does little twice.

Several kinds of processes are killed in one sweep. With RAYSWEEP_CHAOS_MOMENTS=N each kind has N sweeps of its own, in
which it is killed once; RAYSWEEP_CHAOS_SEED (default 1) chooses the moments. In small: test_one_kill.py kills a trial,
tests/behaviour/sweeps/test_two_sweeps.py kills a command without Ray and lets another one resume its training, and
tests/behaviour/ray/test_drains.py takes a node away.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.chaos.harness import Reference, Strike, Sweep, disturbed, undisturbed
from tests.behaviour.chaos.nodes import two_nodes
from tests.behaviour.chaos.processes import Victim
from tests.paths import NANO, WITH_SOLVER
from tests.patience import PATIENCE

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.long]

LONGER = (
    WITH_SOLVER,
    # so that each kind of process is there for some seconds:
    "ray.dashboard=false",
    "recovery.backoff_seconds=0.5",
    "models.0.pretrain.source.rows=2400",
    "training.source.rows=3200",
    "checkpoint_every=20",
    "evaluation.problems.0.count=20",
    "evaluation.samples=4",
    "evaluation.temperature=0.8",
    "evaluation.max_new_tokens=48",
)
SHARED = (
    "recipes.shared={epochs: 1, batch_size: 16, lr: 1.0e-3, max_tokens: 256, workers: 2, parallel: zero2}",
    "models.0.recipes=[shared]",
)
IDLE_SWEEPS = 4
"""After so many sweeps without a kill, the kinds that are left are taken for ones that never run."""
SOON = 3
"""From this sweep on, a kind is struck as soon as it is seen."""
EACH_ALONE = "RAYSWEEP_CHAOS_MOMENTS" in os.environ
MOMENTS = range(1, 1 + int(os.environ.get("RAYSWEEP_CHAOS_MOMENTS", "1")))
SEED = os.environ.get("RAYSWEEP_CHAOS_SEED", "1")
ABOVE = (Victim.DRIVER, Victim.RAYLET, Victim.TRAIN_WORKER)
BELOW = (
    Victim.SHARED_TASK,
    Victim.TRIAL,
    Victim.DATA_ACTOR,
    Victim.DATA_TASK,
    Victim.HOST,
    Victim.HOST_KEEPER,
    Victim.EXECUTION_ACTOR,
    Victim.KEEPER,
    Victim.ZYGOTE,
)


def each_or_all(victims: Sequence[Victim]) -> pytest.MarkDecorator:
    """Give a test all victims at once, or one at a time."""
    groups = [(victim,) for victim in victims] if EACH_ALONE else [tuple(victims)]
    return pytest.mark.parametrize("victims", groups, ids=label_of)


def label_of(victims: Sequence[Victim]) -> str:
    return ", ".join(victim.label for victim in victims)


def nano(storage: Path, *overrides: str, **more) -> Sweep:
    return Sweep(NANO, storage, (*LONGER, *overrides), **more)


def struck(
    sweep: Sweep,
    victims: Sequence[Victim],
    moment: int,
    reference: Reference,
    content: Any,
    before: Path | None = None,
    **more,
) -> list[str]:
    """Strike each once at a random moment, or earlier in a further sweep; say what is wrong.

    A sweep has time for a few strikes only: each waits until the one before is got over. So there are as many sweeps as
    it takes, and a kind that is there for moments is struck as soon as it is seen in the later ones.

    `reference`: when such processes are there. `content`: of the undisturbed store.
    """
    rng = random.Random(f"{SEED}/{label_of(victims)}/{moment}")
    shares = {victim: rng.random() for victim in victims}
    problems: list[str] = []
    number = idle = 0
    while shares and idle < IDLE_SWEEPS:
        again = replace(sweep, storage=sweep.storage.with_name(f"store-{number}"))
        if before is not None:
            shutil.copytree(before, again.storage)
        strikes = [Strike(victim, share * reference.exposure.get(victim, 0.0)) for victim, share in shares.items()]
        outcome = disturbed(again, strikes, rng, PATIENCE, **more)
        problems += outcome.problems(content)
        idle = 0 if outcome.kills else idle + 1
        number += 1
        earlier = 0.5 if number < SOON else 0.0
        shares = {strike.victim: shares[strike.victim] * earlier for strike in outcome.coming}
    return [*problems, *(f"no {victim.label} was seen in {number} sweeps" for victim in shares)]


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("undisturbed") / "store"


@pytest.fixture(scope="module")
def reference(storage) -> Reference:
    """An undisturbed run, trainings in their trials; some of its programs pass."""
    found = undisturbed(nano(storage), PATIENCE)
    outcomes = {row[2] for name, rows in found.content.items() if name.startswith("results/") for row in rows}
    assert "passed" in outcomes and len(outcomes) > 1
    return found


@pytest.fixture(scope="module")
def untuned(storage, reference, tmp_path_factory) -> Path:
    """The undisturbed store without fine-tuned models and all that came after them."""
    copy = Path(shutil.copytree(storage, tmp_path_factory.mktemp("untuned") / "store"))
    for stage in ("model", "completions", "results"):
        shutil.rmtree(copy / "artefacts" / stage)
    return copy


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"moment {moment}")
@each_or_all(BELOW)
def test_killed_with_kill_9_the_sweep_ends_as_if_nothing_had_happened(victims, moment, reference, tmp_path):
    assert not struck(nano(tmp_path / "store"), victims, moment, reference, reference.content)


@pytest.fixture(scope="module")
def shared(untuned, tmp_path_factory) -> Reference:
    """An undisturbed run in which two workers train each model, and share it by ZeRO."""
    pytest.importorskip("deepspeed")
    storage = Path(shutil.copytree(untuned, tmp_path_factory.mktemp("shared") / "store"))
    return undisturbed(nano(storage, *SHARED), PATIENCE)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"moment {moment}")
@each_or_all(ABOVE)
def test_so_it_does_when_workers_share_a_training(victims, moment, shared, untuned, tmp_path):
    assert not struck(nano(tmp_path / "store", *SHARED), victims, moment, shared, shared.content, untuned)


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: f"moment {moment}")
def test_so_it_does_when_a_node_is_lost_that_cells_run_on(moment, reference, untuned, tmp_path):
    with two_nodes() as nodes:
        sweep = nano(tmp_path / "store", address=nodes.ray.address, roots=(nodes.ray.process.pid,))
        strike = nodes.remove_node_of
        assert not struck(sweep, [Victim.TRIAL], moment, reference, reference.content, untuned, strike=strike)
        assert len(nodes.removed) == 1
