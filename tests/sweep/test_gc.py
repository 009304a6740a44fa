"""What `raysweep gc` finds and removes, and what it leaves alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from raysweep.config.loading import config_from, to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.planning.planner import build_plan
from raysweep.storage import leases
from raysweep.storage.artefacts import MANIFEST, Node, Unit, folder_of
from raysweep.storage.leases import Lease
from raysweep.storage.store import Store
from raysweep.storage.uses import USES
from raysweep.sweep import run as run_module
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.gc import INDEX, UNFINISHED, open_for_gc, remove, survey
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.patience import eventually
from tests.storage.object_store import ACCOUNT, served
from tests.storage.stores import content
from tests.sweep.few_problems import few
from tests.tiny import make_tiny

HOUR = 3600


def config(name: str, perturbation: str, **more: object) -> SweepConfig:
    """Return the config of a sweep of two pairs; all sweeps have the clean one in common."""
    return few(name, **{"perturbations": [perturbation], "limit": 2, **more})


def run(root: object, name: str, perturbation: str) -> None:
    assert not run_sweep(config(name, perturbation), RunOptions(str(root), "local")).errors


@pytest.fixture(scope="module")
def two_sweeps(tmp_path_factory) -> Path:
    """A store with two finished sweeps."""
    root = tmp_path_factory.mktemp("finished")
    run(root, "a", "C1")
    run(root, "b", "C2")
    return root


@pytest.fixture
def store(two_sweeps, tmp_path) -> Store:
    """A copy of this store, which a test may change. All its files are an hour old."""
    root = Path(shutil.copytree(two_sweeps, tmp_path / "store"))
    age(root)
    return open_for_gc(Store(root))


def age(root: Path) -> None:
    """Make all files an hour old."""
    for path in root.rglob("*"):
        os.utime(path, (time.time() - HOUR, time.time() - HOUR))


def forget(store: Store, *names: str) -> None:
    for name in names:
        store.files.remove_folder(f"sweeps/{name}")


def found(store: Store) -> Counter[str]:
    return Counter(one.kind for one in survey(store).unused)


def take(store: Store, name: str) -> Lease:
    lease = store.leases.take(name)
    assert lease is not None
    return lease


ONLY_B = Counter({"test_set": 1, "completions": 1, "results": 1, INDEX: 1})
"""What the second sweep has made for itself alone."""


@pytest.mark.slow
def test_all_that_sweeps_use_stays(store):
    everything = store.files.infos()
    assert survey(store).sweeps == 2 and found(store) == Counter()
    assert remove(store).removed == () and store.files.infos() == everything


@pytest.mark.slow
def test_looking_writes_nothing_and_removing_leaves_exactly_what_the_other_sweep_uses(store, tmp_path):
    run(tmp_path / "alone", "a", "C1")
    forget(store, "b")
    everything = store.files.infos()
    assert found(store) == ONLY_B and store.files.infos() == everything
    done = remove(store)
    assert not done.stopped and Counter(one.kind for one in done.removed) == ONLY_B
    assert sum(one.bytes for one in done.removed) == sum(
        info.size for name, info in everything.items() if name not in store.files.infos()
    )
    assert content(store.root) == content(tmp_path / "alone") and found(store) == Counter()


@pytest.mark.slow
def test_what_a_sweep_would_use_stays_though_it_has_made_nothing(store):
    SweepFolder(store, "planned").claim(build_plan(config("planned", "C2")), to_yaml(config("planned", "C2")))
    forget(store, "a", "b")
    assert found(store) == Counter({"test_set": 1, "completions": 1, "results": 1, INDEX: 1}), "those of a alone"


def test_a_sweep_whose_list_is_missing_or_broken_stops_everything(store):
    forget(store, "b")
    store.files.remove(f"sweeps/a/{USES}")
    with pytest.raises(UsageError, match=r"unknown what the sweep 'a' uses, so .* removed: .*uses\.parquet is missing"):
        remove(store)
    store.files.write(f"sweeps/a/{USES}", "torn")
    with pytest.raises(UsageError, match=r"can't be read .* Run its command again, or remove .*sweeps/a if"):
        survey(store)


@pytest.mark.slow
def test_a_model_that_a_sweep_names_by_its_folder_stays(store, tmp_path):
    node = Node("model", 1, {}, (), "m.full.C1.s1")
    with store.writing(node) as draft:
        shutil.copytree(make_tiny("llama", tmp_path / "tiny").location, draft.folder, dirs_exist_ok=True)
    age(Path(store.root))
    assert found(store) == Counter({"model": 1})
    models = [{"name": "mine", "path": store.folder(node)}]
    value = {"name": "named", "models": models, "evaluation": {"problems": ["humaneval"], "limit": 2}}
    plan = build_plan(config_from(value, "test"))
    SweepFolder(store, "named").claim(plan, to_yaml(plan.config))
    assert found(store) == Counter()


def test_the_sets_of_a_config_without_models_stay_as_long_as_its_folder(store):
    from raysweep.sweep.data_sets import make_data_sets

    sets = config("sets", "C3").model_copy(update={"models": []})
    assert len(make_data_sets(sets, RunOptions(store.root, "local")).sets) == 2
    age(Path(store.root))
    assert found(store) == Counter()
    forget(store, "sets")
    assert found(store) == Counter({"test_set": 1})


def test_results_of_an_attack_stay_though_no_sweep_uses_them(store):
    with store.writing(Node("attack", 1, {}, (), "attack")) as draft:
        (draft.folder / "rows.parquet").write_text("rows")
    store.unfinished(Unit("attack", "a" * 64, "")).write("block.json", "{}")
    age(Path(store.root))
    assert found(store) == Counter()


def test_leftovers_of_killed_processes_are_found_and_what_a_sweep_may_resume_from_is_not(store):
    row = SweepFolder(store, "a").grid()[0]
    store.remove(row.completions)
    half = f"{folder_of(row.completions)}/rows.parquet"
    for name in (half, "staging/completions-0123-ab/rows.parquet", f"unfinished/model/{'9' * 64}/step-1/COMPLETE"):
        store.files.write(name, "some bytes")
    store.unfinished(row.completions).write("block.json", "{}")
    store.unfinished(row.test_set).write("block.json", "{}")
    age(Path(store.root))
    assert found(store) == Counter({"completions": 1, "staging": 1, UNFINISHED: 2})
    remove(store)
    assert list(store.unfinished(row.completions).infos()) == ["block.json"]
    assert not store.files.infos("staging") and not store.unfinished(row.test_set).infos()
    assert store.files.info(half) is None and store.has(row.test_set)


def test_a_removal_that_was_stopped_is_finished_by_the_next_one(store, tmp_path):
    forget(store, "b")
    total = len(survey(store).unused)

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    for left in range(total, 0, -1):
        assert len(survey(store).unused) == left
        with pytest.raises(KeyboardInterrupt):
            remove(store, stop)
    assert found(store) == Counter()


def test_an_artefact_without_its_manifest_is_removed_as_a_whole(store):
    forget(store, "b")
    one = next(one for one in survey(store).unused if one.kind == "results")
    store.files.remove(f"{one.name}/{MANIFEST}")
    assert found(store) == ONLY_B
    remove(store)
    assert not store.files.infos(one.name)


def test_a_run_that_has_written_its_list_keeps_what_is_newer_than_its_start_and_nothing_else(store):
    forget(store, "b")
    folder = SweepFolder(store, "a")
    with take(store, folder.lease):
        starting = survey(store)
        assert starting.unused == () and starting.left_out[0].number == ONLY_B.total()
        assert starting.left_out[0].reason.endswith("works in the store, and nothing says yet what it uses")
        folder.claim(build_plan(config("a", "C1")), to_yaml(config("a", "C1")))
        assert found(store) == ONLY_B
        one = next(one for one in survey(store).unused if one.kind == "results")
        store.files.write(f"{one.name}/new", "")
        assert found(store) == ONLY_B - Counter({"results": 1})
        assert survey(store).left_out[0].number == 1 and "written since process" in survey(store).left_out[0].reason
        assert Counter(done.kind for done in remove(store).removed) == ONLY_B - Counter({"results": 1})


def test_parts_of_what_a_running_sweep_may_be_making_stay(store):
    """A killed upload left them, and the sweep's process may be about to write the manifest over them."""
    forget(store, "b")
    results = SweepFolder(store, "a").grid()[0].results
    (Path(store.root) / folder_of(results) / MANIFEST).unlink()
    age(Path(store.root))
    with take(store, SweepFolder(store, "a").lease):
        SweepFolder(store, "a").claim(build_plan(config("a", "C1")), to_yaml(config("a", "C1")))
        assert found(store) == ONLY_B
        assert "parts of what may be made now" in survey(store).left_out[0].reason
    assert found(store) == ONLY_B + Counter({"results": 1})


def test_no_clock_decides_whose_list_a_list_is(store, monkeypatch):
    forget(store, "b")
    folder = SweepFolder(store, "a")
    for skew in (-3600, 3600):
        monkeypatch.setattr(leases.time, "time", lambda skew=skew, now=time.time: now() + skew)
        with take(store, folder.lease):
            assert survey(store).left_out[0].reason.endswith("nothing says yet what it uses"), "it is of an earlier run"
            folder.claim(build_plan(config("a", "C1")), to_yaml(config("a", "C1")))
            assert not any("nothing says yet" in one.reason for one in survey(store).left_out)
        monkeypatch.undo()


def test_a_process_of_no_sweep_may_use_anything(store):
    forget(store, "b")
    with take(store, f"attack-{'a' * 64}"):
        assert remove(store).removed == () and survey(store).left_out[0].number == ONLY_B.total()
    assert found(store) == ONLY_B


def test_a_cell_that_is_being_made_by_a_sweep_in_the_store_hinders_nothing_else(store):
    forget(store, "b")
    results = SweepFolder(store, "a").grid()[0].results
    store.unfinished(results).write("block.json", "{}")
    age(Path(store.root))
    with take(store, f"results-{results.key}"):
        assert found(store) == ONLY_B
    assert found(store) == ONLY_B + Counter({UNFINISHED: 1})


def test_removing_stops_when_a_process_begins(store):
    forget(store, "b")
    leases = []

    def begin(done: int) -> None:
        leases.append(take(store, "sweep-new"))

    done = remove(store, begin)
    assert len(done.removed) == 1 and done.stopped.endswith("has begun to work in the store")
    for lease in leases:
        lease.release()
    assert len(remove(store).removed) == ONLY_B.total() - 1


def test_two_removals_at_a_time_are_refused(store):
    with take(store, "gc"), pytest.raises(UsageError, match=r"process \d+ on .* is cleaning this store; wait for it"):
        remove(store)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "artefacts" / "model").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"is no store: it has no file raysweep-store\.json"):
        open_for_gc(Store(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["artefacts"]


@pytest.mark.slow
def test_a_sweep_looks_again_at_what_exists_when_its_run_begins(store, monkeypatch):
    forget(store, "b")
    lease = run_module.sweep_lease

    @contextlib.contextmanager
    def after_a_removal(folder):
        assert remove(store).removed
        with lease(folder) as held:
            yield held

    monkeypatch.setattr(run_module, "sweep_lease", after_a_removal)
    result = run_sweep(config("c", "C2"), RunOptions(store.root, "local"))
    assert not result.errors and result.cells_run == 1
    assert all(store.has(row.results) for row in result.folder.grid())


def test_a_sweep_waits_until_a_removal_has_ended(store, caplog, monkeypatch):
    caplog.set_level("INFO", logger="raysweep")
    monkeypatch.setattr(leases, "POLL_SECONDS", 0.1)
    cleaning = take(store, leases.CLEANING)
    thread = threading.Thread(target=run, args=(store.root, "a", "C1"))
    thread.start()
    assert eventually(lambda: "which removes what no sweep uses" in caplog.text)
    assert survey(store).unused == () and thread.is_alive()
    cleaning.release()
    thread.join()
    assert "waiting for process" in caplog.text


@pytest.mark.slow
@pytest.mark.long
def test_an_object_store_is_cleaned_in_the_same_way(tmp_path, monkeypatch):
    """In small: test_looking_writes_nothing_and_removing_leaves_exactly_what_the_other_sweep_uses."""
    with served() as server:
        for name, value in {**ACCOUNT, "RAYSWEEP_CACHE": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        run(server.uri("store"), "a", "C1")
        run(server.uri("store"), "b", "C2")
        store = open_for_gc(Store(server.uri("store")))
        assert found(store) == Counter()
        forget(store, "b")
        assert Counter(one.kind for one in remove(store).removed) == ONLY_B
        run(tmp_path / "alone", "a", "C1")
        assert content(server.uri("store")) == content(tmp_path / "alone")
