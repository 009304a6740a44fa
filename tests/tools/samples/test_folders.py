"""Folders of samples as EvalPlus saves them; others are refused with the shapes that are read."""

import pytest

from raysweep.errors import UsageError
from raysweep.tools.samples.folders import check_samples, samples_sha
from raysweep.tools.samples.format import TaskIds, read_samples

BODY = "    return 1\n"
TASKS = TaskIds([f"HumanEval/{number}" for number in range(11)])


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def read(folder):
    return [(sample.task_id, sample.text, sample.whole) for sample in read_samples(folder, TASKS)]


def test_evalplus_has_a_folder_of_whole_programs_for_each_task(tmp_path):
    names = ["HumanEval_2/0.py", "HumanEval_10/0.py", "HumanEval_10/2.py", "HumanEval_10/10.py"]
    files = {name: f"# {name}\n" for name in reversed(names)} | {"HumanEval_2/0.txt": "", "eval_results.json": "{}"}
    folder = write(tmp_path / "samples", files)
    expected = [f"HumanEval/{name.partition('/')[0].partition('_')[2]}" for name in names]
    assert read(folder) == [(task, f"# {name}\n", True) for task, name in zip(expected, names, strict=True)]
    assert [sample.fields["file"] for sample in read_samples(folder, TASKS)] == names
    before = samples_sha(folder)
    write(folder, {names[0]: "pass\n"})
    assert samples_sha(folder) != before


@pytest.mark.parametrize("file", ["generations.json", "model/samples.jsonl", "model/HumanEval_0/0.py", "a.json.gz"])
def test_a_folder_of_another_shape_is_refused_with_the_shapes_that_are_read(tmp_path, file):
    folder = write(tmp_path / "samples", {file: BODY})
    with pytest.raises(UsageError, match=r"samples is a folder without TASK/0.py; samples are read as rows of hum"):
        read(folder)


def test_results_do_not_lie_among_the_samples(tmp_path):
    folder = write(tmp_path / "samples", {"HumanEval_0/0.py": "pass"})
    with pytest.raises(UsageError, match="lies in the folder of samples, which is read; name a file beside it"):
        check_samples(folder, folder / "results.jsonl")
    check_samples(folder, tmp_path / "results.jsonl")
