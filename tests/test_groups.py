"""Groups of tests: by marks of tests and files, else by file."""

from tests.groups import group_of


def test_marks_name_the_group_and_else_the_file():
    assert group_of("tests/behaviour/chaos/test_chaos.py::test_x[a::b]") == "chaos"
    assert group_of("tests/engine/ray/test_ray.py::test_x") == "ray"
    assert group_of("tests/behaviour/sweeps/test_two_sweeps.py::test_two_sweeps_of_the_local_engine") == "ray"
    assert group_of("tests/behaviour/ray/test_stop_and_start.py::test_x") == "own_ray"
    assert (
        group_of("tests/behaviour/ray/test_recovery.py::test_with_fail_fast_the_other_cells_are_stopped") == "own_ray"
    )
    run = "tests/behaviour/sweeps/test_run.py"
    assert group_of(f"{run}::test_ray_and_the_local_engine_make_the_same_bytes") == "ray"
    assert group_of(f"{run}::test_a_limit_is_part_of_the_key") == run
    assert group_of("tests/test_groups.py::test_x[1]") == "tests/test_groups.py"
