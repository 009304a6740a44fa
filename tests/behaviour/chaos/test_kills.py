"""The harness itself: it finds what it is there to find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from raysweep.execution.pool import Executor
from raysweep.programs import Limits, Program
from raysweep.records import Score
from raysweep.rows.parquet import write_rows
from tests.behaviour.chaos import processes
from tests.behaviour.chaos.evidence import content, differences, manifests, snapshot
from tests.behaviour.chaos.kills import Kill
from tests.behaviour.chaos.parts import Part, Parts, parts_of
from tests.behaviour.chaos.processes import ProcessTree, Seen, Victim, victim_of
from tests.paths import NANO
from tests.patience import eventually

SWEEP = Parts("s", 20, (Part("cell", "model/m", "evaluation/e", ("completions/c",), ("results/r",)),))


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def tell(storage: Path, stage: str, done: int, state: str = "running") -> None:
    write(storage / "sweeps/s/progress/cell.json", {"id": "cell", "stage": stage, "done": done, "state": state})


def commit(storage: Path, name: str, **counts: int) -> None:
    stage, key = name.split("/")
    facts = {"stage": stage, "key": key, "counts": counts, "files": {}}
    write(storage / "artefacts" / stage / key[:2] / key / "manifest.json", facts)


def killed(storage: Path, victim: Victim = Victim.DRIVER) -> Kill:
    return Kill.now(victim, 1.0, SWEEP, snapshot(storage, "s"))


@pytest.fixture
def half_made(tmp_path) -> Path:
    """A store with a checkpoint of step 40, a block of two completions, and a training set."""
    tell(tmp_path, "training", 55)
    write(tmp_path / "unfinished/model/m/step-00000040-abc/COMPLETE", {})
    write(tmp_path / "unfinished/evaluation/e/completions/1.json", {"p1": {}, "p2": {}})
    write(tmp_path / "leases/model-m.json", {"pid": 1})
    write(tmp_path / "leases/evaluation-e.json", {"pid": 1})
    commit(tmp_path, "training_set/t")
    time.sleep(0.02)  # what is written from now on has another time
    return tmp_path


def finish(storage: Path, resumed_from: int, prompts_resumed: int) -> list[str]:
    """Let another process take over and end the work; return what a kill before it finds wrong."""
    kill = killed(storage)
    for name in ("model-m", "evaluation-e"):
        write(storage / f"leases/{name}.json", {"pid": 2})
    kill.look(storage)
    commit(storage, "model/m", resumed_from=resumed_from)
    commit(storage, "completions/c", prompts_resumed=prompts_resumed)
    commit(storage, "results/r")
    return kill.problems(manifests(storage))


def test_work_that_goes_on_from_what_was_safe_is_right(half_made):
    assert finish(half_made, 40, 2) == []


def test_training_from_an_older_step_is_found(half_made):
    assert finish(half_made, 20, 2) == ["driver killed after 1 s: cell did not go on from step 40"]


def test_rows_made_again_are_found_in_the_counts(half_made):
    assert finish(half_made, 40, 1) == ["driver killed after 1 s: cell did not go on from 2 rows of completions"]


def test_what_a_killed_runs_processes_still_finish_need_not_have_been_resumed(half_made):
    kill = killed(half_made)
    kill.look(half_made)
    commit(half_made, "model/m", resumed_from=0)
    assert kill.problems(manifests(half_made)) == []


def test_a_checkpoint_and_a_block_written_once_more_are_seen(half_made):
    kill = killed(half_made, Victim.TRIAL)
    write(half_made / "unfinished/model/m/step-00000020-def/COMPLETE", {})
    write(half_made / "unfinished/evaluation/e/completions/2.json", {"p2": {}, "p3": {}})
    kill.look(half_made)
    assert [problem.split(": ", 1)[1] for problem in kill.problems(manifests(half_made))] == [
        "written again: evaluation/e/completions: 1 rows of blocks that were there",
        "written again: model/m: step 20, though a checkpoint of step 40 was there",
    ]


def test_committed_work_that_is_made_again_is_found(half_made):
    kill = killed(half_made)
    commit(half_made, "training_set/t", rows=2)
    assert kill.problems(manifests(half_made)) == [
        "driver killed after 1 s: committed work was made again: training_set/t"
    ]


def test_more_steps_without_a_checkpoint_than_the_interval_are_found(half_made):
    tell(half_made, "training", 61)
    assert killed(half_made).problems(manifests(half_made)) == [
        "driver killed after 1 s: 21 steps were in no checkpoint, the interval is 20"
    ]


def test_rows_that_are_done_and_in_no_block_are_found(half_made):
    tell(half_made, "generating", 3)
    assert killed(half_made).problems(manifests(half_made)) == [], "a block is written every half minute"
    os.utime(half_made / "unfinished/evaluation/e/completions/1.json", (time.time() - 60,) * 2)
    assert killed(half_made).problems(manifests(half_made)) == [
        "driver killed after 1 s: 1 rows were told to be done and in no block"
    ]


def test_a_sweep_is_back_when_every_activity_is_further_than_it_was(half_made):
    kill = killed(half_made, Victim.TRIAL)
    for stage, done in (("starting", 0), ("training", 41)):
        tell(half_made, stage, done)
        kill.look(half_made)
        assert kill.recovered is None
    tell(half_made, "generating", 0)
    kill.look(half_made)
    assert kill.recovered is not None


def test_what_the_processes_of_a_killed_driver_still_do_is_no_recovery(half_made):
    kill = killed(half_made)
    tell(half_made, "training", 56)
    kill.look(half_made)
    assert kill.recovered is None
    write(half_made / "leases/model-m.json", {"pid": 2})
    kill.look(half_made)
    assert kill.recovered is not None


def test_adapters_differ_by_their_settings_and_not_by_their_bases_path(tmp_path):
    for store, settings in (("a", {"r": 8}), ("b", {"r": 8}), ("c", {"r": 4})):
        folder = tmp_path / store / "artefacts" / "model" / "ke" / "key"
        sets = {"target_modules": ["q", "k"] if store == "a" else ["k", "q"], "base_model_name_or_path": store}
        write(folder / "adapter_config.json", {**settings, **sets})
        files = {"adapter_config.json": {"sha256": store}, "weights": {"sha256": "w"}}
        write(folder / "manifest.json", {"stage": "model", "key": "key", "counts": {}, "files": files})
        (tmp_path / store / "sweeps" / "s").mkdir(parents=True)
        write_rows(tmp_path / store / "sweeps" / "s" / "scores.parquet", Score, [], ["model"])
    one, same, other = (content(tmp_path / store, "s") for store in "abc")
    assert differences(one, same) == []
    ours, theirs = ({"r": r, "target_modules": ["k", "q"]} for r in (8, 4))
    said = f"model/key: {('adapter_config.json', ours)!r}, not {('adapter_config.json', theirs)!r}"
    assert differences(one, other) == [said]


def test_every_artefact_of_nano_belongs_to_a_part():
    parts = parts_of(NANO, ("name=other", "checkpoint_every=3"))
    stages = sorted(name.split("/")[0] for part in parts.parts for name in part.artefacts)
    two = ["completions", "results"]
    sets = [*2 * ["source_rows", "training_set", "test_set"], "perturbed_rows", "references"]
    assert stages == sorted(["base_model", "model", *sets, *4 * two])
    assert (parts.name, parts.interval) == ("other", 3)


@pytest.mark.parametrize(
    ("title", "victim"),
    [
        ("ray::Cell.train", Victim.TRIAL),
        ("ray::MapWorker(MapBatches(generate llama.base))", Victim.DATA_ACTOR),
        ("ray::base)).__init__", Victim.DATA_ACTOR),
        ("ray::ExecutionActor.run", Victim.EXECUTION_ACTOR),
        ("ray::MapBatches(generate llama-base)", Victim.DATA_TASK),
        ("ray::Host", Victim.HOST),
        ("ray::Host generates llama.base", Victim.HOST),
        ("ray::HostKeeper.generate", Victim.HOST_KEEPER),
        ("/lib/ray/core/src/ray/raylet/raylet --raylet_socket_name=x", Victim.RAYLET),
        ("ray::IDLE", None),
        ("python -m pytest raylet/raylet", None),
    ],
)
def test_processes_are_known_by_their_titles(title, victim):
    assert victim_of(title) is victim


def test_a_process_is_what_its_title_says_now_and_an_actor_stays_one(monkeypatch):
    """A worker that the raylet has just forked bears the raylet's title until it runs another program."""
    raylet, worker = "/lib/ray/core/src/ray/raylet/raylet --raylet_socket_name=x", Seen(psutil.Process())
    expected = [
        (raylet, Victim.RAYLET),
        ("ray::IDLE", None),
        ("ray::make model", Victim.SHARED_TASK),
        ("ray::IDLE", None),
        ("ray::ExecutionActor.ready", Victim.EXECUTION_ACTOR),
        ("ray::execute llama.base", Victim.EXECUTION_ACTOR),
        ("", Victim.EXECUTION_ACTOR),
        ("/bin/sh", None),
    ]
    for title, victim in expected:
        monkeypatch.setattr(processes, "title_of", lambda pid, title=title: title)
        processes._classify(worker)
        assert worker.victim is victim, title


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tests", "children"), [("assert f() >= 0", ["judge", "launcher"]), ("", ["zygote"])], ids=["outside", "inside"]
)
def test_programs_are_not_taken_for_the_slot_that_forks_them(tests, children):
    programs = [Program(f"def f(): return {number}\nf()", tests) for number in range(100)]
    tree, found, zygotes = ProcessTree(), set(), set()
    with Executor(1) as executor:
        running = threading.Thread(target=executor.run, args=(programs, Limits()))
        running.start()
        tree.add_root(os.getpid())
        ended = False
        while not ended:
            ended = not running.is_alive()  # and one look more, since the slot's processes outlive a run
            tree.look()
            found |= {seen.process.pid for seen in tree.alive(Victim.KEEPER)}
            zygotes |= {seen.process.pid for seen in tree.alive(Victim.ZYGOTE)}
    assert len(found) == 1 and len(zygotes) == len(children)


def test_a_tree_keeps_processes_whose_parent_has_ended_and_no_others():
    code = "import subprocess, sys; subprocess.Popen(['sleep', '3600']); sys.stdin.read()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    tree = ProcessTree()
    tree.add_root(parent.pid, Victim.DRIVER)

    def both_are_seen() -> bool:
        tree.look()
        return len(tree.pids) == 2

    assert eventually(both_are_seen)
    parent.kill()
    parent.wait()
    tree.look()
    assert tree.alive(Victim.DRIVER) == [] and os.getpid() not in tree.pids
    (left,) = tree.leftovers(patience=0.0)
    assert left.endswith("sleep 3600 ") and not tree.pids
