import re
from collections import Counter, defaultdict

import pytest

from raysweep.problems.minicode import world
from raysweep.problems.minicode.families import split_of_cell
from raysweep.problems.minicode.world import (
    STRATA,
    evaluation_tasks,
    families,
    has_trainable_code,
    stratum_of,
    training_task,
)

CONSTANT = re.compile(r"`([^`]*)`")


def drawn(world_seed):
    yield from (training_task(world_seed, "pretraining", index) for index in range(600))
    yield from evaluation_tasks(world_seed, "validation", 120)
    yield from evaluation_tasks(world_seed, "test", 120)


def description(prompt):
    return re.split(r'\n    (?:>>>|""")', prompt.split('"""')[1])[0]


def test_there_are_80_atoms_and_307_compositions():
    assert Counter(family.kind for family in families()) == {"atoms": 80, "lists": 195, "strings": 56, "words": 56}
    atoms = Counter(family.argument for family in families() if family.kind == "atoms")
    assert atoms == {"pair": 10, "int": 12, "nat": 8, "string": 20, "list": 26, "words": 4}


def test_no_two_families_share_a_name_or_a_wording():
    owners = defaultdict(set)
    for family in families():
        for wording in (wording for wordings in family.wordings.values() for wording in wordings):
            owners[wording].add(family.name)
    assert all(len(names) == 1 for names in owners.values())
    assert len({family.name for family in families()}) == len(families())


def test_a_grid_holds_out_one_cell_a_row_on_a_slanted_line():
    held = {(row, column): split_of_cell(row, column, 7) for row in range(8) for column in range(7)}
    held = {cell: split for cell, split in held.items() if split != "train"}
    assert held == {
        (0, 1): "test", (1, 4): "validation", (2, 0): "test", (3, 3): "validation",
        (4, 6): "test", (5, 2): "validation", (6, 5): "test", (7, 1): "validation",
    }  # fmt: skip


def test_every_part_of_a_held_out_composition_occurs_in_training():
    for kind in ("lists", "strings", "words"):
        trained = {part for f in families() if f.kind == kind and f.split == "train" for part in f.name.split("_")}
        held = {part for f in families() if f.kind == kind and f.split != "train" for part in f.name.split("_")}
        assert held <= trained


def test_about_a_tenth_of_the_wordings_goes_to_test_and_to_validation():
    counts = Counter()
    for family in families():
        if family.split == "train":
            counts.update({split: len(wordings) for split, wordings in family.wordings.items()})
    for split in ("validation", "test"):
        assert counts[split] / counts.total() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("seed", [1, 2])
def test_tasks_compile_and_every_constant_of_the_body_stands_in_back_ticks_and_nothing_else_does(seed):
    for task in drawn(seed):
        namespace = {}
        exec(task.prompt + task.body, namespace)
        assert callable(namespace[task.name])
        assert 1 <= len(task.body.split("\n")) <= 4
        constants = CONSTANT.findall(description(task.prompt))
        assert sorted(constants) == sorted(str(value) for value in task.constants.values())
        assert not re.search(r"\d", CONSTANT.sub("", description(task.prompt)))
        assert all(value in "23456789" or value in "abdelnst" for value in constants)


def test_kinds_examples_and_uninformative_names_have_their_shares_and_examples_are_true():
    tasks = [training_task(5, "pretraining", index) for index in range(4000)]
    kinds = Counter(task.family.kind for task in tasks)
    assert {kind: kinds[kind] / len(tasks) for kind in world.MIXTURE} == pytest.approx(world.MIXTURE, abs=0.03)
    assert sum(world.MIXTURE.values()) == pytest.approx(1)
    assert sum(task.name in world.FUNCTION_NAMES for task in tasks) / len(tasks) == pytest.approx(0.7, abs=0.03)
    with_example = [task for task in tasks if ">>>" in task.prompt]
    assert len(with_example) / len(tasks) == pytest.approx(0.1, abs=0.02)
    for task in with_example:
        call, result = re.search(r">>> (.*)\n    (.*)\n", task.prompt).groups()
        namespace = {}
        exec(task.prompt + task.body, namespace)
        assert repr(eval(call, namespace)) == result


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_takes_its_strata_in_turn_and_every_held_out_cell(split):
    tasks = list(evaluation_tasks(4, split, 240))
    assert [stratum_of(task.family) for task in tasks] == [STRATA[index % 5] for index in range(240)]
    held = {family.name for family in families() if family.split == split}
    assert {task.family.name for task in tasks if task.family.split != "train"} == held
    assert len({task.prompt for task in tasks}) == 240


def test_a_smaller_evaluation_is_the_beginning_of_a_larger_one():
    assert list(evaluation_tasks(4, "test", 30)) == list(evaluation_tasks(4, "test", 90))[:30]


@pytest.mark.slow
def test_no_prompt_and_no_wording_of_a_split_occurs_in_another():
    parts = ("pretraining", "finetuning")
    prompts = {"train": {training_task(1, part, index).prompt for part in parts for index in range(5000)}}
    prompts |= {split: {task.prompt for task in evaluation_tasks(1, split, 240)} for split in ("validation", "test")}
    wordings = {split: {w for family in families() for w in family.wordings[split]} for split in prompts}
    for shown in (prompts, wordings):
        assert len(set().union(*shown.values())) == sum(map(len, shown.values()))
    assert all(bool(family.wordings["train"]) == (family.split == "train") for family in families())


def test_training_rows_have_the_code_of_all_tasks_in_new_words_and_of_few_new_combinations():
    shares = defaultdict(list)
    for task in evaluation_tasks(42, "test", 100):
        shares[stratum_of(task.family)].append(has_trainable_code(task))
    assert all(shares["atom"]) and all(shares["seen cell"])
    assert 0 < sum(shares["held-out cell"]) < 10
    assert all(has_trainable_code(training_task(42, "finetuning", number)) for number in range(100))
