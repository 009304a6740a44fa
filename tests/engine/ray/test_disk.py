"""The file system of Tune and Train: where folders come into being."""

from __future__ import annotations

import pickle

from pyarrow.fs import FileSelector

from raysweep.engine.ray.disk import storage_of_ray
from raysweep.storage import files as files_module
from raysweep.storage.files import Files
from tests.clock import Clock


def test_folders_are_created_in_a_store_that_is_there_and_a_vanished_one_is_waited_for(tmp_path, monkeypatch):
    root, away, clock = tmp_path / "store", tmp_path / "away", Clock()
    monkeypatch.setattr(files_module, "time", clock)
    store = Files(str(root))
    store.require_writable()
    filesystem, path = pickle.loads(pickle.dumps(storage_of_ray(store.below("sweeps/s/tune"))))
    assert path == f"{root}/sweeps/s/tune"
    root.rename(away)
    root.mkdir()  # like the empty folder of an unmounted disk

    def bring_back() -> None:
        root.rmdir()
        away.rename(root)

    clock.after(20, bring_back)
    for _ in range(2):
        filesystem.create_dir(f"{path}/run", recursive=True)
    with filesystem.open_output_stream(f"{path}/run/result.json") as stream:
        stream.write(b"{}")
    (listed,) = filesystem.get_file_info(FileSelector(f"{path}/run"))
    assert listed.path == f"{path}/run/result.json"
    assert store.read("sweeps/s/tune/run/result.json") == b"{}"
