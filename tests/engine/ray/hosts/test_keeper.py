"""The keeper's own decisions, with hosts that are coroutines: what happens to the batches that share one."""

from __future__ import annotations

import asyncio
import functools
import pickle
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from raysweep.engine.base import GenerateJob
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.batches import MAX_RESTARTS, BatchFailure
from raysweep.engine.ray.cluster.cluster import Placement
from raysweep.engine.ray.hosts import dispatcher, running
from raysweep.engine.ray.hosts import keeper as keeper_module
from raysweep.engine.ray.hosts.host import HostBatch, HostKind
from raysweep.engine.ray.hosts.keeper import HostKeeper
from raysweep.engine.ray.hosts.running import RunningHost, spawn
from raysweep.planning.predictions.needs import Needs
from raysweep.records import Decoding, ModelRef, Spec
from raysweep.storage.files import Files
from tests.clock import Clock

BASE = ModelRef("base")
IN_TRIAL = Placement(1, 0, 0, in_trial=True)
KIND = HostKind(GenerateJob("", BASE, Spec("vllm"), Decoding(), ()), IN_TRIAL)
ON_GPU = HostKind(GenerateJob("", BASE, Spec("transformers"), Decoding(), ()), Placement(1, 1, 0, in_trial=False))
ONE_VERSION = HostKind(GenerateJob("", BASE, Spec("transformers"), Decoding(), ()), IN_TRIAL)


class Host:
    """Stands for an actor: works on a batch until the test says how it ends."""

    def __init__(self, keeper: Keeper) -> None:
        self.generate = SimpleNamespace(options=lambda name: SimpleNamespace(remote=self._work))
        self.keeper, self.works, self.batches = keeper, {}, {}  # what it works on, by cells and by batches

    async def _work(self, asked: HostBatch) -> bytes:
        self.works[asked.cell] = self.batches[asked.cell, asked.index] = asyncio.get_running_loop().create_future()
        self.keeper.given.append((self, sorted(self.works)))
        return await self.works[asked.cell]

    def die(self) -> None:
        for work in self.works.values():
            if not work.done():
                work.set_exception(ray.exceptions.RayActorError())


class Keeper(HostKeeper):
    """A keeper whose hosts are of the kind above, and up at once."""

    def __init__(self, *cells: str) -> None:
        super().__init__(dict.fromkeys(cells, "base"))
        self._hosts.start = self._start  # type: ignore[method-assign]
        self.given: list[tuple[Host, list[str]]] = []  # a host and its cells, each time that it got a batch

    def _read_nodes(self) -> None:
        """Hosts in a trial hold no places."""

    def _start(self, kind: HostKind, base: str, cell: str, *, is_spare: bool = False) -> None:
        self._hosts.all.append(RunningHost(kind, base, actor=Host(self), is_up=True))
        spawn(self._later())

    async def _later(self) -> None:
        self._dispatcher.hand_out()


class PlacedKeeper(Keeper):
    """A keeper whose hosts and trainings need the one accelerator that there is."""

    def __init__(self, *cells: str) -> None:
        super().__init__(*cells)
        del self._hosts.start
        self._hosts.begin = self._begin  # type: ignore[method-assign]

    def _read_nodes(self) -> None:
        self._places.set_nodes({"only": NodeFacts({"CPU": 4.0, "GPU": 1.0})})

    def _begin(self, host: RunningHost) -> None:
        host.actor, host.is_up = Host(self), True
        spawn(self._later())


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "end_with_raylet", lambda: None)
    monkeypatch.setattr(keeper_module, "waiting_gauge", lambda: SimpleNamespace(set=lambda *_: None))
    monkeypatch.setattr(ray, "kill", lambda host: host.die())


def batch(cell, folder, index=0, kind=KIND, model=BASE, most=1, joins=True, edits=False) -> HostBatch:
    progress = ProgressFile(Files(str(folder)), cell)
    return HostBatch(kind, cell, f"run of {cell}", index, model, b"", progress, most, joins, edits)


def edit(cell: str, folder: Path) -> HostBatch:
    return batch(cell, folder, kind=ONE_VERSION, joins=False, edits=True)


def played(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def play(*args: Any, **fixtures: Any) -> None:
        asyncio.run(test(*args, **fixtures))

    return play


def finish(work: asyncio.Future[bytes]) -> None:
    work.set_result(pickle.dumps("made"))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@played
async def test_batches_beside_one_of_a_cell_that_ends_are_done_by_another_host(tmp_path: Path) -> None:
    keeper = Keeper("x", "y")
    asked = {cell: asyncio.create_task(keeper.generate(batch(cell, tmp_path))) for cell in "xy"}
    await settled()
    first, cells = keeper.given[-1]
    assert cells == ["x", "y"]
    await keeper.end_cell("x")
    await settled()
    second, cells = keeper.given[-1]
    assert second is not first and cells == ["y"] and asked["x"].cancelled()
    finish(second.works["y"])
    assert pickle.loads(await asked["y"]) == "made"


@played
async def test_a_batch_that_kills_its_host_takes_no_other_one_along(tmp_path: Path) -> None:
    cells = [*"abcdefg", "poison"]
    keeper = Keeper(*cells)
    asked = {cell: asyncio.create_task(keeper.generate(batch(cell, tmp_path))) for cell in cells}
    await settled()
    deaths = 0
    while not all(task.done() for task in asked.values()):
        for held in list(keeper._hosts.all):
            if "poison" in [call.asked.cell for call in held.calls]:
                deaths += 1
                held.actor.die()
            else:
                for call in list(held.calls):
                    work = held.actor.works.get(call.asked.cell)
                    if work and not work.done():
                        finish(work)
        await settled()
        keeper._dispatcher.hand_out()
    assert deaths == MAX_RESTARTS + 1
    made = {cell: pickle.loads(task.result()) for cell, task in asked.items()}
    assert isinstance(made.pop("poison"), BatchFailure) and set(made.values()) == {"made"}


@played
async def test_a_batch_whose_model_does_not_fit_leaves_its_host_to_the_others(tmp_path: Path) -> None:
    keeper = Keeper("x", "y")
    asked = {cell: asyncio.create_task(keeper.generate(batch(cell, tmp_path))) for cell in "xy"}
    await settled()
    host, _ = keeper.given[-1]
    unfit = pickle.dumps(BatchFailure("it doesn't fit", retry=False, trace="", is_harmless=True))
    host.works["x"].set_result(unfit)
    assert await asked["x"] == unfit
    finish(host.works["y"])
    assert pickle.loads(await asked["y"]) == "made" and len(keeper._hosts.all) == 1


@played
async def test_a_host_is_given_batches_of_the_version_that_it_has(tmp_path: Path) -> None:
    keeper = Keeper("x", "y")
    keeper._hosts.start(ONE_VERSION, "base", "x")
    (held,) = keeper._hosts.all
    keeper._hosts.start = lambda *_: None  # type: ignore[method-assign]
    for index, cell in enumerate("xyxyxy"):
        asked = batch(cell, tmp_path, index, ONE_VERSION, ModelRef(cell))
        asyncio.create_task(keeper.generate(asked)).add_done_callback(lambda task: task.exception())
    order = []
    for _ in range(6):
        await settled()
        first = held.calls[0].asked
        assert {call.asked.cell for call in held.calls} == {first.cell}, "two versions at a time"
        order.append(first.cell)
        finish(held.actor.batches[first.cell, first.index])
    await settled()
    assert "".join(order) == "xxxyyy"


def given(keeper: Keeper) -> list[list[tuple[str, int]]]:
    """Return the batches that each host has been given, as cells and numbers."""
    return [sorted(held.actor.batches) for held in keeper._hosts.all]


@played
async def test_a_host_gets_two_batches_of_a_cell_at_a_time_and_another_cell_a_host_of_its_own(tmp_path: Path) -> None:
    keeper = Keeper("x", "y")
    asked = [batch("x", tmp_path, index, ONE_VERSION, ModelRef("x")) for index in range(3)]
    asked.append(batch("y", tmp_path, 0, ONE_VERSION, ModelRef("y")))
    results = [asyncio.create_task(keeper.generate(one)) for one in asked]
    await settled()
    assert given(keeper) == [[("x", 0), ("x", 1)], [("y", 0)]]
    finish(keeper._hosts.all[0].actor.batches["x", 0])
    await settled()
    assert given(keeper)[0] == [("x", 0), ("x", 1), ("x", 2)] and results[0].done()


@played
async def test_a_cell_has_no_more_hosts_than_it_may_and_its_last_batches_go_to_the_first_free_one(tmp_path):
    keeper = Keeper("x")
    for index in range(6):
        asked = batch("x", tmp_path, index, ONE_VERSION, most=2, joins=index < 4)
        asyncio.create_task(keeper.generate(asked)).add_done_callback(lambda task: task.exception())
    await settled()
    assert [len(batches) for batches in given(keeper)] == [2, 2]
    first, second = (held.actor for held in keeper._hosts.all)
    for result in [*first.batches.values(), *list(second.batches.values())[:1]]:
        finish(result)
    await settled()
    assert sorted(first.batches)[2:] == [("x", 4)] and len(second.batches) == 2, "the last one waits"


class SlowKeeper(Keeper):
    """A keeper whose hosts take long to start."""

    def _start(self, kind: HostKind, base: str, cell: str, *, is_spare: bool = False) -> None:
        self._hosts.all.append(RunningHost(kind, base, actor=Host(self)))


@pytest.mark.parametrize(("batches", "hosts"), [(8, 8), (12, 8), (16, 8), (3, 3)])
@played
async def test_all_hosts_that_a_cell_may_have_start_at_once(batches: int, hosts: int, tmp_path: Path) -> None:
    keeper = SlowKeeper("x")
    for index in range(batches):
        asked = batch("x", tmp_path, index, ONE_VERSION, most=8, joins=index < batches - 8)
        asyncio.create_task(keeper.generate(asked)).add_done_callback(lambda task: task.cancelled())
    await settled()
    assert len(keeper._hosts.all) == hosts


@played
async def test_a_batch_with_which_a_host_died_gets_one_though_another_cells_batches_keep_coming(tmp_path: Path) -> None:
    keeper = Keeper("x", "y")
    dying = asyncio.create_task(keeper.generate(batch("x", tmp_path, 0, ONE_VERSION, ModelRef("x"))))
    await settled()
    (held,) = keeper._hosts.all
    keeper._hosts.start = lambda *_: None  # type: ignore[method-assign]
    others = [batch("y", tmp_path, index, ONE_VERSION, ModelRef("y")) for index in range(6)]
    results = [asyncio.create_task(keeper.generate(one)) for one in others[:2]]
    keeper._hosts.all[:] = [RunningHost(ONE_VERSION, "base", actor=Host(keeper), is_up=True)]
    held.actor.die()
    (call,) = [one for one in keeper._dispatcher._calls.values() if one.asked.cell == "x"]
    call.deaths = 1
    keeper._dispatcher._queue.append(call)
    (only,) = keeper._hosts.all
    keeper._dispatcher.hand_out()
    for one in others[2:]:
        await settled()
        if "x" in only.actor.works:
            break
        first = only.calls[0].asked
        results.append(asyncio.create_task(keeper.generate(one)))
        finish(only.actor.batches[first.cell, first.index])
    await settled()
    assert "x" in only.actor.works and len(only.calls) == 1
    for task in [dying, *results]:
        task.cancel()


@played
async def test_a_host_keeps_its_place_between_two_batches_and_gives_it_to_a_training_later(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(keeper_module, "time", clock)
    monkeypatch.setattr(running, "time", clock)
    monkeypatch.setattr(dispatcher, "time", clock)
    keeper = PlacedKeeper("x", "y")
    first = asyncio.create_task(keeper.generate(batch("x", tmp_path, 0, ON_GPU)))
    await settled()
    ((host, _),) = keeper.given
    training = asyncio.create_task(keeper.take("y", Needs(1, 1), 1))
    await settled()
    assert training.done() and training.exception() is None, "it waits in Ray, where an autoscaler sees it"
    finish(host.works["x"])
    await first
    second = asyncio.create_task(keeper.generate(batch("x", tmp_path, 1, ON_GPU)))
    await settled()
    assert [given for given, _ in keeper.given] == [host, host], "the training did not end it"
    finish(host.works["x"])
    await second
    clock.sleep(running.GAP_SECONDS + 1)
    keeper._give_places()
    assert keeper._hosts.all == [] and keeper._places.is_placed("y")


class WarnedKeeper(Keeper):
    """A keeper that knows which nodes are drained."""

    _read_nodes = HostKeeper._read_nodes  # type: ignore[assignment]


@played
async def test_a_host_on_a_drained_node_gets_no_further_batch_and_ends_after_its_own(tmp_path, monkeypatch) -> None:
    draining: dict[str, float] = {}
    monkeypatch.setattr(keeper_module, "draining_nodes", lambda: draining)
    monkeypatch.setattr(keeper_module, "nodes_by_id", dict)
    keeper = WarnedKeeper("x", "y")
    first = asyncio.create_task(keeper.generate(batch("x", tmp_path)))
    await settled()
    (held,) = keeper._hosts.all
    held.node, draining["here"] = "here", 1.0
    keeper._read_nodes()
    draining.clear()  # its node is gone soon, its process a bit later
    keeper._read_nodes()
    second = asyncio.create_task(keeper.generate(batch("y", tmp_path)))
    await settled()
    other, cells = keeper.given[-1]
    assert other is not held.actor and cells == ["y"], "though it takes several batches at once"
    finish(held.actor.works["x"])
    await first
    keeper._end_unneeded()
    assert [one.actor for one in keeper._hosts.all] == [other]
    finish(other.works["y"])
    await second


@played
async def test_deaths_with_drained_nodes_do_not_count(tmp_path) -> None:
    keeper, deaths = Keeper("x"), 0
    asked = asyncio.create_task(keeper.generate(batch("x", tmp_path)))
    await settled()
    while not asked.done():
        (held,) = keeper._hosts.all
        held.is_leaving = deaths < 200
        held.actor.die()
        deaths += 1
        await settled()
    assert isinstance(pickle.loads(asked.result()), BatchFailure)
    assert deaths == 200 + MAX_RESTARTS + 1


@played
async def test_the_places_of_a_keeper_that_died_are_asked_for_again(tmp_path) -> None:
    keeper = PlacedKeeper("x", "y")
    assert await keeper.next_cell(1) == keeper_module.UNKNOWN
    await keeper.restart({"x": ""}, [])
    assert await keeper.next_cell(1) is None
    await keeper.take("x", Needs(1, 1), 1)
    assert keeper._places.is_placed("x")
    await keeper.end_cell("x")
    assert not keeper._places.is_placed("x")


class FailingActor:
    """Stands for an actor whose process does not start."""

    def __init__(self) -> None:
        self.ready = SimpleNamespace(remote=self._ready)

    async def _ready(self) -> str:
        raise ray.exceptions.RayActorError()

    def die(self) -> None:
        """It never lived."""


class StartingKeeper(Keeper):
    """A keeper whose hosts with accelerators never start, while the others do."""

    def _start(self, kind: HostKind, base: str, cell: str, *, is_spare: bool = False) -> None:
        fails = kind == ON_GPU
        actor = FailingActor() if fails else Host(self)
        host = RunningHost(kind, base, actor=actor)
        self._hosts.all.append(host)
        if not fails:
            actor.ready = SimpleNamespace(remote=self._up)
        spawn(self._hosts.await_start(host))

    async def _up(self) -> str:
        return "node"


@played
async def test_hosts_of_one_kind_that_do_not_start_end_their_own_batches_alone(tmp_path: Path) -> None:
    keeper = StartingKeeper("broken", "x", "y")
    fails = asyncio.create_task(keeper.generate(batch("broken", tmp_path, kind=ON_GPU)))
    others = [asyncio.create_task(keeper.generate(batch(cell, tmp_path, kind=ONE_VERSION))) for cell in "xy"]
    for _ in range(5 * MAX_RESTARTS):
        await settled()
    failure = pickle.loads(await asyncio.wait_for(fails, 1))
    assert isinstance(failure, BatchFailure) and "died" in failure.text
    assert not any(task.done() for task in others) and len(keeper.given) == 2
    for host, _ in keeper.given:
        for work in host.works.values():
            finish(work)
    assert [pickle.loads(made) for made in await asyncio.gather(*others)] == ["made", "made"]


@played
async def test_a_host_does_an_edit_alone_and_takes_turns_with_batches_of_other_cells(tmp_path: Path) -> None:
    keeper = Keeper("x", "y", "z")
    keeper._hosts.start(ONE_VERSION, "base", "x")
    keeper._hosts.start = lambda *_, **__: None  # type: ignore[method-assign]  # there is no place for another one
    asked = [batch("x", tmp_path, 0, ONE_VERSION), edit("y", tmp_path), batch("x", tmp_path, 1, ONE_VERSION)]
    tasks = [asyncio.create_task(keeper.generate(one)) for one in [*asked, edit("z", tmp_path)]]
    (host,) = keeper._hosts.all
    seen = []
    for _ in range(10):
        await settled()
        if not host.calls:
            break
        seen.append({call.asked.cell for call in host.calls})
        assert len(host.calls) == 1 or seen[-1] == {"x"}
        for call in list(host.calls):
            finish(host.actor.batches[call.asked.cell, call.asked.index])
    assert all(len(cells) == 1 for cells in seen) and set.union(*seen) == {"x", "y", "z"}
    assert {pickle.loads(await task) for task in tasks} == {"made"}


@played
async def test_an_edit_in_a_dead_host_is_made_by_another_and_one_that_fails_costs_its_host(tmp_path: Path) -> None:
    keeper = Keeper("x", "y")
    asked = {cell: asyncio.create_task(keeper.generate(edit(cell, tmp_path))) for cell in "xy"}
    await settled()
    first, second = (host.actor for host in keeper._hosts.all)
    first.die()
    await settled()
    alive = [host.actor for host in keeper._hosts.all]
    assert first not in alive and second in alive and "y" in second.works, "the other edit goes on where it is"
    third, _ = keeper.given[-1]
    assert third is not second
    third.works["x"].set_result(pickle.dumps({"steps": 3}))
    failure = pickle.dumps(BatchFailure("left hooks on its base", retry=True, trace=""))
    second.works["y"].set_result(failure)
    assert pickle.loads(await asked["x"]) == {"steps": 3} and await asked["y"] == failure
    assert [host.actor for host in keeper._hosts.all] == [third]
