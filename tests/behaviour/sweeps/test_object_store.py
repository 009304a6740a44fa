"""Whole sweeps in an object store: the same results as on a disk, from any machine, and damage is repaired."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

import raysweep
from raysweep.cli.app import main
from raysweep.config.loading import load_config
from raysweep.storage.files import Files
from raysweep.sweep.folder import open_folder
from raysweep.sweep.overview.status import cell_states
from raysweep.sweep.report.write import export
from raysweep.sweep.run import SweepResult, run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.paths import NANO
from tests.steady import Sweep
from tests.storage.object_store import ACCOUNT, Server, served
from tests.storage.stores import committed, content, written

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plugin_parts")]

STAGES = (
    "source_rows", "perturbed_rows", "training_set", "test_set", "model", "references", "completions", "results",
)  # fmt: skip


class Sweeper(Sweep):
    """The sweep of all tests here."""

    def result(self, root: object, *overrides: str, config: Path | None = None) -> SweepResult:
        """Run it in this process."""
        return run_sweep(load_config(config or self.config, overrides), RunOptions(str(root), "local"))


@pytest.fixture(scope="module")
def sweep(installed, tmp_path_factory) -> Sweeper:
    own = Sweeper(tmp_path_factory.mktemp("sweep"), installed)
    own.write()
    return own


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, served() as running:
        for name, value in ACCOUNT.items():
            patch.setenv(name, value)
        patch.setenv("RAYSWEEP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield running


@pytest.fixture(scope="module")
def on_disk(sweep, tmp_path_factory) -> Path:
    """A store with a finished sweep."""
    root = tmp_path_factory.mktemp("disk")
    assert not sweep.result(root).errors
    return root


@pytest.fixture(scope="module")
def remote(sweep, server) -> str:
    """The same sweep in the object store."""
    root = server.uri("a%20store")
    result = sweep.result(root)
    assert not result.errors and result.cells_run == 2
    return root


@pytest.fixture
def copied(remote, server, request) -> str:
    """A copy of it that a test may change."""
    root = server.uri(f"copied-{abs(hash(request.node.name))}")
    copy(remote, root)
    return root


def copy(source: object, root: str) -> None:
    files = Files(str(source))
    for name in files.infos():
        Files(root).write(name, files.read(name))


@pytest.fixture
def other_machine(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_object_store_holds_what_a_disk_would(sweep, remote, on_disk):
    assert content(remote) == content(on_disk)
    ours, theirs = (raysweep.load_results("steady", storage=str(root)) for root in (remote, on_disk))
    assert ours.equals(theirs) and len(ours)
    files = Files(remote)
    ignored = ("artefacts/", "leases/", "verdicts/")  # verdicts hold times
    below = {name for name in files.infos() if not name.startswith(ignored)}
    on_the_disk = {name for name in Files(str(on_disk)).infos() if not name.startswith(ignored)}
    assert below == on_the_disk and files.infos("verdicts")
    held = [name for name, info in files.infos("leases").items() if name.endswith(".json") and info.size]
    assert not files.infos("unfinished") and not held


def test_the_second_run_makes_nothing(sweep, remote):
    before = written(remote)
    assert sweep.result(remote).cells_run == 0
    assert written(remote) == before


def test_another_machine_shows_reports_and_resumes(sweep, remote, on_disk, server, other_machine):
    folder = open_folder("steady", remote)
    states = cell_states(folder)
    assert [cell.state for cell in states] == ["done", "done"]
    assert states[1].model.startswith(f"s3://{server.bucket}/a%20store/artefacts/model/")
    shown = sweep.command("status", "steady", storage=remote).stdout
    assert states[1].model in shown and 'copy_files("URI", "PATH")' in shown and "endpoint_override" not in shown
    tables = [export(one, "md", None).split("### Cost") for one in (folder, open_folder("steady", str(on_disk)))]
    assert tables[0][0] == tables[1][0], "two trainings have other CPU-hours"
    assert len(tables[0]) == len(tables[1]) == 2
    assert export(folder, "html", None) == f"s3://{server.bucket}/a%20store/sweeps/steady/report.html"
    shutil.rmtree(other_machine)
    assert sweep.result(remote).cells_run == 0
    assert len(raysweep.load_results("steady", storage=remote))


def test_readers_leave_the_files_of_the_running_process_alone(sweep, copied):
    running = sweep.result(copied).folder
    (running.path / "raysweep.log").write_text("more than was published" * 1000)
    (running.path / "runs.jsonl").write_text("newer")
    for _ in range(2):
        other = open_folder("steady", copied)
        assert other.path != running.path and len(other.grid()) == 4
    assert (running.path / "runs.jsonl").read_text() == "newer"
    again = sweep.result(copied).folder
    assert (again.path / "raysweep.log").read_text().startswith("more than was published"), "a kill loses no log"
    assert again.runs(), "what was never published is not the sweep's"


# --------------------------------------------------------------------------------------------------------- damage


def torn(data: bytes) -> bytes:
    return data[: len(data) // 2]


def altered(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


def nothing(data: bytes) -> None:
    return None


HARMS = {
    "truncated": (lambda name: not name.endswith("manifest.json"), torn, "bytes, not"),
    "altered": (lambda name: not name.endswith("manifest.json"), altered, "another content than was written"),
    "manifest torn": (lambda name: name.endswith("manifest.json"), torn, "can't be read"),
    "manifest missing": (lambda name: name.endswith("manifest.json"), nothing, "no manifest"),
}


def harm(root: object, kind: str) -> dict[str, str]:
    """Harm one artefact of every stage behind raysweep's back; return their labels by stage."""
    is_meant, change, _ = HARMS[kind]
    files, labels, before = Files(str(root)), {}, committed(root)
    for name in sorted(files.infos("artefacts")):
        stage, _, key, file = name.split("/", 3)
        if stage in labels or not is_meant(file):
            continue
        labels[stage] = before[f"{stage}/{key}"].unit.label
        data = change(files.read(f"artefacts/{name}"))
        files.remove(f"artefacts/{name}")
        if data is not None:
            files.write(f"artefacts/{name}", data)
    return labels


def require_repair(sweep: Sweeper, root: object, kind: str, on_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Harm the copy of a store, and require that a run names what is damaged and makes it again."""
    harmed = harm(root, kind)
    assert set(harmed) == set(STAGES)
    result = sweep.result(root)
    assert not result.errors
    for stage, label in harmed.items():
        start = f"{stage.replace('_', ' ')} {label} was damaged ("
        messages = [record.message for record in caplog.records if start in record.message]
        assert messages and HARMS[kind][2] in messages[0], (stage, caplog.text)
    assert content(root) == content(on_disk)
    assert sweep.result(root).cells_run == 0


def copied_to(server: Server, on_disk: Path, name: str) -> str:
    root = server.uri(name)
    copy(on_disk, root)
    time.sleep(1.1)  # times of objects are in seconds
    return root


@pytest.mark.parametrize("kind", HARMS)
def test_damage_of_every_kind_is_reported_and_repaired(sweep, kind, on_disk, tmp_path, caplog):
    require_repair(sweep, shutil.copytree(on_disk, tmp_path / "store"), kind, on_disk, caplog)


@pytest.mark.long
@pytest.mark.parametrize("kind", HARMS)
def test_damage_in_an_object_store_is_reported_and_repaired(sweep, kind, server, on_disk, caplog):
    """In small: test_damage_of_every_kind_is_reported_and_repaired."""
    require_repair(sweep, copied_to(server, on_disk, kind.replace(" ", "-")), kind, on_disk, caplog)


def test_a_damaged_base_model_is_made_again(sweep, tmp_path, caplog):
    """The only artefact that the other sweeps here don't have."""
    root = tmp_path / "store"
    alone = ["training=null", "models.0.recipes=[]", "evaluation.perturbations=[clean]"]
    assert not sweep.result(root, *alone, config=NANO).errors
    made = content(root)
    (weights,) = (root / "artefacts" / "base_model").rglob("model.safetensors")
    weights.write_bytes(altered(weights.read_bytes()))
    assert not sweep.result(root, *alone, config=NANO).errors
    assert "base model llama was damaged (" in caplog.text and content(root) == made


def test_a_damaged_copy_is_no_damage_of_the_artefact(sweep, remote, other_machine):
    before = written(remote)
    raysweep.load_results("steady", storage=remote)
    folder = open_folder("steady", remote)
    export(folder, "html", None)
    copies = [path for path in other_machine.rglob("rows.parquet")]
    assert len(copies) > 3
    for path, how in zip(copies, [altered, torn, nothing] * len(copies), strict=False):
        data = how(path.read_bytes())
        path.unlink()
        if data is not None:
            path.write_bytes(data)
    export(open_folder("steady", remote), "html", None)
    assert written(remote) == before


def test_a_copied_bucket_is_hashed_once_only(sweep, remote, server, other_machine, monkeypatch):
    root = server.uri("copied")
    names = sorted(Files(remote).infos("artefacts"), key=lambda name: not name.endswith("manifest.json"))
    for name in names:
        Files(root).write(f"artefacts/{name}", Files(remote).read(f"artefacts/{name}"))
        if name == names[len([n for n in names if n.endswith("manifest.json")]) - 1]:
            time.sleep(1.1)  # so that all manifests are older than the files that they list
    assert sweep.result(root).cells_run == 0
    fetched: list[str] = []
    real = Files.fetch
    monkeypatch.setattr(
        Files, "fetch", lambda self, folder, target: fetched.append(folder) or real(self, folder, target)
    )
    shutil.rmtree(next(other_machine.glob("*/artefacts")))
    assert sweep.result(root).cells_run == 0
    assert not fetched


# --------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("root", "code", "message"),
    [
        ("s3://no-such-bucket/x?{query}", 2, "bucket does not exist"),
        ("s3://bucket/x?endpoint_override=127.0.0.1:1&scheme=http", 2, "onnect"),
        ("s4://bucket/x", 2, "give a path, or a URI such as s3://"),
        ("gs://bucket/x?endpoint_override=127.0.0.1:1&scheme=http&retry_limit_seconds=2", 2, "can't be written"),
    ],
)
def test_an_unusable_storage_is_one_clear_error(sweep, server, root, code, message, capsys):
    root = root.format(query=server.uri("x").partition("?")[2])
    with pytest.raises(SystemExit) as ended:
        main(["run", str(sweep.config), "--engine", "local", "--storage", root])
    told = capsys.readouterr().err
    assert ended.value.code == code and message in told and "Traceback" not in told
    assert told.startswith("error: storage '") and told.count("\n") == 1


def test_the_wrong_account_is_one_clear_error(sweep, server, monkeypatch):
    done = sweep.command("status", "steady", storage="s3://no-such-bucket/x?" + server.uri("x").partition("?")[2])
    assert done.returncode == 2 and "there is no bucket 'no-such-bucket'" in done.stderr


def test_a_cache_that_cannot_be_written_is_named(sweep, remote, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(raysweep.errors.UsageError, match="set RAYSWEEP_CACHE to another folder"):
        sweep.result(remote)


# ------------------------------------------------------------------------------------------------------------ ray


@pytest.mark.long
@pytest.mark.ray
def test_ray_makes_the_same_in_an_object_store(sweep, server, on_disk, shared_ray, other_machine):
    """In small: test_an_object_store_holds_what_a_disk_would."""
    root, command = server.uri("with-ray"), ("run", str(sweep.config), "--address", shared_ray.address)
    done = sweep.command(*command, storage=root)
    assert done.returncode == 0, done.stderr
    assert content(root) == content(on_disk)
    again = sweep.command(*command, storage=root)
    assert again.returncode == 0 and "no work was done" in again.stdout
    assert json.loads(sweep.command("status", "steady", "--json", storage=root).stdout)["cells"][1]["state"] == "done"
