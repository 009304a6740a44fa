"""Folders of samples as EvalPlus and MultiPL-E save them; others are named with a way that works."""

import gzip
import json

import pytest

from raysweep.errors import UsageError
from raysweep.tools.samples.folders import check_samples, samples_sha
from raysweep.tools.samples.format import TaskIds, read_samples

BODY = "    return 1\n"
TASKS = TaskIds([f"HumanEval/{number}" for number in range(11)])
COMPLETIONS = {"name": "HumanEval_0_one", "language": "py", "prompt": "def one():\n", "completions": [BODY, BODY]}


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
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


def test_multipl_e_has_a_file_of_completions_for_each_task_and_results_beside_it(tmp_path):
    second = {**COMPLETIONS, "name": "HumanEval_1_two", "completions": []}
    files = {"HumanEval_0_one.json.gz": json.dumps(COMPLETIONS), "HumanEval_1_two.json": json.dumps(second)}
    files["HumanEval_0_one.results.json.gz"] = json.dumps({"name": "HumanEval_0_one", "results": []})
    assert read(write(tmp_path / "samples", files)) == [("HumanEval/0", f"def one():\n{BODY}", True)] * 2


@pytest.mark.parametrize(
    ("files", "message", "mended"),
    [
        (
            {"generations_humaneval.json": json.dumps([[BODY]]), "evaluation_results.json": "{}"},
            "name samples in it: evaluation_results.json, generations_humaneval.json",
            "generations_humaneval.json",
        ),
        (
            {"model/samples.jsonl": json.dumps({"task_id": 0, "solution": BODY}), "HumanEval_0/log.txt": ""},
            "and not one of EvalPlus's (TASK/0.py, ...) or MultiPL-E's (TASK.json.gz, ...); name samples in it: model/",
            "model/samples.jsonl",
        ),
        ({"model/HumanEval_0/0.py": BODY}, "name samples in it: model", "model"),
        (
            {"x.results.json": "{}", "right/x.json": json.dumps(COMPLETIONS)},
            "has MultiPL-E's results, whose programs have its tests in them; give the folder of completions",
            "right",
        ),
        (
            {"x.yaml": "name: HumanEval_0_one", "mended": json.dumps(COMPLETIONS)},
            "has YAML, as SafeCoder and MultiPL-E's first version save it, which isn't read; write each file as a line",
            "mended",
        ),
    ],
)
def test_other_folders_are_refused_with_a_way_that_works(tmp_path, files, message, mended):
    folder = write(tmp_path / "samples", files)
    with pytest.raises(UsageError) as error:
        read(folder)
    assert message in str(error.value)
    assert {task for task, *_ in read(folder / mended)} == {"HumanEval/0"}


def test_results_do_not_lie_among_the_samples(tmp_path):
    folder = write(tmp_path / "samples", {"HumanEval_0/0.py": "pass"})
    with pytest.raises(UsageError, match="lies in the folder of samples, which is read; name a file beside it"):
        check_samples(folder, folder / "results.jsonl")
    check_samples(folder, tmp_path / "results.jsonl")
