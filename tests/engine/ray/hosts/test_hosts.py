"""Hosts: one loaded base for all its versions, equal completions with any number of them, and none lost with one."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pickle
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from raysweep.engine.base import EditRun, GenerateJob
from raysweep.engine.completing import batches_of
from raysweep.engine.local import LocalStages
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster.cluster import Placement
from raysweep.engine.ray.hosts import keeper as hosts
from raysweep.engine.ray.hosts.generation import edit_with_ray, generate_with_ray
from raysweep.engine.ray.hosts.host import HostBatch, HostKind
from raysweep.engine.ray.numbers import gauges
from raysweep.errors import RaysweepError
from raysweep.generators.base import LiveModel
from raysweep.records import Completion, Decoding, GenerationRequest, ModelKind, ModelRef, Spec
from raysweep.storage.files import Files
from tests.models.test_versions import make_adapter
from tests.patience import PATIENCE, eventually
from tests.small_ray import SmallRay
from tests.tiny import make_tiny, pairs

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("connected")]

DELTA = "delta.safetensors"
IN_TRIAL = Placement(cpus=1, gpus=0, memory_bytes=0, in_trial=True)
ON_GPU = Placement(cpus=1, gpus=1, memory_bytes=0, in_trial=False)
DECODING = Decoding(16, temperature=0.8, samples=2)
Edit = Callable[[LiveModel, Callable[[], None]], dict[str, Any]]
Made = tuple[dict[int, list[Completion]], int]
"""Completions by batch, and how many whole models were loaded."""


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> ModelRef:
    return make_tiny("llama", tmp_path_factory.mktemp("llama"))


def job(model: ModelRef, base: ModelRef, cell: str, prompts: int = 24) -> GenerateJob:
    requests = {
        f"{n}/{sample}": GenerationRequest(f"{n}/{sample}", f"t{n}", prompt, sample, ("\ndef",), answer)
        for n, (prompt, answer) in enumerate(pairs(prompts))
        for sample in range(DECODING.samples)
    }
    batches = [[requests[key] for key in keys] for keys in batches_of(requests)]
    return GenerateJob("", model, Spec("transformers"), DECODING, batches, None, cell, base=base)


def run(job: GenerateJob, keeper: Any, folder: Path, placement: Placement = IN_TRIAL, actors: int = 1) -> Made:
    progress = ProgressFile(Files(str(folder)), job.label)
    outputs = list(generate_with_ray(job, placement, actors, progress, keeper))
    return {output.index: list(output.rows) for output in outputs}, sum(output.loads for output in outputs)


def locally(job: GenerateJob, folder: Path) -> dict[int, list[Completion]]:
    with LocalStages() as stages:
        return {out.index: list(out.rows) for out in stages.generate(job, ProgressFile(Files(str(folder)), "local"))}


def host_pids() -> list[int]:
    """Return the ids of the hosts' processes; a process's title says what it does."""
    return [pid for pid, title in titles().items() if title.startswith("ray::Host") and "Keeper" not in title]


def titles() -> dict[int, str]:
    """Return the titles of the processes of the Ray that this process is connected to, by their ids."""
    import ray

    session = ray._private.worker._global_node.get_session_dir_path()
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            parent = process.parent()
            if parent and session in " ".join(parent.cmdline()):  # the raylet's
                found[process.pid] = " ".join(process.cmdline())
    return found


def test_one_load_serves_a_base_and_all_its_adapters_in_turns(llama, keeper, tmp_path):
    adapters = [make_adapter(llama, "llama", "lora", tmp_path / f"{n}", n) for n in range(3)]
    cells = {f"лама.{n}": model for n, model in enumerate([llama, *adapters, llama])}
    kept = keeper(**dict.fromkeys(cells, "лама"))  # Ray takes ASCII alone
    loads, found = 0, []
    for cell, model in cells.items():
        made, loaded = run(job(model, llama, cell), kept, tmp_path)
        assert made == locally(job(model, llama, cell), tmp_path)
        loads += loaded
        found.append(made)
    assert loads == 1
    assert found[0] == found[-1] and len({str(sorted(made.items())) for made in found}) == 4


@pytest.mark.long
@pytest.mark.parametrize("placement", [IN_TRIAL, ON_GPU], ids=["in the trial", "on a GPU"])
def test_cells_at_once_share_the_hosts_and_get_what_one_alone_gets(placement, llama, keeper, tmp_path):
    """In small: tests/engine/ray/hosts/test_keeper.py."""
    adapters = [make_adapter(llama, "llama", "lora", tmp_path / f"{n}", n) for n in range(2)]
    cells = {f"llama.{n}": model for n, model in enumerate(adapters)}
    kept, made = keeper(**dict.fromkeys(cells, "llama")), {}

    def generate(cell: str) -> None:
        made[cell] = run(job(cells[cell], llama, cell), kept, tmp_path, placement, actors=2)

    threads = [threading.Thread(target=generate, args=(cell,)) for cell in cells]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for cell, model in cells.items():
        assert made[cell][0] == locally(job(model, llama, cell), tmp_path)
    most = 2 if placement is ON_GPU else 4  # the small Ray has one GPU; a host may end between two cells
    assert 1 <= sum(loads for _, loads in made.values()) <= most


@pytest.mark.long
def test_completions_depend_on_no_number_of_hosts_and_no_budget(llama, keeper, tmp_path):
    """In small: test_one_load_serves_a_base_and_all_its_adapters_in_turns."""
    asked = job(llama, llama, "llama.base", prompts=120)
    expected = locally(asked, tmp_path)
    for actors, batch_tokens in ((1, 200), (3, 2000)):
        kept = keeper(**{"llama.base": "llama"})
        made, loads = run(dataclasses.replace(asked, batch_tokens=batch_tokens), kept, tmp_path, actors=actors)
        assert made == expected and 1 <= loads <= actors


def edit_of(base: ModelRef, cell: str, edit: Edit) -> EditRun:
    """Return an edit by a cell whose completions are those of `job`."""
    return EditRun(edit, dataclasses.replace(job(base, base, cell), batches=()))


def edited(run: EditRun, keeper: Any, folder: Path) -> dict[str, Any]:
    return edit_with_ray(run, IN_TRIAL, ProgressFile(Files(str(folder)), run.job.label), keeper)


def scaled(out: str, factor: float, model: LiveModel, alive: Callable[[], None]) -> dict[str, Any]:
    """Multiply a matrix of the base, write it as a delta, and put the base back; note where that was."""
    import torch

    from raysweep.models.deltas import fingerprint, write_delta

    alive()
    state = model.network.state_dict()
    name = sorted(name for name in state if name.endswith("down_proj.weight"))[0]
    weight = model.network.get_parameter(name)
    own = weight.data
    weight.data = own * factor
    alive()
    made = weight.data.clone()
    weight.data = own
    Path(out).mkdir(parents=True)
    write_delta({name: made}, state, Path(out))
    return {"base": fingerprint(state), "pid": os.getpid(), "sum": float(torch.sum(made.double()))}


def killed_once(mark: str, out: str, model: LiveModel, alive: Callable[[], None]) -> dict[str, Any]:
    """Edit as above, with the base changed when the process is killed the first time."""
    if not Path(mark).exists():
        Path(mark).touch()
        next(model.network.parameters()).data += 1
        os.kill(os.getpid(), signal.SIGKILL)
    return scaled(out, 2.0, model, alive)


@pytest.mark.long
def test_one_load_serves_edits_and_what_edited_models_write_as_in_one_process(llama, keeper, tmp_path):
    """In small: tests/trainers/editors/test_running.py."""
    factors = {f"llama.{n}": 2.0 + n for n in range(2)}
    kept, counts, made, loads = keeper(**dict.fromkeys(factors, "llama")), {}, {}, 0
    for cell, factor in factors.items():
        out = tmp_path / "ray" / cell
        counts[cell] = edited(edit_of(llama, cell, functools.partial(scaled, str(out), factor)), kept, tmp_path)
        delta = ModelRef(str(out), ModelKind.DELTA, llama)
        made[cell], loaded = run(job(delta, llama, cell), kept, tmp_path)
        loads += loaded
    assert loads == 1 and len({each.pop("pid") for each in counts.values()}) == 1
    for cell, factor in reversed(factors.items()):  # in the other order, each with a base loaded for it
        out = tmp_path / "local" / cell
        with LocalStages() as stages:
            run_here = edit_of(llama, cell, functools.partial(scaled, str(out), factor))
            alone = stages.edit(run_here, ProgressFile(Files(str(tmp_path)), "local"))
        alone.pop("pid")
        assert alone == counts[cell]
        assert (out / DELTA).read_bytes() == (tmp_path / "ray" / cell / DELTA).read_bytes()
        assert made[cell] == locally(job(ModelRef(str(out), ModelKind.DELTA, llama), llama, cell), tmp_path)
    assert made["llama.0"] != made["llama.1"]


@pytest.mark.long
def test_an_edit_whose_host_is_killed_with_a_changed_base_is_made_by_another_and_the_user_is_told(
    llama, keeper, tmp_path
):
    """In small: test_batches_of_a_host_that_is_killed_are_done_by_another."""
    killed = functools.partial(killed_once, str(tmp_path / "mark"), str(tmp_path / "killed"))
    progress = ProgressFile(Files(str(tmp_path)), "llama.0")
    progress.update("editing")
    made = edit_with_ray(edit_of(llama, "llama.0", killed), IN_TRIAL, progress, keeper(**{"llama.0": "llama"}))
    progress.update("generating")  # by the edit's cell, whose process didn't write the line
    told = "! the process that held llama died; another one does its batch"
    assert [line for line in progress.activity.tail if line.endswith(told)]
    here = edit_of(llama, "llama.0", functools.partial(scaled, str(tmp_path / "here"), 2.0))
    alone = LocalStages().edit(here, ProgressFile(Files(str(tmp_path)), "local"))
    assert (tmp_path / "mark").exists() and made.pop("pid") != alone.pop("pid") and made == alone


@contextlib.contextmanager
def held_after_their_first_batch(ray: SmallRay) -> Iterator[Callable[[], None]]:
    """Have hosts of the generator `steady` wait after their first batch; give what releases them.

    They are released at the end of the block, and after a while in any case, so that a test that fails ends.
    """
    held = ray.folder / "notes" / "held-generation"
    held.touch()

    def release() -> None:
        held.unlink(missing_ok=True)

    timer = threading.Timer(PATIENCE, release)
    timer.start()
    try:
        yield release
    finally:
        timer.cancel()
        release()


def steady_job(folder: Path, name: str, prompts: int) -> GenerateJob:
    """Return a job whose model needs no network: the base model of that name, for its cell "NAME.base"."""
    from raysweep_extra.steady import make_base

    base = make_base(folder / name, name)
    return dataclasses.replace(job(base, base, f"{name}.base", prompts), generator=Spec("steady"))


@pytest.fixture
def steady(plugin_parts, tmp_path) -> GenerateJob:
    """A job of many batches, which need no network."""
    return steady_job(tmp_path, "steady", prompts=200)


@pytest.mark.long
def test_as_many_hosts_work_for_a_cell_as_it_asks_for(shared_ray, steady, keeper, tmp_path):
    """In small: tests/engine/ray/hosts/test_keeper.py."""
    kept, progress = keeper(**{"steady.base": "steady"}), ProgressFile(Files(str(tmp_path)), "steady.base")
    loads = 0
    with held_after_their_first_batch(shared_ray) as release:
        for output in generate_with_ray(steady, IN_TRIAL, 2, progress, kept):
            loads += output.loads
            if loads == 2:
                release()
    assert loads == 2


def test_batches_of_a_host_that_is_killed_are_done_by_another(shared_ray, steady, keeper, tmp_path):
    """Two hosts are killed, each after its first batch and before its second one, and the third does all others."""
    kept, progress = keeper(**{"steady.base": "steady"}), ProgressFile(Files(str(tmp_path)), "steady.base")
    made, killed = [], 0
    with held_after_their_first_batch(shared_ray) as release:
        for output in generate_with_ray(steady, IN_TRIAL, 1, progress, kept):
            made.append(output)
            if killed < 2:
                assert output.loads == 1
                (pid,) = host_pids()
                os.kill(pid, signal.SIGKILL)
                killed += 1
            if killed == 2:
                release()
    assert sorted(output.index for output in made) == list(range(len(steady.batches)))
    assert {output.index: list(output.rows) for output in made} == locally(steady, tmp_path)
    assert [output.loads for output in made[:3]] == [1, 1, 1] and sum(output.loads for output in made) == 3


@pytest.mark.long
def test_the_keeper_itself_may_die(shared_ray, steady, keeper, tmp_path):
    """In small: test_batches_of_a_host_that_is_killed_are_done_by_another."""
    kept, progress = keeper(**{"steady.base": "steady"}), ProgressFile(Files(str(tmp_path)), "steady.base")
    made = []
    with held_after_their_first_batch(shared_ray) as release:
        for output in generate_with_ray(steady, IN_TRIAL, 1, progress, kept):
            made.append(output)
            if len(made) == 1:
                (pid,) = [pid for pid, title in titles().items() if title.startswith("ray::HostKeeper")]
                os.kill(pid, signal.SIGKILL)
                release()
    assert {output.index: list(output.rows) for output in made} == locally(steady, tmp_path)


@pytest.mark.long
def test_a_host_ends_when_its_base_is_done_or_another_base_needs_its_place(plugin_parts, keeper, tmp_path):
    """In small: tests/engine/ray/hosts/test_keeper.py."""
    import ray

    one, other = (steady_job(tmp_path, name, prompts=24) for name in ("one", "other"))
    kept = keeper(**{"one.base": "one", "one.tuned": "one", "other.base": "other"})
    run(one, kept, tmp_path, ON_GPU)
    ray.get(kept.end_cell.remote("one.base"))
    (first,) = host_pids()
    time.sleep(3 * hosts.POLL_SECONDS)
    assert host_pids() == [first], "a cell of the base waits"
    run(other, kept, tmp_path, ON_GPU)
    assert eventually(lambda: len(host_pids()) == 1) and host_pids() != [first]
    ray.get(kept.end_cell.remote("other.base"))
    assert eventually(lambda: not host_pids())


@pytest.mark.long
def test_an_idle_host_makes_room_for_other_work_if_it_holds_a_place(plugin_parts, keeper, tmp_path):
    """In small: tests/engine/ray/hosts/test_keeper.py."""
    import ray

    cells, asked = {"one.base": "one", "one.tuned": "one"}, steady_job(tmp_path, "one", prompts=24)
    kept = keeper(**cells)
    run(asked, kept, tmp_path)
    ray.get(kept.make_room.remote())
    time.sleep(2 * hosts.POLL_SECONDS)
    assert len(host_pids()) == 1, "a trial lends it its CPU"
    kept = keeper(**cells)  # of which nobody has asked for room: the first one's hosts would still make some
    run(asked, kept, tmp_path, ON_GPU)
    assert eventually(lambda: not ray.available_resources().get("GPU"))
    ray.get(kept.make_room.remote())
    assert eventually(lambda: ray.available_resources().get("GPU") == 1)


@pytest.mark.long
def test_what_a_cell_that_has_ended_left_running_is_ended_too(llama, keeper, tmp_path):
    """In small: tests/engine/ray/hosts/test_keeper.py."""
    import ray

    whole, kept = job(llama, llama, "llama.0", prompts=800), keeper(**{"llama.0": "llama", "llama.1": "llama"})
    requests = pickle.dumps([request for batch in whole.batches for request in batch])  # seconds of work
    kind = HostKind(dataclasses.replace(whole, batches=(), label=""), IN_TRIAL)
    progress = ProgressFile(Files(str(tmp_path)), "llama.0")
    kept.generate.remote(HostBatch(kind, "llama.0", "its run", 0, llama, requests, progress, 1, True))
    assert eventually(lambda: any("Host generates llama.0" in title for title in titles().values()))
    (busy,) = host_pids()
    ray.get(kept.end_cell.remote("llama.0"))
    assert eventually(lambda: busy not in host_pids())


@pytest.mark.long
def test_rays_metrics_tell_of_the_speed_and_memory_of_hosts_and_of_waiting_batches(llama, keeper, tmp_path):
    """In small: tests/engine/ray/numbers/test_meter.py."""
    import ray

    run(job(llama, llama, "llama.0"), keeper(**{"llama.0": "llama"}), tmp_path)
    (port,) = [node["MetricsExportPort"] for node in ray.nodes() if node["Alive"]]

    def told() -> dict[str, float]:
        """Return the values of the metrics tagged with this base and generator."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        ours = [line for line in lines if 'model="llama"' in line and 'generator="transformers"' in line]
        return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in ours}

    names = {f"ray_{name}" for name in (*gauges.HOST_GAUGES, gauges.WAITING)}
    found: dict[str, float] = {}

    def all_have_been_told() -> bool:
        found.update(told())
        return names <= found.keys()

    assert eventually(all_have_been_told), found
    assert found["ray_raysweep_host_memory_bytes"] > 1e8 and 0 < found["ray_raysweep_cache_share"] <= 1


@pytest.mark.long
def test_an_adapter_of_another_base_is_one_clear_error_and_the_next_cell_goes_on(llama, keeper, tmp_path):
    """In small: tests/models/test_versions.py."""
    wide = make_tiny("llama", tmp_path / "wide", hidden_size=64)
    theirs = make_adapter(wide, "llama", "lora", tmp_path / "theirs")
    kept = keeper(**{"llama.0": "llama", "llama.1": "llama"})
    with pytest.raises(RaysweepError, match=r"theirs is not one of .*2, 64\].*2, 32\]"):
        run(job(ModelRef(theirs.location, ModelKind.ADAPTER, llama), llama, "llama.0"), kept, tmp_path)
    made, _ = run(job(llama, llama, "llama.1"), kept, tmp_path)
    assert made == locally(job(llama, llama, "llama.1"), tmp_path)
