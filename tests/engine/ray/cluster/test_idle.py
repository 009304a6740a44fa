"""A sweep of which nothing runs says what its next task waits for."""

from __future__ import annotations

from raysweep.engine.progress import ProgressFile, read_activities
from raysweep.engine.ray.cluster.idle import LOOKS, IdleWatch
from raysweep.storage.files import Files


def test_the_next_task_is_said_to_wait_once_nothing_has_run_for_some_looks(tmp_path):
    files = Files(str(tmp_path))
    watch = IdleWatch(files, {"a.base": "1 CPU", "a.full.C.s1": "2 GPU on A100"})
    first = ProgressFile(files, "a.base")
    first.update("generating", 1, 2, force=True)
    for _ in range(LOOKS + 1):
        watch.check()
    assert not any(activity.waits for activity in read_activities(files).values())
    first.finish("done")
    for _ in range(LOOKS - 1):
        watch.check()
    assert [*read_activities(files)] == ["a.base"]
    watch.check()
    assert read_activities(files)["a.full.C.s1"].waits == "2 GPU on A100"
